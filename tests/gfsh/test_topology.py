"""plan, apply and lint: what is asked of the sites, and when nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.model.results import Result, Table
from tests.gfsh.support import FakeAdmin, Program

PATH = "/cluster-configuration"
WAN = """
[regions.customer]
[gateway-receiver]
[sites.ln]
distributed-system-id = 1
url = "http://ln:1"
[sites.ln.gateway-senders.ny]
remote-distributed-system-id = 2
[sites.ln.regions.customer]
gateway-sender-ids = ["ny"]
[sites.ny]
distributed-system-id = 2
url = "http://ny:1"
[sites.ny.gateway-senders.ln]
remote-distributed-system-id = 1
[sites.ny.regions.customer]
gateway-sender-ids = ["ln"]
"""
PLANNED = Result(tables=[Table(("Change", "Status", "Message"), [("create region customer", "planned", "")])])


class Sites:
    """Two sites, told apart by their urls. `unlike`: a site whose dsid is another one than the file says."""

    def __init__(self, *, unlike: str = "", refusing: str = "", same: bool = False) -> None:
        self.asked: list[tuple[str, bool, dict[str, Any]]] = []
        self._unlike, self._refusing, self._same = unlike, refusing, same

    def client(self, url: str, _tls: object = None, _authorization: str = "") -> FakeAdmin:
        admin = FakeAdmin()
        admin.url = url
        admin.call = self._call_of(url)  # type: ignore[method-assign]
        return admin

    def _call_of(self, url: str) -> Any:
        name = "ln" if "ln" in url else "ny"

        def call(method: str, path: str, body: Any = None, query: Any = None) -> Result:
            if method == "GET":
                dsid = "9" if name == self._unlike else {"ln": "1", "ny": "2"}[name]
                return Result(data={"distributed-system-id": dsid})
            planning = bool(query.get("plan"))
            self.asked.append((name, planning, dict(query)))
            if name == self._refusing:
                return Result(status="ERROR", info=["region customer exists with other attributes"])
            return Result(info=["Nothing to change."]) if self._same else PLANNED

        return call

    @property
    def changed(self) -> list[str]:
        return [name for name, planning, _ in self.asked if not planning]


@pytest.fixture
def wan(tmp_path: Path) -> Path:
    path = tmp_path / "wan.toml"
    path.write_text(WAN)
    return path


@pytest.fixture
def sites(monkeypatch: pytest.MonkeyPatch) -> Sites:
    return using(monkeypatch, Sites())


def using(monkeypatch: pytest.MonkeyPatch, sites: Sites) -> Sites:
    monkeypatch.setattr("heliograph.admin.client.AdminClient", sites.client)
    return sites


def test_a_plan_is_shown_and_changes_nothing(program: Program, sites: Sites, wan: Path) -> None:
    ran = program("plan", f"--file={wan}")
    assert ran.status == 0
    assert "create region customer" in ran.out
    assert sites.asked == [(name, True, {"prune": False, "plan": True}) for name in ("ln", "ny")]


def test_apply_plans_everywhere_before_it_changes_anything(program: Program, sites: Sites, wan: Path) -> None:
    ran = program("apply", f"--file={wan}", "--prune=true")
    assert ran.status == 0
    assert [(name, planning) for name, planning, _ in sites.asked] == [
        ("ln", True), ("ny", True), ("ln", False), ("ny", False),
    ]  # fmt: skip
    assert all(query["prune"] for _, _, query in sites.asked)


def test_json_is_one_object(program: Program, sites: Sites, wan: Path) -> None:
    ran = program("--json", "apply", f"--file={wan}")
    assert (ran.status, len(ran.out.splitlines())) == (0, 1)
    assert sites.changed == ["ln", "ny"]


def test_nothing_is_begun_when_a_site_refuses(program: Program, monkeypatch: pytest.MonkeyPatch, wan: Path) -> None:
    sites = using(monkeypatch, Sites(refusing="ny"))
    ran = program("apply", f"--file={wan}")
    assert ran.status == 1
    assert "site ny: region customer exists with other attributes" in ran.err
    assert not sites.changed


def test_nothing_is_begun_when_another_site_answers(
    program: Program, monkeypatch: pytest.MonkeyPatch, wan: Path
) -> None:
    sites = using(monkeypatch, Sites(unlike="ny"))
    ran = program("apply", f"--file={wan}")
    assert ran.status == 1
    assert "site ny: what answers has distributed-system-id 9, the file says 2" in ran.err
    assert not sites.changed


def test_nothing_is_asked_when_the_file_has_errors(program: Program, sites: Sites, wan: Path) -> None:
    wan.write_text(WAN.replace("remote-distributed-system-id = 1", "remote-distributed-system-id = 7"))
    ran = program("apply", f"--file={wan}")
    assert ran.status == 1
    assert "leads to distributed-system-id 7, which no site of the file has" in ran.err
    assert not sites.asked


def test_what_is_as_it_should_be_is_left(program: Program, monkeypatch: pytest.MonkeyPatch, wan: Path) -> None:
    sites = using(monkeypatch, Sites(same=True))
    ran = program("apply", f"--file={wan}")
    assert ran.status == 0
    assert "it is as the file says" in ran.out
    assert not sites.changed


def test_lint_fails_for_errors_and_not_for_warnings(program: Program, sites: Sites, wan: Path) -> None:
    assert "Nothing to find fault with." in program("lint", f"--file={wan}").out
    wan.write_text(WAN.replace('gateway-sender-ids = ["ln"]', "gateway-sender-ids = []"))
    ran = program("lint", f"--file={wan}")
    assert (ran.status, "nothing goes back there" in ran.out) == (0, True)
    wan.write_text(WAN.replace("[gateway-receiver]", ""))
    assert program("lint", f"--file={wan}").status == 1
    assert not sites.asked
