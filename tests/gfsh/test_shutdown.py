"""shutdown: what is asked, what is not, and what remains when a member can't be stopped."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heliograph.gfsh.commands import shutdown
from heliograph.model.results import Result, Table, failed
from tests.gfsh.support import FakeAdmin, Program

SITE = "connect --url=http://site"


@pytest.fixture(autouse=True)
def gone_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "_unreachable", lambda *_: True)


def order(admin: FakeAdmin, *rows: tuple[str, str], connected: str = "") -> None:
    table = Table(("Member", "Type"), [*rows])
    admin.answers["GET", "/shutdown"] = Result(data={"Connected": connected}, tables=[table])


def ended(admin: FakeAdmin) -> list[Any]:
    return [path.split("/")[2] for method, path, _, _ in admin.calls if method == "POST"]


def test_members_end_in_the_order_that_is_told(program: Program, admin: FakeAdmin) -> None:
    order(admin, ("s2", "server"), ("s1", "server"), ("l1", "locator"), connected="l1")
    ran = program("-e", SITE, "-e", "shutdown --include-locators=true --time-out=15", "-e", "describe connection")
    assert ran.status == 0
    assert ended(admin) == ["s2", "s1", "l1"]
    assert admin.calls[1][3] == {"include_locators": True}
    assert admin.calls[2][3] == {"time_out": "15"}
    assert "Not connected" in ran.out


def test_locators_are_left_when_a_server_is(program: Program, admin: FakeAdmin) -> None:
    order(admin, ("s2", "server"), ("s1", "server"), ("l1", "locator"), connected="l1")
    admin.answers["POST", "/members/s2/shutdown"] = failed("s2 is part of a process that no command started")
    ran = program("-e", SITE, "-e", "shutdown --include-locators=true")
    assert ran.status == 1
    assert ended(admin) == ["s2", "s1"]
    assert "part of a process" in ran.err
    assert "left running" in ran.err


def test_an_interrupt_leaves_the_rest_and_says_who_is_gone(
    program: Program, admin: FakeAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(admin, ("s3", "server"), ("s2", "server"), ("s1", "server"), ("l1", "locator"), connected="l1")
    call = admin.call

    def interrupted(method: str, path: str, *arguments: Any, **query: Any) -> Result:
        if path == "/members/s2/shutdown":
            raise KeyboardInterrupt
        return call(method, path, *arguments, **query)

    monkeypatch.setattr(admin, "call", interrupted)
    ran = program("--json", "-e", SITE, "-e", "shutdown --include-locators=true")
    assert (ran.status, ended(admin)) == (1, ["s3"])
    (table,) = json.loads(ran.out.splitlines()[-1])["tables"]
    assert [(name, status, message.partition(",")[0]) for name, status, message in table["rows"]] == [
        ("s3", "OK", "s3 was stopped"),
        ("s2", "ERROR", "interrupted while s2 was stopping"),
        ("s1", "ERROR", "left running"),
        ("l1", "ERROR", "left running"),
    ]


@pytest.mark.parametrize("words", ["--time-out=9", "--time-out=-1", ""])
def test_nothing_is_stopped(program: Program, admin: FakeAdmin, words: str) -> None:
    order(admin)
    ran = program("-e", SITE, "-e", f"shutdown {words}")
    assert (ran.status, ended(admin)) == (0, [])
    assert ("Nothing was stopped: --time-out" if words else "no server to stop") in ran.out


def test_whoever_says_no_is_obeyed(program: Program, admin: FakeAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    order(admin, ("s1", "server"))
    monkeypatch.setattr(shutdown, "agreed", lambda _: False)
    ran = program("-e", SITE, "-e", "shutdown")
    assert (ran.status, ran.err, ended(admin)) == (1, "nothing was stopped\n", [])
