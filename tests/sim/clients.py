"""Who works at simulated sites: clients in the members' own processes, and thin clients outside of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from heliograph.api.backend import Backend
from heliograph.api.client import ClientBackend
from heliograph.errors import HeliographError
from heliograph.locator.config import LOCATOR_PORT
from heliograph.model.ids import Address
from heliograph.model.keys import Key, bucket_of
from tests.history.workload import Answer, Client, Place, outcome_of
from tests.sim.observed import Observed
from tests.sim.plan import REGION
from tests.sim.process import Process
from tests.sim.world import MemberSlot, Program, SimSite, World

SHARED_KEYS = tuple(f"hot-{number}" for number in range(4))
"""Written at every site."""
OWN_KEYS = 3
"""Hot keys that the clients of one site alone write."""
ANSWER_S = 50.0
"""Longer than any operation may take by itself."""

T = TypeVar("T")


class MemberPlace:
    """In the process of a member, which hosts data itself."""

    def __init__(self, slot: MemberSlot, errors: list[str]) -> None:
        self.site = slot.site.plan.dsid
        self._slot = slot
        self._errors = errors

    @property
    def ready(self) -> bool:
        """As `Place.ready`."""
        return self._slot.ready

    def copy_of(self, key: Key) -> str:
        """As `Place.copy_of`."""
        slot = self._slot
        if not slot.ready:
            return ""
        copy = slot.member._regions[REGION].copies.get(bucket_of(key, slot.site.plan.region.total_num_buckets))
        return f"{slot.name}#{len(slot.ended)}" if copy is not None and copy.readable else ""

    async def do(self, work: Callable[[Backend], Awaitable[T]]) -> Answer[T]:
        """As `Place.do`."""
        process = self._slot.process
        if process is None or not self._slot.ready:
            return Answer("fail")
        return await _in_process(process, cast("Backend", self._slot.member), work, self._errors)


class ThinPlace:
    """A program of its own, which talks to the site's locator and members."""

    def __init__(self, name: str, site: SimSite, rng: random.Random, errors: list[str], timeout_s: float) -> None:
        self.site = site.plan.dsid
        self.ready = True
        self.process = Process(site.network, name, rng)
        self._backend = ClientBackend((Address(site.locator.name, LOCATOR_PORT),), timeout_s, self.process, rng)
        self._errors = errors

    def copy_of(self, key: Key) -> str:
        """It does not know who answers."""
        return ""

    async def do(self, work: Callable[[Backend], Awaitable[T]]) -> Answer[T]:
        """As `Place.do`."""
        return await _in_process(self.process, self._backend, work, self._errors)

    async def close(self) -> None:
        """End it."""
        await self.process.run(self._backend.close())
        self.process.kill()


def make_clients(world: World, rng: random.Random, observed: Observed) -> tuple[list[Client], list[ThinPlace]]:
    """Return the clients of a plan, and the programs that are to be closed at the end."""
    clients: list[Client] = []
    thin: list[ThinPlace] = []

    def add(name: str, place: Place) -> None:
        hot = (*SHARED_KEYS, *(f"hot-{place.site}-{number}" for number in range(OWN_KEYS)))
        own_rng = random.Random(rng.getrandbits(64))
        clients.append(Client(name, place, REGION, hot, world.plan.mix, own_rng, observed.operations))

    for site in world.sites:
        for slot in site.members:
            for number in range(world.plan.clients_per_member):
                add(f"{slot.name}{number}", MemberPlace(slot, observed.errors))
        for number, timeout_s in enumerate(site.plan.thin_clients):
            name = f"{site.plan.dsid}-client{number}"
            thin.append(ThinPlace(name, site, random.Random(rng.getrandbits(64)), observed.errors, timeout_s))
            world.programs.append(Program(site, name, thin[-1].process))
            add(name, thin[-1])
    return clients, thin


async def _in_process(
    process: Process, backend: Backend, work: Callable[[Backend], Awaitable[T]], errors: list[str]
) -> Answer[T]:
    """Do some work in a process, which may be killed meanwhile."""
    task = process.run(cast("Coroutine[Any, Any, T]", work(backend)))
    await asyncio.wait({task}, timeout=ANSWER_S)
    if not task.done():
        task.cancel()
        errors.append(f"no answer within {ANSWER_S:g} s")
        return Answer("info")
    if task.cancelled():
        return Answer("info")
    error = task.exception()
    if error is None:
        return Answer("ok", task.result())
    if not isinstance(error, HeliographError):
        errors.append(f"an operation failed with {error!r}")
    return Answer(outcome_of(error), None, error)
