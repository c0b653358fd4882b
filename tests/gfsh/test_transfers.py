"""export data waits, reports, and can be interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from heliograph.gfsh import following
from heliograph.model.results import Result, Table
from tests.gfsh.support import FakeAdmin, Program

EXPORT = "export data --region=/r --member=a --dir=d"


class Site(FakeAdmin):
    """An admin API whose export ends after some looks. interrupted: at which look the user has had enough."""

    interrupted = -1

    def __init__(self, looks: int) -> None:
        super().__init__({("POST", "/regions/r/exports"): self.state(1, Run="77", Members="a,b")})
        self.looks = looks

    @staticmethod
    def state(running: int, **more: str) -> Result:
        rows: list[tuple[str, ...]] = [("a", "RUNNING" if running else "OK", "Entries exported: 10")]
        data = {"Running": str(running), "Exported": "10", "Entries": "100", **more}
        return Result(data=data, tables=[Table(("Member", "Status", "Message"), rows)])

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, str | bool] | None = None) -> Result:
        if method != "GET" or path == "/version":
            return super().call(method, path, body, query)
        assert (path, query) == ("/regions/r/exports/77", {"member": "a,b"})
        if self.looks == self.interrupted:
            raise KeyboardInterrupt
        self.looks -= 1
        return self.state(min(self.looks, 1))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_S", 0.0)


def run(program: Program, monkeypatch: pytest.MonkeyPatch, site: FakeAdmin, command: str = EXPORT) -> Any:
    monkeypatch.setattr("heliograph.admin.client.AdminClient", site.client)
    return program("-e", "connect --url=http://site", "-e", command)


def test_it_returns_when_all_is_written(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(5)
    ran = run(program, monkeypatch, site)
    assert (ran.status, site.looks) == (0, 0)
    assert "Entries exported: 10" in ran.out
    assert "77" not in ran.out


def test_an_interrupt_cancels_it(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(9)
    site.interrupted = 5
    ran = run(program, monkeypatch, site)
    assert ran.status == 1
    assert "interrupted" in ran.out + ran.err
    assert site.calls[-1] == ("DELETE", "/regions/r/exports/77", None, {"member": "a,b"})


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("export data --region=r --member=a", "one of file and dir"),
        ("export data --region=r --member=a --file=x.gfd --dir=d", "one of file and dir"),
        ("export data --region=r --member=a --file=x", "has to end with .gfd"),
        ("export data --region=r --member=a --file=x.gfd --parallel", "parallel needs dir"),
        ("export data --region=r --file=x.gfd", "Missing option"),
        ("export data --member=a --file=x.gfd", "Missing option"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(
    program: Program, monkeypatch: pytest.MonkeyPatch, command: str, error: str
) -> None:
    site = FakeAdmin()
    ran = run(program, monkeypatch, site, command)
    assert ran.status == 1
    assert error in ran.err
    assert not [call for call in site.calls if call[0] == "POST"]
