"""The commands that create gateway senders, and destroy them."""

from __future__ import annotations

import msgspec
import pytest

from heliograph.gfsh.shell import candidates
from heliograph.link.hello import VERSION, Hello
from heliograph.locator.site_configuration import CONFIGURATION
from heliograph.member.member import Member
from heliograph.model.attributes import DiskStoreAttributes, GatewaySenderAttributes
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.results import Result
from tests.scenarios.shell import Shell
from tests.scenarios.sites import Site, scenario, until

CREATE = "create gateway-sender --id=ln --remote-distributed-system-id=2"
DEFAULT = GatewaySenderAttributes(id="ln", remote_distributed_system_id=2)


def everywhere(site: Site, done: str) -> list[tuple[str, ...]]:
    """Return the rows of a command that all members did."""
    return [(slot.name, "OK", f"gateway-sender ln {done} on {slot.name}") for slot in site.running]


async def configured(site: Site, gfsh: Shell) -> tuple[GatewaySenderAttributes, ...]:
    """Return the senders in the cluster configuration."""
    exported: Result = await site.inside(site.locator, site.locator.locator.site.configuration.export())
    return msgspec.json.decode(exported.data[CONFIGURATION], type=ClusterConfiguration).gateway_senders


@scenario(ln=3, ny=1)
async def test_gfsh_create_sender_default(ln: Site, ny: Site, gfsh: Shell) -> None:
    created = await gfsh.ok(ln, CREATE)
    assert created.rows == everywhere(ln, "created")
    assert ln.instances("ln") == dict.fromkeys("abc", DEFAULT)
    assert all(status.status.startswith("Running") for status in ln.statuses("ln").values())
    assert await configured(ln, gfsh) == (DEFAULT,)
    destroyed = await gfsh.ok(ln, "destroy gateway-sender --id=ln")
    assert destroyed.rows == everywhere(ln, "destroyed")
    assert (ln.instances("ln"), await configured(ln, gfsh)) == ({}, ())


@scenario(ln=3)
async def test_gfsh_create_sender_all_attributes(ln: Site, gfsh: Shell) -> None:
    """Whether the disk is synced is told the locator."""
    options = (
        "--manual-start=true --socket-buffer-size=1000 --socket-read-timeout=31000 --enable-batch-conflation=true "
        "--batch-size=1000 --batch-time-interval=5000 --enable-persistence=true --maximum-queue-memory=1000 "
        "--alert-threshold=100 --dispatcher-threads=2 --order-policy=THREAD"
    )
    refused = await gfsh.refused(ln, f"{CREATE} {options} --disk-synchronous=false")
    assert "start the locator with disk-synchronous=true" in refused
    created = await gfsh.ok(ln, f"{CREATE} {options} --disk-synchronous=true")
    assert created.rows == [(name, ok, f"{text}, not started") for name, ok, text in everywhere(ln, "created")]
    wanted = GatewaySenderAttributes(
        id="ln",
        remote_distributed_system_id=2,
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
        order_policy="thread",
    )
    assert ln.instances("ln") == dict.fromkeys("abc", wanted)
    assert ln.states("ln") == {"Not Running"}


@scenario(ln=3)
async def test_gfsh_create_sender_single_dispatcher(ln: Site, gfsh: Shell) -> None:
    """There are no transactions whose events could be grouped."""
    line = f"{CREATE} --dispatcher-threads=1"
    refused = await gfsh.refused(ln, f"{line} --group-transaction-events=true")
    assert "--group-transaction-events is not offered (only false): there are no transactions" in refused
    await gfsh.ok(ln, f"{line} --group-transaction-events=false")
    assert ln.instances("ln") == dict.fromkeys("abc", msgspec.structs.replace(DEFAULT, dispatcher_threads=1))


@scenario(ln=2)
async def test_gfsh_create_sender_member_or_group(ln: Site, gfsh: Shell) -> None:
    await ln.join("c", groups=("senderGroup1",))
    for targets in ("--member=1-c", "--group=senderGroup1"):
        created = await gfsh.ok(ln, f"{CREATE} {targets}")
        assert created.rows == [("1-c", "OK", "gateway-sender ln created on 1-c")]
        assert list(ln.instances("ln")) == ["c"]
        destroyed = await gfsh.ok(ln, f"destroy gateway-sender --id=ln {targets}")
        assert destroyed.rows == [("1-c", "OK", "gateway-sender ln destroyed on 1-c")]
        assert (ln.instances("ln"), await configured(ln, gfsh)) == ({}, ())


@scenario(ln=3)
async def test_gfsh_create_parallel_sender(ln: Site, gfsh: Shell) -> None:
    assert (await gfsh.ok(ln, f"{CREATE} --parallel")).rows == everywhere(ln, "created")
    assert {sender.parallel for sender in ln.instances("ln").values()} == {True}
    assert (await gfsh.ok(ln, "destroy gateway-sender --id=ln")).rows == everywhere(ln, "destroyed")
    listed = await gfsh.ok(ln, "list gateways")
    assert "GatewaySenders or GatewayReceivers are not available" in listed.ran.out


@scenario(ln=3)
async def test_gfsh_create_parallel_threads_no_policy(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, f"{CREATE} --parallel=true --dispatcher-threads=4")
    assert {(each.dispatcher_threads, each.order_policy) for each in ln.instances("ln").values()} == {(4, "key")}


@pytest.mark.parametrize("kind", ["--parallel=true", "--parallel=false"])
@scenario(ln=3)
async def test_gfsh_create_sender_missing_disk_store(ln: Site, gfsh: Shell, kind: str) -> None:
    refused = await gfsh(ln, f"{CREATE} {kind} --enable-persistence=true --disk-store-name=nonExistingDiskStore")
    missing = "gateway sender ln names disk store 'nonExistingDiskStore', which does not exist: create it first"
    assert (refused.ran.status, refused.rows) == (1, [(f"1-{letter}", "ERROR", missing) for letter in "abc"])
    assert "nonExistingDiskStore" in refused.ran.err
    assert not (await gfsh.ok(ln, "list gateways")).rows
    assert await configured(ln, gfsh) == ()
    await ln.operate(lambda admin: admin.stores.create(DiskStoreAttributes(name="nonExistingDiskStore")))
    await gfsh.ok(ln, f"{CREATE} {kind} --enable-persistence=true --disk-store-name=nonExistingDiskStore")


@scenario(ln=1)
async def test_gfsh_create_sender_missing_ids(ln: Site, gfsh: Shell) -> None:
    assert "Missing option '--id'" in await gfsh.refused(ln, "create gateway-sender --remote-distributed-system-id=2")
    refused = await gfsh.refused(ln, "create gateway-sender --id=ln")
    assert "Missing option '--remote-distributed-system-id'" in refused


@scenario(ln=1)
async def test_gfsh_create_sender_parallel_thread_policy(ln: Site, gfsh: Shell) -> None:
    refused = await gfsh.refused(ln, f"{CREATE} --parallel --order-policy=THREAD")
    assert "gateway sender ln is parallel and can't be created with order-policy thread" in refused


@scenario(ln=1)
async def test_gfsh_create_sender_bad_order_policy(ln: Site, gfsh: Shell) -> None:
    for policy in ("XXX", "null"):
        refused = await gfsh.refused(ln, f"{CREATE} --order-policy={policy}")
        assert f"Invalid value for '--order-policy': '{policy}' is not one of 'KEY', 'PARTITION', 'THREAD'" in refused
    offered = [text for text, _ in candidates(f"{CREATE} --order-policy=")]
    assert offered == ["--order-policy=KEY", "--order-policy=PARTITION", "--order-policy=THREAD"]
    await gfsh.ok(ln, f"{CREATE} --dispatcher-threads=2 --order-policy=pArTiTiOn")
    assert ln.instances("ln")["a"].order_policy == "partition"


@scenario(ln=1)
async def test_gfsh_create_sender_group_tx_conflicts(ln: Site, gfsh: Shell) -> None:
    """Whatever it would be combined with, there are no transactions."""
    for options in ("--dispatcher-threads=2 --order-policy=thread", "--enable-batch-conflation"):
        refused = await gfsh.refused(ln, f"{CREATE} --group-transaction-events {options}")
        assert "--group-transaction-events is not offered (only false): there are no transactions" in refused


@scenario(ln=2)
async def test_gfsh_create_sender_mixed_versions(ln: Site, gfsh: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of releases that understand each other have the sender."""

    def hello(member: Member) -> Hello:
        newest = VERSION + 1 if member.name == "1-c" else VERSION
        return Hello("member", member.name, member.site, version=newest, oldest=VERSION)

    monkeypatch.setattr(Member, "_hello", hello)
    await ln.join("c")
    assert (await gfsh.ok(ln, CREATE)).rows == everywhere(ln, "created")


@scenario(ln=1)
async def test_gfsh_create_sender_boolean_flags(ln: Site, gfsh: Shell) -> None:
    flags = ("parallel", "manual-start", "enable-batch-conflation", "enable-persistence", "disk-synchronous")

    async def created(options: str) -> list[bool]:
        await gfsh.ok(ln, f"{CREATE} {options}")
        sender = ln.instances("ln")["a"]
        await gfsh.ok(ln, "destroy gateway-sender --id=ln")
        return [getattr(sender, name.replace("-", "_")) for name in flags[:-1]]

    assert await created("") == [False] * 4
    assert await created(" ".join(f"--{name}" for name in flags)) == [True] * 4
    assert await created(" ".join(f"--{name}=false" for name in flags[:-1])) == [False] * 4


@scenario(ln=2)
async def test_gfsh_create_sender_config_returned(ln: Site, gfsh: Shell) -> None:
    """There is one cluster configuration; in it is which groups a sender is of."""
    await ln.join("c", groups=("xyz",))
    created = await gfsh.ok(ln, f"{CREATE} --group=xyz --dispatcher-threads=2 --order-policy=THREAD")
    assert created.result.info == ["Cluster configuration for group 'cluster' is updated."]
    assert await configured(ln, gfsh) == (
        msgspec.structs.replace(DEFAULT, groups=("xyz",), dispatcher_threads=2, order_policy="thread"),
    )
    await ln.join("d", groups=("xyz",))
    await until(lambda: list(ln.instances("ln")) == ["c", "d"])
