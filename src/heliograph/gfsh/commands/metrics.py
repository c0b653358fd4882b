"""show metrics (gfsh.md §6.11)."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from heliograph.errors import UsageError
from heliograph.gfsh.consent import agreed
from heliograph.gfsh.grammar import TEXT_LIST, command, refused
from heliograph.gfsh.session import Session
from heliograph.model import refusals
from heliograph.model.results import Result, Table, failed

PATH = "/metrics"


@command("show metrics")
@click.option("--member", default="", help="Those of this member.")
@click.option("--region", default="", help="Those of this region; with --member, of what that member has of it.")
@click.option("--categories", type=TEXT_LIST, default=(), help="Only these categories.")
@click.option("--file", "file", default="", help="File that they are written to as well, which ends in .csv.")
@refused(refusals.METRICS)
@click.pass_obj
def show_metrics(session: Session, member: str, region: str, categories: tuple[str, ...], file: str) -> Result:
    """Show what the members measure: of the whole site, a region, a member, or a region at a member."""
    path = Path(file) if file else None
    if path is not None and path.suffix != ".csv":
        raise UsageError(f"--file={file}: it has to end in .csv")
    if path is not None and path.exists() and not agreed(f"{path} exists. Overwrite it?"):
        return failed(f"{path} exists, and was left as it is")
    query = {"member": member, "region": region, "categories": ",".join(categories)}
    result = session.client.call("GET", PATH, query={name: value for name, value in query.items() if value})
    info = result.info
    if path is not None and result.status == "OK":
        _write(path, result.tables)
        info = [*info, f"Metrics were written to {path}"]
    tables = result.tables if session.printer.json else [*map(_grouped, result.tables)]
    return msgspec.structs.replace(result, info=info, tables=tables)


def _grouped(table: Table) -> Table:
    """Leave a category's name in its first row only, for people."""
    before = ["", *(category for category, *_ in table.rows)]
    rows = [
        ("" if category == above else category, *others)
        for above, (category, *others) in zip(before, table.rows, strict=False)
    ]
    return msgspec.structs.replace(table, rows=rows)


def _write(path: Path, tables: list[Table]) -> None:
    """Write tables as CSV."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        for table in tables:
            lines.writerows((table.columns, *table.rows))


COMMANDS = (show_metrics,)
