"""Parallel senders: each bucket is shipped from where its primary is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliograph.model.keys import bucket_of
from tests.scenarios.sites import Site, passes, scenario, until


async def feeds(ln: Site, ny: Site, *, copies: int = 0, buckets: int = 16, **options: Any) -> None:
    """Have a parallel sender ny of region r at ln, and the same region and a receiver at ny."""
    await ny.receives("r", kind="PARTITION", total_num_buckets=buckets)
    await ln.create_sender("ny", to=ny, parallel=True, **options)
    await ln.create_region("r", "PARTITION", senders="ny", redundant_copies=copies, total_num_buckets=buckets)


@scenario(ln=4, ny=2)
async def test_parallel_remote_site_late(ln: Site, ny: Site) -> None:
    await ln.create_sender("ny", to=ny, parallel=True, batch_size=300)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(1000))
    await ln.until_queued("ny", 1000)
    await ny.receives("r", kind="PARTITION")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


@scenario(ln=4, ny=2)
async def test_parallel_puts_before_start(ln: Site, ny: Site) -> None:
    """What was put before the start is in the queue too."""
    await feeds(ln, ny, manual_start=True)
    await ln.put("r", range(1000), "before")
    await ln.start_sender("ny")
    await ny.until_size("r", 1000)
    await ln.put("r", range(1000), "after")
    await ln.until_drained("ny")
    assert set((await ny.contents("r")).values()) == {"after"}


@scenario(ln=4, ny=2)
async def test_parallel_local_site_rebuilt(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=1)
    await ln.put("r", range(1000), "before")
    await ny.until_size("r", 1000)
    ln.kill()
    await passes(10)
    await ln.join()
    await ln.until_size("r", 0)
    await ln.put("r", range(2000), "again")
    await ny.until_size("r", 2000)
    await ln.until_drained("ny")
    assert set((await ny.contents("r")).values()) == {"again"}


@pytest.mark.parametrize("policy", ["key", "partition"])
@scenario(ln=2, ny=2)
async def test_parallel_colocated_regions_share_sender(ln: Site, ny: Site, policy: str) -> None:
    await ny.create_receiver()
    await ln.create_sender("ny", to=ny, parallel=True, order_policy=policy)
    for site, senders in ((ny, ""), (ln, "ny")):
        await site.create_region("customer", "PARTITION", senders=senders)
        for child in ("order", "shipment"):
            await site.create_region(child, "PARTITION", senders=senders, colocated_with="customer")
    for region in ("customer", "order", "shipment"):
        await ln.put(region, range(1000))
    for region in ("customer", "order", "shipment"):
        await ny.until_size(region, 1000)
    await ln.until_drained("ny")
    assert ln.count("ny", "eventsDistributed") == 3000


@scenario(ln=2, ny=2)
async def test_parallel_colocated_child_without_sender(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    for site in (ln, ny):
        for child in ("c1", "c2"):
            await site.create_region(child, "PARTITION", colocated_with="r")
    for region in ("r", "c1", "c2"):
        await ln.put(region, range(1000))
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    await passes(5)
    for child in ("c1", "c2"):
        await ny.until_size(child, 0)


@pytest.mark.parametrize("kind", ["PARTITION", "PARTITION_PERSISTENT"])
@scenario(ln=2, ny=2)
async def test_parallel_sender_on_child_only(ln: Site, ny: Site, kind: str) -> None:
    await ny.create_receiver()
    await ln.create_sender("ny", to=ny, parallel=True, enable_persistence=True)
    for site, senders in ((ny, ""), (ln, "ny")):
        await site.create_region("leader", kind)
        await site.create_region("child", kind, senders=senders, colocated_with="leader")
    await ln.put("child", range(1000))
    await ny.until_size("child", 1000)
    await ln.until_drained("ny")


@scenario(ln=3, ny=2)
async def test_serial_and_parallel_senders_together(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    await ny.create_region("replicated")
    await ln.create_sender("serial", to=ny)
    await ln.create_region("replicated", senders="serial")
    await ln.pause_sender("serial")
    await asyncio.gather(ln.put("r", range(1000)), ln.put("replicated", range(1000)))
    await ny.until_size("r", 1000)
    await ln.until_queued("serial", 1000)
    await ln.until_drained("ny")
    await ln.resume_sender("serial")
    await ny.until_size("replicated", 1000)


@scenario(ln=4, ny=2)
async def test_parallel_putall(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    for start in range(0, 5000, 50):
        entries = [(key, "value") for key in range(start, start + 50)]
        await ln.inside(ln["a"], ln.region("r", "a").put_all(entries, callback_argument="argument"))
    await ny.until_size("r", 5000)
    await ln.until_drained("ny")
    assert ln.count("ny", "eventsDistributed") == ny.received("eventsReceived") == 5000
    assert len(ny.written("r")) == 5000


@scenario(ln=2, ny=2)
async def test_parallel_destroy_routed_to_key_bucket(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, buckets=100)
    await ln.pause_sender("ny")
    await ln.put("r", range(1000))
    await ln.remove("r", range(500))
    await ln.until_queued("ny", 1500)
    written = ln.written("r")
    assert all(each.bucket == bucket_of(each.key, 100) for each in written)
    assert sum(each.value is None for each in written) == 500
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    await ny.until_size("r", 500)


@scenario(ln=2, ny=1)
async def test_parallel_queue_size_is_global_across_members(ln: Site, ny: Site) -> None:
    """Each member counts its own part, `list gateways` lists all of them."""
    await feeds(ln, ny)
    await ln.pause_sender("ny")
    await ln.put("r", range(10))
    await ln.until_queued("ny", 10)
    listed = await ln.operate(lambda admin: admin.receivers.list_gateways())
    rows = [row for table in listed.tables for row in table.rows if row[0] == "ny"]
    assert sum(int(row[5]) for row in rows) == 10
    assert len(rows) == 2


@scenario(ln=2, ny=2)
async def test_parallel_single_bucket_region(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=1, buckets=1)
    await ln.pause_sender("ny")
    puts = zip((700, 1000, 800, 1000), "abab", strict=True)
    await asyncio.gather(*(ln.put("r", range(count), f"v{count}", at=at, writers=1) for count, at in puts))
    await ln.until_queued("ny", 3500)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    await ny.until_size("r", 1000)
    assert await ny.contents("r") == await ln.contents("r")


@scenario(ln=2, ny=2)
async def test_parallel_low_bucket_count_concurrent_puts(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=1, buckets=10)
    puts = zip((700, 1000, 800, 1000), "abab", strict=True)
    await asyncio.gather(*(ln.put("r", range(count), f"v{at}{count}", at=at, writers=1) for count, at in puts))
    await ln.until_drained("ny")
    await ny.until_size("r", 1000)
    assert await ny.contents("r") == await ln.contents("r")


@scenario(ln=4, ny=2)
async def test_parallel_accessor_member(ln: Site, ny: Site) -> None:
    """Every server may host data; of a region with two buckets some host none."""
    await feeds(ln, ny, buckets=2)
    holders = {slot.name[-1] for slot in ln.running if slot.member._regions["r"].copies}
    [without, *_] = sorted({*"abcd"} - holders)
    assert len(holders) == 2
    await ln.put("r", range(500), at=without)
    await ln.stop_sender("ny")
    await ln.start_sender("ny")
    await ln.put("r", range(500, 1000), at=without)
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert ln.statuses("ny")[without].status.startswith("Running")
    assert not any(ln.statuses("ny")[without].counters.values())


@scenario(ln=4, ny=2)
async def test_parallel_remote_region_destroyed(ln: Site, ny: Site) -> None:
    """The sender keeps what the missing region can't take."""
    await feeds(ln, ny)
    async with ln.putting("r", range(2000)):
        await until(lambda: ny.received("eventsReceived") > 0)
        await ny.destroy_region("r")
    assert set(await ln.sizes("r")) == {2000}
    await until(lambda: ln.count("ny", "batchesRefused") >= 1)
    assert ln.count("ny", "batchesDistributed") >= 1
    assert ln.queued("ny") > 0
    await ny.create_region("r", "PARTITION")
    await ln.until_drained("ny")


@scenario(ln=1, ny=1)
async def test_parallel_message_too_large_batch_split(ln: Site, ny: Site) -> None:
    """No batch is made that is larger than 1 MiB, but for a single record."""
    await ln.create_sender("ny", to=ny, parallel=True, dispatcher_threads=1)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(200), "x" * 11_000)
    await ny.receives("r", kind="PARTITION")
    await ny.until_size("r", 200)
    await ln.until_drained("ny")
    assert ln.count("ny", "batchesDistributed") >= 3


@scenario(ln=4, ny=2)
async def test_parallel_dropped_event_secondary_cleanup(ln: Site, ny: Site) -> None:
    """Nothing is dropped, and there are no secondary queues to clean."""
    await feeds(ln, ny, copies=1)
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    await ln.stop_sender("ny")
    await ln.put("r", range(100, 200))
    await passes(5)
    await ny.until_size("r", 100)
    assert ln.queued("ny") == 0
    await ln.start_sender("ny")
    await ny.until_size("r", 200)
