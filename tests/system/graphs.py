"""One seed over sites of real processes that any connected graph links.

All of them write while links are cut, processes and whole sites are killed, and clocks are wrong. Then all hold the
same, and listeners were told what became of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from heliograph import aio
from heliograph.errors import EventsLostError
from heliograph.model.keys import Key
from tests.history import reads
from tests.history.operations import Operation, by_key
from tests.history.workload import Client, Mix
from tests.sim.checkers import histories
from tests.sim.graphs import CLOCK_OF_SITE_MS_MAX, Ways, draw_ways
from tests.sim.observed import Observed
from tests.sim.observed import Site as SeenSite
from tests.system.histories import ThinPlace
from tests.system.links import Gate, Link, links_of, outside
from tests.system.nemesis import FREEZE, HANG, KILL, STOP, Fault, Nemesis, Step, Target, weighted
from tests.system.scenarios import assert_equal, connect_sites
from tests.system.sites import Daemon, Site, Sites, at_once
from tests.system.waiting import eventually

REGIONS = {"spread": ("PARTITION_REDUNDANT_PERSISTENT", "parallel"), "everywhere": ("REPLICATE_PERSISTENT", "serial")}
COUNTS, WEIGHTS = range(2, 7), (3, 6, 3, 1, 1)
SERVERS_OF_ALL_MAX = 6
HOT_KEYS = tuple(f"hot-{number}" for number in range(6))
MIX = Mix(pause_s=0.12)
CLIENTS = 2
"""Of every region at every site."""
CLIENT_TIMEOUT_S = 20.0
LASTS_S, FIRST_S = 12.0, 1.0
FAULTS = (4, 7)
SETTLE_S = 60.0
CLOCK_STEP_MS = 90_000
QUIET_REMOVES = 3


class Clocks:
    """All clocks of one site; see `tests.system.planted.wrong_clocks`."""

    def __init__(self, site: Site, ahead_ms: int) -> None:
        self.name = f"the clocks of site {site.number}"
        self._file: Path = site.locator.directory.parent / "clock"
        self._right_ms = ahead_ms

    def set(self, by_ms: int = 0) -> None:
        """Set them; by_ms: how wrong they are."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(str(self._right_ms + by_ms), encoding="ascii")
        new.replace(self._file)


def start_site(site: Site) -> None:
    """Start what was killed."""
    for daemons in (site.locators, site.servers):
        at_once([_start_of(daemon) for daemon in daemons])


def _start_of(daemon: Daemon) -> Any:
    return lambda: KILL.end(daemon)


class WholeSite:
    """A site as a target."""

    def __init__(self, site: Site) -> None:
        self.name = f"site {site.number}"
        self.site = site


CUT = Fault("cut", lambda link: link.cut(held=False), Link.heal, (0.5, 8.0))
HOLD = Fault("hold back", lambda link: link.cut(held=True), Link.heal, (0.5, 8.0))
LOSE = Fault("lose", lambda whole: whole.site.kill(), lambda whole: start_site(whole.site), (0.5, 5.0))
SET_BACK = Fault("set back", lambda clocks: clocks.set(-CLOCK_STEP_MS), Clocks.set, (1.0, 5.0))
AT_SERVERS = ((3, KILL), (1, STOP), (1, FREEZE), (1, HANG))


@dataclass
class Told:
    """What listeners of one site and region were told: key -> versions and values, in order. lost: some never."""

    events: dict[Key, list[tuple[int, Any]]] = field(default_factory=dict)
    lost: int = 0

    async def listen(self, region: aio.Region) -> None:
        """Listen until cancelled."""
        while True:
            try:
                async for event in region.events():
                    if event.key is not None:
                        self.events.setdefault(event.key, []).append((event.version, event.new_value))
            except EventsLostError:
                self.lost += 1

    def final(self) -> dict[Key, tuple[int, Any]]:
        """Return the last that was told of each key."""
        return {key: told[-1] for key, told in self.events.items()}

    def wrong(self, where: str) -> list[str]:
        """Return what was told twice, or an older version after a newer one."""
        found = []
        for key, told in self.events.items():
            versions = [version for version, _ in told]
            if versions != sorted(set(versions)):
                found.append(f"{where} was told of {key!r} in this order: {versions}")
        return found


@dataclass
class Seen:
    """A run. ways: its graph. told: (site, region) -> what listeners were told. wrong: what was found."""

    ways: Ways
    story: list[str] = field(default_factory=list)
    history: dict[str, list[Operation]] = field(default_factory=lambda: {region: [] for region in REGIONS})
    told: dict[tuple[int, str], Told] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Return what is wrong, one line each."""
        found = list(self.wrong)
        for operations in self.history.values():
            sites = {dsid: SeenSite() for dsid in self.ways}
            found += histories.check_order(Observed(operations=operations, sites=sites))
            found += reads.check(operations)
            found += [f"quiet and not done: {each}" for each in operations if each.quiet and each.outcome != "ok"]
        for (dsid, region), told in self.told.items():
            found += told.wrong(f"a listener of {region} at site {dsid}")
        return found


class Graph(NamedTuple):
    """What a seed draws. servers: of each site. ahead_ms: its clocks."""

    ways: Ways
    servers: dict[int, int]
    ahead_ms: dict[int, int]


def draw(rng: random.Random) -> Graph:
    """Draw sites."""
    ways = draw_ways(rng, rng.choices(COUNTS, WEIGHTS)[0])
    spare = max(0, SERVERS_OF_ALL_MAX - len(ways)) if len(ways) < 5 else 0
    servers = {}
    for site in ways:
        more = rng.randint(0, min(1, spare))
        spare -= more
        servers[site] = 1 + more
    return Graph(ways, servers, {site: rng.randint(-CLOCK_OF_SITE_MS_MAX, CLOCK_OF_SITE_MS_MAX) for site in ways})


def run_graph(sites: Sites, seed: int, *, settle_s: float = SETTLE_S) -> Seen:
    """Start the sites of a seed, disturb them while all write, heal them, and return what was seen."""
    rng = random.Random(seed)
    graph = draw(rng)
    everyone = sites.make(graph.servers)
    clocks = {site.number: Clocks(site, graph.ahead_ms[site.number]) for site in everyone}
    for site in everyone:
        site.hostname_for_senders = outside(site.number)
        clocks[site.number].set()
    at_once([site.start for site in everyone])
    connect_sites(everyone, graph.ways, REGIONS)
    return asyncio.run(_run(everyone, graph, rng, clocks, settle_s))


def _schedule(
    rng: random.Random, everyone: Sequence[Site], links: Sequence[Link], clocks: Sequence[Clocks]
) -> list[Step]:
    steps = []
    for _ in range(rng.randint(*FAULTS)):
        site = rng.choice(everyone)
        what = rng.choices(("link", "server", "locator", "site", "clocks"), (5, 3, 2, 2, 1))[0]
        faults: dict[str, tuple[Target, Fault]] = {
            "link": (rng.choice(links), rng.choice((CUT, HOLD))),
            "server": (rng.choice(site.servers), weighted(rng, AT_SERVERS)),
            "locator": (site.locator, KILL),
            "site": (WholeSite(site), LOSE),
            "clocks": (rng.choice(clocks), SET_BACK),
        }
        steps.append(Step(rng.uniform(FIRST_S, LASTS_S), *faults[what], rng.random()))
    return steps


async def _run(
    everyone: Sequence[Site], graph: Graph, rng: random.Random, clocks: Mapping[int, Clocks], settle_s: float
) -> Seen:
    seen = Seen(graph.ways)
    async with AsyncExitStack() as stack:
        gates = {site.number: Gate(site) for site in everyone}
        for gate in gates.values():
            await gate.start()
            stack.push_async_callback(gate.close)
        clients = {
            site.number: await stack.enter_async_context(aio.connect(site.everywhere, timeout_s=CLIENT_TIMEOUT_S))
            for site in everyone
        }
        listening = [_listen(seen, dsid, region, client) for dsid, client in clients.items() for region in REGIONS]
        stack.callback(lambda: [task.cancel() for task in listening])
        workers = [
            _worker(seen, dsid, client, region, f"{region}-{dsid}-{number}", rng)
            for dsid, client in clients.items()
            for region in REGIONS
            for number in range(CLIENTS)
        ]
        nemesis = Nemesis(everyone, _schedule(rng, everyone, links_of(graph.ways, gates), list(clocks.values())))
        until_s = asyncio.get_running_loop().time() + LASTS_S
        await asyncio.gather(nemesis.disturb(), *(worker.run(until_s) for worker in workers))
        seen.story = nemesis.story
        await _rest(seen, everyone, settle_s)
        for worker in workers:  # everybody can write again, and what is removed now is gone
            await worker.put([f"quiet-{worker.name}"], quiet=True)
        for region in REGIONS:
            for key in rng.sample(HOT_KEYS, QUIET_REMOVES):
                worker = rng.choice([each for each in workers if each.region == region])
                await worker.change("remove", key, quiet=True)
        await _rest(seen, everyone, settle_s)
        for worker in workers:
            here = [each for each in seen.history[worker.region] if each.site == worker.site]
            await worker.get(list(by_key(here)), quiet=True)
        for task in listening:
            if task.done():
                seen.wrong.append(f"a listener ended: {task.exception()!r}")
    return seen


def _listen(seen: Seen, dsid: int, region: str, client: aio.Client) -> asyncio.Task[None]:
    told = seen.told[dsid, region] = Told()
    return asyncio.create_task(told.listen(client.region(region)))


def _worker(seen: Seen, dsid: int, client: aio.Client, region: str, name: str, rng: random.Random) -> Client:
    own_rng = random.Random(rng.getrandbits(64))
    return Client(name, ThinPlace(dsid, client), region, HOT_KEYS, MIX, own_rng, seen.history[region])


async def _rest(seen: Seen, everyone: Sequence[Site], settle_s: float) -> None:
    """Wait until every site holds the same, every server shows it, and listeners were told it."""

    def rested() -> None:
        for site in everyone:
            site.wait_joined()
            site.wait_drained(within_s=settle_s)
        for region in REGIONS:
            _check_equal(seen, everyone, region)

    try:
        await asyncio.to_thread(eventually, rested, within_s=settle_s)
    except AssertionError as exc:
        seen.wrong.append(str(exc))


def _check_equal(seen: Seen, everyone: Sequence[Site], region: str) -> None:
    """Compare entries, and the versions that listeners were told last."""
    first = everyone[0]
    entries = first.entries(region)
    told_first = dict(seen.told[first.number, region].final())
    for site in everyone:
        where = f"site {site.number} in {region}"
        assert_equal(site.entries(region), entries, where)
        for server in site.live_servers():
            assert_equal(
                site.entries_at(server, region, sorted(entries, key=str)), entries, f"{server.name} in {region}"
            )
        told = seen.told[site.number, region]
        if not told.lost and not seen.told[first.number, region].lost:
            final = dict(told.final())
            assert_equal(final, told_first, f"listeners of {where}")
            assert_equal({key: value for key, (_, value) in final.items() if value is not None}, entries, where)
