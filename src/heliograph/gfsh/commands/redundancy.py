"""status redundancy, restore redundancy (gfsh.md §4.8)."""

from __future__ import annotations

import click
import msgspec

from heliograph.gfsh.commands.rebalance import wait_until_placed
from heliograph.gfsh.grammar import TEXT_LIST, command, refused
from heliograph.gfsh.progress import shown
from heliograph.gfsh.session import Session
from heliograph.model import refusals
from heliograph.model.results import Result

PATH = "/redundancy"
_include = click.option("--include-region", type=TEXT_LIST, default=(), help="Only these regions.")
_exclude = click.option("--exclude-region", type=TEXT_LIST, default=(), help="All but these regions.")


@command("status redundancy")
@_include
@_exclude
@click.pass_obj
def status_redundancy(session: Session, include_region: tuple[str, ...], exclude_region: tuple[str, ...]) -> Result:
    """Show how many redundant copies of their buckets regions should have, and have."""
    query = {"include_region": ",".join(include_region), "exclude_region": ",".join(exclude_region)}
    return session.client.call("GET", PATH, query={name: value for name, value in query.items() if value})


@command("restore redundancy")
@_include
@_exclude
@refused(refusals.RESTORE_REDUNDANCY)
@click.pass_context
def restore_redundancy(ctx: click.Context, include_region: tuple[str, ...], exclude_region: tuple[str, ...]) -> Result:
    """Wait until every copy is made that there are servers for, and show how redundant regions are. Copies are made by
    themselves, as soon as there is a server for them. It fails when a region has fewer than it should have.
    """
    session: Session = ctx.obj

    def look() -> Result:
        looked: Result = ctx.invoke(status_redundancy, include_region=include_region, exclude_region=exclude_region)
        return looked

    if _satisfied(result := look()) or result.status == "ERROR":
        return result
    with shown(not session.printer.json, "making copies") as show:
        wait_until_placed(session.client, show)
    result = look()
    if _satisfied(result):
        return result
    advice = f"No server is left for more copies of {', '.join(_lacking(result))}: start one that may hold them."
    return msgspec.structs.replace(result, status="ERROR", info=[*result.info, advice])


def _satisfied(redundancy: Result) -> bool:
    return not _lacking(redundancy)


def _lacking(redundancy: Result) -> list[str]:
    return [row[0] for table in redundancy.tables for row in table.rows if row[1] != "SATISFIED"]


COMMANDS = (status_redundancy, restore_redundancy)
