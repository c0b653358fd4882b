"""Buckets move between the members of a simulated site while clients write."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest

from heliograph.api.client import Client
from heliograph.api.region import Region
from heliograph.engine.sim.loop import run
from heliograph.errors import UsageError
from heliograph.link.messages import Rebalance, Rebalanced
from heliograph.member.leaving import HAND_OVER_S
from heliograph.member.member import Member
from heliograph.model.attributes import RegionAttributes
from heliograph.model.keys import bucket_of
from heliograph.model.members import RegionPlacement
from heliograph.model.routing import client_routing
from heliograph.net.sim import SimNetwork
from tests.sim.plan import REGION, SitePlan
from tests.sim.process import own_tasks
from tests.sim.world import MemberSlot, SimSite

BUCKETS = 8
PAUSE_MAX_S = 0.5
"""Of one write, while its bucket moves."""


class Four:
    """A site of up to four members, the first of which is there from the start."""

    def __init__(self, site: SimSite, network: SimNetwork) -> None:
        self.site = site
        self.network = network
        self.client = Client("1-locator[10334]", network=network.host("client"), rng=random.Random(1))

    async def join(self, *numbers: int) -> None:
        for number in numbers:
            slot = self.site.members[number]
            slot.start()
            await until(lambda: slot.ready and REGION in slot.member._regions)  # noqa: B023

    def member(self, number: int) -> Member:
        return self.site.members[number].member

    @property
    def members(self) -> list[Member]:
        return [slot.member for slot in self.site.members if slot.ready]

    @property
    def region(self) -> Region:
        return self.client.region(REGION)

    def placement(self) -> RegionPlacement:
        return self.members[0]._watcher.state.placements[REGION][0]

    def at_rest(self) -> bool:
        """Every member has taken up the same placement, which is where it should be."""
        placements = {member._watcher.state.placements[REGION] for member in self.members}
        return (
            len(placements) == 1
            and not self.placement().goal
            and {name for bucket in self.placement().buckets for name in bucket.holders}
            <= {member.name for member in self.members}
            and all(member._regions[REGION].settled for member in self.members)
        )

    def primaries(self) -> Counter[str]:
        return Counter(bucket.primary for bucket in self.placement().buckets)

    async def rebalance(self, action: Any = "start") -> Rebalanced:
        oldest = min((slot for slot in self.site.members if slot.ready), key=lambda slot: slot.member._info().age)
        told: Rebalanced = await in_process(oldest, oldest.member._placer.rebalance(Rebalance(action)))
        return told

    @asynccontextmanager
    async def writing(self) -> Any:
        """Have clients write all the time; afterwards all went well, is there, and none took long."""
        writers = [Writer(self.region, f"w{number}") for number in range(4)]
        tasks = [asyncio.get_running_loop().create_task(writer.run()) for writer in writers]
        yield writers
        for writer in writers:
            writer.stopping = True
        await asyncio.gather(*tasks)
        for writer in writers:
            assert writer.longest_s < PAUSE_MAX_S
            assert await self.region.get_all(list(writer.written)) == writer.written


class Writer:
    """Puts one entry after the other, each once, and notes how long the longest took."""

    def __init__(self, region: Region, name: str) -> None:
        self.region = region
        self.name = name
        self.written: dict[str, int] = {}
        self.longest_s = 0.0
        self.stopping = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in count():
            if self.stopping:
                return
            began = loop.time()
            await self.region.put(f"{self.name}.{number}", number)
            self.longest_s = max(self.longest_s, loop.time() - began)
            self.written[f"{self.name}.{number}"] = number
            await asyncio.sleep(0.005)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  (conditions of any kind, on virtual time)
            await asyncio.sleep(0.01)


async def in_process(slot: MemberSlot, coroutine: Coroutine[Any, Any, Any]) -> Any:
    assert slot.process is not None
    return await slot.process.run(coroutine)


def with_four(scenario: Callable[[Four], Coroutine[Any, Any, None]], **attributes: Any) -> None:
    async def main(rng: random.Random) -> None:
        own_tasks(asyncio.get_running_loop())
        region = RegionAttributes(name=REGION, **{"total_num_buckets": BUCKETS, **attributes})
        network = SimNetwork()
        site = SimSite(SitePlan(1, 4, region, (), (0, 0, 0, 0, 0)), [], network, rng)
        site.locator.start()
        site.members[0].start()
        await until(lambda: site.members[0].ready)
        await in_process(site.members[0], site.members[0].member.configure(region))
        four = Four(site, network)
        async with four.client:
            await scenario(four)
        for slot in (*site.members, site.locator):
            await slot.stop(60.0)

    run(main, seed=1, limit_s=600)


def test_a_new_member_gets_its_share_by_a_rebalance_and_no_write_fails_or_waits_long() -> None:
    async def scenario(four: Four) -> None:
        async with four.writing():
            await four.join(1, 2)
            await until(four.at_rest)
            assert four.primaries() == {"1-a": BUCKETS}, "buckets move before anybody asked for it"
            told = await four.rebalance("simulate")
            assert (told.servers, told.regions[0].moved, told.regions[0].primaries) == (3, 5, 5)
            assert four.primaries() == {"1-a": BUCKETS}
            assert (await four.rebalance()).regions[0].moved == 5
            await until(lambda: four.at_rest() and len(four.primaries()) == 3)
            assert sorted(four.primaries().values()) == [2, 3, 3]
            assert all(bucket.secondaries == () for bucket in four.placement().buckets)
        told = await four.rebalance()
        assert (told.regions[0].moved, told.regions[0].primaries) == (0, 0)

    with_four(scenario)


@pytest.mark.parametrize("copies", [0, 1])
def test_an_orderly_stop_hands_primaries_over_first_and_no_write_fails_or_waits_long(copies: int) -> None:
    async def scenario(four: Four) -> None:
        await four.join(1, 2)
        await four.rebalance()
        await until(lambda: four.at_rest() and len(four.primaries()) == 3)
        async with four.writing() as writers:
            for number in (0, 1):
                slot = four.site.members[number]
                await asyncio.sleep(0.2)
                before = {writer.name: len(writer.written) for writer in writers}
                await slot.stop(HAND_OVER_S)
                await until(four.at_rest)
                assert slot.name not in four.primaries()
                assert all(len(writer.written) > before[writer.name] for writer in writers)

    with_four(scenario, redundant_copies=copies)


def test_the_last_member_and_members_that_stop_together_just_leave() -> None:
    async def scenario(four: Four) -> None:
        loop = asyncio.get_running_loop()
        await four.join(1)
        await four.region.put("k", 1)
        began = loop.time()
        await asyncio.gather(*(slot.stop(HAND_OVER_S) for slot in four.site.members[:2]))
        assert loop.time() - began < 1.0
        await four.join(0)
        assert await four.region.get("k") == 1
        began = loop.time()
        await four.site.members[0].stop(HAND_OVER_S)
        assert loop.time() - began < 1.0

    with_four(scenario, type="PARTITION_PERSISTENT")


@pytest.mark.parametrize("copies", [0, 1, 2, 3])
def test_every_bucket_has_its_redundant_copies_as_soon_as_there_are_members_for_them(copies: int) -> None:
    async def scenario(four: Four) -> None:
        for number in range(1, 4):
            await four.join(number)
            await until(four.at_rest)
            held = Counter(name for bucket in four.placement().buckets for name in bucket.holders)
            assert all(len(bucket.holders) == 1 + min(copies, number) for bucket in four.placement().buckets)
            assert sum(held.values()) == BUCKETS * (1 + min(copies, number))
        await four.rebalance()
        await until(four.at_rest)
        held = Counter(name for bucket in four.placement().buckets for name in bucket.holders)
        assert set(four.primaries().values()) == {2}
        assert set(held.values()) == {2 * (1 + copies)}
        await four.region.put_all({f"k{number}": number for number in range(100)})
        four.site.members[3].kill()
        await until(lambda: four.at_rest() and len(four.members) == 3)
        assert all(len(bucket.holders) == 1 + min(copies, 2) for bucket in four.placement().buckets)
        assert await four.region.size() == 100

    with_four(scenario, redundant_copies=copies)


@pytest.mark.parametrize("number", [0, 3])
def test_a_rebalance_goes_on_when_a_member_dies(number: int) -> None:
    async def scenario(four: Four) -> None:
        await four.region.put_all({f"k{number}": number for number in range(100)})
        await four.join(1, 2, 3)
        await four.rebalance()
        four.site.members[number].kill()
        await until(lambda: four.at_rest() and len(four.members) == 3)
        assert await four.region.size() == 100
        told = await four.rebalance("simulate")
        assert told.regions[0].created == 0

    with_four(scenario, redundant_copies=1)


def test_the_oldest_is_who_joined_first_whatever_its_clock_says() -> None:
    async def scenario(four: Four) -> None:
        four.site.members[1].clock.ahead_ms = -60_000
        await four.join(1)
        assert four.member(0)._info().age < four.member(1)._info().age

    with_four(scenario)


# --- zones, colocated regions, partition resolvers


def test_no_two_copies_of_a_bucket_are_in_one_zone() -> None:
    async def scenario(four: Four) -> None:
        for slot, zone in zip(four.site.members, ("north", "north", "south", "south"), strict=True):
            slot.zone = zone
        await four.site.members[0].stop(1.0)
        await four.join(0, 1)
        await until(four.at_rest)
        assert all(bucket.secondaries == () for bucket in four.placement().buckets)
        await four.join(2, 3)
        await until(lambda: four.at_rest() and all(bucket.secondaries for bucket in four.placement().buckets))
        await four.rebalance()
        await until(four.at_rest)
        for bucket in four.placement().buckets:
            assert len({four.site.members["abcd".index(name[-1])].zone for name in bucket.holders}) == 2
        held = Counter(name for bucket in four.placement().buckets for name in bucket.holders)
        assert set(held.values()) == {4}

    with_four(scenario, redundant_copies=1)


def test_colocated_regions_are_always_on_the_same_members() -> None:
    child, grandchild = (
        RegionAttributes(name=name, total_num_buckets=BUCKETS, redundant_copies=1, colocated_with=parent)
        for name, parent in (("child", REGION), ("grandchild", "child"))
    )

    async def scenario(four: Four) -> None:
        for region in (child, grandchild):
            await in_process(four.site.members[0], four.member(0).configure(region))
        await four.join(1, 2)
        regions = [four.client.region(name) for name in (REGION, "child", "grandchild")]

        async def same_everywhere() -> None:
            await until(four.at_rest)
            await until(lambda: all(region.settled for member in four.members for region in member._regions.values()))
            for member in four.members:
                held = [sorted(member._regions[region.name].copies) for region in regions]
                lead = [[copy.bucket for copy in member._regions[region.name].accepting()] for region in regions]
                assert held[0] == held[1] == held[2]
                assert sorted(lead[0]) == sorted(lead[1]) == sorted(lead[2])

        await same_everywhere()
        async with four.writing():
            for number, colocated in enumerate(regions[1:]):
                await colocated.put_all({f"k{key}": number for key in range(100)})
            told = await four.rebalance()
            assert [moves.region for moves in told.regions] == [f"{REGION}, child, grandchild"]
            await until(lambda: len(four.primaries()) == 3)
            await same_everywhere()
            await four.site.members[0].stop(HAND_OVER_S)
            await same_everywhere()
        assert [await region.size() for region in regions[1:]] == [100, 100]

    with_four(scenario, redundant_copies=1)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"colocated_with": "nowhere"}, "colocated with nowhere, which does not exist: create it first"),
        ({"colocated_with": REGION, "total_num_buckets": 3}, f"give total-num-buckets {BUCKETS} as that one has"),
        ({"colocated_with": REGION, "redundant_copies": 2}, "give redundant-copies 0 as that one has"),
        ({"partition_resolver": "no_such_module:f"}, "partition resolver no_such_module:f can't be loaded"),
    ],
)
def test_a_region_that_cannot_be_as_it_says_is_not_created(attributes: dict[str, Any], reason: str) -> None:
    async def scenario(four: Four) -> None:
        region = RegionAttributes(**{"name": "child", "total_num_buckets": BUCKETS, **attributes})
        with pytest.raises(UsageError, match=reason):
            await in_process(four.site.members[0], four.member(0).configure(region))
        await until(lambda: list(four.member(0)._regions) == [REGION])

    with_four(scenario)


@pytest.mark.parametrize("at_client", [True, False])
def test_what_the_resolver_keeps_together_shares_a_bucket_whether_the_client_has_it_or_not(at_client: bool) -> None:
    def unloadable(name: str) -> Any:
        raise UsageError(f"{name} can't be loaded")

    async def scenario(four: Four) -> None:
        await four.join(1)
        await four.rebalance()
        await until(lambda: four.at_rest() and len(four.primaries()) == 2)
        region = four.region
        entries = {f"{customer}|{order}": order for customer in ("ada", "bob", "eve") for order in range(20)}
        await region.put_all(entries)
        assert await region.get_all(list(entries)) == entries
        assert await region.put_if_absent("ada|0", 7) == 0
        assert await region.remove("ada|1") == 1
        assert await region.size() == len(entries) - 1
        copies = {b: copy for member in four.members for b, copy in member._regions[REGION].copies.items()}
        for customer in ("ada", "bob", "eve"):
            homes = [copy for copy in copies.values() if any(customer in str(key) for key in copy.view.values)]
            assert [copy.bucket for copy in homes] == [bucket_of(customer, BUCKETS)]
        with pytest.raises(UsageError, match=r"the key 'plain' has no '\|'"):
            await region.put("plain", 1)

    client_routing.cache_clear()
    if not at_client:
        with patch("heliograph.model.routing.load_resolver", unloadable):
            client_routing(BUCKETS, "string-prefix")
    with_four(scenario, partition_resolver="string-prefix")
    client_routing.cache_clear()
