"""wan-copy region waits, reports, cancels, and can be interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from heliograph.gfsh import following
from heliograph.locator.requests import WanCopyRequest
from heliograph.model.results import Result, Table, failed
from tests.gfsh.support import FakeAdmin, Program

COPY = "wan-copy region --region=/r --sender-id=s"
PAIR = {"region": "/r", "sender_id": "s"}


def state(running: int, status: str, message: str, **more: str) -> Result:
    rows: list[tuple[str, ...]] = [("a", status, message)]
    return Result(
        status="ERROR" if status == "ERROR" and not running else "OK",
        data={"Running": str(running), "Copied": "10", "Entries": "100", **more},
        tables=[Table(("Member", "Status", "Message"), rows)],
    )


class Site(FakeAdmin):
    """An admin API whose copy ends after some looks. interrupted: at which look the user has had enough."""

    interrupted = -1
    last = state(0, "OK", "Entries copied: 100")

    def __init__(self, looks: int) -> None:
        begun = state(1, "RUNNING", "Entries copied: 0", Run="77", Members="a,b")
        super().__init__({("POST", "/wan-copies"): begun})
        self.looks = looks

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, str | bool] | None = None) -> Result:
        if method != "GET" or path == "/version":
            return super().call(method, path, body, query)
        assert (path, query) == ("/wan-copies/77", {"member": "a,b"})
        if self.looks == self.interrupted:
            raise KeyboardInterrupt
        self.looks -= 1
        if self.looks == 3:
            return failed("the engine can't be reached")
        return state(1, "RUNNING", "Entries copied: 10") if self.looks else self.last


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_S", 0.0)


def run(program: Program, monkeypatch: pytest.MonkeyPatch, site: FakeAdmin, command: str = COPY) -> Any:
    monkeypatch.setattr("heliograph.admin.client.AdminClient", site.client)
    return program("-e", "connect --url=http://site", "-e", command)


def test_it_returns_when_all_is_copied(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(5)
    ran = run(program, monkeypatch, site)
    assert (ran.status, site.looks) == (0, 0)
    assert "Entries copied: 100" in ran.out
    assert "77" not in ran.out


def test_its_options(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(1)
    run(program, monkeypatch, site)
    assert ("POST", "/wan-copies", WanCopyRequest(region="/r", sender_id="s"), {}) in site.calls
    assert WanCopyRequest(region="/r", sender_id="s", max_rate=0, batch_size=1000) == site.calls[-1][2]
    given = Site(1)
    run(program, monkeypatch, given, f"{COPY} --max-rate=5 --batch-size=7")
    assert given.calls[-1][2] == WanCopyRequest(region="/r", sender_id="s", max_rate=5, batch_size=7)
    for missing in ("wan-copy region --region=r", "wan-copy region --sender-id=s"):
        assert "Missing option" in run(program, monkeypatch, Site(1), missing).err


def test_it_fails_when_a_server_does(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(2)
    site.last = state(0, "ERROR", "a is gone")
    ran = run(program, monkeypatch, site)
    assert ran.status == 1
    assert "a is gone" in ran.out + ran.err


def test_what_does_not_begin_is_not_waited_for(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = state(0, "ERROR", "Region r not found", Run="77", Members="a")
    ran = run(program, monkeypatch, FakeAdmin({("POST", "/wan-copies"): refused}))
    assert ran.status == 1
    assert "Region r not found" in ran.out + ran.err


def test_an_interrupt_cancels_the_copy(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(10**9)
    site.interrupted = 10**9 - 5
    ran = run(program, monkeypatch, site)
    assert ran.status == 1
    assert "interrupted" in ran.out + ran.err
    assert site.calls[-1] == ("DELETE", "/wan-copies", None, PAIR)


def test_an_interrupt_of_the_start_cancels_the_copy_too(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Site):
        def call(self, method: str, *arguments: Any, **query: Any) -> Result:
            if method == "POST":
                raise KeyboardInterrupt
            return super().call(method, *arguments, **query)

    site = Slow(1)
    assert run(program, monkeypatch, site).status == 1
    assert site.calls[-1] == ("DELETE", "/wan-copies", None, PAIR)


def test_cancel(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = FakeAdmin()
    assert run(program, monkeypatch, site, f"{COPY} --cancel").status == 0
    assert site.calls[-1] == ("DELETE", "/wan-copies", None, PAIR)
    run(program, monkeypatch, site, "wan-copy region --region=* --sender-id=* --cancel")
    assert site.calls[-1] == ("DELETE", "/wan-copies", None, {"region": "*", "sender_id": "*"})
    ran = run(program, monkeypatch, site, "wan-copy region --region=* --sender-id=*")
    assert ran.status == 1
    assert "with --cancel only" in ran.err


@pytest.mark.parametrize("option", ["--max-rate=-1", "--batch-size=0", "--max-rate=x"])
def test_numbers_out_of_range_are_refused(program: Program, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    site = Site(1)
    assert run(program, monkeypatch, site, f"{COPY} {option}").status == 1
    assert ("POST", "/wan-copies") not in [call[:2] for call in site.calls]
