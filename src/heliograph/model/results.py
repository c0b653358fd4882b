"""The result of a command: what the admin API answers and the shell shows (gfsh.md §1.4)."""

from __future__ import annotations

from typing import Literal

import msgspec


class Table(msgspec.Struct, frozen=True):
    """A titled table; every row has one text a column."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    title: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a command found or did.

    status: ERROR makes the command fail (exit status 1); an action table may show errors inside an OK result.
    info: lines of text. data: name -> value lines. tables: in the order shown.
    """

    status: Literal["OK", "ERROR"] = "OK"
    info: list[str] = []
    data: dict[str, str] = {}
    tables: list[Table] = []


def failed(message: str) -> Result:
    """Return an ERROR result with one line of text."""
    return Result(status="ERROR", info=[message])
