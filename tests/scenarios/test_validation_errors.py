"""What is refused of definitions, whoever brings them: a command, or a member that defines the same otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.errors import UsageError
from heliograph.model.attributes import GatewaySenderAttributes, RegionAttributes
from heliograph.model.definitions import Attributes
from heliograph.model.queues import AsyncEventQueueAttributes
from tests.scenarios.plugins import LISTENERS, TOLD, listening
from tests.scenarios.sites import Site, queue_of, scenario

PLUGINS = "tests.scenarios.plugins:"
ONE, TWO = f"{PLUGINS}ByNumber", f'{PLUGINS}Telling{{"name": "validation"}}'
CHECKSUMS = (f"{PLUGINS}Checksum", f'{PLUGINS}Checksum{{"start": 7}}')


async def define(site: Site, attributes: Attributes, at: str = "b") -> None:
    """Have a member's own program define something."""
    await site.inside(site[at], site[at].member.configure(attributes))


async def differs(site: Site, named: str, here: dict[str, Any], there: dict[str, Any]) -> None:
    """Have two members define sender ny otherwise; the second one is refused, by the name of the attribute."""
    common: dict[str, Any] = {"id": "ny", "remote_distributed_system_id": 2}
    await define(site, GatewaySenderAttributes(**{**common, **here}), "a")
    await define(site, GatewaySenderAttributes(**{**common, **here}), "b")
    with pytest.raises(UsageError, match=f"gateway-sender ny exists already with other attributes .*{named}: "):
        await define(site, GatewaySenderAttributes(**{**common, **there}), "b")


async def senders(site: Site, *ids: str, **options: Any) -> None:
    for number, sender in enumerate(ids, start=2):
        await site.create_sender(sender, to=number, **options)


@scenario(ln=2)
async def test_val_region_sender_ids_must_match(ln: Site) -> None:
    await senders(ln, "ln1", "ln2", "ln3")
    await define(ln, RegionAttributes(name="r", gateway_sender_ids=("ln1", "ln2")), "a")
    with pytest.raises(UsageError, match=r"region r exists already with other attributes .gateway-sender-ids: "):
        await define(ln, RegionAttributes(name="r", gateway_sender_ids=("ln2", "ln3")), "b")


@scenario(ln=2)
async def test_val_region_async_ids_must_match(ln: Site) -> None:
    for queue in ("ln1", "ln2"):
        await ln.create_queue(queue, listening(queue))
    await define(ln, RegionAttributes(name="r", type="REPLICATE", async_event_queue_ids=("ln1",)), "a")
    with pytest.raises(UsageError, match=r"region r exists already with other attributes .async-event-queue-ids: "):
        await define(ln, RegionAttributes(name="r", type="REPLICATE", async_event_queue_ids=("ln2",)), "b")


@scenario(ln=1)
async def test_val_parallel_sender_noncolocated_regions(ln: Site) -> None:
    """Each bucket's log is its own queue, so regions that share a parallel sender need not be colocated."""
    await senders(ln, "ln", parallel=True)
    for region in ("one", "other"):
        await ln.create_region(region, "PARTITION", senders="ln")
    await ln.put("other", range(3))
    await ln.until_queued("ln", 3)


@scenario(ln=1)
async def test_val_parallel_sender_colocated_same(ln: Site) -> None:
    await colocated(ln, "ln1", "ln1 ln2")


@scenario(ln=1)
async def test_val_parallel_sender_colocated_none(ln: Site) -> None:
    await colocated(ln, "ln1", "")


@scenario(ln=1)
async def test_val_parallel_sender_colocated_subset_superset(ln: Site) -> None:
    await colocated(ln, "ln1 ln2", "ln1", "ln1 ln2 ln3")


async def colocated(site: Site, parents: str, *children: str) -> None:
    """Create a region with senders, and regions with others that are colocated with it."""
    await senders(site, "ln1", "ln2", "ln3", parallel=True)
    await site.create_region("parent", "PARTITION", senders=parents)
    for number, child in enumerate(children):
        await site.create_region(f"child{number}", "PARTITION", senders=child, colocated_with="parent")
        assert site.region_attributes(f"child{number}").gateway_sender_ids == tuple(child.split())


@scenario(ln=1)
async def test_val_parallel_on_replicated_region(ln: Site) -> None:
    await senders(ln, "s", parallel=True)
    refusal = "region r is replicated and can't use the parallel gateway sender s"
    with pytest.raises(UsageError, match=refusal):
        await ln.create_region("r", senders="s")
    await ln.create_region("r")
    with pytest.raises(UsageError, match=refusal):
        await ln.alter_region("r", senders="s")
    assert ln.region_attributes("r").gateway_sender_ids == ()


@scenario(ln=1)
async def test_val_parallel_async_on_replicated_region(ln: Site) -> None:
    await ln.create_queue("q", listening("replicated"), parallel=True)
    with pytest.raises(UsageError, match="region r is replicated and can't use the parallel async event queue q"):
        await ln.create_region("r", queues="q")


@pytest.mark.parametrize("parallel", [True, False])
@scenario(ln=1)
async def test_val_sender_id_unique_in_cache(ln: Site, parallel: bool) -> None:
    await senders(ln, "ln", parallel=parallel)
    with pytest.raises(UsageError, match="gateway-sender ln exists already"):
        await senders(ln, "ln", parallel=parallel)


@pytest.mark.parametrize("parallel", [True, False])
@scenario(ln=2)
async def test_val_serial_vs_parallel_across_members(ln: Site, parallel: bool) -> None:
    await differs(ln, "parallel", {"parallel": parallel}, {"parallel": not parallel})


@scenario(ln=2)
async def test_val_consistent_batch_conflation(ln: Site) -> None:
    await differs(ln, "enable-batch-conflation", {}, {"enable_batch_conflation": True})


@scenario(ln=2)
async def test_val_consistent_remote_dsid(ln: Site) -> None:
    await differs(ln, "remote-distributed-system-id", {}, {"remote_distributed_system_id": 3})


@scenario(ln=2)
async def test_val_consistent_alert_threshold(ln: Site) -> None:
    await differs(ln, "alert-threshold", {"alert_threshold": 100}, {"alert_threshold": 50})


@scenario(ln=2)
async def test_val_consistent_manual_start(ln: Site) -> None:
    """Of parallel senders, too."""
    await differs(ln, "manual-start", {"manual_start": True}, {"manual_start": False})


@pytest.mark.parametrize("other", [(ONE,), (TWO, ONE)])
@scenario(ln=2)
async def test_val_consistent_event_filters(ln: Site, other: tuple[str, ...]) -> None:
    """Their order counts, as they are asked one after the other."""
    given, there = {"gateway_event_filters": (ONE, TWO)}, {"gateway_event_filters": other}
    await differs(ln, "gateway-event-filters", given, there)


@pytest.mark.parametrize("other", [CHECKSUMS[::-1], CHECKSUMS[:1]])
@scenario(ln=2)
async def test_val_consistent_transport_filters(ln: Site, other: tuple[str, ...]) -> None:
    given, there = {"gateway_transport_filters": CHECKSUMS}, {"gateway_transport_filters": other}
    await differs(ln, "gateway-transport-filters", given, there)


@scenario(ln=2)
async def test_val_dispatcher_threads_may_differ(ln: Site) -> None:
    """They may not: a sender is defined once for its site."""
    await differs(ln, "dispatcher-threads", {"parallel": True}, {"parallel": True, "dispatcher_threads": 4})


@pytest.mark.parametrize("parallel", [True, False])
@scenario(ln=4)
async def test_val_attach_async_by_mutator(ln: Site, parallel: bool) -> None:
    await ln.create_queue("q", listening("attached"), parallel=parallel)
    await ln.create_region("r", "PARTITION")
    await ln.put("r", range(3))
    await ln.alter_region("r", queues="q")
    await ln.put("r", range(256))
    await ln.until_drained(queue_of("q"))
    assert sorted(event.key for event in TOLD["attached"]) == [*range(256)]
    told = [len(each.events) for each in LISTENERS["attached"] if each.events]
    assert sum(told) == 256
    assert len(told) == (4 if parallel else 1)


@scenario(ln=1)
async def test_val_sender_and_async_ids_separate(ln: Site) -> None:
    """What a region names has to be there before it."""
    with pytest.raises(UsageError, match="region r names gateway sender ln, which does not exist"):
        await ln.create_region("r", senders="ln ny", queues="Async_LN")
    await senders(ln, "ln", "ny")
    await ln.create_queue("Async_LN", listening("separate"))
    await ln.create_region("r", senders="ln ny", queues="Async_LN")
    assert ln.region_attributes("r").gateway_sender_ids == ("ln", "ny")
    assert ln.region_attributes("r").async_event_queue_ids == ("Async_LN",)


def test_val_zero_dispatcher_threads() -> None:
    with pytest.raises(UsageError, match="dispatcher-threads 0: use 1 to 64"):
        GatewaySenderAttributes(id="s", remote_distributed_system_id=2, dispatcher_threads=0)
    with pytest.raises(UsageError, match="dispatcher-threads 0: use 1 to 64"):
        AsyncEventQueueAttributes(id="q", listener="a:b", dispatcher_threads=0)


@scenario(ln=1)
async def test_val_parallel_multi_threads_ok(ln: Site) -> None:
    await senders(ln, "s", parallel=True, dispatcher_threads=4)
    assert ln.sender_attributes("s").order_policy == "key"


def test_val_parallel_thread_policy() -> None:
    with pytest.raises(UsageError, match="gateway sender s is parallel and can't be created with order-policy thread"):
        GatewaySenderAttributes(id="s", remote_distributed_system_id=2, parallel=True, order_policy="thread")
    with pytest.raises(UsageError, match="queue q is parallel and can't be created with order-policy thread"):
        AsyncEventQueueAttributes(id="q", listener="a:b", parallel=True, order_policy="thread")


@scenario(ln=1)
async def test_val_sender_attributes_roundtrip(ln: Site) -> None:
    attributes = GatewaySenderAttributes(
        id="s", remote_distributed_system_id=2, manual_start=True, enable_batch_conflation=True, batch_size=200,
        batch_time_interval=300, maximum_queue_memory=200, alert_threshold=1200, gateway_event_filters=(ONE,),
        gateway_transport_filters=CHECKSUMS,
    )  # fmt: skip
    await ln.operate(lambda admin: admin.senders.create(attributes))
    assert ln.sender_attributes("s") == attributes
    senders_there: Any = ln["a"].member.gateways
    assert {name: each.attributes for name, each in senders_there._senders.items()} == {"s": attributes}


@pytest.mark.parametrize("remote", [1, -1])
@scenario(ln=1)
async def test_val_remote_dsid_own_or_negative(ln: Site, remote: int) -> None:
    with pytest.raises(UsageError, match=r"own distributed-system-id|distributed-system-id -1"):
        await ln.create_sender("s", to=remote)


@scenario(ln=1)
async def test_val_small_socket_read_timeout(ln: Site) -> None:
    attributes = GatewaySenderAttributes(id="s", remote_distributed_system_id=2, socket_read_timeout=1000)
    result = await ln.operate(lambda admin: admin.senders.create(attributes))
    assert "socket-read-timeout 1000 is too short: 30000 ms are used." in result.info
    assert ln.sender_attributes("s").read_timeout_ms == 30_000
    assert GatewaySenderAttributes(id="s", remote_distributed_system_id=2).read_timeout_ms == 0


def test_val_sender_defaults() -> None:
    """A batch leaves at once, and the system tunes the sockets."""
    sender = GatewaySenderAttributes(id="s", remote_distributed_system_id=2)
    assert (sender.parallel, sender.batch_size, sender.maximum_queue_memory) == (False, 100, 100)
    assert (sender.dispatcher_threads, sender.order_policy, sender.alert_threshold) == (5, "key", 0)
    assert [sender.enable_persistence, sender.enable_batch_conflation, sender.manual_start] == [False] * 3
    assert (sender.batch_time_interval, sender.socket_buffer_size) == (0, 0)
