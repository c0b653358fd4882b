"""In which order, by which dispatcher and to which receiver events travel."""

from __future__ import annotations

import asyncio
import logging

import pytest

from heliograph.gateway.lanes import LaneCounters
from tests.scenarios.sites import Site, Written, passes, scenario, until
from tests.scenarios.test_propagation_parallel import feeds


def lanes(ln: Site) -> list[LaneCounters]:
    """Return what went over each dispatcher of each member."""
    senders = [slot.member.gateways._senders["ny"] for slot in ln.running]
    return [dispatcher.lane.counters for sender in senders for dispatcher in sender._dispatchers]


def by_bucket(written: list[Written]) -> dict[int, list[object]]:
    """Return the keys of each bucket's events in order."""
    found: dict[int, list[object]] = {}
    for each in written:
        found.setdefault(each.bucket, []).append((each.key, each.value))
    return found


@scenario(ln=2, ny=2)
async def test_parallel_unequal_bucket_division(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, buckets=100, dispatcher_threads=7)
    await ln.put("r", range(1000))
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert sum(each.events for each in lanes(ln)) == 1000


@scenario(ln=2, ny=1)
async def test_order_serial_remote_apply_order(ln: Site, ny: Site) -> None:
    """Of every bucket in any case; that of the whole log is `order-policy=thread`'s."""
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, dispatcher_threads=1, order_policy="thread")
    await ln.create_region("r", senders="ny")
    await ln.pause_sender("ny")
    await ln.put("r", range(1000), writers=1)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert [each.key for each in ny.written("r")] == [each.key for each in ln.written("r")] == list(range(1000))


@scenario(ln=3, ny=2)
async def test_order_parallel_per_bucket(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=2, buckets=4)
    await ln.pause_sender("ny")
    puts = zip((0, 100, 200), "abc", strict=True)
    await asyncio.gather(*(ln.put("r", range(first, first + 334), at, at=at, writers=1) for first, at in puts))
    await ln.until_queued("ny", 3 * 334)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert by_bucket(ny.written("r")) == by_bucket(ln.written("r"))


@scenario(ln=2, ny=2)
async def test_order_parallel_dispatchers_share_work(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, dispatcher_threads=5, order_policy="key")
    await ln.put("r", range(1000))
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    counts = [each.events for each in lanes(ln)]
    assert len(counts) == 10
    assert min(counts) > 0
    assert sum(counts) == 1000


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=2, ny=1)
async def test_batch_time_only(ln: Site, ny: Site, parallel: bool) -> None:
    await ny.receives("r", kind="PARTITION")
    await ln.create_sender("ny", to=ny, parallel=parallel, batch_size=-1, batch_time_interval=5000)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(100))
    await passes(4)
    assert ny.received("eventsReceived") == 0
    await passes(2)
    await ny.until_size("r", 100)


@scenario(ln=1, ny=1)
async def test_max_senders_per_member(ln: Site, ny: Site) -> None:
    """The region holds each event once, however often it came."""
    await ny.receives("r", total_num_buckets=1)
    names = [f"ny{number}" for number in range(128)]
    for name in names:
        await ln.create_sender(name, to=ny, dispatcher_threads=1)
    await ln.create_region("r", senders=" ".join(names), total_num_buckets=1)
    await ln.put("r", range(100))
    for name in names:
        await ln.until_drained(name)
    assert ny.received("eventsReceived") == 128 * 100
    assert len(ny.written("r")) == 100


@scenario(ln=2, ny=3)
async def test_receiver_load_balancing_connections(ln: Site, ny: Site) -> None:
    """Each dispatcher has one link, which pings for itself; senders spread them over the receivers."""
    await ny.start_another_locator()
    await feeds(ln, ny, buckets=113, dispatcher_threads=21)
    await ln.put("r", range(1000))
    await ln.until_drained("ny")
    await until(lambda: ny.received("currentClientConnections") == 42)
    assert max(connections(ny)) - min(connections(ny)) <= 2


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=1, ny=3)
async def test_dispatchers_no_enforce_single_acquire(
    ln: Site, ny: Site, parallel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "heliograph.member.sender_dispatcher")
    await ny.receives("r", kind="PARTITION")
    await ln.create_sender("ny", to=ny, parallel=parallel)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    await ln.until_drained("ny")
    linked = [record for record in caplog.records if record.message.startswith("linked sender=ny@1-a receiver=2-")]
    assert len(linked) == sum(connections(ny)) == 5, "each dispatcher took the first receiver that it tried"


def connections(ny: Site) -> list[int]:
    """Return how many links each receiver has."""
    receivers = [slot.member.gateways.status().receiver for slot in ny.running]
    return [each.counters["currentClientConnections"] for each in receivers if each is not None]


@scenario(ln=2, ny=3)
async def test_receiver_load_updates_on_sender_stop(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, buckets=113, dispatcher_threads=21)
    await ln.put("r", range(1000))
    await until(lambda: sum(connections(ny)) == 42)
    await ln.stop_sender("ny", "a")
    await until(lambda: sum(connections(ny)) == 21)
    await ln.stop_sender("ny", "b")
    await until(lambda: sum(connections(ny)) == 0)
    await ln.start_sender("ny")
    await ln.put("r", range(1000))
    await until(lambda: sum(connections(ny)) == 42)


@scenario(ln=1, ny=2)
async def test_shared_host_port_pings_reach_each_receiver(ln: Site, ny: Site) -> None:
    """A link pings the receiver at its other end, by whatever address it was reached."""
    await ny.create_receiver(maximum_time_between_pings=1000)
    await ny.create_region("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(100))
    await ln.until_drained("ny")
    links = sum(connections(ny))
    batches = ln.count("ny", "batchesDistributed")
    await passes(30)
    await ln.put("r", range(100))
    await ln.until_drained("ny")
    assert sum(connections(ny)) == links == 5
    assert ln.count("ny", "batchesRedistributed") == 0
    assert ln.count("ny", "batchesDistributed") > batches
