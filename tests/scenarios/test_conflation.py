"""Of the updates of a key that wait in a gateway sender's queue, only the newest is sent."""

from __future__ import annotations

import pytest

from heliograph.model.batch import CREATE, DESTROY, UPDATE
from tests.gateway.test_conflation import Writer, new_queue, take
from tests.scenarios.sites import Site, passes, scenario, until
from tests.scenarios.test_propagation_parallel import feeds


async def conflates(ln: Site, ny: Site, **options: int) -> None:
    """Have region r fed by a paused serial sender that conflates."""
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, enable_batch_conflation=True, **options)
    await ln.create_region("r", senders="ny")
    await ln.pause_sender("ny")


def ledger(ln: Site) -> tuple[int, int, int, int]:
    """Return the events received, queued, conflated and distributed."""
    names = ("eventsReceived", "eventsQueued", "eventsNotQueuedConflated", "eventsDistributed")
    received, queued, conflated, distributed = (ln.count("ny", name) for name in names)
    return received, queued, conflated, distributed


@scenario(ln=2, ny=1)
async def test_conflation_parallel_update_replaces_queued_update(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, enable_batch_conflation=True)
    await ln.pause_sender("ny")
    await ln.put("r", range(100))
    await ln.until_queued("ny", 100)
    for value in ("first", "second"):
        await ln.put("r", range(50), value)
        await ln.until_queued("ny", 150)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert ledger(ln) == (200, 200, 50, 150)
    assert await ny.contents("r") == {key: "second" if key < 50 else key for key in range(100)}


@scenario(ln=3, ny=1)
async def test_conflation_parallel_secondary_consistent(ln: Site, ny: Site) -> None:
    """There are no secondary queues: who takes a bucket over conflates what its log holds."""
    await feeds(ln, ny, copies=2, enable_batch_conflation=True)
    await ln.pause_sender("ny")
    await ln.put("r", range(100))
    for value in ("first", "second"):
        await ln.put("r", range(50), value)
    await ln.until_queued("ny", 150)
    ln.kill("c")
    await ln.until_queued("ny", 150)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert await ny.contents("r") == await ln.contents("r")


@scenario(ln=2, ny=1)
async def test_conflation_random_keys(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, enable_batch_conflation=True)
    await ln.pause_sender("ny")
    await ln.put("r", range(20))
    keys = ln.rng.sample(range(20), 10)
    for value in ("first", "second"):
        await ln.put("r", keys, value)
        await ln.until_queued("ny", 30)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert await ny.contents("r") == {key: "second" if key in keys else key for key in range(20)}


@scenario(ln=2, ny=1)
async def test_conflation_same_key_different_regions(ln: Site, ny: Site) -> None:
    await ny.create_receiver()
    await ln.create_sender("ny", to=ny, parallel=True, enable_batch_conflation=True)
    regions = ("customer", "order", "shipment")
    for site, senders in ((ny, ""), (ln, "ny")):
        await site.create_region("customer", "PARTITION", senders=senders)
        for child in regions[1:]:
            await site.create_region(child, "PARTITION", senders=senders, colocated_with="customer")
    await ln.pause_sender("ny")
    for region in regions:
        await ln.put(region, range(20))
    for value in ("first", "second"):
        for region in regions:
            await ln.put(region, range(10), f"{value} {region}")
    await ln.until_queued("ny", 90)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    for region in regions:
        assert await ny.contents(region) == await ln.contents(region)


@scenario(ln=2, ny=1)
async def test_conflation_same_key_repeated_puts(ln: Site, ny: Site) -> None:
    await ln.create_sender("ny", to=ny, parallel=True, enable_batch_conflation=True, enable_persistence=True)
    await ln.create_region("r", "PARTITION_PERSISTENT", senders="ny")
    for value in range(100):
        await ln.put("r", ["k"], value)
    await ln.until_queued("ny", 2)
    assert ln.count("ny", "conflationIndexesSize") == 1
    await ny.receives("r", kind="PARTITION")
    await ln.until_drained("ny")
    assert ln.count("ny", "conflationIndexesSize") == 0
    assert await ny.contents("r") == {"k": 99}


@scenario(ln=1, ny=1)
async def test_conflation_serial(ln: Site, ny: Site) -> None:
    await conflates(ln, ny)
    await ln.put("r", range(1000))
    await ln.until_queued("ny", 1000)
    for value in ("first", "second"):
        await ln.put("r", range(500), value)
        await ln.until_queued("ny", 1500)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert ledger(ln) == (2000, 2000, 500, 1500)
    assert await ny.contents("r") == await ln.contents("r")


@pytest.mark.parametrize("threads", [1, 5])
@scenario(ln=2, ny=1)
async def test_conflation_serial_replicated_no_updates(ln: Site, ny: Site, threads: int) -> None:
    await conflates(ln, ny, batch_size=1000, dispatcher_threads=threads)
    await ln.put("r", range(1000))
    await ln.until_queued("ny", 1000)
    await ln.resume_sender("ny")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert ledger(ln) == (1000, 1000, 0, 1000)


@scenario(ln=4, ny=1)
async def test_conflation_serial_during_enqueue(ln: Site, ny: Site) -> None:
    await ny.receives("r", kind="PARTITION")
    await ln.create_sender("ny", to=ny, enable_batch_conflation=True)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.pause_sender("ny")
    for _ in range(10):
        await ln.put("r", range(10))
    await until(lambda: ln.count("ny", "eventsQueued") == 100)
    assert ln.queued("ny") == 20
    secondaries = [status for status in ln.statuses("ny").values() if status.policy == "Secondary"]
    assert not any(status.queued for status in secondaries)
    await ln.resume_sender("ny")
    await ny.until_size("r", 10)
    await ln.until_drained("ny")


def test_conflation_batch_rules() -> None:
    queue = new_queue()
    writer = Writer(queue)
    writer.write(*[(op, "k") for op in (CREATE, UPDATE, UPDATE, UPDATE, UPDATE, DESTROY)])
    writer = Writer(spread := new_queue())
    for op in (CREATE, UPDATE, UPDATE, UPDATE, UPDATE, DESTROY):
        writer.write((op, "k"))
    for each in (queue, spread):
        assert [op for _, op, _ in take(each)[1]] == [CREATE, UPDATE, DESTROY]


def test_conflation_batch_identical_events_deduplicated() -> None:
    """A record that is offered again is not queued again."""
    queue = new_queue()
    writer = Writer(queue)
    for key in "abcd":
        writer.write((CREATE, key))
    for seq in (1, 3):
        writer.seq = seq - 1
        writer.write((CREATE, "again"))
    assert [key for _, _, key in take(queue)[1]] == list("abcd")


def test_conflation_eligibility() -> None:
    """What lost a conflict is not in the log at all."""
    for op, left in ((CREATE, 2), (UPDATE, 1), (DESTROY, 2)):
        queue = new_queue()
        writer = Writer(queue)
        writer.write((op, "k"))
        writer.write((op, "k"))
        assert len(take(queue)[1]) == left


@scenario(ln=2, ny=1)
async def test_conflation_null_region_safe(ln: Site, ny: Site) -> None:
    """A region is there before its queue is."""
    await ny.receives("r", kind="REPLICATE_PERSISTENT")
    await ln.create_sender("ny", to=ny, enable_batch_conflation=True, enable_persistence=True)
    await ln.create_region("r", "REPLICATE_PERSISTENT", senders="ny")
    await ln.pause_sender("ny")
    await ln.put("r", range(5))
    ln.kill()
    await passes(10)
    await ln.join()
    await ln.until_queued("ny", 5)
    await ln.resume_sender("ny")
    await ny.until_size("r", 5)
    await ln.until_drained("ny")
