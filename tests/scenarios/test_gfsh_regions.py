"""The commands that give regions gateway senders, and what a member that joins has of all that."""

from __future__ import annotations

from heliograph.model.attributes import GatewayReceiverAttributes, GatewaySenderAttributes
from tests.scenarios.shell import Shell
from tests.scenarios.sites import Site, scenario


def listed(ln: Site, region: str) -> tuple[str, ...]:
    """Return the senders that a region has, as the cluster configuration and every member have it."""
    ids = ln.region_attributes(region).gateway_sender_ids
    assert all(slot.member._regions[region].attributes.gateway_sender_ids == ids for slot in ln.running)
    return ids


async def parallel(ln: Site, *ids: str, **options: bool) -> None:
    for number, sender in enumerate(ids, start=2):
        await ln.create_sender(sender, to=number, parallel=True, **options)


@scenario(ln=2)
async def test_gfsh_alter_region_same_parallel_noncolocated(ln: Site, gfsh: Shell) -> None:
    """Each bucket's log is its own queue, so regions that share a parallel sender need not be colocated."""
    await parallel(ln, "p")
    await ln.create_region("one", "PARTITION", senders="p")
    await ln.create_region("two", "PARTITION")
    altered = await gfsh.ok(ln, "alter region --name=two --gateway-sender-id=p")
    assert altered.rows == [(name, "OK", f"region two changed on {name}") for name in ("1-a", "1-b")]
    assert (listed(ln, "one"), listed(ln, "two")) == (("p",), ("p",))


@scenario(ln=2)
async def test_gfsh_alter_region_allowed_senders(ln: Site, gfsh: Shell) -> None:
    await parallel(ln, "p2", "p3")
    for number in (2, 3):
        await ln.create_sender(f"s{number}", to=number)
    await ln.create_region("one", "PARTITION")
    await ln.create_region("two", "PARTITION")
    await ln.create_region("child", "PARTITION", colocated_with="one")
    for ids in (
        {"one": "s2", "two": "s2"},  # the same serial one, not colocated
        {"one": "s2", "two": "s3"},
        {"one": "p2", "two": "p3"},
        {"one": "p2", "child": "p2"},  # the same parallel one, colocated
    ):
        for region, sender in ids.items():
            await gfsh.ok(ln, f"alter region --name={region} --gateway-sender-id={sender}")
            assert listed(ln, region) == (sender,)


@scenario(ln=2)
async def test_gfsh_alter_region_replace_senders(ln: Site, gfsh: Shell) -> None:
    await parallel(ln, "p2", "p3", "p4")
    await gfsh.ok(ln, "create region --name=r --type=PARTITION --gateway-sender-id=p2")
    for given in ("p3", "p3,p4", "p2,p4", ""):
        await gfsh.ok(ln, f"alter region --name=r --gateway-sender-id={given}")
        assert listed(ln, "r") == tuple(filter(None, given.split(",")))
    await gfsh.ok(ln, "alter region --name=r --gateway-sender-id=p2")
    await gfsh.ok(ln, 'alter region --name=r --gateway-sender-id=""')
    assert listed(ln, "r") == ()


@scenario(ln=2)
async def test_gfsh_alter_region_invalid(ln: Site, gfsh: Shell) -> None:
    await parallel(ln, "p")
    await ln.create_sender("s", to=3)
    await ln.create_region("kept", "PARTITION_PERSISTENT", senders="s")
    await ln.create_region("replicated", senders="s")
    for region, why in (
        ("kept", "region kept is persistent and can't use the parallel gateway sender p, whose queue is not"),
        ("replicated", "region replicated is replicated and can't use the parallel gateway sender p"),
    ):
        altered = await gfsh(ln, f"alter region --name={region} --gateway-sender-id=p")
        assert (altered.ran.status, why in altered.ran.err) == (1, True)
        assert listed(ln, region) == ("s",)


@scenario(ln=2)
async def test_gfsh_create_region_unknown_sender(ln: Site, gfsh: Shell) -> None:
    created = await gfsh(ln, "create region --name=r --type=REPLICATE --gateway-sender-id=unknown")
    why = "region r names gateway sender unknown, which does not exist: create it first"
    assert (created.ran.status, created.result.info) == (1, [why])
    assert (await gfsh.ok(ln, "list regions")).result.info == ["No Regions Found"]


@scenario(ln=2)
async def test_gfsh_cluster_config_new_member(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(
        ln,
        "create gateway-sender --id=ny --remote-distributed-system-id=2 --parallel=true --manual-start=true "
        "--socket-buffer-size=1000 --socket-read-timeout=31000 --enable-batch-conflation=true --batch-size=1000 "
        "--batch-time-interval=5000 --enable-persistence=true --maximum-queue-memory=1000 --alert-threshold=100 "
        "--dispatcher-threads=2 --order-policy=KEY --gateway-event-filter=tests.scenarios.plugins:ByNumber "
        "--gateway-transport-filter=tests.scenarios.plugins:Checksum",
    )
    await gfsh.ok(
        ln,
        "create gateway-receiver --manual-start=true --start-port=10000 --end-port=11000 --bind-address=localhost "
        "--hostname-for-senders=gateway1.example.com --maximum-time-between-pings=100000 --socket-buffer-size=512000 "
        "--gateway-transport-filter=tests.scenarios.plugins:Checksum",
    )
    await ln.join("c")
    joined = ln["c"].member.gateways
    assert joined.receiver is not None
    assert (joined.receiver.running, joined._senders["ny"].running) == (False, False)
    assert joined._senders["ny"].attributes == GatewaySenderAttributes(
        id="ny",
        remote_distributed_system_id=2,
        parallel=True,
        manual_start=True,
        socket_buffer_size=1000,
        socket_read_timeout=31000,
        enable_batch_conflation=True,
        batch_size=1000,
        batch_time_interval=5000,
        enable_persistence=True,
        maximum_queue_memory=1000,
        alert_threshold=100,
        dispatcher_threads=2,
        order_policy="key",
        gateway_event_filters=("tests.scenarios.plugins:ByNumber",),
        gateway_transport_filters=("tests.scenarios.plugins:Checksum",),
    )
    assert joined.receiver.attributes == GatewayReceiverAttributes(
        manual_start=True,
        start_port=10000,
        end_port=11000,
        bind_address="localhost",
        hostname_for_senders="gateway1.example.com",
        maximum_time_between_pings=100000,
        socket_buffer_size=512000,
        gateway_transport_filters=("tests.scenarios.plugins:Checksum",),
    )
