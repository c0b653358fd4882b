"""Regions that are not persistent end with the site's life, which ends when no server is left, and not before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from heliograph.engine.sim.loop import run
from heliograph.model.attributes import RegionAttributes
from heliograph.model.keys import Key
from heliograph.model.registry import LIFE, SiteLife, decode_entry, member_key
from heliograph.net.sim import SimNetwork
from tests.sim.plan import SitePlan
from tests.sim.process import own_tasks
from tests.sim.world import MEMBER_TIMEOUT_MS, MemberSlot, SimSite

TIMEOUT_S = MEMBER_TIMEOUT_MS / 1000
FLEETING, KEPT = "r", "kept"
KEYS: list[Key] = [f"k{number}" for number in range(20)]
VALUES = [b"v"] * len(KEYS)
STOP_S = 30.0


def at_site(
    scenario: Callable[[SimSite], Coroutine[Any, Any, None]], kind: str = "PARTITION_REDUNDANT", members: int = 2
) -> None:
    """Run a scenario at a site that holds entries in a region that is persistent and in one that is not."""

    async def main(rng: random.Random) -> None:
        own_tasks(asyncio.get_running_loop())
        region = RegionAttributes(name=FLEETING, type=kind, total_num_buckets=4)
        site = SimSite(SitePlan(1, members, region, (), (0,) * (members + 1)), [], SimNetwork(), rng)
        for slot in site.slots:
            slot.start()
        await until(lambda: all(slot.ready for slot in site.slots))
        await site.configure()
        kept = RegionAttributes(name=KEPT, type=f"{kind}_PERSISTENT", total_num_buckets=4)
        await in_process(site.members[0], site.members[0].member.configure(kept))
        await until(lambda: all(settled(slot) for slot in site.members))
        for name in (FLEETING, KEPT):
            await in_process(site.members[0], site.members[0].member.put_all(name, KEYS, VALUES))
        await scenario(site)
        for slot in (*site.members, site.locator):
            await slot.stop(STOP_S)

    run(main, seed=1, limit_s=600)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  (conditions of any kind, on virtual time)
            await asyncio.sleep(0.01)


async def in_process(slot: MemberSlot, coroutine: Coroutine[Any, Any, Any]) -> Any:
    assert slot.process is not None
    return await slot.process.run(coroutine)


def settled(slot: MemberSlot) -> bool:
    regions = slot.member._regions
    return slot.ready and all(name in regions and regions[name].settled for name in (FLEETING, KEPT))


async def sizes(site: SimSite) -> set[tuple[int, int]]:
    """Ask every member that runs; and look at what its own copies show."""
    found = set()
    for slot in site.members:
        if slot.ready:
            fleeting, kept = [await in_process(slot, slot.member.size(name)) for name in (FLEETING, KEPT)]
            found.add((fleeting, kept))
    return found


def life(site: SimSite) -> SiteLife:
    item = site.engine.registries["site"].get(LIFE)
    assert item is not None
    return decode_entry(item.value, SiteLife)


async def start(site: SimSite, *numbers: int) -> None:
    for number in numbers:
        site.members[number].start()
    await until(lambda: all(site.members[number].ready for number in numbers))


def test_when_all_servers_are_killed_only_what_is_persistent_is_there_again() -> None:
    async def scenario(site: SimSite) -> None:
        for slot in site.members:
            slot.kill()
        seen: list[int] = []

        async def look(slot: MemberSlot) -> None:
            """Whatever any copy shows to a reader, from the first moment on."""
            while True:
                await asyncio.sleep(0.001)
                region = slot.member._regions.get(FLEETING) if slot.process is not None else None
                if region is not None:
                    seen.extend(len(copy.view.values) for copy in region.copies.values() if copy.readable)

        for slot in site.members:
            slot.start()
        looks = [asyncio.ensure_future(look(slot)) for slot in site.members]
        await until(lambda: all(settled(slot) for slot in site.members))
        assert await sizes(site) == {(0, len(KEYS))}
        await asyncio.sleep(1)
        assert await sizes(site) == {(0, len(KEYS))}
        assert life(site).number == 2
        assert seen
        assert set(seen) == {0}
        for watched in looks:
            watched.cancel()
        assert await in_process(site.members[0], site.members[0].member.put_all(FLEETING, KEYS, VALUES)) is None
        assert await sizes(site) == {(len(KEYS), len(KEYS))}

    at_site(scenario)


def test_servers_that_replace_one_another_keep_everything() -> None:
    async def scenario(site: SimSite) -> None:
        for number in (0, 1, 0):
            site.members[number].kill()
            await asyncio.sleep(3 * TIMEOUT_S)
            await start(site, number)
        for number in (1, 0):
            await site.members[number].stop(STOP_S)
            await asyncio.sleep(3 * TIMEOUT_S)
            await start(site, number)
        await until(lambda: all(settled(slot) for slot in site.members))
        assert await sizes(site) == {(len(KEYS), len(KEYS))}
        assert life(site).number == 1

    at_site(scenario)
    at_site(scenario, "REPLICATE")


def test_a_site_that_was_stopped_in_order_begins_its_next_life_at_once() -> None:
    async def scenario(site: SimSite) -> None:
        for slot in site.members:
            await slot.stop(STOP_S)
        assert life(site) == SiteLife(1, {})
        began = asyncio.get_running_loop().time()
        await start(site, 1)  # the other one does not come back
        assert asyncio.get_running_loop().time() - began < TIMEOUT_S
        assert await sizes(site) == {(0, len(KEYS))}
        assert life(site).number == 2

    at_site(scenario)


def test_a_server_that_starts_alone_waits_until_it_is_sure_that_no_other_lives() -> None:
    async def scenario(site: SimSite) -> None:
        loop = asyncio.get_running_loop()
        for slot in site.members:
            slot.kill()
        await asyncio.sleep(3 * TIMEOUT_S)
        began = loop.time()
        await start(site, 1)
        assert TIMEOUT_S <= loop.time() - began < 3 * TIMEOUT_S
        assert await sizes(site) == {(0, len(KEYS))}
        assert (life(site).number, list(life(site).servers)) == (2, ["1-b"])

    at_site(scenario)


def test_a_server_that_starts_when_the_engine_is_back_ends_no_life_of_those_that_waited_for_it() -> None:
    async def scenario(site: SimSite) -> None:
        newcomer = site.members[2]
        await newcomer.stop(STOP_S)
        site.engine.stop()
        newcomer.start()
        await asyncio.sleep(3 * TIMEOUT_S)  # the entries of those that live have ended
        site.engine.start()
        await until(lambda: all(settled(slot) for slot in site.members))
        assert life(site).number == 1
        assert await sizes(site) == {(len(KEYS), len(KEYS))}

    at_site(scenario, members=3)


def test_a_server_that_starts_before_those_that_live_could_say_so_ends_no_life() -> None:
    async def scenario(site: SimSite) -> None:
        newcomer, living = site.members[2], [slot.process for slot in site.members[:2]]
        await newcomer.stop(STOP_S)
        for process in living:
            assert process is not None
            process.cut_engine()
        await asyncio.sleep(3 * TIMEOUT_S)
        newcomer.start()
        await until(lambda: site.engine.registries["site"].get(member_key(newcomer.name)) is not None)
        await asyncio.sleep(TIMEOUT_S / 2)
        for process in living:
            assert process is not None
            process.heal_engine()
        await until(lambda: all(settled(slot) for slot in site.members))
        assert life(site).number == 1
        assert await sizes(site) == {(len(KEYS), len(KEYS))}

    at_site(scenario, members=3)


def test_a_server_that_was_taken_for_dead_shows_nothing_of_the_life_that_was_ended_without_it() -> None:
    async def scenario(site: SimSite) -> None:
        zombie, other = site.members
        other.kill()
        assert zombie.process is not None
        zombie.process.cut_engine()
        await asyncio.sleep(3 * TIMEOUT_S)
        await start(site, 1)
        assert life(site).number == 2
        zombie.process.heal_engine()
        await until(lambda: settled(zombie) and len(life(site).servers) == 2)
        await asyncio.sleep(1)
        assert await sizes(site) == {(0, len(KEYS))}

    at_site(scenario)


def test_a_region_that_is_created_in_a_later_life_begins_in_it() -> None:
    async def scenario(site: SimSite) -> None:
        for slot in site.members:
            slot.kill()
        await start(site, 0, 1)
        late = RegionAttributes(name="late", type="REPLICATE", total_num_buckets=2)
        await in_process(site.members[0], site.members[0].member.configure(late))
        await in_process(site.members[0], site.members[0].member.put_all("late", KEYS, VALUES))
        site.members[0].kill()
        await asyncio.sleep(3 * TIMEOUT_S)
        await start(site, 0)
        await until(lambda: settled(site.members[0]))
        assert await in_process(site.members[0], site.members[0].member.size("late")) == len(KEYS)

    at_site(scenario)
