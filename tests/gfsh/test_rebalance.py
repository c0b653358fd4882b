"""The rebalance command waits, reports, and can be interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from heliograph.gfsh.commands import rebalance
from heliograph.model.results import Result, Table
from tests.gfsh.support import FakeAdmin, Program

MOVED = Result(tables=[Table(("Rebalanced Stats", "Value"), [("Total number of buckets moved", "3")], "Rebalanced: r")])


class Site(FakeAdmin):
    """An admin API whose steps become fewer; `interrupted`: when so many are left the user has had enough."""

    interrupted = -1

    def __init__(self, steps: int) -> None:
        super().__init__({("POST", "/rebalance"): MOVED})
        self.steps = steps

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, str | bool] | None = None) -> Result:
        if (method, path) != ("GET", "/rebalance"):
            return super().call(method, path, body, query)
        if self.steps == self.interrupted:
            raise KeyboardInterrupt
        self.steps -= 1
        return Result(data={"Remaining": str(self.steps)})


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebalance, "LOOK_S", 0.0)


def run(program: Program, monkeypatch: pytest.MonkeyPatch, site: Site, options: str = "") -> Any:
    monkeypatch.setattr("heliograph.admin.client.AdminClient", site.client)
    return program("-e", "connect --url=http://site", "-e", f"rebalance {options}")


def test_it_returns_when_all_is_moved(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(5)
    ran = run(program, monkeypatch, site)
    assert (ran.status, site.steps) == (0, 0)
    assert "Total number of buckets moved" in ran.out
    assert rebalance.TIME in ran.out


def test_it_returns_earlier_when_it_is_told_to(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(10**9)
    ran = run(program, monkeypatch, site, "--time-out=1")
    assert ran.status == 0
    assert "not done within 1 s" in ran.out
    assert "steps are left" in ran.out
    assert ("DELETE", "/rebalance", None, {}) not in site.calls


def test_an_interrupt_leaves_buckets_where_they_are(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(5)
    site.interrupted = 2
    ran = run(program, monkeypatch, site)
    assert ran.status == 1
    assert "rebalance was interrupted" in ran.err
    assert site.calls[-1] == ("DELETE", "/rebalance", None, {})
