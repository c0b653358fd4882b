"""The commands that alter gateway senders, and what becomes of a failure of some members."""

from __future__ import annotations

import msgspec
import pytest

from heliograph.link.messages import Apply
from heliograph.model.attributes import GatewaySenderAttributes
from tests.scenarios.shell import Shell
from tests.scenarios.sites import Site, scenario

CREATE = "create gateway-sender --id=sender1 --remote-distributed-system-id=2"
ALTER = "alter gateway-sender --id=sender1"
BEFORE = GatewaySenderAttributes(id="sender1", remote_distributed_system_id=2, batch_time_interval=7)
AFTER = msgspec.structs.replace(BEFORE, batch_size=200, alert_threshold=100)


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=2)
async def test_gfsh_alter_sender_batch_size(ln: Site, gfsh: Shell, parallel: bool) -> None:
    after = msgspec.structs.replace(AFTER, parallel=parallel)
    await gfsh.ok(ln, f"{CREATE} --batch-time-interval=7 --parallel={str(parallel).lower()}")
    altered = await gfsh.ok(ln, f"{ALTER} --batch-size=200 --alert-threshold=100")
    assert altered.rows == [(name, "OK", f"gateway-sender sender1 changed on {name}") for name in ("1-a", "1-b")]
    assert ln.instances("sender1") == dict.fromkeys("ab", after)
    assert ln.sender_attributes("sender1") == after


@scenario(ln=2)
async def test_gfsh_alter_sender_invalid_values(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, f"{CREATE} --batch-time-interval=7")
    for options, wrong in (
        ("--batch-size=-10 --alert-threshold=100", "batch-size -10: use 1 or more"),
        ("--batch-size=0", "batch-size 0: use 1 or more"),
        ("--batch-size=200 --alert-threshold=-1", "alert-threshold -1: use 1 to"),
        ("--batch-size=200 --batch-time-interval=-2", "batch-time-interval -2: use 0 to"),
    ):
        assert wrong in await gfsh.refused(ln, f"{ALTER} {options}")
    assert ln.instances("sender1") == dict.fromkeys("ab", BEFORE)
    assert ln.sender_attributes("sender1") == BEFORE


@scenario(ln=2)
async def test_gfsh_alter_sender_server_down(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, f"{CREATE} --batch-time-interval=7")
    await ln.leave("a")
    altered = await gfsh.ok(ln, f"{ALTER} --batch-size=200 --alert-threshold=100")
    assert altered.rows == [("1-b", "OK", "gateway-sender sender1 changed on 1-b")]
    await ln.join("a")
    assert ln.instances("sender1") == dict.fromkeys("ab", AFTER)


@scenario(ln=1)
async def test_gfsh_alter_sender_option_errors(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, CREATE)
    assert "Missing option '--id'" in await gfsh.refused(ln, "alter gateway-sender --batch-size=200")
    assert "alter gateway-sender needs batch-size, batch-time-interval" in await gfsh.refused(ln, ALTER)
    assert "No such option '--batchsize'" in await gfsh.refused(ln, f"{ALTER} --batchsize=200")
    assert "there are no transactions" in await gfsh.refused(ln, f"{ALTER} --group-transaction-events=true")
    unknown = await gfsh(ln, "alter gateway-sender --id=other --batch-size=200")
    assert (unknown.ran.status, unknown.result.info) == (1, ["gateway sender 'other' does not exist"])


@scenario(ln=2)
async def test_gfsh_alter_sender_noop(ln: Site) -> None:
    """A member is asked to take up the definition, and to say so."""
    await ln.create_sender("sender1", to=2)
    await ln.pause_sender("sender1")
    before = {slot: slot.member.gateways._senders["sender1"] for slot in ln.running}
    for slot, sender in before.items():
        done = await ln.inside(slot, slot.member._configuring.take_up(Apply("gateway-sender sender1", 0, "changed")))
        assert (done.ok, done.message) == (True, f"gateway-sender sender1 changed on {slot.name}")
        assert slot.member.gateways._senders["sender1"] is sender
    assert ln.states("sender1") == {"Paused"}


@scenario(ln=3)
async def test_gfsh_destroy_sender_options(ln: Site, gfsh: Shell) -> None:
    assert "Missing option '--id'" in await gfsh.refused(ln, "destroy gateway-sender")
    await gfsh.ok(ln, CREATE)
    ln.kill("c")
    destroyed = await gfsh(ln, "destroy gateway-sender --id=sender1")
    assert destroyed.ran.status == 0
    assert [row[:2] for row in destroyed.rows] == [("1-a", "OK"), ("1-b", "OK"), ("1-c", "ERROR")]
    assert ln.instances("sender1") == {}
    await ln.join("c")
    assert ln.instances("sender1") == {}
    again = await gfsh(ln, "destroy gateway-sender --id=sender1")
    assert (again.ran.status, again.result.info) == (1, ["gateway sender 'sender1' does not exist"])
    skipped = await gfsh.ok(ln, "destroy gateway-sender --id=sender1 --if-exists")
    assert skipped.result.info == ["Skipping: gateway sender 'sender1' does not exist."]
