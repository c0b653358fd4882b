"""What shows when sites are seen together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.errors import UsageError
from heliograph.model.attributes import GatewayReceiverAttributes, GatewaySenderAttributes, RegionAttributes
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.ids import Address
from heliograph.model.topology import SiteDefinition, Topology, lint


def site(dsid: int, *to: int, receiver: Any = "own", **region: Any) -> SiteDefinition:
    senders = tuple(GatewaySenderAttributes(id=f"to{each}", remote_distributed_system_id=each) for each in to)
    if receiver == "own":
        receiver = GatewayReceiverAttributes(start_port=5000 + dsid, end_port=5000 + dsid)
    ids = tuple(sender.id for sender in senders)
    return SiteDefinition(
        name=f"site{dsid}",
        distributed_system_id=dsid,
        locators=(Address(f"h{dsid}", 10334),),
        configuration=ClusterConfiguration(
            gateway_senders=senders,
            regions=(RegionAttributes(**{"name": "customer", "gateway_sender_ids": ids, **region}),),
            gateway_receivers=(receiver,) if receiver else (),
        ),
    )


def found(*sites: SiteDefinition) -> list[str]:
    return [f"{each.level} {each.site}: {each.message}" for each in lint(Topology(sites))]


def test_a_mesh_a_ring_and_a_star_are_in_order() -> None:
    assert found(site(1, 2, 3), site(2, 1, 3), site(3, 1, 2)) == []
    assert found(site(1, 2), site(2, 3), site(3, 1)) == []
    assert found(site(1, 2, 3), site(2, 1), site(3, 1)) == []


def test_a_missing_way_back_is_a_warning() -> None:
    (finding,) = found(site(1, 2), site(2))
    assert finding.startswith("warning site2: region customer comes from site site1 and nothing goes back there")


def test_no_way_is_looked_for_where_the_region_is_not() -> None:
    empty = msgspec.structs.replace(site(3), configuration=ClusterConfiguration())
    assert found(site(1, 2), site(2, 1), empty) == []


def test_a_sender_has_to_lead_to_a_site_with_a_receiver_and_the_region() -> None:
    assert found(site(1, 9)) == [
        "error site1: gateway sender to9 leads to distributed-system-id 9, which no site of the file has"
    ]
    assert (
        "error site1: gateway sender to2 leads to site site2, which has no gateway-receiver: define one there"
        in found(site(1, 2), site(2, 1, receiver=None))
    )
    assert "error site1: region customer goes to site site2, which does not have it: define it there" in found(
        site(1, 2), site(2, 1, name="other")
    )


def test_a_sender_without_a_region_is_a_warning() -> None:
    assert found(site(1, 2, gateway_sender_ids=()), site(2)) == [
        "warning site1: gateway sender to2 ships no region: name it in a gateway-sender-ids"
    ]


def test_what_is_wrong_with_a_site_alone_is_an_error() -> None:
    (finding,) = found(site(1, 2, gateway_sender_ids=("to2", "to3")), site(2, 1))
    assert finding == "error site1: region customer names gateway sender to3, which does not exist: create it first"
    (finding,) = found(site(1, 1))
    assert "is this site's own distributed-system-id" in finding


def test_a_parallel_sender_of_a_replicated_region_is_an_error() -> None:
    one = site(1, 2, type="REPLICATE")
    parallel = tuple(msgspec.structs.replace(each, parallel=True) for each in one.configuration.gateway_senders)
    configuration = msgspec.structs.replace(one.configuration, gateway_senders=parallel)
    (finding,) = found(msgspec.structs.replace(one, configuration=configuration), site(2, 1, type="REPLICATE"))
    assert finding.startswith(
        "error site1: region customer is replicated and can't use the parallel gateway sender to2"
    )


def test_regions_that_differ_are_a_warning() -> None:
    assert found(site(1, 2, entry_time_to_live_expiration=5), site(2, 1)) == [
        "warning site1: region customer is unlike that of site site2 (entry-time-to-live-expiration: 5 here, 0 there)"
    ]


def test_clashing_ports_are_told() -> None:
    one, two = site(1, 2), site(2, 1)
    both = (Address("h", 10334),)
    shared = found(msgspec.structs.replace(one, locators=both), msgspec.structs.replace(two, locators=both))
    assert shared == ["error site1: locator h[10334] is one of site site2 too"]
    two = site(2, 1, receiver=GatewayReceiverAttributes(start_port=4000, end_port=11000))
    (range_, port) = found(
        msgspec.structs.replace(one, locators=both), msgspec.structs.replace(two, locators=(Address("h", 10335),))
    )
    assert "take ports 5001 to 5001, and those of site site2 4000 to 11000, on the host h of both" in range_
    assert port.startswith("warning site2: locator h[10335] is among the ports 4000 to 11000")


def test_errors_come_first() -> None:
    findings = lint(Topology((site(1, 9, entry_idle_time_expiration=3), site(2))))
    assert [each.level for each in findings] == sorted(each.level for each in findings)
    assert findings[0].level == "error"


def test_sites_need_names_and_numbers_of_their_own() -> None:
    with pytest.raises(UsageError, match="two sites are called site1"):
        Topology((site(1), msgspec.structs.replace(site(2), name="site1")))
    with pytest.raises(UsageError, match="have the same distributed-system-id 1"):
        Topology((site(1), msgspec.structs.replace(site(1), name="other")))
