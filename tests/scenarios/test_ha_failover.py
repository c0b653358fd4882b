"""What becomes of queued events when members die, leave and join."""

from __future__ import annotations

from typing import Any

from heliograph.locator.requests import RebalanceRequest
from tests.scenarios.sites import Site, passes, scenario, until
from tests.scenarios.test_propagation_parallel import feeds


@scenario(ln=2, ny=1)
async def test_stopped_one_parallel_instance_loses_its_buckets(ln: Site, ny: Site) -> None:
    """Its buckets wait."""
    await feeds(ln, ny, copies=1, buckets=100)
    await ln.stop_sender("ny", "a")
    await ln.put("r", range(100))
    await ln.until_queued("ny", 0)
    [size] = await ny.sizes("r")
    assert 0 < size == ln.count("ny", "eventsReceived") < 100
    await ln.start_sender("ny", "a")
    await ln.put("r", range(100, 1000))
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_ha_serial_partitioned_primary_killed(ln: Site, ny: Site) -> None:
    await ny.receives("r", kind="PARTITION")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", "PARTITION", senders="ny", redundant_copies=1, total_num_buckets=100)
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    primary = ln.primary("ny")
    other = "b" if primary == "a" else "a"
    async with ln.putting("r", range(1000), at=other):
        await until(lambda: ny.received("eventsReceived") > 200)
        ln.kill(primary)
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert ln.primary("ny") == other


@scenario(ln=4, ny=1)
async def test_ha_parallel_members_killed(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=2)
    async with ln.putting("r", range(3000), at="a"):
        await until(lambda: ny.received("eventsReceived") > 500)
        ln.kill("b")
        await until(lambda: ny.received("eventsReceived") > 1500)
        ln.kill("c")
    await ny.until_size("r", 3000)
    await ln.until_drained("ny")


@scenario(ln=4, ny=1)
async def test_ha_parallel_one_killed_stats(ln: Site, ny: Site) -> None:
    """An event is counted where it is shipped, not at every copy."""
    await feeds(ln, ny, copies=3, batch_size=10)
    async with ln.putting("r", range(1000), at="a"):
        await until(lambda: ny.received("eventsReceived") > 10)
        before = ln.statuses("ny")["d"].counters["eventsAcknowledged"]
        ln.kill("d")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    counts = {name: ln.count("ny", name) for name in ("eventsReceived", "eventsQueued", "eventsAcknowledged")}
    assert len(set(counts.values())) == 1
    assert 1000 - before - 100 <= counts["eventsQueued"] <= 1000 + 3
    assert ln.count("ny", "batchesRedistributed") == 0


@scenario(ln=4, ny=1)
async def test_ha_parallel_secondary_queue_on_member_restart(ln: Site, ny: Site) -> None:
    """Redundant copies count nothing; the queue is whole at every moment."""
    await feeds(ln, ny, copies=1)
    await ln.pause_sender("ny")
    await ln.put("r", range(100))
    await ln.until_queued("ny", 100)
    await ln.leave("d")
    await ln.until_queued("ny", 100)
    await ln.join("d")
    await ln.until_queued("ny", 100)
    assert ln.states("ny") == {"Paused"}
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert ln.count("ny", "eventsDistributed") == 100
    await ny.until_size("r", 100)


@scenario(ln=4, ny=1)
async def test_ha_parallel_secondary_drains_after_dispatch(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=1)
    await ln.pause_sender("ny")
    await ln.put("r", range(100))
    await ln.until_queued("ny", 100)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert ln.count("ny", "eventsDistributed") == 100


@scenario(ln=2, ny=1)
async def test_ha_parallel_rebalance_no_loss(ln: Site, ny: Site) -> None:
    await ny.create_receiver()
    await ln.create_sender("ny", to=ny, parallel=True)
    options: dict[str, Any] = {"total_num_buckets": 2, "redundant_copies": 1}
    for site, senders in ((ny, ""), (ln, "ny")):
        await site.create_region("customer", "PARTITION", senders=senders, **options)
        for child in ("order", "shipment"):
            await site.create_region(child, "PARTITION", senders=senders, colocated_with="customer", **options)
    regions = ("customer", "order", "shipment")
    await ln.join("c")
    async with ln.putting(" ".join(regions), range(1500)):
        await passes(0.2)
        await ln.operate(lambda admin: admin.rebalancing.start(RebalanceRequest()))
        await until(lambda: bool(ln["c"].member._regions["customer"].accepting()))
    for region in regions:
        await ny.until_size(region, 1500)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1, tk=1)
async def test_ha_two_parallel_senders_stop_one_keeps_batch_removal(ln: Site, ny: Site, tk: Site) -> None:
    for site in (ny, tk):
        await site.receives("r", kind="PARTITION")
        await ln.create_sender(site.name, to=site, parallel=True, enable_persistence=True)
    await ln.create_region("r", "PARTITION_PERSISTENT", senders="ny tk", redundant_copies=1)
    await ln.put("r", range(1000))
    await until(lambda: ln.count("tk", "eventsDistributed") > 0)
    await ln.stop_sender("tk", "a")
    await ln.put("r", range(1000, 1100))
    await ny.until_size("r", 1100)
    await ln.until_drained("ny")
    await ln.start_sender("tk", "a")
    await tk.until_size("r", 1100)


@scenario(ln=3, ny=1)
async def test_ha_parallel_region_destroy_then_member_down(ln: Site, ny: Site) -> None:
    """A member can't destroy a region for itself; one that leaves hands its buckets over."""
    await feeds(ln, ny, copies=1)
    await ln.pause_sender("ny")
    await ln.put("r", range(10))
    await ln.resume_sender("ny")
    await ln.leave("a")
    await ny.until_size("r", 10)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_ha_events_during_bucket_recovery_buffered(ln: Site, ny: Site) -> None:
    """A bucket's queue is its log, so it moves with it and needs no buffer."""
    await feeds(ln, ny)
    await ln.join("c")
    async with ln.putting("r", range(2500)):
        await passes(0.2)
        await ln.operate(lambda admin: admin.rebalancing.start(RebalanceRequest()))
        await until(lambda: ln.statuses("ny")["c"].counters["eventsDistributed"] > 0)
    await ny.until_size("r", 2500)
    await ln.until_drained("ny")


@scenario(ln=2, ny=2)
async def test_ha_duplicate_flag_none_without_failure(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=1, batch_size=10, enable_persistence=True)
    await ln.put("r", range(1000))
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert ln.count("ny", "eventsSentAgain") == 0
    assert ny.received("eventsReceived") == 1000


@scenario(ln=2, ny=2)
async def test_ha_duplicate_flag_first_failed_batches(ln: Site, ny: Site) -> None:
    """Without a receiver nothing is tried, so nothing comes twice."""
    await feeds(ln, ny, copies=1, batch_size=10)
    await ny.stop_receivers()
    await ln.put("r", range(1000))
    await passes(10)
    await ny.start_receivers()
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert ny.received("eventsReceived") == 1000


@scenario(ln=4, ny=2)
async def test_ha_duplicate_flag_survives_member_kill(ln: Site, ny: Site) -> None:
    """Duplicates are recognised by their versions; nothing is flagged."""
    await feeds(ln, ny, copies=1, batch_size=10, dispatcher_threads=1)
    await ny.stop_receivers()
    await ln.put("r", range(1000))
    ln.kill("d")
    await ny.start_receivers()
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert len(ny.written("r")) == 1000


@scenario(ln=4, ny=2)
async def test_ha_duplicate_flag_on_stop(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=1, batch_size=200, dispatcher_threads=1)
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    ln.cut(ny)
    await ln.put("r", range(3000), writers=30)
    assert ln.count("ny", "eventsDistributed") > 100  # batches left, and are never answered
    await ln.stop_sender("ny")
    ln.kill("d")
    ln.heal(ny)
    await ln.start_sender("ny", "a", "b", "c")
    await ny.until_size("r", 3000)
    await ln.until_drained("ny")
    assert ny.received("eventsReceived") > 3100
    assert len(ny.written("r")) == 3100


@scenario(ln=2, ny=2)
async def test_ha_start_stop_immediately_events_resent(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=1, enable_persistence=True)
    await ln.stop_sender("ny")
    await ln.put("r", range(1000))
    await ln.start_sender("ny")
    await ln.stop_sender("ny")
    await ln.start_sender("ny")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert len(ny.written("r")) == 1000
