"""Disk stores at whole members of a simulated site: their limits, how room comes back, what is swept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from heliograph.engine.seam import bucket_subject
from heliograph.engine.sim.store import LogStore
from heliograph.errors import DiskStoreFullError, UsageError
from heliograph.member import snapshotter
from heliograph.member.member import Member
from heliograph.member.stores import LOOK_S
from heliograph.member.sweeper import SWEEP_S
from heliograph.model.attributes import MB, DiskStoreAttributes, GatewaySenderAttributes, RegionAttributes
from heliograph.model.ids import Seq
from heliograph.model.registry import Cursor, RegionEntry, cursor_key, decode_entry, encode_entry, region_key, store_key
from tests.member.test_member import at_site, until
from tests.sim.plan import REGION
from tests.sim.world import SimSite

WAN, ORDERS = "wan", "orders"
VALUE = bytes(100_000)
KEYS_COUNT = 5


def with_store(
    scenario: Callable[[SimSite, Member], Coroutine[Any, Any, None]], *, senders: tuple[str, ...] = ()
) -> None:
    """A site whose region `orders` is in a disk store of 2 MB."""

    async def whole(site: SimSite) -> None:
        member = site.members[0].member
        for sender in senders:
            await member.configure(
                GatewaySenderAttributes(id=sender, remote_distributed_system_id=2, manual_start=True)
            )
        await member.configure(DiskStoreAttributes(name=WAN, max_disk=2))
        await member.configure(
            RegionAttributes(name=ORDERS, disk_store=WAN, total_num_buckets=2, gateway_sender_ids=senders)
        )
        await until(lambda: all(ORDERS in slot.member._regions for slot in site.members))
        await scenario(site, member)

    at_site(whole)


async def put(member: Member, number: int) -> None:
    await member.put_all(ORDERS, [f"k-{number % KEYS_COUNT}"], [VALUE])


async def fill(member: Member) -> int:
    """Write until it is refused; returns how often it was not."""
    count = 0
    try:
        while True:
            await put(member, count)
            count += 1
    except DiskStoreFullError as exc:
        assert "disk store wan is full" in str(exc)  # noqa: PT017
        assert "alter disk-store --name=wan --max-disk" in str(exc)  # noqa: PT017
    return count


async def alter(site: SimSite, max_disk: int) -> None:
    store = DiskStoreAttributes(name=WAN, max_disk=max_disk)
    site.engine.registries["site"].put(store_key(WAN), encode_entry(store))
    await until(lambda: all(slot.member.stores[WAN].space.limit_bytes == max_disk * MB for slot in site.members))


def log_of(site: SimSite, store: str = WAN) -> LogStore:
    return site.engine.logs[store]


def generation(site: SimSite, region: str = ORDERS) -> int:
    item = site.engine.registries["site"].get(region_key(region))
    assert item is not None
    return decode_entry(item.value, RegionEntry).generation


def deliver(site: SimSite, sender: str) -> None:
    """Have a gateway sender's cursors stand at the end of the log."""
    registry = site.engine.registries["site"]
    for bucket in range(2):
        last = log_of(site).last(bucket_subject(WAN, ORDERS, generation(site), bucket))
        assert last is not None
        registry.put(cursor_key(sender, ORDERS, generation(site), bucket), encode_entry(Cursor(int(last.seq), 1)))


def test_a_region_is_in_the_store_that_it_names() -> None:
    async def scenario(site: SimSite, member: Member) -> None:
        await put(member, 0)
        assert {subject.split(".")[1] for subject in log_of(site).subjects()} == {WAN}
        assert {subject.split(".")[2] for subject in log_of(site).subjects()} == {ORDERS}
        assert {subject.split(".")[2] for subject in log_of(site, "DEFAULT").subjects()} == {REGION}
        with pytest.raises(UsageError, match="names disk store 'none', which does not exist"):
            await member.configure(RegionAttributes(name="other", disk_store="none"))

    with_store(scenario)


def test_a_full_store_takes_no_write_and_goes_on_otherwise() -> None:
    async def scenario(site: SimSite, member: Member) -> None:
        count = await fill(member)
        assert 10 < count < 2 * 2 * MB // len(VALUE), "of what the other member writes each hears within a second"
        other = site.members[1].member
        await asyncio.sleep(2 * LOOK_S)
        for each in (member, other):
            with pytest.raises(DiskStoreFullError):
                await put(each, 1)
            with pytest.raises(DiskStoreFullError):
                await each.change(ORDERS, "put_if_absent", "new", b"v", b"")
            assert len(await each.get_all(ORDERS, ["k-1"])) == 1
            await each.put_all(REGION, ["k"], [b"v"])
        assert (await member.change(ORDERS, "remove", "k-1", b"", b"")).done
        assert (await other.get_all(ORDERS, ["k-1"])) == [b""]
        await member.clear(ORDERS)
        assert await member.size(ORDERS) == 0
        await site.members[1].stop(60.0)
        await until(lambda: len(member._regions[ORDERS].accepting()) == 2)
        with pytest.raises(DiskStoreFullError):
            await put(member, 1)

    with_store(scenario, senders=("held",))


def test_a_higher_limit_takes_hold_at_once() -> None:
    async def scenario(site: SimSite, member: Member) -> None:
        await fill(member)
        await alter(site, 3)
        await put(member, 1)
        assert await fill(member) > 5
        await alter(site, 0)
        for number in range(30):
            await put(member, number)

    with_store(scenario, senders=("held",))


def test_room_comes_back_as_the_senders_deliver_what_holds_it() -> None:
    async def scenario(site: SimSite, member: Member) -> None:
        await fill(member)
        await asyncio.sleep(60)
        with pytest.raises(DiskStoreFullError):
            await put(member, 1)
        deliver(site, "held")
        await until(lambda: not member.stores[WAN].space.full)
        assert log_of(site).size < 2 * MB // 2
        await put(member, 1)
        assert await member.get_all(ORDERS, [f"k-{number}" for number in range(KEYS_COUNT)]) == [VALUE] * KEYS_COUNT

    with_store(scenario, senders=("held",))


def test_a_store_that_no_sender_holds_is_cut_before_it_is_full() -> None:
    async def scenario(site: SimSite, member: Member) -> None:
        refused = 0
        for number in range(200):  # ten times what fits
            try:
                await put(member, number)
            except DiskStoreFullError:
                refused += 1
            await asyncio.sleep(0.3)
        assert refused == 0
        assert log_of(site).size < 2 * MB

    with_store(scenario)


def test_entries_that_alone_fill_a_store_make_room_when_they_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshotter, "PRESSED_S", 5.0)

    async def scenario(site: SimSite, member: Member) -> None:
        count = refused = 0
        while refused < 2:
            try:
                await member.put_all(ORDERS, [count], [VALUE])
            except DiskStoreFullError:
                refused += 1
                await asyncio.sleep(60)  # what the log has more than the snapshots is cut
            else:
                count, refused = count + 1, 0
                await asyncio.sleep(0.5)
        assert 15 < count < 22
        for key in range(count):
            await member.change(ORDERS, "remove", key, b"", b"")
        await until(lambda: not any(slot.member.stores[WAN].space.full for slot in site.members))
        await member.put_all(ORDERS, [count], [VALUE])

    with_store(scenario)


def test_an_engine_without_room_is_told_as_that_and_the_site_goes_on_when_it_has_some() -> None:
    async def scenario(site: SimSite, member: Member) -> None:
        await put(member, 1)
        log_of(site).room = log_of(site).size
        with pytest.raises(DiskStoreFullError, match="the engine has no room"):
            await put(member, 2)
        assert await member.get_all(ORDERS, ["k-1", "k-2"]) == [VALUE, b""]
        log_of(site).room = None
        await put(member, 2)

    with_store(scenario)


def test_what_destroyed_regions_leave_is_swept_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshotter, "SNAPSHOT_BYTES_MIN", 1000)

    async def scenario(site: SimSite, member: Member) -> None:
        registry, blobs = site.engine.registries["site"], site.engine.blobs["snapshots-wan"]
        await member.put_all(REGION, ["kept"], [b"v"])
        for round_ in range(3):
            await put(member, round_)
            await until(lambda: bool(blobs))
            before = generation(site)
            registry.delete(region_key(ORDERS), None)
            await until(lambda: ORDERS not in member._regions)
            if round_ == 1:  # a member that has not heard of it yet
                subject = bucket_subject(WAN, ORDERS, before, 9)
                log_of(site).append(subject, b"late", Seq(0), "late")
            await until(lambda: not log_of(site).subjects() and not blobs)
            await member.configure(RegionAttributes(name=ORDERS, disk_store=WAN, total_num_buckets=2))
            assert await member.get_all(ORDERS, ["k-0", "k-1"]) == [b"", b""]
        await put(member, 7)
        await asyncio.sleep(3 * SWEEP_S)
        for slot in site.members:
            assert await slot.member.get_all(ORDERS, ["k-2"]) == [VALUE]
            assert await slot.member.get_all(REGION, ["kept"]) == [b"v"]
        assert len(log_of(site, "DEFAULT").subjects()) == 4

    with_store(scenario)


def test_nothing_is_swept_when_the_registry_has_never_drawn_the_generation() -> None:
    async def scenario(site: SimSite, member: Member) -> None:
        await put(member, 1)
        foreign = bucket_subject(WAN, "foreign", 7, 0)
        newer = bucket_subject(WAN, ORDERS, generation(site) + 1000, 0)
        for subject in (foreign, newer):
            log_of(site).append(subject, b"x", Seq(0), "x")
        await asyncio.sleep(3 * SWEEP_S)
        assert {foreign, newer} < {*log_of(site).subjects()}

    with_store(scenario)
