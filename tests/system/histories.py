"""One seed over real processes: clients work while the nemesis does, then the history of every entry is judged.

Two sites, the second one only receives. Clients are thin clients of site 1, in this process, which nobody kills; and
one reader for each server of site 1, which asks that server alone. After the last fault is healed everything must come
to rest: every server, and the other site, holds what site 1 holds. Then every client reads all it knows of once more,
and these reads must fit into the histories too, so that nothing that was acknowledged may be missing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar, cast

from heliograph import aio
from heliograph.api.backend import Backend
from heliograph.errors import HeliographError, UnavailableError
from heliograph.link.hello import Hello
from heliograph.link.messages import GetAll, Values
from heliograph.model.keys import Key
from heliograph.net.links import Links
from heliograph.net.real import RealNetwork
from tests.history import linearizable, reads
from tests.history.operations import Operation, by_key
from tests.history.workload import Answer, Client, Mix, outcome_of
from tests.system.clusters import wait_replicated
from tests.system.nemesis import Nemesis, Schedule, drawn
from tests.system.scenarios import assert_equal, connect_sites
from tests.system.sites import Daemon, Site, Sites
from tests.system.waiting import PATIENCE_S, eventually

REGIONS = {"spread": ("PARTITION_REDUNDANT_PERSISTENT", "parallel"), "everywhere": ("REPLICATE_PERSISTENT", "serial")}
SERVERS = 3
HOT_KEYS = tuple(f"hot-{number}" for number in range(8))
CONDITIONAL = Mix(once=0, put=1, change=80, pause_s=0.1, conditions=(12, 0, 1, 1, 0))
READING = Mix(once=0, put=0, change=0, get=1, pause_s=0.1)
HASTY_S, PATIENT_S = 2.5, 20.0
READ_S = 2.0

T = TypeVar("T")


class Load(NamedTuple):
    """What clients do and for how long.

    hasty, patient: clients of a region that soon give up what hangs and write the same entries elsewhere, and those
    that wait for it.
    """

    mix: Mix
    lasts_s: float = 16.0
    hasty: int = 2
    patient: int = 4


LOADS = (Load(Mix(pause_s=0.1)), Load(CONDITIONAL))
CROWD = Load(CONDITIONAL, lasts_s=28.0, hasty=5, patient=10)
"""So many that two primaries of a bucket are sure to be asked at a time."""


@dataclass
class Run:
    """What was seen: region -> the history of its entries; what happened when; what is wrong after it was healed."""

    story: list[str] = field(default_factory=list)
    histories: dict[str, list[Operation]] = field(default_factory=dict)
    unequal: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Return what is wrong, one line each."""
        found = list(self.unequal)
        for region, history in self.histories.items():
            found += [f"{region}: {wrong}" for wrong in (*linearizable.check(history), *reads.check(history))]
        return found


class ThinPlace:
    """Outside of the site, with a thin client; satisfies `Place`."""

    ready = True

    def __init__(self, site: int, client: aio.Client) -> None:
        self.site = site
        self._backend = client.backend

    def copy_of(self, key: Key) -> str:
        """It does not know who answers."""
        return ""

    async def do(self, work: Callable[[Backend], Awaitable[T]]) -> Answer[T]:
        """As `Place.do`."""
        return await _answer(work(self._backend))


class ServerPlace:
    """Outside of the site, asking one server for what its own copies show; satisfies `Place` as far as reading goes."""

    def __init__(self, site: int, server: Daemon, links: Links) -> None:
        self.site = site
        self._server = server
        self._links = links

    @property
    def ready(self) -> bool:
        """As `Place.ready`."""
        return self._server.address is not None

    def copy_of(self, key: Key) -> str:
        """Every server has a copy of every bucket of a replicated region."""
        process = self._server.process
        return f"{self._server.name}@{process.pid}" if process is not None else ""

    async def do(self, work: Callable[[Backend], Awaitable[T]]) -> Answer[T]:
        """As `Place.do`."""
        return await _answer(work(cast("Backend", self)))

    async def get_all(self, region: str, keys: list[Key]) -> list[bytes]:
        """As `Backend.get_all`."""
        address = self._server.address
        if address is None:
            raise UnavailableError(f"{self._server.name} is down")
        return (await self._links.call(address, GetAll(region, keys), Values, timeout_s=READ_S)).values


async def _answer(work: Awaitable[T]) -> Answer[T]:
    try:
        return Answer("ok", await work)
    except HeliographError as exc:
        return Answer(outcome_of(exc), None, exc)


def run_seed(
    sites: Sites,
    seed: int,
    *,
    schedule: Schedule = drawn,
    loads: Sequence[Load] = LOADS,
    settle_s: float = PATIENCE_S,
) -> Run:
    """Start sites, disturb them while clients work (one of the loads), heal them, and return what was seen.

    Site 1 has one locator in the run of an even seed, and three in that of an odd one.
    """
    here, remote = sites.start({1: SERVERS, 2: 1}, locators={1: 3 if seed % 2 else 1})
    connect_sites([here, remote], {1: [2]}, REGIONS)
    if len(here.locators) > 1:
        wait_replicated(here)
    rng = random.Random(seed)
    load = rng.choice(loads)
    nemesis = Nemesis([here, remote], schedule(rng, here, remote, load.lasts_s))
    return asyncio.run(_run(here, remote, rng, load, nemesis, settle_s))


async def _run(here: Site, remote: Site, rng: random.Random, load: Load, nemesis: Nemesis, settle_s: float) -> Run:
    seen = Run(histories={region: [] for region in REGIONS})
    links = Links(RealNetwork(), Hello(role="client", name="reader"))
    thin = [aio.connect(here.everywhere, timeout_s=timeout_s) for timeout_s in (HASTY_S, PATIENT_S)]
    try:
        for client in thin:
            await client.open()
        working = [
            _client(region, f"{region}-{number}", ThinPlace(here.number, client), load.mix, rng, seen)
            for region in REGIONS
            for number, client in enumerate([thin[0]] * load.hasty + [thin[1]] * load.patient)
        ]
        reading = [
            _client("everywhere", f"at-{server.name}", ServerPlace(here.number, server, links), READING, rng, seen)
            for server in here.servers
        ]
        until_s = asyncio.get_running_loop().time() + load.lasts_s
        await asyncio.gather(nemesis.disturb(), *(client.run(until_s) for client in (*working, *reading)))
        seen.story = nemesis.story
        seen.unequal = await asyncio.to_thread(_wait_equal, here, remote, settle_s)
        for worker in working:
            await worker.get(list(by_key(seen.histories[worker.region])), quiet=True)
    finally:
        await links.close("the run is over")
        for client in thin:
            await client.close()
    return seen


def _client(region: str, name: str, place: ThinPlace | ServerPlace, mix: Mix, rng: random.Random, seen: Run) -> Client:
    return Client(name, place, region, HOT_KEYS, mix, random.Random(rng.getrandbits(64)), seen.histories[region])


def _wait_equal(here: Site, remote: Site, settle_s: float) -> list[str]:
    """Wait until everything is at rest; returns what is still not as it must be."""
    here.wait_joined()
    here.wait_drained()

    def equal() -> None:
        for region in REGIONS:
            entries = here.entries(region)
            assert_equal(remote.entries(region), entries, f"site {remote.number} in {region}")
            for server in here.live_servers():
                found = here.entries_at(server, region, sorted(entries, key=str))
                assert_equal(found, entries, f"{server.name} in {region}")

    try:
        eventually(equal, within_s=settle_s)
    except AssertionError as exc:
        return [str(exc)]
    return []
