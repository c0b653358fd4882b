"""show metrics: what it shows and writes, and what it refuses before it asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.gfsh.commands import metrics
from heliograph.model.results import Result, Table, failed
from tests.gfsh.support import FakeAdmin, Program

SHOWN = Result(
    tables=[
        Table(
            ("Category", "Metric", "Value"),
            [("cluster", "memberCount", "2"), ("cluster", "locatorCount", "1"), ("diskstore", 'diskUsage "a,b"', "7")],
            "Cluster-wide Metrics",
        )
    ]
)


@pytest.fixture
def admin(admin: FakeAdmin) -> FakeAdmin:
    admin.answers["GET", "/metrics"] = SHOWN
    return admin


def run(program: Program, options: str) -> tuple[int, str]:
    ran = program("-e", "connect --url=http://site", "-e", f"show metrics {options}")
    return ran.status, ran.out + ran.err


def test_metrics_are_shown_and_written_with_their_category_in_every_line(
    program: Program, admin: FakeAdmin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out = run(program, "--file=x.csv")
    assert status == 0
    assert "memberCount" in out
    assert "Metrics were written to x.csv" in out
    said = (tmp_path / "x.csv").read_text()
    assert said == (
        'Category,Metric,Value\ncluster,memberCount,2\ncluster,locatorCount,1\ndiskstore,"diskUsage ""a,b""",7\n'
    )
    assert admin.calls[-1] == ("GET", "/metrics", None, {})


def test_people_are_shown_a_category_once_and_programs_in_every_row(program: Program, admin: FakeAdmin) -> None:
    cells = [[cell.strip() for cell in line.split("|")] for line in run(program, "")[1].splitlines() if "Count" in line]
    assert [each[1:3] for each in cells] == [["cluster", "memberCount"], ["", "locatorCount"]]
    shown = program("--json", "-e", "connect --url=http://site", "-e", "show metrics").out.splitlines()[-1]
    assert [row[0] for row in json.loads(shown)["tables"][0]["rows"]] == ["cluster", "cluster", "diskstore"]


def test_a_file_that_exists_is_only_overwritten_when_that_is_agreed(
    program: Program, admin: FakeAdmin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.csv"
    file.write_text("kept")
    monkeypatch.setattr(metrics, "agreed", lambda _: False)
    status, out = run(program, f"--file={file}")
    assert (status, file.read_text()) == (1, "kept")
    assert "was left as it is" in out
    assert not [call for call in admin.calls if call[1] == "/metrics"]
    monkeypatch.setattr(metrics, "agreed", lambda _: True)
    assert run(program, f"--file={file}")[0] == 0
    assert file.read_text().startswith("Category,")


def test_nothing_is_written_when_nothing_is_told(program: Program, admin: FakeAdmin, tmp_path: Path) -> None:
    admin.answers["GET", "/metrics"] = failed("region 'none' does not exist")
    assert run(program, f"--region=none --file={tmp_path / 'x.csv'}")[0] == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--file=x.txt", "--file=x.txt: it has to end in .csv"),
        ("--port=40404", "--port is not offered: members and clients share a server's links"),
        ("--member=s1 --port=40404", "--port is not offered"),
    ],
)
def test_what_means_nothing_is_refused_before_anybody_is_asked(
    program: Program, admin: FakeAdmin, options: str, message: str
) -> None:
    status, out = run(program, options)
    assert status == 1
    assert message in out
    assert not [call for call in admin.calls if call[1] == "/metrics"]
