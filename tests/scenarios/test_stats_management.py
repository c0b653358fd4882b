"""What senders and receivers count and say of themselves."""

from __future__ import annotations

from tests.scenarios.plugins import listening
from tests.scenarios.sites import BETWEEN_SITES_S, Site, passes, scenario, until
from tests.scenarios.test_propagation_parallel import feeds


def counts(ln: Site, sender: str = "ny") -> tuple[int, int, int]:
    """Return the events received, queued and distributed."""
    return (
        ln.count(sender, "eventsReceived"),
        ln.count(sender, "eventsQueued"),
        ln.count(sender, "eventsDistributed"),
    )


@scenario(ln=2, ny=1, tk=1)
async def test_stats_serial_basic(ln: Site, ny: Site, tk: Site) -> None:
    """A secondary counts nothing."""
    for site in (ny, tk):
        await site.receives("r")
        await ln.create_sender(site.name, to=site, batch_size=10)
    await ln.create_region("r", senders="ny tk")
    await ln.put("r", range(1000), at="b")
    for site in (ny, tk):
        await site.until_size("r", 1000)
        await ln.until_drained(site.name)
        assert counts(ln, site.name) == (1000, 1000, 1000)
        assert ln.count(site.name, "batchesDistributed") >= 100
        assert not any(ln.statuses(site.name)["b"].counters.values())
        assert site.received("processBatchRequests") >= 100
        assert site.received("eventsReceived") == 1000


@scenario(ln=2, ny=1)
async def test_stats_secondary_unprocessed(ln: Site, ny: Site) -> None:
    """A secondary keeps no books."""
    await ny.receives("r1", "r2")
    await ln.create_sender("ny", to=ny, batch_size=20)
    for region, events in (("r1", 1000), ("r2", 500)):
        await ln.create_region(region, senders="ny")
        await ln.put(region, range(events))
    await ny.until_size("r2", 500)
    await ln.until_drained("ny")
    assert counts(ln) == (1500, 1500, 1500)
    assert ln.count("ny", "batchesDistributed") >= 75
    [secondary] = [each for each in ln.statuses("ny").values() if each.policy == "Secondary"]
    assert not any(secondary.counters.values())


@scenario(ln=4, ny=1)
async def test_stats_parallel_before_dispatch(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    await ln.pause_sender("ny")
    await ln.put("r", range(100))
    await ln.until_queued("ny", 100)
    assert counts(ln) == (100, 100, 0)
    assert ln.count("ny", "batchesDistributed") == ln.count("ny", "batchesRedistributed") == 0


@scenario(ln=4, ny=1)
async def test_stats_parallel_after_dispatch(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, batch_size=10)
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    await ln.until_drained("ny")
    assert counts(ln) == (100, 100, 100)
    assert ln.count("ny", "batchesDistributed") >= 10
    assert ln.count("ny", "batchesRedistributed") == 0
    assert ny.received("processBatchRequests") >= 10
    assert ny.received("eventsReceived") == 100


@scenario(ln=4, ny=1)
async def test_stats_parallel_redundancy(ln: Site, ny: Site) -> None:
    """An event is received and queued once, where it is shipped."""
    await feeds(ln, ny, copies=3, batch_size=10)
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    await ln.until_drained("ny")
    assert counts(ln) == (100, 100, 100)
    assert ln.count("ny", "batchesDistributed") >= 10


@scenario(ln=1, ny=1, tk=1)
async def test_stats_parallel_two_sites(ln: Site, ny: Site, tk: Site) -> None:
    for site in (ny, tk):
        await site.receives("r", kind="PARTITION")
        await ln.create_sender(site.name, to=site, parallel=True, batch_size=10)
    await ln.create_region("r", "PARTITION", senders="ny tk")
    await ln.put("r", range(100))
    for site in (ny, tk):
        await site.until_size("r", 100)
        await ln.until_drained(site.name)
        assert counts(ln, site.name) == (100, 100, 100)
        assert ln.count(site.name, "batchesDistributed") >= 10
        assert site.received("eventsReceived") == 100


@scenario(ln=4, ny=1)
async def test_stats_total_queue_bytes(ln: Site, ny: Site) -> None:
    """The bytes are those of the events that a member ships: copies of them are not queued."""
    await feeds(ln, ny, copies=1)
    await ln.pause_sender("ny")
    await ln.put("r", range(100), "x" * 1000)
    await ln.until_queued("ny", 100)
    for status in ln.statuses("ny").values():
        queued = status.counters["eventQueueSize"]
        assert queued == status.queued > 0
        assert status.counters["totalQueueSizeBytesInUse"] > 1000 * queued
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert ln.count("ny", "totalQueueSizeBytesInUse") == ln.count("ny", "eventQueueSize") == 0


@scenario(ln=4, ny=1)
async def test_stats_total_queue_bytes_clean(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    await ln.pause_sender("ny")
    await ln.put("r", range(100), "x" * 1000)
    await ln.until_queued("ny", 100)
    await ln.stop_sender("ny")
    assert ln.count("ny", "totalQueueSizeBytesInUse") == 0
    await ln.start_sender("ny", clean_queues=True)
    await ln.until_queued("ny", 0)
    assert ln.count("ny", "totalQueueSizeBytesInUse") == 0
    await ln.pause_sender("ny")
    await ln.put("r", range(100), "y" * 1000)
    await ln.until_queued("ny", 100)
    assert ln.count("ny", "totalQueueSizeBytesInUse") > 100_000


@scenario(ln=4, ny=1)
async def test_stats_total_queue_bytes_recovery(ln: Site, ny: Site) -> None:
    """Whoever ships the buckets of a killed server counts what is queued; after a restart of all, all does."""
    await ny.receives("r", kind="PARTITION")
    await ln.create_sender("ny", to=ny, parallel=True, enable_persistence=True)
    await ln.create_region("r", "PARTITION_PERSISTENT", senders="ny")
    await ln.pause_sender("ny")
    await ln.put("r", range(100), "x" * 1000)
    await ln.until_queued("ny", 100)
    ln.kill("a")
    await ln.until_queued("ny", 100)
    assert ln.count("ny", "totalQueueSizeBytesInUse") > 100_000
    ln.kill()
    await ln.join()
    await ln.until_queued("ny", 100)
    assert ln.count("ny", "totalQueueSizeBytesInUse") > 100_000
    await ln.stop_sender("ny")
    await ln.start_sender("ny", clean_queues=True)
    await ln.until_queued("ny", 0)
    assert ln.count("ny", "totalQueueSizeBytesInUse") == 0
    await ln.pause_sender("ny")
    await ln.put("r", range(100), "y" * 1000)
    await ln.until_queued("ny", 100)
    assert ln.count("ny", "totalQueueSizeBytesInUse") > 100_000
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert set((await ny.contents("r")).values()) == {"y" * 1000}


@scenario(ln=1, ny=1)
async def test_mgmt_sender_stats_attributes(ln: Site, ny: Site) -> None:
    """All of them but what is of transactions."""

    def count(counter: str) -> int:
        return ln.count("ny", counter)

    await feeds(ln, ny, alert_threshold=100, enable_batch_conflation=True)
    rates = ("eventsReceivedRate", "eventsQueuedRate", "batchesDispatchedRate", "averageDistributionTimePerBatch")
    assert not any(map(count, rates))
    await ln.put("r", range(100))
    await ln.until_drained("ny")
    await until(lambda: all(map(count, rates)))
    assert count("averageDistributionTimePerBatch") >= 1000 * 2 * BETWEEN_SITES_S
    assert count("batchesDistributed") > 0
    assert count("batchesRedistributed") == count("eventsExceedingAlertThreshold") == 0
    await passes(15)
    assert not any(map(count, rates)), "nothing moves now"
    ln.cut(ny)
    await ln.put("r", range(10), "sent into the void")
    await until(lambda: count("batchesRedistributed") > 0)
    ln.heal(ny)
    await ln.until_drained("ny")
    assert count("eventsExceedingAlertThreshold") == 10
    await ln.pause_sender("ny")
    for value in ("old", "new"):
        await ln.put("r", range(10), value)
    await ln.until_queued("ny", 10)
    assert count("eventsNotQueuedConflated") == 10
    assert count("eventQueueSize") == 10


@scenario(ln=2, ny=1)
async def test_stats_alert_threshold_not_exceeded(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, alert_threshold=10_000)
    await ln.put("r", range(50))
    await ln.until_drained("ny")
    assert ln.count("ny", "eventsAcknowledged") == 50
    assert ln.count("ny", "eventsExceedingAlertThreshold") == 0
    await ln.pause_sender("ny")
    await ln.put("r", range(20))
    await passes(11)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    assert ln.count("ny", "eventsExceedingAlertThreshold") == 20


@scenario(ln=2, ny=1)
async def test_mgmt_sender_connected_flag(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    await ln.put("r", range(100))
    await until(lambda: ln.states("ny") == {"Running and Connected"})
    await ny.stop_receivers()
    await until(lambda: ln.states("ny") == {"Running, not Connected"})
    await ln.put("r", range(10))
    await ln.until_queued("ny", 10)
    await ny.start_receivers()
    await until(lambda: ln.states("ny") == {"Running and Connected"})
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_mgmt_sender_proxy_and_navigation(ln: Site, ny: Site) -> None:
    """What beans show is shown by `list gateways` and `status gateway-sender`."""
    await feeds(ln, ny)
    await ln.put("r", range(100))

    async def shown() -> list[tuple[str, ...]]:
        status = await ln.operate(lambda admin: admin.senders.status("ny"))
        return [row[:2] + row[3:] for row in status.tables[0].rows]

    async def until_shown(status: str) -> None:
        async def there() -> bool:
            return await shown() == [("1-a", "Parallel", status), ("1-b", "Parallel", status)]

        await until(there)

    await until_shown("Running and Connected")
    await ln.stop_sender("ny")
    await until_shown("Not Running")
    await ln.start_sender("ny")
    await until_shown("Running and Connected")


@scenario(ny=2)
async def test_mgmt_receiver_bean(ny: Site) -> None:
    async def members() -> list[str]:
        listed = await ny.operate(lambda admin: admin.receivers.list_gateways())
        return [row[0] for table in listed.tables for row in table.rows]

    await ny.create_receiver()
    assert await members() == ["1-a", "1-b"]
    await ny.operate(lambda admin: admin.receivers.destroy())
    assert await members() == []


@scenario(ln=2, ny=1)
async def test_mgmt_region_sender_ids(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    described = await ln.operate(lambda admin: admin.regions.describe("r"))
    rows = [row for table in described.tables for row in table.rows]
    assert ("Region", "gateway-sender-id", "ny") in rows


@scenario(ln=2, ny=1)
async def test_mgmt_remote_cluster_status(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    await ln.put("r", range(100))
    await until(lambda: ln.states("ny") == {"Running and Connected"})
    listed = await ln.operate(lambda admin: admin.receivers.list_gateways(senders_only=True))
    assert {(row[2], row[4]) for table in listed.tables for row in table.rows} == {("2", "Running and Connected")}


@scenario(ln=2)
async def test_mgmt_async_queue_beans(ln: Site) -> None:
    """The admin API instead of beans."""

    async def shown() -> list[tuple[str, ...]]:
        result = await ln.operate(lambda admin: admin.queues.list())
        return [(row[0], row[1], row[-2], row[-1]) for table in result.tables for row in table.rows]

    assert await shown() == []
    await ln.create_queue("q", listening("beans"), pause_event_processing=True)
    assert await shown() == [("1-a", "q", "true", "true"), ("1-b", "q", "true", "true")]
    await ln.resume_queue("q")
    assert await shown() == [("1-a", "q", "true", "false"), ("1-b", "q", "true", "false")]
    result = await ln.operate(lambda admin: admin.queues.status("q"))
    assert [table.title for table in result.tables] == ["Available AsyncEventQueue Section", "Statistics Section"]
    gateways = await ln.operate(lambda admin: admin.receivers.list_gateways())
    assert gateways.tables == [], "a queue is no gateway sender"

    async def shown_of_member() -> str | None:
        return (await ln.operate(lambda admin: admin.members.describe("1-a"))).data.get("Async Event Queues")

    async def shows(queues: str | None) -> bool:
        return await shown_of_member() == queues

    await until(lambda: shows("q"))
    await ln.destroy_queue("q")
    assert await shown() == []
    await until(lambda: shows(None))
