"""Buckets move between the members of a simulated site while clients write."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from heliograph.api.client import Client
from heliograph.api.region import Region
from heliograph.engine.sim.loop import run
from heliograph.link.messages import Rebalance, Rebalanced
from heliograph.member.member import HAND_OVER_S, Member
from heliograph.model.attributes import RegionAttributes
from heliograph.model.members import RegionPlacement
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

    with_four(scenario)


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
