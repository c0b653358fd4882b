"""What plug-ins of senders decide, change and are told of."""

from __future__ import annotations

import pytest

from heliograph.api.options import checked
from heliograph.errors import UsageError
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.queues import AsyncEventQueueAttributes
from tests.scenarios.plugins import LISTENERS, TOLD, listening
from tests.scenarios.sites import Site, queue_of, scenario

PLUGINS = "tests.scenarios.plugins:"
BY_NUMBER = (PLUGINS + "ByNumber",)


async def puts_a_thousand(ln: Site, ny: Site, kind: str, **options: object) -> None:
    """Put keys 0 to 999 through a sender that filters by number."""
    await ny.receives("r", kind=kind)
    await ln.create_sender("ny", to=ny, gateway_event_filters=BY_NUMBER, batch_size=10, **options)
    await ln.create_region("r", kind, senders="ny")
    await ln.put("r", range(1000))
    await ln.until_drained("ny")


def counts(ln: Site) -> tuple[int, ...]:
    return tuple(
        ln.count("ny", f"events{counter}")
        for counter in ("Received", "Queued", "Distributed", "Filtered", "Acknowledged")
    )


@pytest.mark.parametrize("kind", ["REPLICATE", "PARTITION"])
@scenario(ln=2, ny=1)
async def test_filter_before_enqueue_and_transmit_serial(ln: Site, ny: Site, kind: str) -> None:
    await puts_a_thousand(ln, ny, kind)
    assert {*await ny.contents("r")} == {*range(1000)} - {*range(500, 700)}
    assert len(await ln.contents("r")) == 1000


@scenario(ln=2, ny=1)
async def test_filter_stats_serial(ln: Site, ny: Site) -> None:
    await puts_a_thousand(ln, ny, "REPLICATE")
    assert counts(ln) == (1000, 900, 800, 200, 800)
    assert ny.received("processBatchRequests") >= 80
    assert ny.received("eventsReceived") == 800


@scenario(ln=4, ny=1)
async def test_filter_stats_parallel(ln: Site, ny: Site) -> None:
    await puts_a_thousand(ln, ny, "PARTITION", parallel=True)
    assert counts(ln) == (1000, 900, 800, 200, 800)
    assert ln.count("ny", "batchesDistributed") >= 80
    assert ln.queued("ny") == 0


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=2, ny=1)
async def test_filter_after_ack_counts(ln: Site, ny: Site, parallel: bool) -> None:
    """Once per event, at the member that ships it: nobody holds a copy of the queue."""
    told = TOLD["after ack"]
    told.clear()
    kind = "PARTITION_REDUNDANT" if parallel else "REPLICATE"
    await ny.receives("r", kind=kind.removesuffix("_REDUNDANT"))
    filters = (PLUGINS + 'Telling{"name": "after ack"}',)
    await ln.create_sender("ny", to=ny, parallel=parallel, gateway_event_filters=filters)
    await ln.create_region("r", kind, senders="ny")
    await ln.put("r", range(1000))
    await ln.until_drained("ny")
    for hook in ("before_enqueue", "before_transmit", "after_acknowledgement"):
        assert sorted(key for each, key in told if each == hook) == [*range(1000)], hook


@scenario(ln=2, ny=2)
async def test_filter_transport_serial(ln: Site, ny: Site) -> None:
    """Batches go one way only, so that is the way they are filtered."""
    told = TOLD["transport"]
    told.clear()
    filters = (PLUGINS + 'Compress{"name": "transport"}', PLUGINS + "Checksum")
    await ny.create_receiver(gateway_transport_filters=filters)
    await ny.create_region("r")
    await ln.create_sender("ny", to=ny, batch_size=1, gateway_transport_filters=filters)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(100), "x" * 500, writers=1)
    await ny.until_size("r", 100)
    await ln.until_drained("ny")
    assert len(told) == ln.count("ny", "batchesDistributed") >= 50
    assert all(after < before / 2 for before, after in told)
    assert ny.received("receivedBytes") == sum(after + 4 for _, after in told)


@pytest.mark.parametrize("threads", [1, 3])
@scenario(ln=2, ny=1)
async def test_substitution_filter_once_per_event(ln: Site, ny: Site, threads: int) -> None:
    told = TOLD["once"]
    told.clear()
    await ny.receives("r", kind="PARTITION")
    await ln.create_sender(
        "ny",
        to=ny,
        parallel=True,
        dispatcher_threads=threads,
        gateway_event_substitution_filter=PLUGINS + 'Prefixing{"name": "once"}',
    )
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(10), "own")
    await ln.until_drained("ny")
    assert sorted(told) == [*range(10)]
    assert await ny.contents("r") == dict.fromkeys(range(10), "substituted: own")
    assert await ln.contents("r") == dict.fromkeys(range(10), "own")


@scenario(ln=1, ny=1)
async def test_substitution_filter_config(ln: Site, ny: Site) -> None:
    """The definition keeps the plug-in's name with its parameters, over a restart of the member too."""
    name = PLUGINS + 'Prefixing{"name": "config", "prefix": "> "}'
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, gateway_event_substitution_filter=name)
    await ln.create_region("r", senders="ny")
    await ln.leave("a")
    await ln.join("a")
    assert ln.sender_attributes("ny").gateway_event_substitution_filter == name
    await ln.put("r", [1], "own")
    await ln.until_drained("ny")
    assert await ny.contents("r") == {1: "> own"}


@scenario(ln=2, ny=1)
async def test_listener_instead_of_remote_site(ln: Site, ny: Site) -> None:
    """An async event queue has one listener: for two of them there are two queues."""
    await ny.receives("r")
    for name in ("one", "two"):
        await ln.create_queue(name, listening(name))
    await ln.create_region("r", queues="one two")
    await ln.put("r", range(1000))
    for name in ("one", "two"):
        await ln.until_drained(queue_of(name))
        assert sorted(event.key for event in TOLD[name]) == [*range(1000)]
        assert sorted(len(each.events) for each in LISTENERS[name]) == [0, 1000], "only the primary's is called"
    assert await ny.contents("r") == {}


@scenario(ln=1)
async def test_listener_no_connection_pool(ln: Site) -> None:
    """There is no other site, and none is looked for."""
    await ln.create_queue("q", listening("alone"))
    await ln.create_region("r", queues="q")
    await ln.put("r", range(10))
    await ln.until_drained(queue_of("q"))
    [status] = ln.statuses(queue_of("q")).values()
    assert (status.receiver, status.status, status.error) == ("", "Running", "")
    assert len(TOLD["alone"]) == 10


@scenario(ln=1)
async def test_listener_and_remote_site_conflict(ln: Site) -> None:
    """A queue has no site and a gateway sender no listener to be defined with."""
    options = {"id": "q", "listener": listening("conflict"), "remote_distributed_system_id": 2}
    with pytest.raises(UsageError, match="has no option remote_distributed_system_id"):
        checked(AsyncEventQueueAttributes, "create_async_event_queue", options)
    with pytest.raises(UsageError, match="has no option listener"):
        checked(GatewaySenderAttributes, "create_gateway_sender", options)
    await ln.create_queue("q", listening("conflict"))
