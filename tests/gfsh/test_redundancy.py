"""restore redundancy waits for the copies that are on their way, and then says how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from heliograph.gfsh.commands import rebalance
from heliograph.model.results import Result, Table, failed
from tests.gfsh.support import FakeAdmin, Program


class Site(FakeAdmin):
    """An admin API whose copies on their way become fewer; when all are there the region is as `after` says."""

    def __init__(self, steps: int = 0, after: str = "SATISFIED") -> None:
        super().__init__()
        self.steps = steps
        self.after = after

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, str | bool] | None = None) -> Result:
        result = super().call(method, path, body, query)
        if path == "/redundancy":
            shown = "NO_REDUNDANT_COPIES" if self.steps else self.after
            return Result(tables=[Table(("Region", "Status"), [("r", shown)])])
        if path == "/rebalance":
            self.steps -= 1
            return Result(data={"Remaining": str(self.steps)})
        return result


@pytest.mark.parametrize(
    ("steps", "after", "status", "looks"),
    [(0, "SATISFIED", 0, 0), (3, "SATISFIED", 0, 3), (3, "NOT_SATISFIED", 1, 3)],
)
def test_it_ends_when_nothing_is_on_its_way_and_fails_when_that_is_not_enough(
    program: Program, monkeypatch: pytest.MonkeyPatch, steps: int, after: str, status: int, looks: int
) -> None:
    site = Site(steps, after)
    monkeypatch.setattr("heliograph.admin.client.AdminClient", site.client)
    monkeypatch.setattr(rebalance, "LOOK_S", 0.0)
    command = "restore redundancy --include-region=r --exclude-region=q --reassign-primaries=false"
    ran = program("-e", "connect --url=http://site", "-e", command)
    assert ran.status == status
    assert after in ran.out + ran.err
    assert ("No server is left for more copies of r: start one" in ran.err) == bool(status)
    redundancy = ("/redundancy", None, {"include_region": "r", "exclude_region": "q"})
    wanted = [redundancy] if not looks else [redundancy, *[("/rebalance", None, {})] * looks, redundancy]
    assert [call[1:] for call in site.calls if call[1] in ("/redundancy", "/rebalance")] == wanted


def test_it_does_not_wait_for_who_answers_nothing(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = FakeAdmin({("GET", "/redundancy"): failed("region q does not exist")})
    monkeypatch.setattr("heliograph.admin.client.AdminClient", admin.client)
    ran = program("-e", "connect --url=http://site", "-e", "restore redundancy --include-region=q")
    assert ran.status == 1
    assert "region q does not exist" in ran.err


def test_primaries_are_not_its_matter(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.admin.client.AdminClient", Site().client)
    for given in ("--reassign-primaries", "--reassign-primaries=true"):
        ran = program("-e", "connect --url=http://site", "-e", f"restore redundancy {given}")
        assert ran.status == 1
        assert "rebalance gives every server its share of the primaries" in ran.err
