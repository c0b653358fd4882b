"""`query`: what is wrong with it, and where its rows go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.gfsh.commands import query
from heliograph.model.results import Result, Table
from tests.gfsh.support import FakeAdmin, Program, Ran

TEXT = "SELECT * FROM /people"
FOUND = Result(
    data={"Result": "true", "Limit": "100", "Rows": "2"},
    tables=[Table(("name", "age"), [("Ada", "36"), ("Bob", "UNDEFINED")])],
)


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> FakeAdmin:
    fake = FakeAdmin({("GET", "/regions/people/query"): FOUND})
    monkeypatch.setattr("heliograph.admin.client.AdminClient", fake.client)
    return fake


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Program:
    monkeypatch.chdir(tmp_path)
    return Program(monkeypatch, capsys)


def run(program: Program, command: str, *before: str) -> Ran:
    return program(*before, "-e", "connect --url=http://localhost:1", "-e", command)


def test_rows_are_shown(admin: FakeAdmin, program: Program) -> None:
    ran = run(program, f'query --query="{TEXT}"')
    assert (ran.status, ran.err) == (0, "")
    assert "Result : true\nLimit  : 100\nRows   : 2\n" in ran.out
    assert "| Ada  | 36        |" in ran.out


def test_a_query_that_is_none_is_an_answer_and_asks_nobody(admin: FakeAdmin, program: Program) -> None:
    ran = run(program, 'query --query="SELECT * FROM people"')
    assert ran.status == 0
    assert "Message : query, column 15: expected a region like /customer, not people" in ran.out
    assert [call[1] for call in admin.calls] == ["/version"]


def test_a_session_that_is_not_connected_hears_of_that_first(program: Program) -> None:
    ran = program("-e", 'query --query="SELECT"')
    assert ran.status == 1
    assert "not connected" in ran.err


def test_rows_go_to_a_file(admin: FakeAdmin, program: Program) -> None:
    ran = run(program, f'query --query="{TEXT}" --file=rows.txt')
    assert (ran.status, ran.err) == (0, "")
    assert "The rows are in rows.txt" in ran.out
    assert "Rows   : 2" in ran.out
    assert "Ada" not in ran.out
    written = Path("rows.txt").read_text()
    assert "Rows   : 2" in written
    assert "| Bob  | UNDEFINED |" in written
    run(program, f'query --query="{TEXT}" --file=rows.json', "--json")
    assert json.loads(Path("rows.json").read_text())["tables"][0]["rows"][0] == ["Ada", "36"]


def test_a_file_that_exists_is_replaced_only_if_that_is_wanted(
    admin: FakeAdmin, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("rows.txt").write_text("mine")
    monkeypatch.setattr(query, "agreed", lambda question: "rows.txt exists" not in question)
    ran = run(program, f'query --query="{TEXT}" --file=rows.txt')
    assert ran.status == 1
    assert "rows.txt exists, and was left as it is" in ran.err
    assert Path("rows.txt").read_text() == "mine"


def test_a_query_that_fails_leaves_the_file_as_it_is(admin: FakeAdmin, program: Program) -> None:
    Path("rows.txt").write_text("mine")
    admin.answers["GET", "/regions/people/query"] = Result(data={"Result": "false", "Message": "no such region"})
    ran = run(program, f'query --query="{TEXT}" --file=rows.txt')
    assert (ran.status, Path("rows.txt").read_text()) == (0, "mine")
    assert "Message : no such region" in ran.out


def test_a_place_where_nothing_can_be_written_is_named(admin: FakeAdmin, program: Program) -> None:
    ran = run(program, f'query --query="{TEXT}" --file=none/rows.txt')
    assert ran.status == 1
    assert "none/rows.txt: No such file or directory" in ran.err
