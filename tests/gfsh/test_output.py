from __future__ import annotations

import io

import msgspec
import pytest

from heliograph.gfsh.output import Printer
from heliograph.model.results import Result, Table, failed

TABLE = Table(("Member", "Status"), [("server[1]", "OK"), ("s2", "x" * 300)], "Some Section")


def shown(result: Result, *, json: bool = False) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    Printer(json=json, out=out, err=err).show(result)
    return out.getvalue(), err.getvalue()


def test_lines_and_data() -> None:
    out, err = shown(Result(info=["a", "b"], data={"Result": "true", "Key": "[red]k"}))
    assert (out, err) == ("a\nb\nResult : true\nKey    : [red]k\n", "")


def test_a_table_in_a_pipe_is_plain_and_never_cut() -> None:
    out, _ = shown(Result(tables=[TABLE]))
    lines = out.splitlines()
    assert "Some Section" in lines
    assert "\x1b" not in out
    assert any(line.split("|")[1:3] == [" server[1] ", f" OK{' ' * 299}"] for line in lines)
    assert any("x" * 300 in line for line in lines)


def test_rows_of_a_table_in_a_pipe_are_lines() -> None:
    out, _ = shown(Result(tables=[Table(("Name", "N"), [("Ada\nB", "1"), ("東京", "12"), ("", "")])]))
    assert out.splitlines() == [
        "+-------------+",
        "| Name   | N  |",
        "|--------+----|",
        "| Ada\\nB | 1  |",
        "| 東京   | 12 |",
        "|        |    |",
        "+-------------+",
    ]


def test_failures_go_to_standard_error() -> None:
    out, err = shown(Result(status="ERROR", info=["no"], tables=[TABLE]))
    assert out == ""
    assert err.startswith("no\n")
    assert "server[1]" in err


@pytest.mark.parametrize("result", [Result(info=["a"], data={"b": "c"}, tables=[TABLE]), failed("no")])
def test_json_is_the_result(result: Result) -> None:
    out, err = shown(result, json=True)
    assert msgspec.json.decode(out, type=Result) == result
    assert out.count("\n") == 1
    assert err == ("no\n" if result.status == "ERROR" else "")


def test_quieted_shows_failures_only() -> None:
    out, err = io.StringIO(), io.StringIO()
    printer = Printer(out=out, err=err)
    with printer.quieted(True):
        printer.announce("next")
        printer.show(Result(info=["a"]))
        printer.show(failed("no"))
    printer.show(Result(info=["b"]))
    assert (out.getvalue(), err.getvalue()) == ("b\n", "no\n")
