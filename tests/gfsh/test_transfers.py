"""export data and import data wait, report, and can be interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from heliograph.errors import UnavailableError
from heliograph.gfsh import following
from heliograph.model.results import Result, Table, failed
from tests.gfsh.support import FakeAdmin, Program

BOTH = pytest.mark.parametrize("verb", ["export", "import"])


class Site(FakeAdmin):
    """An admin API whose export or import ends after some looks. interrupted: at which look the user has had enough."""

    interrupted = -1

    def __init__(self, verb: str, looks: int) -> None:
        self.verb = verb
        self.path = f"/regions/r/{verb}s"
        super().__init__({("POST", self.path): self.state(1, Run="77", Members="a,b")})
        self.looks = looks

    def state(self, running: int, **more: str) -> Result:
        rows: list[tuple[str, ...]] = [("a", "RUNNING" if running else "OK", f"Entries {self.verb}ed: 10")]
        data = {"Running": str(running), f"{self.verb.title()}ed": "10", "Entries": "100", **more}
        return Result(data=data, tables=[Table(("Member", "Status", "Message"), rows)])

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, str | bool] | None = None) -> Result:
        if method != "GET" or path == "/version":
            return super().call(method, path, body, query)
        assert (path, query) == (f"{self.path}/77", {"member": "a,b"})
        if self.looks == self.interrupted:
            raise KeyboardInterrupt
        self.looks -= 1
        return self.state(min(self.looks, 1))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_S", 0.0)


def run(program: Program, monkeypatch: pytest.MonkeyPatch, site: Site, command: str = "") -> Any:
    monkeypatch.setattr("heliograph.admin.client.AdminClient", site.client)
    command = command or f"{site.verb} data --region=/r --member=a --dir=d"
    return program("-e", "connect --url=http://site", "-e", command)


@BOTH
def test_it_returns_when_all_is_done(program: Program, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    site = Site(verb, 5)
    ran = run(program, monkeypatch, site)
    assert (ran.status, site.looks) == (0, 0)
    assert f"Entries {verb}ed: 10" in ran.out
    assert "77" not in ran.out


@BOTH
def test_an_interrupt_cancels_it(program: Program, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    site = Site(verb, 9)
    site.interrupted = 5
    ran = run(program, monkeypatch, site)
    assert ran.status == 1
    assert "interrupted" in ran.out + ran.err
    assert site.calls[-1] == ("DELETE", f"/regions/r/{verb}s/77", None, {"member": "a,b"})


@BOTH
def test_an_interrupt_before_it_has_begun_says_so(program: Program, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    class Slow(Site):
        def call(self, method: str, *arguments: Any, **query: Any) -> Result:
            if method == "POST":
                raise KeyboardInterrupt
            return super().call(method, *arguments, **query)

    ran = run(program, monkeypatch, Slow(verb, 1))
    assert ran.status == 1
    assert "it may go on" in ran.err


@BOTH
def test_an_interrupt_after_it_has_ended_says_how(program: Program, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    class Late(Site):
        def call(self, method: str, *arguments: Any, **query: Any) -> Result:
            if method == "DELETE":
                self.looks, self.interrupted = 1, -1
                return failed("No running command to be cancelled")
            return super().call(method, *arguments, **query)

    site = Late(verb, 9)
    site.interrupted = 5
    ran = run(program, monkeypatch, site)
    assert ran.status == 0
    assert f"Entries {verb}ed: 10" in ran.out
    assert "cancelled" not in ran.out + ran.err


@BOTH
def test_a_locator_that_is_gone_leaves_the_servers_at_work(
    program: Program, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    class Gone(Site):
        def call(self, method: str, path: str, *arguments: Any, **query: Any) -> Result:
            if method == "GET" and path != "/version":
                raise UnavailableError("the admin API can't be reached")
            return super().call(method, path, *arguments, **query)

    ran = run(program, monkeypatch, Gone(verb, 5))
    assert ran.status == 1
    assert "can't be reached; the servers go on" in ran.err


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("export data --region=r --member=a", "one of file and dir"),
        ("export data --region=r --member=a --file=x.gfd --dir=d", "one of file and dir"),
        ("export data --region=r --member=a --file=x", "has to end with .gfd"),
        ("export data --region=r --member=a --file=x.gfd --parallel", "parallel needs dir"),
        ("import data --region=r --member=a", "one of file and dir"),
        ("export data --region=r --file=x.gfd", "Missing option"),
        ("export data --member=a --file=x.gfd", "Missing option"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(
    program: Program, monkeypatch: pytest.MonkeyPatch, command: str, error: str
) -> None:
    site = Site("export", 1)
    ran = run(program, monkeypatch, site, command)
    assert ran.status == 1
    assert error in ran.err
    assert not [call for call in site.calls if call[0] == "POST"]
