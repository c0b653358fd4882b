"""One simulated run: start the sites, disturb them while clients work, heal everything, wait for rest, look."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from heliograph.engine.sim.loop import run
from heliograph.member import snapshotter
from heliograph.member.receiver import GatewayReceiver
from heliograph.model import attributes
from tests.history.operations import by_key
from tests.history.workload import Client
from tests.sim.clients import SHARED_KEYS, make_clients
from tests.sim.faults import disturb
from tests.sim.graphs import CLOCK_WRONG_S_MAX
from tests.sim.listeners import Listeners
from tests.sim.observed import Arrival, Birth, Copy, Observed, Site
from tests.sim.plan import REGION, Plan, draw_plan
from tests.sim.process import own_tasks
from tests.sim.site_faults import draw_site_faults
from tests.sim.world import SimSite, World

WORK_S = 20.0
REST_S = 120.0
"""How long after the last fault was healed everything may take to be at rest."""
SETTLED_S = 3.0
"""At rest means that nothing was open for so long."""
START_S = 60.0
LIMIT_S = 1_000.0
SNAPSHOTS: dict[str, Any] = {
    "SNAPSHOT_BYTES_MIN": 2_000, "LOOK_S": 0.2, "CUT_S": 1.0, "PRESSED_BYTES_MIN": 500, "PRESSED_S": 3.0
}  # fmt: skip
"""Small and often, so that logs are cut under readers, senders and members that are away."""
STORES: dict[str, Any] = {"MB": 1}
"""Limits of disk stores in bytes, for logs as small as these."""
QUIET_REMOVES = 2


def simulate(seed: int, draw: Callable[[random.Random], Plan] = draw_plan) -> Observed:
    """Run a seed to its end and return what was seen."""
    observed = Observed()

    async def main(rng: random.Random) -> None:
        await _Run(observed, draw(rng), rng).play()

    with (
        failures_into(observed.errors),
        arrivals_into(observed.arrivals),
        patch.multiple(snapshotter, **SNAPSHOTS),
        patch.multiple(attributes, **STORES),
    ):
        run(main, seed=seed, limit_s=LIMIT_S)
    return observed


class _Run:
    def __init__(self, observed: Observed, plan: Plan, rng: random.Random) -> None:
        self.observed = observed
        self.rng = rng
        self.loop = asyncio.get_running_loop()
        own_tasks(self.loop)
        self.loop.set_exception_handler(self._on_exception)
        self.plan = plan
        self.world = World(self.plan, random.Random(rng.getrandbits(64)))
        observed.story.append(str(self.plan))

    async def play(self) -> None:
        world = self.world
        async with asyncio.timeout(START_S):
            await world.start()
        until_s = self.loop.time() + WORK_S
        clients, thin = make_clients(world, random.Random(self.rng.getrandbits(64)), self.observed)
        listeners = Listeners(world, random.Random(self.rng.getrandbits(64)), self.observed)
        befalls = draw_site_faults(world, random.Random(self.rng.getrandbits(64))) if self.plan.site_faults else ()
        await asyncio.gather(
            disturb(world, random.Random(self.rng.getrandbits(64)), self.plan.faults, self.observed.story, befalls),
            *(client.run(until_s) for client in clients),
        )
        if await self._rests():
            await self._write_quietly(clients)
            if await self._rests():
                await self._read_quietly(clients)
        await listeners.finish()
        self._look()
        await asyncio.gather(*(place.close() for place in thin))
        await world.stop()
        await self._bury()
        self.observed.ending = (self.loop.time(), self.rng.random(), [s.engine.rng.random() for s in world.sites])

    async def _rests(self) -> bool:
        """Wait until nothing is open any more, and stays so."""
        deadline = self.loop.time() + REST_S + (CLOCK_WRONG_S_MAX if self.plan.site_faults else 0.0)
        since, ends = self.loop.time(), self.world.ends()
        while True:
            await asyncio.sleep(0.5)
            matters = self.world.open_matters()
            if matters or ends != self.world.ends():
                since, ends = self.loop.time(), self.world.ends()
            if self.loop.time() - since >= SETTLED_S:
                return True
            if self.loop.time() > deadline:
                self.observed.unfinished += matters or ["the logs grow without end"]
                return False

    async def _write_quietly(self, clients: list[Client]) -> None:
        """Every client can write again; what is removed now is gone for good."""
        for client in clients:
            await client.put([f"quiet-{client.name}"], quiet=True)
        for key in self.rng.sample(SHARED_KEYS, QUIET_REMOVES):
            await self.rng.choice(clients).change("remove", key, quiet=True)

    async def _read_quietly(self, clients: list[Client]) -> None:
        """Every client finds what was written at its site last."""
        history = list(self.observed.operations)
        for client in clients:
            await client.get(list(by_key(each for each in history if each.site == client.site)), quiet=True)

    def _look(self) -> None:
        for site in self.world.sites:
            self.observed.sites[site.plan.dsid] = _seen(site)
            self.observed.records_cut += site.records_cut

    async def _bury(self) -> None:
        """Processes that ended leave no task behind."""
        await asyncio.sleep(1.0)
        for slot in self.world.slots:
            left = sum(process.task_count for process in slot.ended)
            if left:
                self.observed.errors.append(f"{slot.name} ended and left {left} tasks")

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.observed.errors.append(f"{context['message']}: {context.get('exception')!r}")


def _seen(site: SimSite) -> Site:
    seen = Site()
    for bucket in range(site.plan.region.total_num_buckets):
        seen.logs[bucket] = site.entries(bucket)
    seen.known = site.known()
    for slot in site.members:
        if slot.ready:
            copies = slot.member._regions[REGION].copies
            seen.copies += [
                Copy(slot.name, number, dict(copy.view.values), dict(copy.view.versions))
                for number, copy in sorted(copies.items())
            ]
    return seen


@contextmanager
def arrivals_into(arrivals: list[Arrival]) -> Generator[None, None, None]:
    """Have what gateway receivers are sent appended to `arrivals`."""
    take_up = GatewayReceiver._take_up

    def note(self: GatewayReceiver, batch: Any, work: Any, received: int) -> None:
        sender = int(batch.link.peer_address[0].partition("-")[0])
        arrivals.extend(
            Arrival(sender, self._host.dsid, Birth(part.origin, part.birth_bucket, part.birth_seq))
            for _, part in batch.body.items
        )
        take_up(self, batch, work, received)

    with patch.object(GatewayReceiver, "_take_up", note):
        yield


class _Failures(logging.Handler):
    """Keeps what processes log as critical: tasks that failed."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.CRITICAL)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self._errors.append(f"{record.msg}: {cause!r}")


@contextmanager
def failures_into(errors: list[str]) -> Generator[None, None, None]:
    """Have what processes log as critical appended to `errors`."""
    handler = _Failures(errors)
    logger = logging.getLogger("heliograph")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
