"""Start, stop, pause, resume, alter and destroy, and what becomes of events that are put meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from heliograph.errors import RegionNotFoundError, UsageError
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.registry import CURSORS, REGISTRY
from tests.scenarios.plugins import TOLD, listening
from tests.scenarios.sites import Site, passes, queue_of, scenario, until
from tests.scenarios.test_propagation_parallel import feeds

BOTH_KINDS = pytest.mark.parametrize("kind", ["REPLICATE", "PARTITION_REDUNDANT"])


async def sends(ln: Site, ny: Site, kind: str = "REPLICATE", **options: Any) -> None:
    """Have a sender ny of region r at ln, parallel when that is partitioned, and the same region at ny."""
    await ny.receives("r", kind=kind)
    await ln.create_sender("ny", to=ny, parallel=kind.startswith("PARTITION"), **options)
    await ln.create_region("r", kind, senders="ny")


@BOTH_KINDS
@scenario(ln=2, ny=1)
async def test_stopped_sender_everywhere_loses_events(ln: Site, ny: Site, kind: str) -> None:
    """It loses none."""
    await sends(ln, ny, kind)
    await until(lambda: "Running and Connected" in ln.states("ny"))
    await ln.stop_sender("ny")
    await ln.put("r", range(100))
    await passes(5)
    await ny.until_size("r", 0)
    await ln.start_sender("ny")
    await ln.put("r", range(100, 1000))
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


@scenario(ln=2, ny=2)
async def test_unstarted_sender_ignores_received_wan_events(ln: Site, ny: Site) -> None:
    """What NY's clients put before the start is delivered too."""
    for here, there, manual in ((ln, ny, False), (ny, ln, True)):
        await here.create_receiver()
        await here.create_sender(there.name, to=there, manual_start=manual)
        await here.create_region("r", senders=there.name)
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    await ny.put("r", range(100, 200))
    await ny.start_sender("ln")
    await ln.until_size("r", 200)
    await ln.until_drained("ny")
    await ny.until_drained("ln")
    assert ny.count("ln", "eventsDistributed") == 100


@scenario(ln=4, ny=2)
async def test_parallel_never_started(ln: Site, ny: Site) -> None:
    await feeds(ln, ny, manual_start=True)
    await ln.put("r", range(1000))
    await passes(5)
    assert ln.states("ny") == {"Not Running"}
    await ny.until_size("r", 0)
    await ln.until_size("r", 1000)


@scenario(ln=2, ny=1)
async def test_lifecycle_ops_before_start(ln: Site, ny: Site) -> None:
    """They are refused, and change nothing."""
    await sends(ln, ny, manual_start=True)
    await ln.put("r", range(100))
    for refused in (ln.pause_sender, ln.resume_sender, ln.stop_sender):
        with pytest.raises(AssertionError, match="gateway sender ny is not running"):
            await refused("ny")
        assert ln.states("ny") == {"Not Running"}


@pytest.mark.parametrize("threads", [1, 3, 5])
@scenario(ln=2, ny=1)
async def test_lifecycle_start_pause_resume_serial(ln: Site, ny: Site, threads: int) -> None:
    await sends(ln, ny, manual_start=True, dispatcher_threads=threads)
    await ln.put("r", range(10))
    await ln.start_sender("ny")
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    await ln.until_drained("ny")
    await ln.pause_sender("ny")
    assert ln.states("ny") == {"Paused"}
    await ln.put("r", range(10))
    await passes(5)
    assert ln.queued("ny") == 10
    await ln.resume_sender("ny")
    assert all(state.startswith("Running") for state in ln.states("ny"))
    await ln.until_drained("ny")
    await ny.until_size("r", 100)


@scenario(ln=4, ny=2)
async def test_lifecycle_resume_parallel(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    async with ln.putting("r", range(1000)):
        await until(lambda: ny.received("eventsReceived") > 0)
        await ln.pause_sender("ny")
        await ln.resume_sender("ny")
    await ln.until_drained("ny")
    await ny.until_size("r", 1000)


@scenario(ln=4, ny=2)
async def test_lifecycle_resume_on_stopped_is_noop(ln: Site, ny: Site) -> None:
    """It is refused."""
    await feeds(ln, ny)
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    await ln.stop_sender("ny")
    with pytest.raises(AssertionError, match="gateway sender ny is not running"):
        await ln.resume_sender("ny")
    await ln.put("r", range(1000))
    await passes(5)
    assert ln.states("ny") == {"Not Running"}
    await ny.until_size("r", 100)


@scenario(ln=4, ny=2)
async def test_lifecycle_stop_parallel(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    await ln.put("r", range(100))
    await ny.until_size("r", 100)
    await ln.stop_sender("ny")
    await ln.put("r", range(1000))
    await passes(5)
    await ny.until_size("r", 100)


@scenario(ln=4, ny=2)
async def test_lifecycle_start_after_stop_parallel(ln: Site, ny: Site) -> None:
    """What was put while it was stopped is sent after the start."""
    await feeds(ln, ny)
    await ln.put("r", range(200))
    await ny.until_size("r", 200)
    await ln.stop_sender("ny")
    await ln.put("r", range(1000))
    await ln.start_sender("ny")
    await ny.until_size("r", 1000)
    await ln.put("r", range(1000), "again")
    await ln.until_drained("ny")
    assert set((await ny.contents("r")).values()) == {"again"}


@scenario(ln=2, ny=1)
async def test_lifecycle_pause_queue_inspection(ln: Site, ny: Site) -> None:
    await sends(ln, ny)
    await ln.pause_sender("ny")
    await ln.put("r", range(20))
    await ln.until_queued("ny", 20)
    await ln.resume_sender("ny")
    await ln.until_drained("ny")
    await ny.until_size("r", 20)


@scenario(ln=1, ny=1)
async def test_lifecycle_start_other_member_after_stop(ln: Site, ny: Site) -> None:
    await sends(ln, ny)
    await ln.put("r", range(10))
    await ny.until_size("r", 10)
    await ln.stop_sender("ny", "a")
    await ln.join("b")
    await ln.put("r", range(100), at="b")
    await ln.until_primary("ny", "b")
    await ny.until_size("r", 100)
    await ln.until_drained("ny")


@BOTH_KINDS
@scenario(ln=2, ny=1)
async def test_lifecycle_destroy_attached_rejected(ln: Site, ny: Site, kind: str) -> None:
    await sends(ln, ny, kind)
    with pytest.raises(UsageError, match="ny is used by r"):
        await ln.destroy_sender("ny")
    await ln.put("r", range(100))
    await ny.until_size("r", 100)


@scenario(ln=2, ny=1)
async def test_lifecycle_destroy_after_detach(ln: Site, ny: Site) -> None:
    await sends(ln, ny)
    await ln.put("r", range(100))
    await ln.until_drained("ny")
    await ln.stop_sender("ny")
    await ln.alter_region("r", senders="")
    await ln.destroy_sender("ny")
    assert ln.statuses("ny") == {}
    await passes(5)
    assert not [key for key in ln.engine.registries[REGISTRY].items(CURSORS) if ".ny." in key]


@scenario(ln=2, ny=1)
async def test_lifecycle_destroy_serial_on_one_member(ln: Site, ny: Site) -> None:
    """A sender is every server's; what ends at one member is its instance, by a stop."""
    await sends(ln, ny)
    await ln.until_primary("ny", "a")
    await ln.stop_sender("ny", "a")
    await ln.until_primary("ny", "b")
    assert ln.statuses("ny")["a"].status == "Not Running"
    await ln.put("r", range(100))
    await ny.until_size("r", 100)


@pytest.mark.parametrize("options", [{"batch_size": 7}, {"batch_time_interval": 20}])
@scenario(ln=2, ny=1)
async def test_alter_serial_while_putting(ln: Site, ny: Site, options: dict[str, int]) -> None:
    await sends(ln, ny)
    await ln.put("r", range(1))
    await ny.until_size("r", 1)  # it is connected
    async with ln.putting("r", range(1000)):
        await until(lambda: ny.received("eventsReceived") > 1)
        await ln.alter_sender("ny", **options)
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert attributes_of(ln) == [options, options]


def attributes_of(ln: Site) -> list[dict[str, object]]:
    """Return in what each member's sender differs from one that was created with no options."""
    found = []
    for slot in ln.running:
        attributes = slot.member.gateways._senders["ny"].attributes
        plain = GatewaySenderAttributes(id="ny", remote_distributed_system_id=2, parallel=attributes.parallel)
        names = GatewaySenderAttributes.__struct_fields__
        found.append(
            {name: getattr(attributes, name) for name in names if getattr(attributes, name) != getattr(plain, name)}
        )
    return found


@scenario(ln=2, ny=1)
async def test_alter_parallel_with_queued_events(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    await ny.stop_receivers()
    await ln.put("r", range(1000))
    await ln.alter_sender("ny", batch_size=50, batch_time_interval=100)
    assert attributes_of(ln) == [{"batch_size": 50, "batch_time_interval": 100}] * 2
    await ny.start_receivers()
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


@pytest.mark.parametrize("threads", [1, 5])
@scenario(ln=2, ny=2)
async def test_alter_parallel_while_putting(ln: Site, ny: Site, threads: int) -> None:
    await feeds(ln, ny, dispatcher_threads=threads)
    async with ln.putting("r", range(5000)):
        await until(lambda: ny.received("eventsReceived") > 100)
        await ln.alter_sender("ny", batch_size=20)
        await ln.alter_sender("ny", batch_time_interval=30)
        assert all(each["batch_size"] == 20 and each["batch_time_interval"] == 30 for each in attributes_of(ln))
    await ny.until_size("r", 5000)
    await ln.until_drained("ny")


@scenario(ln=2, ny=2)
async def test_alter_parallel_while_paused(ln: Site, ny: Site) -> None:
    """Only the interval: there are no transactions."""
    await feeds(ln, ny)
    await ln.pause_sender("ny")
    await ln.put("r", range(5000), writers=30)
    await ln.alter_sender("ny", batch_time_interval=200)
    assert ln.states("ny") == {"Paused"}
    await passes(5)
    await ny.until_size("r", 0)
    await ln.resume_sender("ny")
    await ny.until_size("r", 5000)
    assert attributes_of(ln) == [{"batch_time_interval": 200}] * 2


@scenario(ln=2, ny=1)
async def test_stop_start_one_parallel_with_ssl(ln: Site, ny: Site) -> None:
    """Without SSL, which links have not yet."""
    await feeds(ln, ny, copies=1, enable_persistence=True)
    for start, letter in ((0, "a"), (10, "b")):
        await ln.put("r", range(start, start + 10))
        await ln.stop_sender("ny", letter)
        await ln.start_sender("ny", letter)
    await ny.until_size("r", 20)
    await ln.until_drained("ny")


@scenario(ln=1, ny=1, tk=1)
async def test_region_local_destroy_after_drain_recreate(ln: Site, ny: Site, tk: Site) -> None:
    """Destroying a region is the site's own in any case."""
    for site in (ny, tk):
        await site.receives("r", kind="PARTITION")
        await ln.create_sender(site.name, to=site, parallel=True)
    await ln.create_region("r", "PARTITION", senders="ny tk")
    await ln.put("r", range(10))
    for site in (ny, tk):
        await site.until_size("r", 10)
    await ln.destroy_region("r")
    await ln.create_region("r", "PARTITION", senders="ny tk")
    await ln.put("r", range(10, 20))
    await ln.until_size("r", 10)
    for site in (ny, tk):
        await site.until_size("r", 20)
        await ln.until_drained(site.name)


@scenario(ln=2, ny=1)
async def test_region_close_discards_queue(ln: Site, ny: Site) -> None:
    """A region is destroyed at its site, which drops its queue."""
    await feeds(ln, ny)
    await ln.pause_sender("ny")
    await ln.put("r", range(10))
    await ln.destroy_region("r")
    await ln.resume_sender("ny")
    await passes(5)
    await ny.until_size("r", 0)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(10, 20))
    await ny.until_size("r", 10)
    await ln.until_drained("ny")


async def destroy_while_putting(ln: Site, when: Callable[[], bool]) -> None:
    async with ln.putting("r", range(10_000)):
        await until(when)
        await ln.destroy_region("r")


@scenario(ln=2, ny=1)
async def test_region_destroy_with_concurrent_puts(ln: Site, ny: Site) -> None:
    """Destroying does not wait for the queue: that is dropped."""
    await feeds(ln, ny)
    with pytest.raises(RegionNotFoundError):
        await destroy_while_putting(ln, lambda: ny.received("eventsReceived") > 50)
    await passes(5)
    [there] = await ny.sizes("r")
    assert there >= 50
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", [f"new-{number}" for number in range(10)])
    await ny.until_size("r", there + 10)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_region_close_with_concurrent_puts(ln: Site, ny: Site) -> None:
    await feeds(ln, ny)
    await ln.pause_sender("ny")
    with pytest.raises(RegionNotFoundError):
        await destroy_while_putting(ln, lambda: ln.queued("ny") > 50)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(10))
    await passes(5)
    await ny.until_size("r", 0)
    await ln.until_size("r", 10)
    await ln.until_queued("ny", 10)


@scenario(ln=2, ny=1)
async def test_colocated_root_destroy_rejected(ln: Site, ny: Site) -> None:
    await ny.create_receiver()
    await ln.create_sender("ny", to=ny, parallel=True)
    for site, senders in ((ny, ""), (ln, "ny")):
        await site.create_region("customer", "PARTITION", senders=senders)
        await site.create_region("order", "PARTITION", senders=senders, colocated_with="customer")
    async with ln.putting("customer", range(1000)):
        with pytest.raises(UsageError, match="destroy order first"):
            await ln.destroy_region("customer")
    await ny.until_size("customer", 1000)


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=2)
async def test_create_paused_then_resume(ln: Site, parallel: bool) -> None:
    """What was commanded last holds over a restart, at that server; where nothing was, the definition does."""
    await ln.create_queue("q", listening("paused"), parallel=parallel, pause_event_processing=True)
    await ln.create_region("r", "PARTITION", queues="q")
    await ln.put("r", range(100))
    await ln.until_queued(queue_of("q"), 100)
    await passes(10.0)
    assert TOLD["paused"] == []
    assert ln.states(queue_of("q")) == {"Paused"}
    await ln.leave("b")
    await ln.join("b")
    assert ln.states(queue_of("q")) == {"Paused"}
    await ln.resume_queue("q")
    await ln.until_drained(queue_of("q"))
    assert {event.key for event in TOLD["paused"]} == {*range(100)}
    await ln.leave("b")
    await ln.join("b")
    assert ln.states(queue_of("q")) == {"Running"}
