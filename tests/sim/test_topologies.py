"""Mesh, ring, star and hybrid of whole sites, under load, while one of them after the other is lost and comes back.

While a site is lost, what is written at the others comes exactly as far as the loop rule says (`tests.sim.reach`, and
docs/topologies.md); when it is back all hold the same. Before the first one is lost every listener was told every event
once.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from heliograph.api.backend import Backend
from heliograph.api.events import Events
from heliograph.engine.sim.loop import run
from heliograph.errors import HeliographError
from heliograph.gfsh.demo.topology import SITES_MIN, TOPOLOGIES, plan_of
from heliograph.model.attributes import GatewaySenderAttributes, RegionAttributes
from heliograph.model.keys import Key, encode_value
from tests.history.workload import Mix
from tests.sim.campaign import arrivals_into, failures_into
from tests.sim.checkers import sent_back
from tests.sim.graphs import Ways
from tests.sim.observed import Arrival, Observed, Site
from tests.sim.plan import REGION, Plan, SitePlan
from tests.sim.process import own_tasks
from tests.sim.reach import copies, reach, unreached
from tests.sim.world import MemberSlot, SimSite, World

WRITES = 12
"""Entries that each site writes while one is lost, one by one."""
PAUSE_S = 0.05
LOST_S, REST_S, SETTLED_S = 6.0, 90.0, 3.0
DIAMOND: Ways = {1: (2, 3), 2: (4,), 3: (4,), 4: ()}
"""Which GemFire does not support, for site 4 is sent everything twice."""
FAN_OUT: Ways = {1: (2, 3), 2: (), 3: ()}
"""GemFire's second hybrid: one site writes, the others hear of it and not of each other."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "topologies.md"


def plan_for(ways: Ways, rng: random.Random) -> Plan:
    """Sites of one or two servers, with serial and parallel senders."""
    kind = rng.choice(("REPLICATE_PERSISTENT", "PARTITION_PERSISTENT"))

    def site(dsid: int) -> SitePlan:
        senders = tuple(
            GatewaySenderAttributes(
                id=f"to-{remote}",
                remote_distributed_system_id=remote,
                enable_persistence=True,
                parallel=kind.startswith("PARTITION") and rng.random() < 0.5,
            )
            for remote in ways[dsid]
        )
        region = RegionAttributes(
            name=REGION, type=kind, total_num_buckets=2, gateway_sender_ids=tuple(each.id for each in senders)
        )
        members = 2 if len(ways) < 5 and rng.random() < 0.4 else 1
        return SitePlan(dsid, members, region, senders, (0,) * (members + 1))

    return Plan(str(ways), tuple(site(dsid) for dsid in ways), (0.001, 0.02), 0, Mix(), 0)


class Rig:
    """The sites of a graph, somebody who writes at each, and a listener at each."""

    def __init__(self, ways: Ways, rng: random.Random) -> None:
        self.ways = ways
        self.world = World(plan_for(ways, rng), random.Random(rng.getrandbits(64)))
        self.sites = {site.plan.dsid: site for site in self.world.sites}
        self.told: dict[int, Counter[tuple[Key, int]]] = {dsid: Counter() for dsid in ways}
        """Site -> (key, version) -> how often its listener was told so."""
        self.written: dict[Key, int] = {}

    async def listen(self) -> None:
        """Listen at every site, in its first server while that lives."""
        for site in self.world.sites:
            slot = site.members[0]
            assert slot.process is not None
            slot.process.run(self._listen(site.plan.dsid, slot))

    async def _listen(self, dsid: int, slot: MemberSlot) -> None:
        events = Events(REGION, cast("Backend", slot.member), random.Random(dsid))
        async for event in events:
            self.told[dsid][cast("Key", event.key), event.version] += 1

    async def write(self, name: str, dsids: list[int]) -> None:
        """Write some entries at some sites, all at the same time, and one that all of them write."""
        await asyncio.gather(*(self._write(name, self.sites[dsid]) for dsid in dsids))

    async def _write(self, name: str, site: SimSite) -> None:
        dsid = site.plan.dsid
        for number in range(WRITES):
            key = f"{name}-{dsid}-{number}"
            self.written[key] = dsid
            await _do(site.members[-1], "put_all", REGION, [key, "shared"], [encode_value(key)] * 2)
            if number % 4 == 3:
                await _do(site.members[-1], "change", REGION, "remove", f"{name}-{dsid}-{number - 1}", b"", b"")
                del self.written[f"{name}-{dsid}-{number - 1}"]
            await asyncio.sleep(PAUSE_S)

    def held(self, dsid: int, keys: set[Key] | None = None) -> dict[Key, tuple[int, bytes]]:
        """Return what a site's members hold, and check that they agree."""
        copies_of: dict[int, dict[Key, tuple[int, bytes]]] = {}
        for slot in self.sites[dsid].members:
            for bucket, copy in slot.member._regions[REGION].copies.items():
                view = copy.view
                held = {key: (version, view.values.get(key, b"")) for key, version in view.versions.items()}
                assert copies_of.setdefault(bucket, held) == held, f"copies of bucket {bucket} of site {dsid} differ"
        entries = {key: held for each in copies_of.values() for key, held in each.items()}
        return entries if keys is None else {key: entries[key] for key in entries.keys() & keys}

    async def rest(self) -> None:
        """Wait until nothing is open any more."""
        loop = asyncio.get_running_loop()
        deadline, since = loop.time() + REST_S, loop.time()
        while loop.time() - since < SETTLED_S:
            await asyncio.sleep(0.5)
            matters = self.world.open_matters()
            if matters:
                since = loop.time()
            assert loop.time() < deadline, matters

    async def lose(self, lost: int) -> None:
        """Lose a site while all write, see who hears of what, and have it back."""
        others = [dsid for dsid in self.ways if dsid != lost]
        for slot in self.sites[lost].slots:
            slot.kill()
        before = set(self.written)
        await self.write(f"without-{lost}", others)
        await asyncio.sleep(LOST_S)
        new = set(self.written) - before
        for dsid in others:
            here = {key for key in new if dsid in reach(self.ways, self.written[key], [lost])}
            assert {key for key, held in self.held(dsid, new).items() if held[1]} == here, f"at {dsid} without {lost}"
        for slot in self.sites[lost].slots:
            slot.start()
        await self.rest()

    def check_equal(self) -> None:
        """All sites hold the same, versions and tombstones too, and all that was written."""
        first = self.held(min(self.ways))
        assert {key for key, held in first.items() if held[1]} == set(self.written) | {"shared"}
        for dsid in self.ways:
            assert self.held(dsid) == first, f"site {dsid} differs"

    def check_told(self, dsids: Iterator[int] | list[int]) -> None:
        """Each of some sites was told nothing twice, and what it holds in the end once."""
        for dsid in dsids:
            assert set(self.told[dsid].values()) == {1}
            assert {(key, held[0]) for key, held in self.held(dsid).items()} <= self.told[dsid].keys()

    def check_arrivals(self, arrivals: list[Arrival]) -> None:
        """No site was sent what it had, as far as the sender could know."""
        seen = {dsid: Site(known=site.known()) for dsid, site in self.sites.items()}
        assert sent_back.check(Observed(sites=seen, arrivals=arrivals)) == []


async def _do(slot: MemberSlot, operation: str, *arguments: Any) -> None:
    assert slot.process is not None
    while True:
        try:
            await slot.process.run(getattr(slot.member, operation)(*arguments))
        except HeliographError as exc:
            if not exc.retriable:
                raise
            await asyncio.sleep(0.2)
        else:
            return


def play(ways: Ways, seed: int, *, losses: bool) -> tuple[Rig, list[Arrival]]:
    """Have all sites of a graph write, then lose one after the other; return how it was in the end."""
    rigs: list[Rig] = []
    errors: list[str] = []
    arrivals: list[Arrival] = []

    async def main(rng: random.Random) -> None:
        own_tasks(asyncio.get_running_loop())
        rig = Rig(ways, rng)
        rigs.append(rig)
        await rig.world.start()
        await rig.rest()
        await rig.listen()
        await rig.write("all", list(ways) if losses else [1])
        await rig.rest()
        if losses:
            rig.check_told(list(ways))
            rig.check_equal()
            for lost in ways:
                await rig.lose(lost)
        rig.check_equal()
        rig.check_arrivals(arrivals)
        await rig.world.stop()

    with failures_into(errors), arrivals_into(arrivals):
        run(main, seed=seed, limit_s=3_600)
    assert not errors
    return rigs[0], arrivals


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_events_come_as_far_as_the_loop_rule_says_while_a_site_is_lost(topology: str, site_count: int) -> None:
    play(plan_of(topology, site_count).sends_to, site_count, losses=True)


def test_a_diamond_delivers_twice_and_everything_takes_effect_once() -> None:
    rig, arrivals = play(DIAMOND, 1, losses=False)
    ways = Counter(arrival.birth for arrival in arrivals if arrival.receiver == 4)
    assert set(ways.values()) == {2}, "site 4 is sent every event by 2 and by 3"
    rig.check_told(list(DIAMOND))
    events = [event for bucket in (0, 1) for entry in rig.sites[4].entries(bucket) for event in entry.events]
    assert len(events) == len({(event.key, event.version) for event in events}) == 2 * WRITES + WRITES // 4


def test_consumers_of_a_fan_out_hear_of_one_site_alone() -> None:
    assert unreached(FAN_OUT) == [(2, 1), (2, 3), (3, 1), (3, 2)]


@pytest.mark.parametrize("sites", range(SITES_MIN, 10))
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_no_topology_but_the_diamond_delivers_a_second_copy(topology: str, sites: int) -> None:
    ways = plan_of(topology, sites).sends_to
    assert unreached(ways) == []
    for lost in (None, *ways):
        for birth in ways:
            assert set(copies(ways, birth, [lost] if lost else []).values()) <= {1}
    assert copies(DIAMOND, 1) == {2: 1, 3: 1, 4: 2}


def rows() -> Iterator[str]:
    """Yield the table of docs/topologies.md: four sites, and which hear of which others no longer when one is lost."""
    for topology in TOPOLOGIES:
        ways = plan_of(topology, 4).sends_to
        for lost in ways:
            missing: dict[int, list[str]] = {}
            for site, other in unreached(ways, [lost]):
                missing.setdefault(site, []).append(str(other))
            told = "; ".join(f"{site} to {', '.join(others)}" for site, others in missing.items())
            yield f"| {topology} | {lost} | {told or 'none'} |"


def test_the_document_tells_the_reach() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    told = re.findall(rf"^\| (?:{'|'.join(TOPOLOGIES)}) \| \d \| .* \|$", text, re.MULTILINE)
    assert told == list(rows())
