"""What leads from one cluster configuration to another."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.locator.requests import QueueAlteration, RegionAlteration, SenderAlteration, StoreAlteration
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.cluster_configuration import ALTERABLE, ClusterConfiguration, Plan, merged, plan
from heliograph.model.definitions import subject_of
from heliograph.model.queues import AsyncEventQueueAttributes

EMPTY = ClusterConfiguration()
STORE = DiskStoreAttributes(name="wan")
SENDER = GatewaySenderAttributes(id="s2", remote_distributed_system_id=2, parallel=True)
QUEUE = AsyncEventQueueAttributes(id="audit", listener="shop:Audit")
PARENT = RegionAttributes(name="order", gateway_sender_ids=("s2",), async_event_queue_ids=("audit",), disk_store="wan")
CHILD = RegionAttributes(name="item", colocated_with="/order", disk_store="wan")
RECEIVER = GatewayReceiverAttributes()
FULL = ClusterConfiguration(
    disk_stores=(STORE,),
    gateway_senders=(SENDER,),
    async_event_queues=(QUEUE,),
    regions=(CHILD, PARENT),
    gateway_receivers=(RECEIVER, GatewayReceiverAttributes(group="wan"), GatewayReceiverAttributes(member="s1")),
    gateway_conflict_resolver=GatewayConflictResolverAttributes(resolver="shop:Greatest"),
)


def steps(plan_: Plan) -> list[str]:
    return [str(step) for step in plan_.steps]


def with_region(**changes: Any) -> ClusterConfiguration:
    region = msgspec.structs.replace(PARENT, **changes)
    return msgspec.structs.replace(FULL, regions=(region, CHILD))


def test_what_is_named_is_created_before_what_names_it() -> None:
    assert steps(plan(EMPTY, FULL)) == [
        "create gateway-conflict-resolver",
        "create disk-store wan",
        "create gateway-sender s2",
        "create async-event-queue audit",
        "create region order",
        "create region item",
        "create gateway-receiver of member s1",
        "create gateway-receiver of group wan",
        "create gateway-receiver",
    ]


def test_what_is_not_wanted_is_left_unless_pruned() -> None:
    assert plan(FULL, EMPTY) == Plan((), ())
    assert steps(plan(FULL, EMPTY, prune=True)) == [
        "destroy gateway-receiver",
        "destroy gateway-receiver of group wan",
        "destroy gateway-receiver of member s1",
        "destroy region item",
        "destroy region order",
        "destroy async-event-queue audit",
        "destroy gateway-sender s2",
        "destroy disk-store wan",
        "destroy gateway-conflict-resolver",
    ]


def test_a_region_leaves_a_sender_before_that_is_destroyed() -> None:
    want = msgspec.structs.replace(with_region(gateway_sender_ids=()), gateway_senders=())
    assert steps(plan(FULL, want, prune=True)) == [
        "alter region order (gateway-sender-ids: s2 there, none here)",
        "destroy gateway-sender s2",
    ]


def test_what_an_alter_command_changes_is_altered() -> None:
    want = msgspec.structs.replace(FULL, gateway_senders=(msgspec.structs.replace(SENDER, batch_size=7),))
    assert steps(plan(FULL, want)) == ["alter gateway-sender s2 (batch-size: 100 there, 7 here)"]


def test_what_nothing_changes_is_a_conflict() -> None:
    want = with_region(total_num_buckets=4, gateway_sender_ids=())
    (conflict,) = plan(FULL, want).conflicts
    assert conflict == (
        "region order exists with other attributes (gateway-sender-ids: s2 there, none here, total-num-buckets: "
        "16 there, 4 here), and total-num-buckets can't be changed: write what is there, or destroy it first"
    )
    assert not plan(FULL, want).steps


@pytest.mark.parametrize(
    ("kind", "alteration"),
    [
        (DiskStoreAttributes, StoreAlteration),
        (GatewaySenderAttributes, SenderAlteration),
        (AsyncEventQueueAttributes, QueueAlteration),
        (RegionAttributes, RegionAlteration),
    ],
)
def test_what_is_alterable_is_what_the_alter_commands_take(kind: Any, alteration: type[msgspec.Struct]) -> None:
    assert {*ALTERABLE[kind]} == {*alteration.__struct_fields__}


def test_two_spellings_of_one_definition_are_equal() -> None:
    other = RegionAttributes(name="/item", colocated_with="order", disk_store="wan", redundant_copies=0)
    assert msgspec.structs.replace(FULL, regions=(other, PARENT)) == FULL
    assert ClusterConfiguration(disk_stores=(DiskStoreAttributes(name="DEFAULT"),)) == EMPTY
    one, another = (
        ClusterConfiguration(
            regions=(RegionAttributes(name="r", groups=groups),),
            gateway_receivers=(GatewayReceiverAttributes(member=member), GatewayReceiverAttributes(group=groups[0])),
        )
        for groups, member in ((("East", "west"), "S1"), (("east", "WEST", "West"), "s1"))
    )
    assert one == another


def test_one_name_is_defined_once() -> None:
    with pytest.raises(UsageError, match="gateway-sender s2 is defined twice"):
        ClusterConfiguration(gateway_senders=(SENDER, msgspec.structs.replace(SENDER, batch_size=7)))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"gateway_senders": ()}, "names gateway sender s2, which does not exist"),
        ({"async_event_queues": ()}, "names async event queue audit, which does not exist"),
        ({"disk_stores": ()}, "names disk store 'wan', which does not exist"),
        ({"regions": (CHILD,)}, "can't be colocated with order, which does not exist"),
        (
            {
                "regions": (
                    msgspec.structs.replace(CHILD, name="a", colocated_with="b"),
                    msgspec.structs.replace(CHILD, name="b", colocated_with="a"),
                )
            },
            "colocated with each other in a circle",
        ),
    ],
)
def test_what_definitions_say_of_each_other_is_checked(changes: dict[str, Any], error: str) -> None:
    FULL.check(1)
    with pytest.raises(UsageError, match=error):
        msgspec.structs.replace(FULL, **changes).check(1)


def test_gateways_have_to_fit_their_site() -> None:
    with pytest.raises(UsageError, match="this site's own distributed-system-id"):
        FULL.check(2)


def test_a_configuration_survives_its_encoding() -> None:
    assert msgspec.json.decode(msgspec.json.encode(FULL), type=ClusterConfiguration) == FULL


@given(st.sets(st.sampled_from([subject_of(each) for each in FULL.definitions()])), st.booleans())
def test_a_plan_leads_to_what_is_wanted(kept: set[str], prune: bool) -> None:
    have = ClusterConfiguration(
        disk_stores=tuple(each for each in FULL.disk_stores if subject_of(each) in kept),
        gateway_senders=tuple(each for each in FULL.gateway_senders if subject_of(each) in kept),
        async_event_queues=tuple(each for each in FULL.async_event_queues if subject_of(each) in kept),
        regions=tuple(each for each in FULL.regions if subject_of(each) in kept),
        gateway_receivers=tuple(each for each in FULL.gateway_receivers if subject_of(each) in kept),
        gateway_conflict_resolver=FULL.gateway_conflict_resolver if "gateway-conflict-resolver" in kept else None,
    )
    there = {subject_of(each): each for each in have.definitions()}
    for step in plan(have, FULL, prune=prune).steps:
        there[subject_of(step.definition)] = step.definition
    assert there == {subject_of(each): each for each in FULL.definitions()}
    assert merged(have, FULL) == FULL
    assert not plan(FULL, merged(FULL, have)).steps
