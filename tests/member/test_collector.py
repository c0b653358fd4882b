"""Tombstones of a region at real members over the simulated engine: kept, then collected."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from heliograph.engine.seam import Registry
from heliograph.member import collector
from heliograph.member.collector import Collector
from heliograph.member.copy import BucketCopy
from heliograph.member.region import HostedRegion
from heliograph.member.waiters import OneWrite
from heliograph.model.registry import ROUNDS, Cursor, Stability, cursor_key, encode_entry
from tests.member.copies import REGION, Host, Members, put, simulate, until
from tests.member.test_region import placed, region_at, two_regions

KEPT_S, LOOK_S = 60.0, 3.0
ALONE = Stability()
LATE_S = KEPT_S / 16 + 2 * LOOK_S


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "TOMBSTONES_KEPT_S", KEPT_S)
    monkeypatch.setattr(collector, "LOOK_S", LOOK_S)


async def collecting(host: Host, region: HostedRegion, stability: Stability = ALONE) -> Registry:
    registry = await host.client.open_registry("site")
    await registry.put(ROUNDS, encode_entry(stability))
    host.spawn(Collector(registry, lambda: [region]).run())
    return registry


async def remove(copy: BucketCopy, key: str) -> None:
    waiter = OneWrite(asyncio.get_running_loop())
    copy.change("remove", key, b"", b"", b"", waiter)
    await waiter.future


async def clear(copy: BucketCopy) -> None:
    waiter = OneWrite(asyncio.get_running_loop())
    copy.clear(waiter)
    await waiter.future


def test_tombstones_go_at_every_copy_after_their_time_and_what_was_put_again_stays() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        await collecting(members.hosts[0], one)
        await collecting(members.hosts[1], other)
        copy, follower = one.copies[0], other.copies[0]
        for key in ("a", "b", "c", "d"):
            await put(copy, key)
        await remove(copy, "a")
        await clear(copy)
        await put(copy, "b", b"again")
        await asyncio.sleep(KEPT_S - 1)
        assert set(copy.view.versions) == {"a", "b", "c", "d"}
        await remove(copy, "b")
        await put(copy, "d", b"again")
        await asyncio.sleep(LATE_S + 1)
        assert set(copy.view.versions) == set(follower.view.versions) == {"b", "d"}
        assert copy.view.values == follower.view.values == {"d": b"again"}
        await asyncio.sleep(KEPT_S + LATE_S)
        assert set(copy.view.versions) == set(follower.view.versions) == {"d"}
        seq = copy.view.seq
        await asyncio.sleep(2 * KEPT_S)
        assert copy.view.seq == seq, "nothing is written where there is nothing to collect"

    simulate(scenario)


def test_a_new_primary_keeps_tombstones_for_their_whole_time_again() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        await collecting(members.hosts[0], one)
        await collecting(members.hosts[1], other)
        await put(one.copies[0], "a")
        await remove(one.copies[0], "a")
        await asyncio.sleep(KEPT_S - LATE_S)
        for region in (one, other):
            region.arrange(placed("b", "a"))
        await until(lambda: other.settled)
        await asyncio.sleep(KEPT_S - 1)
        assert set(other.copies[0].view.versions) == {"a"}
        for region in (one, other):
            region.arrange(placed("a", "b"))
        await until(lambda: one.settled)
        await asyncio.sleep(KEPT_S - 1)
        assert set(one.copies[0].view.versions) == {"a"}, "the ages it knew when it was primary before don't count"
        await asyncio.sleep(LATE_S + 1)
        assert set(one.copies[0].view.versions) == set()

    simulate(scenario)


def test_a_tombstone_stays_while_a_gateway_sender_has_not_delivered_the_log_up_to_it() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        region = region_at(host, gateway_sender_ids=("fast", "slow"))
        region.arrange(placed("a"))
        await until(lambda: region.settled)
        registry = await collecting(host, region)
        copy = region.copies[0]
        await put(copy, "a")
        await remove(copy, "a")
        removed_at = copy.view.seq
        await put(copy, "b")
        await remove(copy, "b")
        await registry.put(cursor_key("fast", REGION, 0, 0), encode_entry(Cursor(int(copy.view.seq), 1)))
        await asyncio.sleep(2 * KEPT_S)
        assert set(copy.view.versions) == {"a", "b"}, "one sender has no cursor yet"
        await registry.put(cursor_key("slow", REGION, 0, 0), encode_entry(Cursor(removed_at - 1, 1)))
        await asyncio.sleep(2 * LOOK_S)
        assert set(copy.view.versions) == {"a", "b"}
        await registry.put(cursor_key("slow", REGION, 0, 0), encode_entry(Cursor(int(removed_at), 1)))
        await asyncio.sleep(2 * LOOK_S)
        assert set(copy.view.versions) == {"b"}

    simulate(scenario)


def test_collecting_goes_on_when_the_engine_was_away() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        region = region_at(host, gateway_sender_ids=("s",))
        region.arrange(placed("a"))
        await until(lambda: region.settled)
        registry = await collecting(host, region)
        copy = region.copies[0]
        await put(copy, "a")
        await remove(copy, "a")
        await registry.put(cursor_key("s", REGION, 0, 0), encode_entry(Cursor(int(copy.view.seq), 1)))
        members.engine.stop()
        await asyncio.sleep(2 * KEPT_S)
        members.engine.start()
        await until(lambda: not copy.view.versions)

    simulate(scenario)


def test_a_tombstone_stays_until_no_older_event_can_come_or_it_is_too_old_and_leaves_a_fence() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        region = region_at(host)
        region.arrange(placed("a"))
        await until(lambda: region.settled)
        stability = Stability(alone=False, tombstone_max_age_s=300)
        registry = await collecting(host, region, stability)
        copy = region.copies[0]
        for key in ("a", "b"):
            await put(copy, key)
        await remove(copy, "a")
        removed_ms = copy.view.stamp_max >> 16
        await asyncio.sleep(KEPT_S + LATE_S)
        await remove(copy, "b")
        assert set(copy.view.versions) == {"a", "b"}
        at_removal = msgspec.structs.replace(stability, stable_ms=removed_ms)
        await registry.put(ROUNDS, encode_entry(at_removal))
        await asyncio.sleep(2 * LOOK_S)
        assert set(copy.view.versions) == {"a", "b"}
        await registry.put(ROUNDS, encode_entry(msgspec.structs.replace(stability, stable_ms=removed_ms + 1)))
        await asyncio.sleep(2 * LOOK_S)
        assert set(copy.view.versions) == {"b"}
        assert copy.view.fence == 0
        await asyncio.sleep(300 + 300 / 16 + LOOK_S)
        assert not copy.view.versions
        assert copy.view.fence == copy.view.stamp_max

    simulate(scenario)


def test_without_a_word_of_the_locator_nothing_is_collected() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        region = region_at(host)
        region.arrange(placed("a"))
        await until(lambda: region.settled)
        registry = await collecting(host, region)
        await registry.delete(ROUNDS)
        await put(region.copies[0], "a")
        await remove(region.copies[0], "a")
        await asyncio.sleep(KEPT_S + LATE_S)
        assert set(region.copies[0].view.versions) == {"a"}

    simulate(scenario)
