"""The rules of definitions, and what is said of those that break one."""

from typing import Any

import pytest

from heliograph.errors import UsageError
from heliograph.locator.requests import QueueAlteration, SenderAlteration
from heliograph.model.attributes import (
    ALTERABLE,
    REGION_TYPES,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
    check_region_senders,
    check_sender_store,
)
from heliograph.model.definitions import Attributes, check_gateway_at_site, differences, exists_already, subject_of
from heliograph.model.ids import NO_SITE_ID
from heliograph.model.queues import QueueAttributes


def region(**options: Any) -> RegionAttributes:
    return RegionAttributes(**{"name": "customer", **options})


def sender(**options: Any) -> GatewaySenderAttributes:
    return GatewaySenderAttributes(**{"id": "s2", "remote_distributed_system_id": 2, **options})


def receiver(**options: Any) -> GatewayReceiverAttributes:
    return GatewayReceiverAttributes(**options)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (region, {"name": "a b"}, "'a b' can't name a region"),
        (region, {"type": "PARTED"}, "region type 'PARTED' is not known: use one of REPLICATE, "),
        (region, {"total_num_buckets": 0}, "total-num-buckets 0: use 1 to 4096"),
        (region, {"total_num_buckets": 4097}, "total-num-buckets 4097: use 1 to 4096"),
        (region, {"redundant_copies": 4}, "redundant-copies 4: use 0 to 3"),
        (region, {"redundant_copies": -1}, "redundant-copies -1: use 0 to 3"),
        (region, {"type": "REPLICATE", "redundant_copies": 1}, "redundant-copies is for PARTITION types"),
        (region, {"gateway_sender_ids": ("a b",)}, "'a b' can't name a gateway sender"),
        (
            region,
            {"entry_time_to_live_expiration": -1},
            "entry-time-to-live-expiration -1: use 1 to 2147483647 seconds, or 0",
        ),
        (region, {"entry_idle_time_expiration": 2**31}, "entry-idle-time-expiration 2147483648: use 1 to"),
        (
            region,
            {"entry_idle_time_expiration_action": "Local-Destroy"},
            "entry-idle-time-expiration-action 'Local-Destroy' would let copies of the region differ: use destroy",
        ),
        (
            region,
            {"entry_time_to_live_expiration_action": "forget"},
            "entry-time-to-live-expiration-action 'forget' is not known: use destroy or invalidate",
        ),
        (sender, {"id": ""}, "'' can't name a gateway sender"),
        (sender, {"remote_distributed_system_id": 256}, "distributed-system-id 256 is out of range"),
        (sender, {"batch_size": 0}, "batch-size 0: use 1 to 2147483647, or -1"),
        (sender, {"batch_size": -2}, "batch-size -2: use 1 to 2147483647, or -1"),
        (sender, {"batch_time_interval": -2}, "batch-time-interval -2: use 0 to 3600000 ms, or -1"),
        (sender, {"alert_threshold": -1}, "alert-threshold -1: use 1 to 2147483647 ms, or 0 for no warning"),
        (sender, {"disk_store_name": "a/b"}, "'a/b' can't name a disk store"),
        (sender, {"parallel": True, "members": ("a",)}, "gateway sender s2 is parallel, so every server ships"),
        (sender, {"parallel": True, "groups": ("a",)}, "gateway sender s2 is parallel, so every server ships"),
        (sender, {"members": ("a",), "groups": ("a",)}, "member and group exclude each other"),
        (sender, {"maximum_queue_memory": 0}, "maximum-queue-memory 0: use 1 to 2147483647 MB"),
        (sender, {"dispatcher_threads": 0}, "dispatcher-threads 0: use 1 to 64"),
        (sender, {"dispatcher_threads": 65}, "dispatcher-threads 65: use 1 to 64"),
        (receiver, {"start_port": 0}, "start-port 0: use 1 to 65535"),
        (receiver, {"end_port": 65536}, "end-port 65536: use 1 to 65535"),
        (receiver, {"start_port": 9, "end_port": 8}, "start-port 9 is above end-port 8"),
        (receiver, {"maximum_time_between_pings": 999}, "maximum-time-between-pings 999: use 1000 to 2147483647 ms"),
    ],
)
def test_a_rule_that_is_broken_is_named(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (region, {"total_num_buckets": 1, "redundant_copies": 0}),
        (region, {"total_num_buckets": 4096, "redundant_copies": 3}),
        (sender, {"batch_size": -1, "batch_time_interval": -1, "dispatcher_threads": 64}),
        (sender, {"batch_size": 1, "batch_time_interval": 0, "dispatcher_threads": 1, "maximum_queue_memory": 1}),
        (receiver, {"start_port": 1, "end_port": 1, "maximum_time_between_pings": 1000}),
        (receiver, {"start_port": 65535, "end_port": 65535}),
    ],
)
def test_the_limits_themselves_are_within(make: Any, options: dict[str, Any]) -> None:
    made = make(**options)
    assert {name: getattr(made, name) for name in options} == options


@pytest.mark.parametrize("type_", REGION_TYPES)
def test_what_a_region_type_says(type_: str) -> None:
    made = region(type=type_)
    assert made.replicated == type_.startswith("REPLICATE")
    assert made.copies == ("REDUNDANT" in type_)
    kind = "replicate" if made.replicated else "partition"
    assert made.data_policy == (f"persistent {kind}" if type_.endswith("PERSISTENT") else kind)


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("LOCAL", "on one member only"),
        ("LOCAL_PERSISTENT_OVERFLOW", "on one member only"),
        ("REPLICATE_PROXY", "use a thin client"),
        ("PARTITION_PROXY_REDUNDANT", "use a thin client"),
        ("REPLICATE_OVERFLOW", "all are in memory; use REPLICATE and"),
        ("PARTITION_REDUNDANT_PERSISTENT_OVERFLOW", "use PARTITION_REDUNDANT_PERSISTENT and"),
        ("PARTITION_HEAP_LRU", "use PARTITION and"),
        ("LOCALE", "known: use one of REPLICATE, "),
        ("_OVERFLOW", "known"),
    ],
)
def test_a_region_type_that_is_not_offered_is_refused_with_what_to_use(type_: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"region type '{type_}' is not.*{reason}"):
        region(type=type_)


def test_redundant_copies_override_the_type() -> None:
    assert region(type="PARTITION_REDUNDANT", redundant_copies=0).copies == 0


@pytest.mark.parametrize(
    ("gateway", "site", "message"),
    [
        (sender(), 2, "gateway-sender s2: remote-distributed-system-id 2 is this site's own distributed-system-id"),
        (sender(), NO_SITE_ID, "gateway-sender s2: this site has no distributed-system-id"),
        (receiver(), NO_SITE_ID, "gateway-receiver: this site has no distributed-system-id"),
    ],
)
def test_gateways_that_do_not_fit_their_site(gateway: Any, site: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_gateway_at_site(gateway, site)


def test_gateways_that_fit_their_site() -> None:
    check_gateway_at_site(sender(), 1)
    check_gateway_at_site(receiver(), 1)


def test_senders_of_a_region() -> None:
    senders = {"serial": sender(id="serial"), "parallel": sender(id="parallel", parallel=True)}
    check_region_senders(region(gateway_sender_ids=("serial", "parallel")), senders)
    check_region_senders(region(type="REPLICATE", gateway_sender_ids=("serial",)), senders)
    with pytest.raises(UsageError, match="customer names gateway sender none, which does not exist: create it first"):
        check_region_senders(region(gateway_sender_ids=("none",)), senders)
    with pytest.raises(UsageError, match="is replicated and can't use the parallel gateway sender parallel"):
        check_region_senders(region(type="REPLICATE", gateway_sender_ids=("parallel",)), senders)


def test_a_persistent_region_asks_a_parallel_sender_for_a_persistent_queue() -> None:
    senders = {
        "serial": sender(id="serial"),
        "fleeting": sender(id="fleeting", parallel=True),
        "kept": sender(id="kept", parallel=True, enable_persistence=True),
    }
    kept = region(type="PARTITION_PERSISTENT", gateway_sender_ids=("serial", "kept"))
    check_region_senders(kept, senders)
    check_region_senders(region(gateway_sender_ids=("fleeting", "kept")), senders)
    with pytest.raises(UsageError, match="parallel gateway sender fleeting, whose queue is not: create that with"):
        check_region_senders(region(type="PARTITION_PERSISTENT", gateway_sender_ids=("fleeting",)), senders)


def test_a_sender_that_names_a_disk_store_is_for_regions_in_it() -> None:
    senders = {"wan": sender(id="wan", disk_store_name="wan"), "any": sender(id="any")}
    check_region_senders(region(disk_store="wan", gateway_sender_ids=("wan", "any")), senders)
    with pytest.raises(UsageError, match=r"is in disk store DEFAULT .* sender wan names wan"):
        check_region_senders(region(gateway_sender_ids=("any", "wan")), senders)
    check_sender_store(senders["any"], ())
    check_sender_store(senders["wan"], {"wan"})
    check_sender_store(sender(disk_store_name="DEFAULT"), ())
    with pytest.raises(UsageError, match="gateway sender wan names disk store 'wan', which does not exist"):
        check_sender_store(senders["wan"], ())


def test_a_sender_that_keeps_the_order_of_threads_is_serial_and_of_one_disk_store() -> None:
    with pytest.raises(UsageError, match="is parallel and can't be created with order-policy thread"):
        sender(parallel=True, order_policy="thread")
    senders = {
        "default": sender(id="default", order_policy="thread"),
        "wan": sender(id="wan", order_policy="thread", disk_store_name="wan"),
    }
    check_region_senders(region(gateway_sender_ids=("default",)), senders)
    check_region_senders(region(disk_store="wan", gateway_sender_ids=("wan",)), senders)
    with pytest.raises(UsageError, match=r"order of threads, .* create it with --disk-store-name=wan"):
        check_region_senders(region(disk_store="wan", gateway_sender_ids=("default",)), senders)


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        (sender(), sender(), ""),
        (sender(batch_size=10), sender(), "batch-size: 10 there, 100 here"),
        (sender(parallel=True), sender(), "parallel: true there, false here"),
        (region(gateway_sender_ids=("a", "b")), region(), "gateway-sender-ids: a,b there, none here"),
        (region(redundant_copies=1), region(), "redundant-copies: 1 there, unset here"),
        (
            receiver(start_port=5001, bind_address="h"),
            receiver(),
            "start-port: 5001 there, 5000 here, bind-address: h there, unset here",
        ),
    ],
)
def test_differences(there: Attributes, here: Attributes, said: str) -> None:
    assert differences(there, here) == said


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        (region(), region(total_num_buckets=5), "region customer exists already with other attributes (total-num-"),
        (sender(), sender(), "gateway-sender s2 exists already: alter gateway-sender changes"),
        (None, receiver(), "gateway-receiver exists already: leave it with --if-not-exists, or destroy"),
    ],
)
def test_what_exists_already(there: Attributes | None, here: Attributes, said: str) -> None:
    text = str(exists_already(there, here))
    assert text.startswith(said)
    assert "destroy " + subject_of(here).split()[0] in text


def test_an_expiration_action_is_the_same_in_any_case() -> None:
    assert region(entry_idle_time_expiration_action="DESTROY") == region(entry_idle_time_expiration_action="destroy")


def test_what_commands_may_alter_of_a_sender_is_alterable() -> None:
    assert {*SenderAlteration.__struct_fields__} <= ALTERABLE
    altered = {"max_queue_memory": "maximum_queue_memory", "pause_event_processing": "paused"}
    assert {altered.get(field, field) for field in QueueAlteration.__struct_fields__} <= ALTERABLE
    assert {*QueueAttributes.__struct_fields__} >= ALTERABLE
