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
    if path is None or result.status == "ERROR":
        return result
    _write(path, result.tables)
    return msgspec.structs.replace(result, info=[*result.info, f"Metrics were written to {path}"])


def _write(path: Path, tables: list[Table]) -> None:
    """Write tables as CSV, with the category in every line."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        for table in tables:
            lines.writerow(table.columns)
            category = ""
            for shown, *others in table.rows:
                category = shown or category
                lines.writerow((category, *others))


COMMANDS = (show_metrics,)
