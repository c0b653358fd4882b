"""Queues beyond `maximum-queue-memory` are in the log only, where they are anyway."""

from __future__ import annotations

import pytest

from tests.scenarios.plugins import TOLD, listening
from tests.scenarios.sites import Site, queue_of, scenario
from tests.scenarios.test_propagation_parallel import feeds

MB = 1024 * 1024


def memory_of(ln: Site) -> list[int]:
    """Return the bytes that each member's sender holds of its queue."""
    buckets = [slot.member.gateways._senders["ny"]._buckets for slot in ln.running]
    return [each._memory.used_bytes for each in buckets if each is not None]


@scenario(ln=4, ny=1)
async def test_overflow_parallel_default_disk_store(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, copies=1, maximum_queue_memory=5)
    await ln.pause_sender("ny")
    await ln.put("r", range(50), "x" * MB, writers=2)
    await ln.until_queued("ny", 50)
    held = memory_of(ln)
    assert len(held) == 4
    assert max(held) <= 5 * MB
    assert sum(held) > 4 * MB
    await ln.resume_sender("ny")
    await ny.until_size("r", 50)
    await ln.until_drained("ny")
    assert memory_of(ln) == [0] * 4


@scenario(ln=2, ny=1)
async def test_overflow_parallel_named_disk_store(ln: Site, ny: Site) -> None:
    """What is beyond the limit follows in order; the queue is in the disk store of its region."""
    await feeds(ln, ny, copies=1, buckets=1, maximum_queue_memory=1)
    await ln.pause_sender("ny")
    await ln.put("r", range(200), "x" * 20_000, writers=1)
    await ln.until_queued("ny", 200)
    assert 0 < max(memory_of(ln)) <= MB
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert [each.key for each in ny.written("r")] == [each.key for each in ln.written("r")] == [*range(200)]


@scenario(ln=2, ny=1)
async def test_overflow_parallel_not_needed(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, maximum_queue_memory=100)
    await ln.pause_sender("ny")
    await ln.put("r", range(100), "x" * 1000)
    await ln.until_queued("ny", 100)
    statuses = ln.statuses("ny").values()
    assert sum(slot.member.gateways._senders["ny"]._counters.queued for slot in ln.running) == 100  # all are held
    assert len(statuses) == 2


@scenario(ln=2, ny=1)
async def test_overflow_mbean_serial(ln: Site, ny: Site) -> None:
    """Several dispatchers share one limit; what is beyond it is counted over all of them."""
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, maximum_queue_memory=1, dispatcher_threads=3)
    await ln.create_region("r", senders="ny")
    await ln.pause_sender("ny")
    await ln.until_queued("ny", 0)  # every bucket is shipped by now, so that what comes is counted as it comes
    await ln.put("r", range(100), "x" * 20_000)
    await ln.until_queued("ny", 100)
    assert 0 < ln.count("ny", "totalQueueSizeBytesInUse") <= MB
    held = sum(slot.member.gateways._senders["ny"]._counters.queued for slot in ln.running)
    assert ln.count("ny", "entriesOverflowedToDisk") == 100 - held > 0
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert ln.count("ny", "entriesOverflowedToDisk") == ln.count("ny", "totalQueueSizeBytesInUse") == 0


@scenario(ln=4, ny=1)
async def test_overflow_mbean_cleared(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, maximum_queue_memory=1)
    await ln.pause_sender("ny")
    await ln.put("r", range(100), "x" * 100_000)
    await ln.until_queued("ny", 100)
    assert ln.count("ny", "entriesOverflowedToDisk") > 0
    await ln.stop_sender("ny")
    await ln.start_sender("ny", clean_queues=True)
    await ln.until_queued("ny", 0)
    assert ln.count("ny", "entriesOverflowedToDisk") == ln.count("ny", "totalQueueSizeBytesInUse") == 0


@pytest.mark.parametrize("threads", [1, 5])
@scenario(ln=2, ny=1)
async def test_overflow_serial(ln: Site, ny: Site, threads: int) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, maximum_queue_memory=10, dispatcher_threads=threads)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(15), "x" * MB, writers=5)
    await ny.until_size("r", 15)
    await ln.until_drained("ny")


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=2)
async def test_overflow_mbean_async_queue(ln: Site, parallel: bool) -> None:
    """As of a sender: what is beyond the limit is counted, and is in the log only."""
    await ln.create_queue("q", listening("overflow"), parallel=parallel, max_queue_memory=1)
    await ln.create_region("r", "PARTITION", queues="q")
    await ln.pause_queue("q")
    queue = queue_of("q")
    await ln.until_queued(queue, 0)
    await ln.put("r", range(200), "x" * 20_000)
    await ln.until_queued(queue, 200)
    assert 0 < ln.count(queue, "totalQueueSizeBytesInUse") <= 2 * MB
    assert 0 < ln.count(queue, "entriesOverflowedToDisk") < 200
    await ln.resume_queue("q")
    await ln.until_drained(queue)
    assert ln.count(queue, "entriesOverflowedToDisk") == ln.count(queue, "totalQueueSizeBytesInUse") == 0
    assert sorted(event.key for event in TOLD["overflow"]) == [*range(200)]
