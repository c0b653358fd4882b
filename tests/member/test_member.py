"""A whole member of a simulated site: how it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from heliograph.engine.sim.loop import run
from heliograph.errors import HeliographError, InvariantViolation, UnavailableError, UsageError
from heliograph.member.member import DRAIN_S, Member
from heliograph.model.attributes import DEFAULT_STORE, RegionAttributes
from heliograph.model.keys import Key, bucket_of
from heliograph.model.members import MemberInfo
from heliograph.model.registry import decode_entry, encode_entry, member_key
from heliograph.net.sim import SimNetwork
from tests.sim.plan import REGION, SitePlan
from tests.sim.process import own_tasks
from tests.sim.world import MEMBER_TIMEOUT_MS, SimSite

TIMEOUT_S = MEMBER_TIMEOUT_MS / 1000


def at_site(scenario: Callable[[SimSite], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario at a site of two members that host a region; whoever still runs is stopped at the end."""

    async def main(rng: random.Random) -> None:
        own_tasks(asyncio.get_running_loop())
        region = RegionAttributes(name=REGION, type="PARTITION_REDUNDANT", total_num_buckets=4)
        site = SimSite(SitePlan(1, 2, region, (), (0, 0, 0)), [], SimNetwork(), rng)
        for slot in site.slots:
            slot.start()
        await until(lambda: all(slot.ready for slot in site.slots))
        await site.configure()
        await until(lambda: all(primaries(slot.member) == 2 for slot in site.members))
        await scenario(site)
        for slot in (*site.members, site.locator):
            await slot.stop(60.0)

    run(main, seed=1, limit_s=600)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  (conditions of any kind, on virtual time)
            await asyncio.sleep(0.01)


def primaries(member: Member) -> int:
    region = member._regions.get(REGION)
    return 0 if region is None else len(region.accepting())


def test_a_member_whose_name_is_anothers_stops_and_leaves_the_other_alone() -> None:
    async def scenario(site: SimSite) -> None:
        member = site.members[0].member
        told: list[str] = []
        member.on_failed = lambda: told.append("failed")
        registry, key = site.engine.registries["site"], member_key(member.name)
        entry = registry.get(key)
        assert entry is not None
        info = decode_entry(entry.value, MemberInfo)
        registry.put(key, encode_entry(MemberInfo(**{**_fields(info), "incarnation": "another"})))
        await until(lambda: member.failure is not None)
        await member.stop()
        assert isinstance(member.failure, UsageError)
        assert (primaries(member), told) == (0, ["failed"])
        left = registry.get(key)
        assert left is not None
        assert decode_entry(left.value, MemberInfo).incarnation == "another"

    at_site(scenario)


def _fields(info: MemberInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in info.__struct_fields__}


@pytest.mark.parametrize("error", [RuntimeError("unexpected"), InvariantViolation("impossible")])
def test_a_member_with_a_task_that_failed_stops_so_that_others_take_over(error: Exception) -> None:
    async def fail() -> None:
        raise error

    async def scenario(site: SimSite) -> None:
        failing, other = (slot.member for slot in site.members)
        failing.spawn(fail())
        await until(lambda: primaries(other) == 4)
        assert failing.failure is error
        await failing.stop()
        await other.put_all(REGION, [f"k{number}" for number in range(20)], [b"v"] * 20)

    at_site(scenario)


def test_a_member_stops_while_the_engine_is_away_and_leaves_nobody_waiting() -> None:
    async def scenario(site: SimSite) -> None:
        loop = asyncio.get_running_loop()
        slot = site.members[0]
        assert slot.process is not None
        keys: list[Key] = [f"k{number}" for number in range(20)]
        copy = slot.member._regions[REGION].accepting()[0]
        await slot.member.put_all(REGION, keys, [b"v"] * 20)
        site.engine.stop()
        puts = [
            slot.process.run(slot.member.put_all(REGION, [key], [b"w"]))
            for key in [key for key in keys if key in copy.view.values]
        ]
        assert puts
        await asyncio.sleep(0.1)
        began = loop.time()
        await slot.process.run(slot.member.stop())
        assert loop.time() - began < DRAIN_S + 2
        done, waiting = await asyncio.wait(puts, timeout=1)
        assert not waiting
        assert all(isinstance(put.exception(), UnavailableError) for put in done)
        site.engine.start()

    at_site(scenario)


def test_writes_to_a_region_that_is_destroyed_while_the_engine_is_away_end() -> None:
    async def scenario(site: SimSite) -> None:
        slot = max(site.members, key=lambda slot: slot.member._info().age)  # the oldest one would place buckets first
        assert slot.process is not None
        member = slot.member
        site.engine.stop()
        puts = [slot.process.run(member.put_all(REGION, [f"k{number}"], [b"v"])) for number in range(20)]
        await asyncio.sleep(0.1)
        region = member._regions[REGION]
        assert any(not copy.retired for copy in region.copies.values())
        member._watcher.state.regions.clear()
        await until(lambda: REGION not in member._regions)
        done, waiting = await asyncio.wait(puts, timeout=2 * member.config.write_timeout_ms / 1000)
        assert not waiting
        assert all(isinstance(put.exception(), HeliographError) for put in done)
        assert member._destroyed == [region], "what is in flight is not known to have ended"
        site.engine.start()
        await until(lambda: not member._destroyed)

    at_site(scenario)


def test_a_write_to_a_destroyed_region_is_given_up_when_its_log_was_forgotten() -> None:
    """Nobody can tell any more what became of it."""

    async def scenario(site: SimSite) -> None:
        slot = max(site.members, key=lambda slot: slot.member._info().age)
        assert slot.process is not None
        member = slot.member
        await slot.process.run(member.put_all(REGION, ["k"], [b"before"]))
        site.engine.stop()
        put = slot.process.run(member.put_all(REGION, ["k"], [b"v"]))
        await asyncio.sleep(0.1)
        region = member._regions[REGION]
        member._watcher.state.regions.clear()
        await until(lambda: REGION not in member._regions)
        log = site.engine.logs[DEFAULT_STORE]
        for subject in {copy.subject for copy in region.copies.values()}:
            log.forget(subject)
        site.engine.start()
        await until(lambda: not member._destroyed)
        assert isinstance(put.exception(), HeliographError)

    at_site(scenario)


def test_a_deposed_primary_turns_nothing_down_by_what_it_remembers() -> None:
    """It is cut off the engine and does not know that another one took over: its answer waits for the log."""

    async def scenario(site: SimSite) -> None:
        deposed, other = site.members
        assert deposed.process is not None
        bucket = deposed.member._regions[REGION].accepting()[0].bucket
        key = next(key for number in range(100) if bucket_of(key := f"k{number}", 4) == bucket)
        await deposed.member.put_all(REGION, [key], [b"one"])
        deposed.process.cut_engine()
        await until(lambda: primaries(other.member) == 4)
        await other.member.put_all(REGION, [key], [b"two"])
        asked = deposed.process.run(deposed.member.change(REGION, "put_if_absent", key, b"three", b""))
        await asyncio.sleep(TIMEOUT_S)
        assert not asked.done()
        deposed.process.heal_engine()
        changed = await asked
        assert (changed.done, changed.old) == (False, b"two")

    at_site(scenario)


def test_a_member_that_fails_while_it_joins_is_not_ready() -> None:
    async def scenario(site: SimSite) -> None:
        slot = site.members[1]
        await slot.stop(60.0)
        process = slot.process
        assert process is None
        slot.start()
        await until(lambda: slot.process is not None and slot.member._joined_ms > 0)
        slot.member.fail(RuntimeError("unexpected"))
        first = slot.member
        await until(lambda: slot.ready and slot.member is not first)
        assert isinstance(first.failure, RuntimeError)

    at_site(scenario)


def test_a_second_stop_waits_for_the_first() -> None:
    async def scenario(site: SimSite) -> None:
        member = site.members[0].member
        await asyncio.gather(member.stop(), member.stop())
        with pytest.raises(HeliographError):
            await member.put_all(REGION, ["k"], [b"v"])

    at_site(scenario)
