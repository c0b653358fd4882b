"""cache.xml files: what they may say, what is said of others, and that what is written is read as the same."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.config.cache_xml import parse_cache_xml, read_cache_xml
from heliograph.config.cache_xml_writer import write_cache_xml
from heliograph.errors import UsageError
from heliograph.model.attributes import (
    REGION_TYPES,
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.queues import AsyncEventQueueAttributes

WHOLE = """<?xml version="1.0" encoding="UTF-8"?>
<cache xmlns="http://geode.apache.org/schema/cache"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:heliograph="urn:heliograph:cache"
       xsi:schemaLocation="http://geode.apache.org/schema/cache http://geode.apache.org/schema/cache/cache-1.0.xsd"
       version="1.0">
  <gateway-sender id="toLondon" remote-distributed-system-id="2" parallel="true" enable-persistence="true"
                  disk-store-name="wanStore" batch-size="200" dispatcher-threads="3" order-policy="PARTITION">
    <gateway-event-filter>
      <class-name>myapp.wan:RegionFilter</class-name>
      <parameter name="skip"><string>scratch</string></parameter>
    </gateway-event-filter>
  </gateway-sender>
  <gateway-receiver start-port="5100" end-port="5110" hostname-for-senders="wan.example.org"/>
  <gateway-receiver heliograph:group="wan"/>
  <gateway-receiver heliograph:member="s1" manual-start="true"/>
  <async-event-queue id="audit" persistent="true" maximum-queue-memory="7" disk-store-name="wanStore">
    <async-event-listener><class-name>myapp:Audit</class-name></async-event-listener>
  </async-event-queue>
  <cache-server port="40405" bind-address="127.0.0.1"><group>blue</group><group>green</group></cache-server>
  <disk-store name="wanStore"/>
  <region-attributes id="mine" refid="PARTITION_REDUNDANT_PERSISTENT" statistics-enabled="true"
                     disk-store-name="wanStore">
    <entry-time-to-live><expiration-attributes timeout="60" action="destroy"/></entry-time-to-live>
  </region-attributes>
  <region name="orders" refid="mine">
    <region-attributes gateway-sender-ids="toLondon" async-event-queue-ids="audit" scope="distributed-ack">
      <partition-attributes total-num-buckets="8">
        <partition-resolver><class-name>string-prefix</class-name></partition-resolver>
      </partition-attributes>
    </region-attributes>
  </region>
  <region name="items">
    <region-attributes data-policy="persistent-partition" disk-store-name="wanStore">
      <partition-attributes redundant-copies="1" total-num-buckets="8" colocated-with="/orders"/>
    </region-attributes>
  </region>
</cache>
"""
JAVA_FILTER = "<gateway-transport-filter><class-name>com.my.Audit</class-name></gateway-transport-filter>"
CONFIGURATION = ClusterConfiguration(
    disk_stores=(DiskStoreAttributes(name="wanStore"),),
    gateway_senders=(
        GatewaySenderAttributes(
            id="toLondon", remote_distributed_system_id=2, parallel=True, enable_persistence=True,
            disk_store_name="wanStore", batch_size=200, dispatcher_threads=3, order_policy="partition",
            gateway_event_filters=('myapp.wan:RegionFilter{"skip": "scratch"}',),
        ),
    ),
    async_event_queues=(
        AsyncEventQueueAttributes(
            id="audit", listener="myapp:Audit", persistent=True, max_queue_memory=7, disk_store="wanStore"
        ),
    ),
    regions=(
        RegionAttributes(
            name="orders", type="PARTITION_REDUNDANT_PERSISTENT", gateway_sender_ids=("toLondon",),
            async_event_queue_ids=("audit",), total_num_buckets=8, disk_store="wanStore",
            partition_resolver="string-prefix",
            entry_time_to_live_expiration=60, entry_time_to_live_expiration_action="destroy",
        ),
        RegionAttributes(
            name="items", type="PARTITION_REDUNDANT_PERSISTENT", total_num_buckets=8, disk_store="wanStore",
            colocated_with="orders",
        ),
    ),
    gateway_receivers=(
        GatewayReceiverAttributes(start_port=5100, end_port=5110, hostname_for_senders="wan.example.org"),
        GatewayReceiverAttributes(group="wan"),
        GatewayReceiverAttributes(member="s1", manual_start=True),
    ),
)  # fmt: skip


def parse(text: str, **variables: str) -> ClusterConfiguration:
    return parse_cache_xml(text.encode(), variables).configuration


def test_a_whole_document() -> None:
    read = parse_cache_xml(WHOLE.encode(), {})
    assert read.configuration == CONFIGURATION
    assert read.server == {"server_port": 40405, "bind_address": "127.0.0.1", "groups": ("blue", "green")}
    CONFIGURATION.check(1)


def test_what_is_written_is_read_as_the_same() -> None:
    assert parse(write_cache_xml(CONFIGURATION)) == CONFIGURATION
    assert parse(write_cache_xml(ClusterConfiguration())) == ClusterConfiguration()


@pytest.mark.parametrize(
    "configuration",
    [
        ClusterConfiguration(
            gateway_senders=(GatewaySenderAttributes(id="s", remote_distributed_system_id=2, groups=("a", "b")),)
        ),
        ClusterConfiguration(disk_stores=(DiskStoreAttributes(name="DEFAULT", max_disk=9),)),
        ClusterConfiguration(regions=(RegionAttributes(name="r", groups=("a", "b")),)),
        ClusterConfiguration(gateway_conflict_resolver=GatewayConflictResolverAttributes(resolver="a:b")),
        ClusterConfiguration(
            async_event_queues=(AsyncEventQueueAttributes(id="q", listener='a:b{"depth": 3, "name": "<x>"}'),)
        ),
        *(
            ClusterConfiguration(regions=(RegionAttributes(name="r", type=type_, redundant_copies=copies),))
            for type_ in REGION_TYPES
            for copies in ((None,) if type_.startswith("REPLICATE") else (None, 0, 1, 3))
        ),
    ],
)
def test_what_gemfire_has_no_word_for_is_kept_too(configuration: ClusterConfiguration) -> None:
    assert parse(write_cache_xml(configuration)) == configuration


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no well-formed XML"),
        ("<cache>", r"line 1, column 8: no well-formed XML: no element found$"),
        ("<cache>&x;</cache>", r"line 1, column 8: no well-formed XML: undefined entity$"),
        ("<client-cache/>", "line 1, <client-cache>: this is for a client"),
        ("<caches/>", "the document has to be one <cache>"),
        ('<cache version="2.0"/>', "version '2.0' is not known"),
        ('<cache xmlns="http://other"/>', "its namespace http://other is not that of a cache"),
        ("<cache>text</cache>", "no text may stand here"),
        ('<!DOCTYPE cache SYSTEM "x.dtd"><cache/>', "a document type and entities are refused"),
        ('<!DOCTYPE c [<!ENTITY a "b">]><cache>&a;</cache>', "a document type and entities are refused"),
        ("<cache>\n<gatway-sender/></cache>", "line 2, <gatway-sender>: is not known in <cache>: is gateway-sender"),
        ("<cache><pdx/></cache>", "<pdx>: not offered: values are msgpack"),
        ("<cache><gateway-receiver/><gateway-sender/></cache>", "has to stand before <gateway-receiver>"),
        (
            "<cache><gateway-receiver/>\n<gateway-receiver/></cache>",
            "gateway-receiver is defined twice: keep one of the two",
        ),
        ('<cache><gateway-sender id="a"/></cache>', "the attribute remote-distributed-system-id is missing"),
        ('<cache><gateway-sender id="a" remote-distributed-system-id="x"/></cache>', "'x' is not a whole number"),
        ('<cache><gateway-sender id="a" remote-distributed-system-id="2" paralel="1"/></cache>', "is parallel meant?"),
        ('<cache><gateway-sender id="a" remote-distributed-system-id="2" parallel="yes"/></cache>', "true or false"),
        (
            '<cache><gateway-sender id="a" remote-distributed-system-id="2" order-policy="x"/></cache>',
            "write key, part",
        ),
        (
            '<cache><gateway-sender id="a" remote-distributed-system-id="2" batch-size="0"/></cache>',
            "batch-size 0: use",
        ),
        ('<cache><gateway-receiver start-port="6000"/></cache>', "start-port 6000 is above end-port 5500"),
        ('<cache><async-event-queue id="q"/></cache>', "it needs an <async-event-listener>"),
        (
            f"<cache><gateway-receiver>{JAVA_FILTER}</gateway-receiver></cache>",
            "<class-name>: 'com.my.Audit': write module:object",
        ),
        (
            '<cache><disk-store name="d"><disk-dirs/></disk-store></cache>',
            "<disk-dirs>: not offered: a disk store is in",
        ),
        ('<cache><region name="a"/><region name="a"/></cache>', "region a is defined twice"),
        ('<cache><region name="a b"/></cache>', "can't name a region"),
        ('<cache><region name="r" refid="LOCAL"/></cache>', "region type 'LOCAL' is not offered"),
        ('<cache><region name="r" refid="FOO"/></cache>', "region type 'FOO' is not known"),
        ('<cache><region name="r"><region name="s"/></region></cache>', "a region has no regions in it"),
        (
            '<cache><region name="r"><region-attributes scope="global"/></region></cache>',
            "scope is not offered .only distributed-ack.: a write is acknowledged",
        ),
        ('<cache><region name="r"><region-attributes data-policy="normal"/></region></cache>', "normal is not offered"),
        ("<cache><region-attributes/></cache>", "outside a region it needs an id"),
        ('<cache><region name="${r}"/></cache>', r"\$\{r\} is not known: set the environment variable r"),
        ('<cache><region name="${a}"/></cache>', "go in a circle"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        parse(text, a="${b}", b="${a}")


def test_variables_may_name_one_another_and_only_stand_for_values() -> None:
    text = '<cache><region name="${prefix}_${${which}}"/></cache>'
    (region,) = parse(text, prefix="a", which="name", name="orders").regions
    assert region.name == "a_orders"
    with pytest.raises(UsageError, match="can't name a region"):
        parse('<cache><region name="${x}"/></cache>', x='r"/><region name="s')


def test_variables_that_grow_are_stopped() -> None:
    names = {f"v{n}": f"${{v{n + 1}}}" * 10 for n in range(30)} | {"v30": "x"}
    with pytest.raises(UsageError, match="hold too much"):
        parse('<cache><region name="${v0}"/></cache>', **names)


def test_depth_and_size_are_bounded() -> None:
    with pytest.raises(UsageError, match="nested more than 64 deep"):
        parse("<cache>" + "<region>" * 100_000)
    with pytest.raises(UsageError, match="more than 4194304 bytes"):
        parse("<cache>" + " " * (5 << 20) + "</cache>")


def test_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cache.xml"
    with pytest.raises(UsageError, match=r"cache\.xml can't be read: No such file"):
        read_cache_xml(path, {})
    path.write_text("<cache>\n<pdx/></cache>")
    with pytest.raises(UsageError, match=r"cache\.xml: line 2, <pdx>: not offered"):
        read_cache_xml(path, {})
    path.write_text(WHOLE)
    assert read_cache_xml(path, {}).configuration == CONFIGURATION


PIECES = [
    "<cache>",
    "</cache>",
    "<region",
    " name=",
    '"r"',
    "/>",
    ">",
    "<gateway-sender ",
    'id="a"',
    "${",
    "}",
    "&",
    "\x00",
]


@given(st.binary() | st.lists(st.sampled_from(PIECES)).map("".join).map(str.encode))
def test_any_bytes_are_a_document_or_refused(data: bytes) -> None:
    with suppress(UsageError):
        parse_cache_xml(data, {"a": "b"})
