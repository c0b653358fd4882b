"""The commands that start and stop gateway senders, and what they say at each member."""

from __future__ import annotations

import pytest

from heliograph.model.results import Result
from tests.gfsh.support import FakeAdmin
from tests.scenarios.shell import Shell
from tests.scenarios.sites import Site, scenario

CREATE = "create gateway-sender --id=ln --remote-distributed-system-id=2"
STOPPED = f"{CREATE} --manual-start=true"
SENDER_ACTIONS = ("start", "stop", "pause", "resume")
Row = tuple[str, str, str]


def done(letters: str, what: str) -> list[Row]:
    """Return the rows of members that did what they were asked."""
    return [(f"1-{letter}", "OK", f"gateway sender ln is {what} on member 1-{letter}") for letter in letters]


def wrong(letter: str, what: str) -> Row:
    """Return the row of a member that did not."""
    return (f"1-{letter}", "Error", f"gateway sender ln is {what} on member 1-{letter}")


def each(site: Site) -> dict[str, str]:
    """Return the state of the sender by the member's letter, whoever answers at the other end."""
    return {letter: status.status.partition(",")[0] for letter, status in site.statuses("ln").items()}


async def grouped(ln: Site) -> None:
    """Have members b and c in one group, d in another, e in none."""
    for letter, groups in (("b", ("one",)), ("c", ("one",)), ("d", ("two",)), ("e", ())):
        await ln.join(letter, groups=groups)


@scenario(ln=2)
async def test_gfsh_member_and_group_exclusive(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, CREATE)
    await ln.create_receiver()
    lines = [
        *(f"{action} gateway-sender --id=ln" for action in SENDER_ACTIONS),
        "start gateway-receiver",
        "stop gateway-receiver",
    ]
    for line in lines:
        refused = await gfsh(ln, f"{line} --member=1-a --group=one")
        assert (refused.ran.status, refused.rows) == (1, []), line
        assert "member and group exclude each other: give one of them" in refused.ran.err


@scenario(ln=3, ny=1)
async def test_gfsh_start_sender_clean_queues(ln: Site, ny: Site, gfsh: Shell) -> None:
    await ny.receives("r")
    await gfsh.ok(ln, STOPPED)
    await ln.create_region("r", senders="ln")
    await ln.put("r", range(20))
    cleaned = await gfsh.ok(ln, "start gateway-sender --id=ln --clean-queues")
    assert cleaned.rows == done("abc", "started")
    await ln.put("r", range(20, 30))
    await ln.until_drained("ln")
    assert set(await ny.contents("r")) == {*range(20, 30)}
    await ln.stop_sender("ln")
    await ln.put("r", range(30, 40))
    started = await gfsh.ok(ln, "start gateway-sender --id=ln --clean-queues=false")
    assert started.rows == done("abc", "started")
    await ln.until_drained("ln")
    assert set(await ny.contents("r")) == {*range(20, 40)}


@scenario(ln=3)
async def test_gfsh_start_clean_rejected_when_running(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, STOPPED)
    await ln.create_region("r", senders="ln")
    await ln.put("r", range(5))
    await ln.start_sender("ln", "a")
    await ln.until_queued("ln", 5)
    rejected = await gfsh(ln, "start gateway-sender --id=ln --clean-queues=true")
    assert rejected.ran.status == 1
    assert rejected.section == {
        "Reasons command is rejected": [("1-a", "runs gateway sender ln: stop it first")],
    }
    assert each(ln) == {"a": "Running", "b": "Not Running", "c": "Not Running"}
    assert ln.queued("ln") == 5


@scenario(ln=3)
async def test_gfsh_start_clean_on_subset_rejected(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, STOPPED)
    rejected = await gfsh(ln, "start gateway-sender --id=ln --clean-queues --member=1-a")
    assert rejected.ran.status == 1
    left_out = "hosts gateway sender ln and is not targeted: leave --member and --group"
    assert rejected.rows == [("1-b", left_out), ("1-c", left_out)]
    assert each(ln) == dict.fromkeys("abc", "Not Running")


@scenario(ln=3)
async def test_gfsh_stop_sender_all(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, CREATE)
    for _ in range(2):
        assert (await gfsh.ok(ln, "stop gateway-sender --id=ln")).rows == done("abc", "stopped")
        assert each(ln) == dict.fromkeys("abc", "Not Running")
        assert (await gfsh.ok(ln, "start gateway-sender --id=ln")).rows == done("abc", "started")
        assert each(ln) == dict.fromkeys("abc", "Running")


@scenario(ln=3)
async def test_gfsh_stop_sender_not_running(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, STOPPED)
    await ln.start_sender("ln", "a", "b")
    stopped = await gfsh(ln, "stop gateway-sender --id=ln")
    assert (stopped.ran.status, stopped.result.status) == (0, "OK")
    assert stopped.rows == [*done("ab", "stopped"), wrong("c", "not running")]


@scenario(ln=3)
async def test_gfsh_stop_sender_not_available(ln: Site, gfsh: Shell) -> None:
    """Without targets a command is for the servers that have the sender."""
    await gfsh.ok(ln, f"{CREATE} --member=1-a,1-b")
    assert (await gfsh.ok(ln, "stop gateway-sender --id=ln")).rows == done("ab", "stopped")
    await ln.start_sender("ln")
    stopped = await gfsh(ln, "stop gateway-sender --id=ln --member=1-a,1-b,1-c")
    assert (stopped.ran.status, stopped.result.status) == (0, "OK")
    assert stopped.rows == [*done("ab", "stopped"), wrong("c", "not available")]


@scenario(ln=1)
async def test_gfsh_stop_sender_argument_errors(ln: Site, gfsh: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Missing option '--id'" in await gfsh.refused(ln, "stop gateway-sender")
    await gfsh.ok(ln, CREATE)
    nobody = await gfsh(ln, "stop gateway-sender --id=ln --member=none")
    assert (nobody.ran.status, "no members found" in nobody.ran.err) == (1, True)
    await ln.leave("a")
    nobody = await gfsh(ln, "stop gateway-sender --id=ln")
    assert (nobody.ran.status, "no members found" in nobody.ran.err) == (1, True)

    def interrupted(_: FakeAdmin, method: str, path: str, body: object = None, query: object = None) -> Result:
        if path.endswith("stop"):
            raise KeyboardInterrupt
        return Result()

    monkeypatch.setattr(FakeAdmin, "call", interrupted)
    ran = gfsh.run("stop gateway-sender --id=ln")
    assert (ran.status, "interrupted" in ran.err) == (1, True)


@scenario(ln=1)
async def test_gfsh_pause_sender(ln: Site, gfsh: Shell) -> None:
    await grouped(ln)
    await gfsh.ok(ln, CREATE)
    assert (await gfsh.ok(ln, "pause gateway-sender --id=ln --member=1-a")).rows == done("a", "paused")
    assert each(ln) == {"a": "Paused", **dict.fromkeys("bcde", "Running")}
    assert (await gfsh.ok(ln, "pause gateway-sender --id=ln --group=one")).rows == done("bc", "paused")
    assert each(ln) == {**dict.fromkeys("abc", "Paused"), **dict.fromkeys("de", "Running")}
    await ln.resume_sender("ln", *"bc")
    assert (await gfsh.ok(ln, "pause gateway-sender --id=ln --group=one,two")).rows == done("bcd", "paused")
    await ln.resume_sender("ln", *"abcd")
    assert (await gfsh.ok(ln, "pause gateway-sender --id=ln")).rows == done("abcde", "paused")
    assert all(slot.member.gateways._senders["ln"].running for slot in ln.running)
    await gfsh.ok(ln, "destroy gateway-sender --id=ln")
    await gfsh.ok(ln, f"{CREATE} --group=one")
    lacking = await gfsh(ln, "pause gateway-sender --id=ln --group=one,two")
    assert (lacking.ran.status, lacking.rows) == (0, [*done("bc", "paused"), wrong("d", "not available")])


@scenario(ln=1)
async def test_gfsh_resume_sender(ln: Site, gfsh: Shell) -> None:
    await grouped(ln)
    await gfsh.ok(ln, CREATE)
    await ln.pause_sender("ln")
    assert (await gfsh.ok(ln, "resume gateway-sender --id=ln --member=1-a")).rows == done("a", "resumed")
    assert each(ln) == {"a": "Running", **dict.fromkeys("bcde", "Paused")}
    assert (await gfsh.ok(ln, "resume gateway-sender --id=ln --group=one")).rows == done("bc", "resumed")
    assert each(ln) == {**dict.fromkeys("abc", "Running"), **dict.fromkeys("de", "Paused")}
    await ln.pause_sender("ln", *"bc")
    assert (await gfsh.ok(ln, "resume gateway-sender --id=ln --group=one,two")).rows == done("bcd", "resumed")
    await ln.pause_sender("ln", *"abcd")
    assert (await gfsh.ok(ln, "resume gateway-sender --id=ln")).rows == done("abcde", "resumed")
    assert each(ln) == dict.fromkeys("abcde", "Running")


@scenario(ln=3)
async def test_gfsh_state_error_rows(ln: Site, gfsh: Shell) -> None:
    await gfsh.ok(ln, f"{STOPPED} --member=1-a,1-b")
    await ln.start_sender("ln", "a")

    async def rows(action: str) -> list[tuple[str, ...]]:
        shown = await gfsh(ln, f"{action} gateway-sender --id=ln --member=1-a,1-b,1-c")
        assert shown.ran.status == 0
        return shown.rows

    missing = wrong("c", "not available")
    assert await rows("resume") == [wrong("a", "not paused"), wrong("b", "not running"), missing]
    assert await rows("pause") == [*done("a", "paused"), wrong("b", "not running"), missing]
    assert await rows("pause") == [wrong("a", "already paused"), wrong("b", "not running"), missing]
    assert await rows("start") == [wrong("a", "already started"), *done("b", "started"), missing]


@scenario(ln=3, ny=2)
async def test_gfsh_load_balance_sender(ln: Site, ny: Site, gfsh: Shell) -> None:
    """Only links that should lead elsewhere are opened anew."""
    await ny.create_receiver()
    await gfsh.ok(ln, f"{STOPPED} --parallel=true")
    await ln.start_sender("ln", "a", "b")
    balanced = await gfsh(ln, "load-balance gateway-sender --id=ln")
    assert balanced.ran.status == 0
    assert balanced.rows == [*done("ab", "rebalanced"), wrong("c", "not running")]
    unknown = await gfsh(ln, "load-balance gateway-sender --id=other")
    message = "gateway sender other is not available on member"
    assert unknown.rows == [(name, "Error", f"{message} {name}") for name in ("1-a", "1-b", "1-c")]
