"""What a topology file may say, and what is said of one that says something else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.config.topology_file import parse_topology, read_topology
from heliograph.errors import UsageError
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.ids import Address
from heliograph.model.queues import AsyncEventQueueAttributes

SITE = '[sites.a]\ndistributed-system-id = 1\nlocators = ["h[1]"]\n'
WAN = """
[regions.customer]
type = "PARTITION_REDUNDANT"
[gateway-receiver]
start-port = 1530
end-port = 1551
[disk-stores.wan]
[gateway-conflict-resolver]
resolver = "shop:Greatest"

[sites.london]
distributed-system-id = 1
locators = ["10.1.0.5[10334]", "10.1.0.6:10334"]
[sites.london.gateway-senders.to-ny]
remote-distributed-system-id = 2
parallel = true
gateway-event-filters = ["shop:Small"]
[sites.london.async-event-queues.audit]
listener = "shop:Audit"
[sites.london.regions.customer]
gateway-sender-ids = ["to-ny"]
groups = ["data"]
[sites.london.gateway-receiver]
hostname-for-senders = "wan.example.org"

[sites.ny]
distributed-system-id = 2
url = "http://10.2.0.5:7070"
"""


def test_what_stands_at_the_top_holds_for_every_site() -> None:
    london, ny = parse_topology(WAN).sites
    assert (london.name, london.distributed_system_id, london.url) == ("london", 1, "")
    assert london.locators == (Address("10.1.0.5", 10334), Address("10.1.0.6", 10334))
    assert london.configuration.disk_stores == ny.configuration.disk_stores == (DiskStoreAttributes(name="wan"),)
    assert london.configuration.gateway_senders == (
        GatewaySenderAttributes(
            id="to-ny", remote_distributed_system_id=2, parallel=True, gateway_event_filters=("shop:Small",)
        ),
    )
    assert london.configuration.async_event_queues == (AsyncEventQueueAttributes(id="audit", listener="shop:Audit"),)
    assert london.configuration.regions == (
        RegionAttributes(name="customer", type="PARTITION_REDUNDANT", gateway_sender_ids=("to-ny",), groups=("data",)),
    )
    assert ny.configuration.regions == (RegionAttributes(name="customer", type="PARTITION_REDUNDANT"),)
    resolver = GatewayConflictResolverAttributes(resolver="shop:Greatest")
    assert london.configuration.gateway_conflict_resolver == ny.configuration.gateway_conflict_resolver == resolver
    assert ny.configuration.gateway_receivers == (GatewayReceiverAttributes(start_port=1530, end_port=1551),)
    assert london.configuration.gateway_receivers == (
        GatewayReceiverAttributes(start_port=1530, end_port=1551, hostname_for_senders="wan.example.org"),
    )


def test_a_site_may_have_receivers_of_groups_and_members() -> None:
    text = """
        [gateway-receiver]
        start-port = 1530
        end-port = 1551
        [sites.ny]
        distributed-system-id = 1
        locators = ["ny[10334]"]
        [[sites.ny.gateway-receiver]]
        group = "wan"
        [[sites.ny.gateway-receiver]]
        member = "s1"
        manual-start = true
    """
    (site,) = parse_topology(text).sites
    assert site.configuration.gateway_receivers == (
        GatewayReceiverAttributes(group="wan"),
        GatewayReceiverAttributes(member="s1", manual_start=True),
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a = \nb", "no TOML: .*line 1"),
        ("a = " + "[" * 5000, "it is nested too deeply"),
        ("", "it has no site"),
        ("sites = 1", r"sites is no table: write \[sites\]"),
        ("[sites]\na = 1", r"sites.a is no table"),
        ("[region.x]", "region is not known here: is regions meant?"),
        ("[sites.a]\n", "sites.a: give it a distributed-system-id"),
        ("[sites.a]\ndistributed-system-id = true", "sites.a: give it a distributed-system-id"),
        ('[sites.a]\ndistributed-system-id = 300\nurl = "http://x"', "sites.a: .*300"),
        ("[sites.a]\ndistributed-system-id = 1", "either locators or the url"),
        (SITE + 'url = "http://x"', "either locators or the url"),
        ('[sites.a]\ndistributed-system-id = 1\nlocators = "h[1]"', "write a list of addresses"),
        ('[sites.a]\ndistributed-system-id = 1\nlocators = ["h"]', "sites.a: 'h' is not an address"),
        ('[sites."a b"]\ndistributed-system-id = 1\nlocators = ["h[1]"]', "can't name a site"),
        (SITE + 'regions.x.typ = "REPLICATE"', "sites.a.regions.x.typ is not known here: is type meant?"),
        (SITE + 'regions.x.name = "y"', "sites.a.regions.x.name is not known here"),
        (SITE + "regions.x.type = 1", "sites.a.regions.x.type: Expected `str`, got `int`"),
        (SITE + 'regions.x.type = "P"', "sites.a.regions.x: region type 'P' is not known"),
        (SITE + 'regions.x.gateway-sender-ids = ["a", 3]', r"sites.a.regions.x.gateway-sender-ids\[1\]: Expected"),
        (SITE + 'regions."a b".type = "REPLICATE"', "can't name a region"),
        (SITE + "gateway-senders.x = {}", "needs the option `remote-distributed-system-id`"),
        (SITE + "gateway-receiver.start-port = 6000", "sites.a.gateway-receiver: start-port 6000 is above"),
        (SITE + SITE.replace("sites.a", "sites.b"), "sites a and b have the same distributed-system-id 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        parse_topology(text)


def test_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml can't be read: No such file"):
        read_topology(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="can't be read: Is a directory"):
        read_topology(tmp_path)
    path = tmp_path / "wan.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"wan.toml is not UTF-8 \(byte 0\)"):
        read_topology(path)
    path.write_text("[sites]")
    with pytest.raises(UsageError, match=r"wan\.toml: it has no site"):
        read_topology(path)
    path.write_text(WAN)
    assert read_topology(path) == parse_topology(WAN)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "wan.toml"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    with pytest.raises(UsageError, match="more than"):
        read_topology(path)


@given(st.text() | st.lists(st.sampled_from(["[", "]", "sites", ".", "a", "=", "1", '"', "\n", "{", "}"])).map("".join))
def test_any_text_is_a_topology_or_refused(text: str) -> None:
    with suppress(UsageError):
        parse_topology(text)
