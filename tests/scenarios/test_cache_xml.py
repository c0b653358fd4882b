"""Sites that are given what a cache.xml defines."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import heliograph
from heliograph.bucket.conflicts import REFUSE, Conflict
from heliograph.config.cache_xml import parse_cache_xml
from heliograph.config.cache_xml_writer import write_cache_xml
from heliograph.errors import UsageError
from heliograph.locator.site_configuration import CONFIGURATION
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.batch import UPDATE
from heliograph.model.cluster_configuration import ClusterConfiguration
from tests.scenarios.plugins import TOLD
from tests.scenarios.sites import Site, scenario, until

PLUGINS = "tests.scenarios.plugins"


async def configure(site: Site, document: str) -> None:
    configuration = parse_cache_xml(document.encode(), {}).configuration
    await site.operate(lambda admin: admin.configuration.apply(configuration))


async def exported(site: Site) -> ClusterConfiguration:
    """What the site has, by way of the document that it is exported as."""
    result = await site.operate(lambda admin: admin.configuration.export())
    there = msgspec.json.decode(result.data[CONFIGURATION], type=ClusterConfiguration)
    return parse_cache_xml(write_cache_xml(there).encode(), {}).configuration


@scenario(ln=1)
async def test_xml_serial_sender_roundtrip(ln: Site) -> None:
    sender = GatewaySenderAttributes(
        id="ny", remote_distributed_system_id=2, socket_buffer_size=65_536, socket_read_timeout=40_000, batch_size=7,
        batch_time_interval=10, enable_persistence=True, disk_store_name="wan", maximum_queue_memory=9,
        alert_threshold=11, dispatcher_threads=2, order_policy="thread",
        gateway_event_filters=(f"{PLUGINS}:ByNumber", f'{PLUGINS}:Telling{{"name": "xml"}}'),
        gateway_transport_filters=(f"{PLUGINS}:Checksum",),
    )  # fmt: skip
    configuration = ClusterConfiguration(
        disk_stores=(DiskStoreAttributes(name="wan"),),
        gateway_senders=(sender,),
        regions=(
            RegionAttributes(name="r", type="REPLICATE_PERSISTENT", gateway_sender_ids=("ny",), disk_store="wan"),
        ),
    )
    await configure(ln, write_cache_xml(configuration))
    assert ln.sender_attributes("ny") == sender
    assert ln.region_attributes("r").gateway_sender_ids == ("ny",)
    assert await exported(ln) == configuration


@pytest.mark.parametrize("manual_start", [True, False])
@scenario(ny=1)
async def test_xml_receiver_roundtrip(ny: Site, manual_start: bool) -> None:
    receiver = GatewayReceiverAttributes(
        start_port=20_000, end_port=29_999, maximum_time_between_pings=2000, socket_buffer_size=1500,
        gateway_transport_filters=(f"{PLUGINS}:Checksum", f'{PLUGINS}:Checksum{{"start": 3}}'),
        manual_start=manual_start,
    )  # fmt: skip
    configuration = ClusterConfiguration(gateway_receivers=(receiver,))
    await configure(ny, write_cache_xml(configuration))
    assert await exported(ny) == configuration


def test_xml_multiple_receivers_rejected(tmp_path: Path) -> None:
    path = tmp_path / "cache.xml"
    path.write_text("<cache><gateway-receiver/><gateway-receiver/></cache>")
    with pytest.raises(UsageError, match="gateway-receiver is defined twice: keep one of the two"):
        heliograph.aio.Cache("a", locators="127.0.0.1[1]", cache_xml_file=str(path))


@scenario(ny=1)
async def test_xml_receiver_correct(ny: Site) -> None:
    await configure(
        ny,
        '<cache><gateway-receiver start-port="1500" end-port="1501" manual-start="true" socket-buffer-size="32768" '
        'bind-address="localhost" hostname-for-senders="localhost" maximum-time-between-pings="60000"/></cache>',
    )
    receiver = ny["a"].member.gateways.receiver
    assert receiver is not None
    assert receiver.attributes == GatewayReceiverAttributes(
        start_port=1500, end_port=1501, manual_start=True, socket_buffer_size=32_768, bind_address="localhost",
        hostname_for_senders="localhost", maximum_time_between_pings=60_000,
    )  # fmt: skip
    assert not receiver.running


@scenario(ln=1)
async def test_xml_conflict_resolver(ln: Site) -> None:
    configuration = ClusterConfiguration(
        gateway_conflict_resolver=GatewayConflictResolverAttributes(
            resolver=f'{PLUGINS}:Deciding{{"how": "refuse", "name": "xml"}}'
        )
    )
    await configure(ln, write_cache_xml(configuration))
    assert await exported(ln) == configuration
    await ln.create_region("r")
    judge = ln["a"].member.judge("r")
    assert judge.resolve is not None
    assert judge.resolve(Conflict(UPDATE, "k", b"\x01", b"\x02", 257, 258, b"")) is REFUSE


@scenario(ln=1)
async def test_xml_async_queue(ln: Site) -> None:
    TOLD["xml"].clear()
    TOLD["xml-filter"].clear()
    await configure(
        ln,
        f"""<cache>
          <async-event-queue id="q" batch-size="9" batch-time-interval="3" maximum-queue-memory="5" persistent="true">
            <gateway-event-filter>
              <class-name>{PLUGINS}:Telling</class-name><parameter name="name"><string>xml-filter</string></parameter>
            </gateway-event-filter>
            <async-event-listener>
              <class-name>{PLUGINS}:Listening</class-name><parameter name="name"><string>xml</string></parameter>
            </async-event-listener>
          </async-event-queue>
          <region name="r"><region-attributes data-policy="replicate" async-event-queue-ids="q"/></region>
        </cache>""",
    )
    (queue,) = (await exported(ln)).async_event_queues
    assert (queue.batch_size, queue.batch_time_interval, queue.max_queue_memory, queue.persistent) == (9, 3, 5, True)
    await ln.put("r", range(3))
    await until(lambda: len(TOLD["xml"]) == 3)
    assert ("before_enqueue", 0) in TOLD["xml-filter"]
