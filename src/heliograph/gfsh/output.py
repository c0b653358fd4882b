"""How results are shown: lines, `name : value` lists and tables, or one JSON object a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click
import msgspec

from heliograph.model.results import Result, Table

_STYLES = {"OK": "green", "PASSED": "green", "ERROR": "red", "Error": "red", "FAILED": "red", "error": "red"}
"""Cells that stand out on a terminal."""


class Document(Result, frozen=True, kw_only=True):
    """A result whose output is one JSON object of its own, in whatever form other results are shown."""

    document: msgspec.Struct


class Printer:
    """Writes what commands answer to standard output, and what failed to standard error."""

    def __init__(self, *, json: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.json = json
        self._quiet = False
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    @contextmanager
    def quieted(self, quiet: bool) -> Iterator[None]:
        """Show failures only, for the time being."""
        before, self._quiet = self._quiet, self._quiet or quiet
        try:
            yield
        finally:
            self._quiet = before

    def announce(self, text: str) -> None:
        """Say which command comes next; nothing in JSON, where there is one object a command and no more."""
        if not (self.json or self._quiet):
            print(f"\n{text}\n", file=self._out, flush=True)

    def show(self, result: Result) -> None:
        """Show a result. In JSON it always goes to standard output, and a failure's lines to standard error too."""
        failed = result.status == "ERROR"
        if self._quiet and not failed:
            return
        if self.json or isinstance(result, Document):
            shown = result.document if isinstance(result, Document) else result
            print(msgspec.json.encode(shown).decode(), file=self._out, flush=True)
            if failed:
                _write_lines(result.info, self._err)
            return
        stream = self._err if failed else self._out
        _write_lines(result.info, stream, "red" if failed else None)
        width = max(map(len, result.data), default=0)
        _write_lines([f"{name:<{width}} : {value}" for name, value in result.data.items()], stream)
        for table in result.tables:
            (_show_table if stream.isatty() else _write_table)(table, stream)


def _write_lines(lines: list[str], stream: TextIO, colour: str | None = None) -> None:
    """Write lines, coloured on a terminal that has colours."""
    coloured = colour is not None and stream.isatty() and "NO_COLOR" not in os.environ
    for line in lines:
        print(click.style(line, fg=colour) if coloured else line, file=stream)
    stream.flush()


def _write_table(table: Table, stream: TextIO) -> None:
    """Write a table to a pipe or a file: every row on one line, whatever its width, so that scripts can read it.

    Drawn here because rich, made for terminals, takes milliseconds a row.
    """
    from rich.cells import cell_len, set_cell_size

    lines = [[cell.replace("\n", "\\n") for cell in line] for line in (table.columns, *table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    drawn = [
        f"| {' | '.join(set_cell_size(cell, width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    ]
    between = "+".join("-" * (width + 2) for width in widths)
    edge = f"+{'-' * len(between)}+"
    if table.title:
        _write_lines(["", table.title, ""], stream)
    _write_lines([edge, drawn[0], f"|{between}|", *drawn[1:], edge], stream)


def _show_table(table: Table, stream: TextIO) -> None:
    """Write a table to a terminal, within its width and in colours."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    grid = RichTable(box=box.ROUNDED)
    for column in table.columns:
        grid.add_column(Text(column))
    if table.title:
        console.print(Text(f"\n{table.title}\n"))
    for row in table.rows:
        grid.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row))
    console.print(grid)
