"""Serial senders carry what is put at one site to the others."""

from __future__ import annotations

import asyncio

import pytest

from tests.scenarios.sites import LATE, Site, passes, scenario, until


@scenario(ln=4, ny=2)
async def test_serial_replicated_basic(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, batch_size=10)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(1000), at="b")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert ln.count("ny", "eventsDistributed") == ny.received("eventsReceived") == 1000


@scenario(ln=4, ny=1)
async def test_serial_put_from_member_without_sender(ln: Site, ny: Site) -> None:
    """Every member has the sender; at those where it is stopped it does nothing but be offered events."""
    await ny.receives("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.stop_sender("ny", "c", "d")
    await ln.put("r", range(500), at="c")
    await ln.put("r", range(500, 1000), at="d")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_serial_remote_site_late_many_small_batches(ln: Site, ny: Site) -> None:
    await ln.create_sender("ny", to=ny, batch_size=5)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(10_000), writers=50)
    await ln.until_queued("ny", 10_000)
    await passes(10)
    assert ln.count("ny", "eventsAcknowledged") == 0
    await ny.receives("r")
    await ny.until_size("r", 10_000)
    await ln.until_drained("ny")
    assert await ny.contents("r") == await ln.contents("r")


@scenario(ln=2, ny=LATE)
async def test_serial_remote_locator_late(ln: Site, ny: Site) -> None:
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(1000))
    await ny.start(2)
    await ny.receives("r")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


@scenario(ln=3, ny=2)
async def test_serial_local_site_rebuilt(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(1000), "before")
    await ny.until_size("r", 1000)
    ln.kill()
    await passes(10)
    await ln.join()
    await ln.until_size("r", 0)  # it is not persistent
    await ln.put("r", range(1000), "again")
    await ln.until_drained("ny")
    await ny.until_size("r", 1000)
    assert set((await ny.contents("r")).values()) == {"again"}


@scenario(ln=2, ny=1)
async def test_serial_local_region_destroyed_mid_stream(ln: Site, ny: Site) -> None:
    await ny.receives("r1", "r2")
    await ln.create_sender("ny", to=ny)
    for region in ("r1", "r2"):
        await ln.create_region(region, senders="ny")
    async with ln.putting("r1", range(1000)):
        await ln.put("r2", range(500))
        await ny.until_size("r2", 500)  # destroying a region drops what is queued of it
        await ln.destroy_region("r2")
    await ny.until_size("r1", 1000)
    await ny.until_size("r2", 500)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_serial_remote_region_missing_batch_error(ln: Site, ny: Site) -> None:
    """The region waits until it is there again; nothing of it is dropped."""
    await ny.receives("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    async with ln.putting("r", range(2000)):
        await until(lambda: ny.received("eventsReceived") > 100)
        await ny.destroy_region("r")
    await passes(20)
    assert ny.received("batchesRefused") >= 1
    assert ln.queued("ny") > 0
    assert "does not exist" in ln.statuses("ny")[ln.primary("ny")].error
    assert await ln.sizes("r") == [2000, 2000]
    queued = ln.queued("ny")
    await ny.create_region("r")
    await ln.until_drained("ny")
    assert queued <= (await ny.sizes("r"))[0] < 2000


@scenario(ln=2, ny=1)
async def test_serial_missing_remote_region_does_not_block_others(ln: Site, ny: Site) -> None:
    await ny.receives("r1")
    await ln.create_sender("ny", to=ny, batch_size=200)
    for region in ("r1", "r2"):
        await ln.create_region(region, senders="ny")
    await asyncio.gather(ln.put("r2", range(1000)), ln.put("r1", range(1000)))
    await ny.until_size("r1", 1000)
    await ln.until_queued("ny", 1000)
    await ny.create_region("r2")
    await ny.until_size("r2", 1000)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_serial_receiver_stopped_events_queue_up(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, batch_size=350)
    await ln.create_region("r", senders="ny")
    async with ln.putting("r", range(500)):
        await until(lambda: ny.received("eventsReceived") > 10)
        await ny.leave()
    await ln.until_size("r", 500)
    assert ln.queued("ny") > 0


@pytest.mark.parametrize("kind", ["REPLICATE", "REPLICATE_PERSISTENT"])
@scenario(ln=2, ny=1)
async def test_serial_receiver_restarted_same_node(ln: Site, ny: Site, kind: str) -> None:
    await ny.receives("r", kind=kind)
    await ln.create_sender("ny", to=ny, enable_persistence=True)
    await ln.create_region("r", senders="ny")
    async with ln.putting("r", range(4000)):
        await until(lambda: ny.received("eventsReceived") > 1000)
        ny.kill()
    await passes(10)
    await ny.join()
    await ln.until_drained("ny")
    assert ny.received("processBatchRequests") >= 1
    if kind == "REPLICATE_PERSISTENT":
        await ny.until_size("r", 4000)


@scenario(ln=2, ny=1)
async def test_serial_remote_site_bounce_incl_locator(ln: Site, ny: Site) -> None:
    await ny.receives("r", kind="REPLICATE_PERSISTENT")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    async with ln.putting("r", range(4000)):
        await until(lambda: ny.received("eventsReceived") > 1000)
        ny.kill()
        ny.locator.kill()
        ny.engine.stop()
    await ln.put("r", range(1000))
    assert ln.queued("ny") > 0
    ny.engine.start()
    ny.locator.start()
    await ny.join()
    await ny.until_size("r", 4000)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_serial_remote_bounce_second_locator(ln: Site, ny: Site) -> None:
    await ny.start_another_locator()
    await ny.receives("r", kind="REPLICATE_PERSISTENT")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    async with ln.putting("r", range(2000)):
        await until(lambda: ny.received("eventsReceived") > 100)
        ny.locator.kill()
        ny.kill()
    assert ln.queued("ny") > 0
    await ny.join("b")
    await ny.until_size("r", 2000)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1, tk=1)
async def test_serial_to_two_sites(ln: Site, ny: Site, tk: Site) -> None:
    for site in (ny, tk):
        await site.receives("replicated")
        await site.create_region("partitioned", "PARTITION")
        await ln.create_sender(site.name, to=site)
    await ln.create_region("replicated", senders="ny tk")
    await ln.create_region("partitioned", "PARTITION", senders="ny tk")
    await tk.stop_receivers()
    await asyncio.gather(ln.put("replicated", range(1000)), ln.put("partitioned", range(1000)))
    for region in ("replicated", "partitioned"):
        await ny.until_size(region, 1000)
    await ln.until_drained("ny")
    assert ln.queued("tk") == 2000
    await tk.start_receivers()
    for region in ("replicated", "partitioned"):
        await tk.until_size(region, 1000)
    await ln.until_drained("tk")


@scenario(ln=3, ny=2)
async def test_serial_one_sender_many_regions(ln: Site, ny: Site) -> None:
    await ny.receives("replicated", "other")
    await ny.create_region("partitioned", "PARTITION")
    await ln.create_sender("one", to=ny)
    await ln.create_sender("two", to=ny)
    await ln.create_region("replicated", senders="one")
    await ln.create_region("partitioned", "PARTITION", senders="one")
    await ln.create_region("other", senders="two")
    for region in ("replicated", "partitioned", "other"):
        await ln.put(region, range(1000))
    for region in ("replicated", "partitioned", "other"):
        await ny.until_size(region, 1000)
    assert (ln.count("one", "eventsDistributed"), ln.count("two", "eventsDistributed")) == (2000, 1000)


@pytest.mark.parametrize("threads", [1, 4])
@scenario(ln=2, ny=1)
async def test_serial_multithreaded_puts(ln: Site, ny: Site, threads: int) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, dispatcher_threads=threads)
    await ln.create_region("r", senders="ny")
    ranges = (range(250), range(250, 500), range(500, 750), range(750, 1000))
    await asyncio.gather(
        *(ln.put("r", keys, at=letter, writers=1) for keys, letter in zip(ranges, "abab", strict=True))
    )
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


@pytest.mark.parametrize("kind", ["REPLICATE", "PARTITION_REDUNDANT"])
@scenario(ln=2, ny=1)
async def test_serial_mixed_operations(ln: Site, ny: Site, kind: str) -> None:
    """Without invalidates, which other sites do not hear of, and transactions, which there are none of."""
    await ny.receives("r1", "r2", kind=kind)
    for number, primary, secondary in (("1", "a", "b"), ("2", "b", "a")):
        await ln.create_sender(f"ny{number}", to=ny)
        await ln.create_region(f"r{number}", kind, senders=f"ny{number}")
        await ln.stop_sender(f"ny{number}", secondary)
        await ln.until_primary(f"ny{number}", primary)
        await ln.start_sender(f"ny{number}", secondary)
    assert (ln.primary("ny1"), ln.primary("ny2")) == ("a", "b")

    async def at(letter: str, region: str) -> None:
        await ln.put(region, range(100), at=letter)
        await ny.until_size(region, 100)
        await ln.remove(region, range(100), at=letter)
        await ny.until_size(region, 0)
        await ln.put_all(region, range(1000), at=letter)
        await ny.until_size(region, 1000)
        await ln.remove(region, range(1000), at=letter)
        await ny.until_size(region, 0)

    await asyncio.gather(at("a", "r1"), at("b", "r2"))
    await ln.until_drained("ny1")
    await ln.until_drained("ny2")


@scenario(ln=3, ny=1)
async def test_serial_unprocessed_event_map_drains(ln: Site, ny: Site) -> None:
    """A secondary keeps no books at all."""
    await ny.receives("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await asyncio.gather(
        ln.put("r", ["k"] * 1000, "from b", at="b", writers=1), ln.put("r", ["k"] * 1000, "from c", at="c", writers=1)
    )
    await ln.until_drained("ny")
    assert await ny.contents("r") == await ln.contents("r")
    secondaries = [status for status in ln.statuses("ny").values() if status.policy == "Secondary"]
    assert len(secondaries) == 2
    assert all(not any(status.counters.values()) for status in secondaries)


@scenario(ln=2, ny=2)
async def test_serial_events_during_start_drain(ln: Site, ny: Site) -> None:
    for here, there in ((ln, ny), (ny, ln)):
        await here.create_receiver()
        await here.create_sender(there.name, to=there, manual_start=True)
        await here.create_region("r", "PARTITION_REDUNDANT", senders=there.name)
    async with ln.putting("r", range(1000)):
        for here, there in ((ln, ny), (ny, ln)):
            await here.start_sender(there.name)
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    await ny.until_drained("ln")
    assert ny.count("ln", "eventsDistributed") == 0
