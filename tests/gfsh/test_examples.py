"""Examples as manuals of GemFire have them, prompt and all, at a simulated site: what is there afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.model.attributes import DiskStoreAttributes, GatewayReceiverAttributes, GatewaySenderAttributes
from tests.gfsh.support import FakeAdmin, Program
from tests.scenarios.shell import Shell
from tests.scenarios.sites import Site, scenario

TWO_SENDERS = (
    'gfsh>create gateway-sender --id="sender2" --parallel=true --remote-distributed-system-id="2"',
    'gfsh>create gateway-sender --id="sender3" --parallel=true --remote-distributed-system-id="3"',
)
PERSISTENT_SENDER = (
    "gfsh>create gateway-sender --id=sender2 --parallel=true --remote-distributed-system-id=2 "
    "--maximum-queue-memory=150 --enable-persistence=true --disk-store-name=cluster2Store --dispatcher-threads=2 "
    "--order-policy=partition"
)
MANUAL_SENDER = (
    "gfsh>create gateway-sender --id=sender2 --parallel=true --remote-distributed-system-id=2 --manual-start=true"
)
REGION = "gfsh>create region --name=customer --gateway-sender-id=sender2,sender3"
RECEIVER = "gfsh>create gateway-receiver --start-port=1530 --end-port=1551"

HEADER = """<?xml version="1.0" encoding="UTF-8"?>
<cache xmlns="http://geode.apache.org/schema/cache"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="http://geode.apache.org/schema/cache http://geode.apache.org/schema/cache/cache-1.0.xsd"
       version="1.0">"""
SENDERS_XML = """
  <gateway-sender id="sender2" parallel="true" remote-distributed-system-id="2"/>
  <gateway-sender id="sender3" parallel="true" remote-distributed-system-id="3"/>
"""
RECEIVER_XML = """
  <gateway-receiver start-port="1530" end-port="1551" hostname-for-senders="gateway1.mycompany.com" \
manual-start="false" />
"""
REGION_XML = """
  <region name="customer">
    <region-attributes gateway-sender-ids="sender2,sender3"></region-attributes>
  </region>
"""

SENDER2, SENDER3 = (
    GatewaySenderAttributes(id=f"sender{site}", remote_distributed_system_id=site, parallel=True) for site in (2, 3)
)


@pytest.fixture
def gfsh(program: Program, admin: FakeAdmin) -> Shell:
    return Shell(program, admin)


def senders(site: Site) -> list[dict[str, GatewaySenderAttributes]]:
    """Return the senders of every member."""
    return [
        {name: sender.attributes for name, sender in slot.member.gateways._senders.items()} for slot in site.running
    ]


def receivers(site: Site) -> list[GatewayReceiverAttributes]:
    """Return the receivers of every member, all of which run."""
    found = [slot.member.gateways.receiver for slot in site.running]
    assert all(receiver is not None and receiver.running for receiver in found)
    return [receiver.attributes for receiver in found if receiver is not None]


def check_customer(site: Site) -> None:
    assert senders(site) == [{"sender2": SENDER2, "sender3": SENDER3}] * 2
    assert all(status.startswith("Running") for name in ("sender2", "sender3") for status in site.states(name))
    region = site.region_attributes("customer")
    assert (region.type, region.gateway_sender_ids) == ("PARTITION", ("sender2", "sender3"))


@scenario(ln=2)
async def test_two_senders_and_a_region_that_names_them(ln: Site, gfsh: Shell) -> None:
    for line in (*TWO_SENDERS, REGION):
        await gfsh.ok(ln, line)
    check_customer(ln)
    await ln.put("customer", range(10))
    await ln.until_queued("sender2", 10)
    await ln.until_queued("sender3", 10)


@scenario(ln=2)
async def test_a_persistent_sender_needs_its_disk_store_first(ln: Site, gfsh: Shell) -> None:
    refused = await gfsh(ln, PERSISTENT_SENDER)
    assert refused.ran.status == 1
    assert "gateway sender sender2 names disk store 'cluster2Store', which does not exist: create it first" in (
        refused.ran.err
    )
    assert senders(ln) == [{}, {}]
    await ln.operate(lambda admin: admin.stores.create(DiskStoreAttributes(name="cluster2Store")))
    await gfsh.ok(ln, PERSISTENT_SENDER)
    wanted = GatewaySenderAttributes(
        id="sender2",
        remote_distributed_system_id=2,
        parallel=True,
        maximum_queue_memory=150,
        enable_persistence=True,
        disk_store_name="cluster2Store",
        dispatcher_threads=2,
        order_policy="partition",
    )
    assert senders(ln) == [{"sender2": wanted}] * 2


@scenario(ln=2)
async def test_a_sender_that_is_started_by_hand(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, MANUAL_SENDER)
    wanted = GatewaySenderAttributes(id="sender2", remote_distributed_system_id=2, parallel=True, manual_start=True)
    assert senders(ln) == [{"sender2": wanted}] * 2
    assert ln.states("sender2") == {"Not Running"}
    await gfsh.ok(ln, "gfsh>start gateway-sender --id=sender2")
    assert ln.states("sender2") == {"Running, not Connected"}


@scenario(ln=2)
async def test_a_receiver_on_a_port_of_a_range(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, RECEIVER)
    assert receivers(ln) == [GatewayReceiverAttributes(start_port=1530, end_port=1551)] * 2
    assert all(1530 <= slot.member.gateways.port <= 1551 for slot in ln.running)


@pytest.fixture(params=["<cache>", HEADER], ids=["bare", "with a schema"])
def document(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "cache.xml"
    path.write_text(f"{request.param}{SENDERS_XML}{RECEIVER_XML}{REGION_XML}</cache>\n")
    return path


@scenario(ln=2)
async def test_the_same_as_a_cache_xml(ln: Site, gfsh: Shell, document: Path) -> None:
    await gfsh.ok(ln, f"import cluster-configuration --xml-file={document}")
    check_customer(ln)
    attributes = GatewayReceiverAttributes(
        start_port=1530, end_port=1551, hostname_for_senders="gateway1.mycompany.com", manual_start=False
    )
    assert receivers(ln) == [attributes] * 2


def test_pasted_they_ask_what_they_ask_without_their_prompt(program: Program, admin: FakeAdmin) -> None:
    lines = [*TWO_SENDERS, PERSISTENT_SENDER, MANUAL_SENDER, REGION, RECEIVER]
    asked = []
    for pasted in (lines, [line.removeprefix("gfsh>") for line in lines]):
        admin.calls.clear()
        ran = program(stdin="\n".join(["connect --url=http://site", *pasted]))
        assert (ran.status, ran.err) == (0, "")
        asked.append(list(admin.calls))
    assert asked[0] == asked[1]
    assert len(asked[0]) == 1 + len(lines)
