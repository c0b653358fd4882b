"""plan, apply, lint: all sites of a WAN from one file (`config.topology_file`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from heliograph.errors import HeliographError, UsageError
from heliograph.gfsh.commands.connection import connect_to
from heliograph.gfsh.consent import agreed
from heliograph.gfsh.grammar import BOOLEAN, command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, Table, failed

if TYPE_CHECKING:
    from heliograph.admin.client import AdminClient
    from heliograph.model.topology import Finding, SiteDefinition, Topology

PATH = "/cluster-configuration"
_COLUMNS = ("Site", "Change", "Status", "Message")

_file = click.option("--file", required=True, help="The topology file.")
_prune = click.option(
    "--prune", type=BOOLEAN, default=False,
    help="Also destroy what the file does not define, regions with their data. [default: false]",
)  # fmt: skip


@command("lint")
@_file
def lint(file: str) -> Result:
    """Look for what is wrong in a topology file, without asking any site."""
    found = _look(_read(file))
    failing = any(each.level == "error" for each in found)
    return Result(
        status="ERROR" if failing else "OK",
        tables=_findings(found),
        info=[] if found else ["Nothing to find fault with."],
    )


@command("plan")
@_file
@_prune
@click.pass_obj
def plan(session: Session, file: str, prune: bool) -> Result:
    """Show what would bring every site to what a topology file says."""
    return _plan(session, _read(file), prune=prune)


@command("apply")
@_file
@_prune
@click.option("--yes", type=BOOLEAN, default=False, help="Do not ask on a terminal before it begins. [default: false]")
@click.pass_obj
def apply(session: Session, file: str, prune: bool, yes: bool) -> Result:
    """Show what would bring every site to what a topology file says, and do it. Nothing is begun when a site refuses.

    A site that fails does not keep the others from being changed. The same command given again goes on from there.
    """
    topology = _read(file)
    planned = _plan(session, topology, prune=prune)
    if planned.status == "ERROR" or not any(row[2] == "planned" for table in planned.tables for row in table.rows):
        return planned
    if not session.printer.json:
        session.printer.show(planned)
    if not (yes or session.printer.json or agreed("Make these changes?")):
        return failed("nothing was changed")
    return _ask_all(session, topology.sites, lambda client, site: client.call(
        "POST", PATH, site.configuration, {"prune": prune}
    ))  # fmt: skip


def _plan(session: Session, topology: Topology, *, prune: bool) -> Result:
    found = _look(topology)
    errors = [each for each in found if each.level == "error"]
    if errors:
        return Result(status="ERROR", tables=_findings(errors), info=["the topology file has errors"])
    return _ask_all(session, topology.sites, lambda client, site: client.call(
        "POST", PATH, site.configuration, {"prune": prune, "plan": True}
    ))  # fmt: skip


def _ask_all(
    session: Session, sites: Sequence[SiteDefinition], ask: Callable[[AdminClient, SiteDefinition], Result]
) -> Result:
    """Ask every site; ERROR when one is not reached or fails, with what the others answered."""
    rows: list[tuple[str, ...]] = []
    problems: list[str] = []
    for site in sites:
        try:
            with _reached(session, site) as client:
                result = ask(client, site)
        except HeliographError as exc:
            problems.append(f"site {site.name}: {exc}")
            continue
        rows += [(site.name, *row) for table in result.tables for row in table.rows]
        if result.status == "ERROR":
            problems += [f"site {site.name}: {line}" for line in result.info or ["a change failed"]]
        elif not result.tables:
            rows.append((site.name, "none", "OK", "it is as the file says"))
    return Result(status="ERROR" if problems else "OK", info=problems, tables=[Table(_COLUMNS, rows)] if rows else [])


@contextmanager
def _reached(session: Session, site: SiteDefinition) -> Iterator[AdminClient]:
    """Turn to a site's admin API, whatever the session is connected to. Raises HeliographError as `connect` does."""
    from heliograph.locator.site_configuration import DSID

    aside = session.aside()
    try:
        if site.url:
            aside.connect(site.url, None)
        else:
            connect_to(aside, *site.locators)
        dsid = aside.client.call("GET", PATH).data.get(DSID)
        if dsid != str(site.distributed_system_id):
            raise UsageError(
                f"what answers has distributed-system-id {dsid}, the file says {site.distributed_system_id}: correct "
                "the file, or its locators"
            )
        yield aside.client
    finally:
        aside.disconnect()


def _read(file: str) -> Topology:
    from pathlib import Path

    from heliograph.config.topology_file import read_topology

    return read_topology(Path(file))


def _look(topology: Topology) -> list[Finding]:
    from heliograph.model.topology import lint as look

    return look(topology)


def _findings(found: Sequence[Finding]) -> list[Table]:
    rows: list[tuple[str, ...]] = [(each.level, each.site, each.message) for each in found]
    return [Table(("Level", "Site", "Finding"), rows)] if rows else []


COMMANDS = (lint, plan, apply)
