"""Snapshots and cuts of a region at real members over the simulated engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliograph.bucket.view import BucketView
from heliograph.engine.seam import Registry
from heliograph.engine.sim.faults import Fault
from heliograph.errors import UnavailableError
from heliograph.member import snapshotter
from heliograph.member.region import HostedRegion
from heliograph.member.snapshotter import CUT_S, Snapshotter
from heliograph.model.attributes import DEFAULT_STORE
from heliograph.model.ids import Seq
from heliograph.model.registry import Cursor, cursor_key, encode_entry
from tests.member.copies import REGION, SUBJECT, Host, Members, put, simulate, until
from tests.member.test_region import placed, region_at, two_regions


@pytest.fixture(autouse=True)
def _early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshot after a few records."""
    monkeypatch.setattr(snapshotter, "SNAPSHOT_BYTES_MIN", 500)


async def snapshotting(host: Host, region: HostedRegion) -> Registry:
    """Snapshot and cut what the host is primary of, and return the registry with the cursors."""
    registry = await host.client.open_registry("site")
    host.spawn(Snapshotter(registry, lambda: [region]).run())
    return registry


async def write(region: HostedRegion, count: int, *, begin: int = 0) -> None:
    """Put so many keys into bucket 0."""
    for number in range(begin, begin + count):
        await put(region.copies[0], f"k-{number}", b"v" * 50)


def head(members: Members) -> int:
    """The first sequence that the log of bucket 0 still holds."""
    return members.engine.logs[DEFAULT_STORE].after([SUBJECT], Seq(0), 1)[0].seq


def test_a_restart_loads_the_snapshot_and_the_log_after_it() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        region = region_at(host)
        region.arrange(placed("a"))
        await until(lambda: region.settled)
        await snapshotting(host, region)
        await write(region, 30)
        await until(lambda: region.copies[0].snapshot_seq > 0)
        await write(region, 3, begin=30)
        assert head(members) == region.copies[0].snapshot_seq
        again = region_at(await members.join("b"))
        again.arrange(placed("b"))
        await until(lambda: again.settled)
        assert again.copies[0].view.values == region.copies[0].view.values
        assert again.copies[0].view.versions == region.copies[0].view.versions
        assert len(again.copies[0].view.values) == 33
        assert 0 < again.copies[0].tail_bytes < region.copies[0].tail_bytes + 200

    simulate(scenario)


def test_a_snapshot_that_a_successor_has_overtaken_changes_nothing_at_the_copy() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        region = region_at(host)
        region.arrange(placed("a"))
        await until(lambda: region.settled)
        await write(region, 30)
        copy, snapshots = region.copies[0], region.store.snapshots
        store = snapshots.store

        async def slowly(*what: Any) -> int:
            stored = await store(*what)
            copy.view, copy.tail_bytes = BucketView(), 0  # as `BucketCopy.restore` does
            copy.snapshot_seq, copy.snapshot_bytes = Seq(1_000), 77
            return stored

        snapshots.store = slowly  # type: ignore[method-assign,assignment]
        await Snapshotter(await host.client.open_registry("site"), lambda: [region])._snapshot(region, copy)
        assert (copy.snapshot_seq, copy.snapshot_bytes, copy.tail_bytes) == (1_000, 77, 0)

    simulate(scenario)


def test_the_log_is_kept_from_the_last_cursor_on() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        region = region_at(host, gateway_sender_ids=("fast", "slow"))
        region.arrange(placed("a"))
        await until(lambda: region.settled)
        registry = await snapshotting(host, region)
        first = head(members)
        await write(region, 30)
        copy = region.copies[0]
        await until(lambda: copy.snapshot_seq > 0)
        assert head(members) == first, "no sender has a cursor yet"
        await registry.put(cursor_key("fast", REGION, 0, 0), encode_entry(Cursor(int(copy.view.seq), 1)))
        await asyncio.sleep(2 * CUT_S)
        assert head(members) == first, "one sender has no cursor yet"
        await registry.put(cursor_key("slow", REGION, 0, 0), encode_entry(Cursor(9, 1)))
        await asyncio.sleep(2 * CUT_S)
        kept = members.engine.logs[DEFAULT_STORE].after([SUBJECT], Seq(0), 1)[0]
        assert kept.previous <= 9 < kept.seq
        await registry.put(cursor_key("slow", REGION, 0, 0), encode_entry(Cursor(int(copy.view.seq), 1)))
        await asyncio.sleep(2 * CUT_S)
        assert head(members) == copy.snapshot_seq

    simulate(scenario)


def test_a_copy_whose_log_was_cut_under_it_starts_from_the_snapshot() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        follower = other.copies[0]
        await write(one, 2)
        await until(lambda: follower.view.seq == one.copies[0].view.seq)
        assert other._follower is not None
        other._follower.cancel()
        await snapshotting(members.hosts[0], one)
        await write(one, 40, begin=2)
        await until(lambda: head(members) > follower.view.seq)
        other._following = None
        other._follow()
        await until(lambda: follower.view.seq == one.copies[0].view.seq)
        assert follower.view.values == one.copies[0].view.values
        assert follower.view.versions == one.copies[0].view.versions
        await until(lambda: follower.readable)

    simulate(scenario)


def test_a_member_that_lags_behind_the_cut_takes_over_from_the_snapshot() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        assert other._follower is not None
        other._follower.cancel()
        await snapshotting(members.hosts[0], one)
        await write(one, 40)
        await until(lambda: head(members) > other.copies[0].view.seq)
        for region in (one, other):
            region.arrange(placed("b", "a"))
        await until(lambda: other.settled)
        assert len(other.copies[0].view.values) == 40
        await put(other.copies[0], "after")

    simulate(scenario)


def test_a_log_without_the_snapshot_that_it_was_cut_for_is_not_taken_for_all() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        region = region_at(host)
        region.arrange(placed("a"))
        await until(lambda: region.settled)
        await snapshotting(host, region)
        await write(region, 30)
        await until(lambda: head(members) == region.copies[0].snapshot_seq)
        blobs = await host.client.open_blobs("snapshots-DEFAULT")
        kept = {name: await blobs.get(name) for name in await blobs.names()}
        for name in kept:
            await blobs.delete(name)
        again = region_at(await members.join("b"))
        again.arrange(placed("b"))
        await asyncio.sleep(10)
        assert not again.settled
        assert not again.copies[0].readable
        for name, data in kept.items():
            assert data is not None
            await blobs.put(name, data)
        await until(lambda: again.settled)
        assert len(again.copies[0].view.values) == 30

    simulate(scenario)


def test_it_is_unknown_whether_a_write_was_done_whose_record_was_cut_before_it_could_be_settled() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        await write(one, 1)
        members.engine.faults.plan(Fault.ANSWER_LOST)
        lost = put(one.copies[0], "lost")
        await asyncio.sleep(0.1)
        other.arrange(placed("b", "a"))
        await until(lambda: other.settled)
        assert "lost" in other.copies[0].view.values, "it was done"
        await write(other, 5)
        await members.hosts[1].store.log.truncate(SUBJECT, below=other.copies[0].view.seq)
        with pytest.raises(UnavailableError, match="unknown whether the write was done"):
            await lost

    simulate(scenario)
