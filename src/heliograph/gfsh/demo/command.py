"""demo: whole sites on this machine, a real data set, a comparison of every entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliograph.errors import UsageError
from heliograph.gfsh.demo.topology import SITES_MAX, SITES_MIN, TOPOLOGIES, plan_of, plan_of_links
from heliograph.gfsh.grammar import command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, Table

if TYPE_CHECKING:
    from heliograph.gfsh.demo.run import DemoReport

SITES_DEFAULT = 3


@command("demo")
@click.option("--topology", type=click.Choice(list(TOPOLOGIES)), help="[default: mesh]")
@click.option(
    "--sites", type=click.IntRange(SITES_MIN, SITES_MAX), help="Number of sites on this machine. [default: 3]"
)
@click.option(
    "--links", help="Instead of both, any graph: 1-2 is a link both ways, 1>2 one way, as in 1-2,1-3,2-4,3-4."
)
@click.pass_obj
def demo(session: Session, topology: str | None, sites: int | None, links: str | None) -> Result:
    """Start sites on this machine, load and update 28,000 airports, and compare what every site holds."""
    import airportsdata
    from rich.console import Console

    from heliograph.gfsh.demo.run import run_demo

    if links is not None and (topology is not None or sites is not None):
        raise UsageError("--links says which sites there are: leave --topology and --sites out")
    plan = plan_of_links(links) if links is not None else plan_of(topology or "mesh", sites or SITES_DEFAULT)
    console = Console(stderr=session.printer.json, highlight=False, soft_wrap=True)
    return result_of(run_demo(plan, airportsdata.load("ICAO"), console))


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
