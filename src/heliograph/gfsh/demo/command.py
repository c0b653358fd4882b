"""demo: whole sites on this machine, a real data set, a comparison of every entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliograph.gfsh.demo.topology import SITES_MAX, SITES_MIN, TOPOLOGIES, plan_of
from heliograph.gfsh.grammar import command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, Table

if TYPE_CHECKING:
    from heliograph.gfsh.demo.run import DemoReport


@command("demo")
@click.option("--topology", type=click.Choice(list(TOPOLOGIES)), default="mesh", help="[default: mesh]")
@click.option(
    "--sites",
    type=click.IntRange(SITES_MIN, SITES_MAX),
    default=3,
    help="Number of sites on this machine. [default: 3]",
)
@click.pass_obj
def demo(session: Session, topology: str, sites: int) -> Result:
    """Start sites on this machine, load and update 28,000 airports, and compare what every site holds."""
    import airportsdata
    from rich.console import Console

    from heliograph.gfsh.demo.run import run_demo

    console = Console(stderr=session.printer.json, highlight=False, soft_wrap=True)
    return result_of(run_demo(plan_of(topology, sites), airportsdata.load("ICAO"), console))


def result_of(report: DemoReport) -> Result:
    """Return the table of all sites; an ERROR unless they are equal."""
    rows: list[tuple[str, ...]] = [
        (
            f"{site.site}",
            ", ".join(map(str, report.plan.sends_to[site.site])),
            f"{site.entries:,}",
            f"{len(site.difference):,}",
            f"{site.events_sent:,}",
            f"{site.events_received:,}",
            f"{site.queued:,}",
        )
        for site in report.sites
    ]
    columns = ("Site", "Sends to", "Entries", "Differing entries", "Events sent", "Events received", "Events queued")
    table = Table(columns, rows, f"Topology {report.plan.topology}, {report.seconds:.0f} s")
    if report.equal:
        return Result(info=["All sites hold the same entries."], tables=[table])
    return Result(status="ERROR", info=["The sites do not hold the same entries."], tables=[table])


COMMANDS = (demo,)
