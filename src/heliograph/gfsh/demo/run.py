"""The demo itself: start the sites, let them write, wait until all is delivered, compare."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from heliograph import aio
from heliograph.gfsh.comparison import Difference, compare, contents
from heliograph.gfsh.demo.topology import Plan
from heliograph.gfsh.demo.traffic import Airports, load, shares, update
from heliograph.gfsh.gateway_watch import GatewayWatch
from heliograph.gfsh.local_sites import LocalSite, LocalSites, terminable
from heliograph.link.messages import Gateways
from heliograph.model.ids import Address
from heliograph.model.keys import Key

REGION = "airports"
LOADING_SITE = 1
CONNECT_TIMEOUT_S = 30.0
SETTLE_TIMEOUT_S = 60.0
"""How long the sites may take to become equal after the last write."""
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class SiteReport:
    """One site at the end. Events: shipped by its gateway senders, and received and applied by its receivers."""

    site: int
    entries: int
    difference: Difference
    events_sent: int
    events_received: int
    queued: int


@dataclass(frozen=True, slots=True)
class DemoReport:
    """How the demo went; `difference` of every site is to site 1."""

    plan: Plan
    seconds: float
    sites: tuple[SiteReport, ...]

    @property
    def equal(self) -> bool:
        """Say whether every site holds the same entries, and any at all."""
        return all(site.entries and not site.difference for site in self.sites)


def run_demo(plan: Plan, airports: Airports, console: Console) -> DemoReport:
    """Run the demo and leave nothing behind. Raises HeliographError when something does not work."""
    begin = time.monotonic()
    sites = LocalSites({site: plan.neighbours(site) for site in plan.sites}, dict.fromkeys(plan.sites, 1), console.out)
    with terminable(), sites:
        console.rule(f"{len(plan.sites)} sites, {plan.topology}: {plan}")
        sites.start()
        for site in sites:
            _configure(plan, site)
        servers = {site.number: [member.address for member in site.members("server")] for site in sites}
        locators = {site.number: site.locator for site in sites}
        reports = asyncio.run(_exchange(servers, locators, airports, console))
        console.rule("stopping")
    return DemoReport(plan, time.monotonic() - begin, reports)


def _configure(plan: Plan, site: LocalSite) -> None:
    """Create the receiver, the senders and the region of a site."""
    if plan.feeders(site.number):
        first, last = site.receiver_ports
        site.run(f"create gateway-receiver --start-port={first} --end-port={last} --bind-address={site.locator.host}")
    remotes = plan.sends_to[site.number]
    for remote in remotes:
        site.run(f"create gateway-sender --id=to{remote} --remote-distributed-system-id={remote} --parallel=true")
    senders = ",".join(f"to{remote}" for remote in remotes)
    site.run(f"create region --name={REGION} --type=PARTITION --gateway-sender-id={senders}")


async def _exchange(
    servers: Mapping[int, Sequence[Address]], locators: Mapping[int, Address], airports: Airports, console: Console
) -> tuple[SiteReport, ...]:
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(GatewayWatch(servers))
        regions = {
            site: (await stack.enter_async_context(aio.connect(str(locator)))).region(REGION)
            for site, locator in locators.items()
        }
        await watch.all_connected(timeout_s=CONNECT_TIMEOUT_S)
        with _progress(console) as progress:
            await _write(regions, airports, progress)
            return await _settle(regions, watch, progress)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


async def _write(regions: Mapping[int, aio.Region], airports: Airports, progress: Progress) -> None:
    """Load at one site and update at all others, at the same time."""
    updating = shares(tuple(airports), [site for site in regions if site != LOADING_SITE])
    loaded = progress.add_task(f"site {LOADING_SITE} loads", total=len(airports))
    updated = {
        site: progress.add_task(f"site {site} updates and removes", total=len(share))
        for site, share in updating.items()
    }
    async with asyncio.TaskGroup() as writers:
        writers.create_task(load(regions[LOADING_SITE], airports, partial(progress.advance, loaded)))
        for site, share in updating.items():
            writers.create_task(update(regions[site], site, share, partial(progress.advance, updated[site])))


async def _settle(regions: Mapping[int, aio.Region], watch: GatewayWatch, progress: Progress) -> tuple[SiteReport, ...]:
    """Wait until every queue is empty and all sites are equal, or `SETTLE_TIMEOUT_S` is over; report what is."""
    queues = progress.add_task("queues", total=None)
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        senders = [sender for site in regions for sender in await watch.senders(site)]
        progress.update(queues, description=f"queues: {sum(each.queued for each in senders)} events on their way")
        in_time = time.monotonic() < deadline
        if in_time and not all(sender.drained for sender in senders):
            await asyncio.sleep(_POLL_S)
            continue
        # A queue that was seen empty may have filled again from another site: only equal contents end the wait.
        compared = progress.add_task("compare", total=len(regions))
        held: dict[int, dict[Key, object]] = {}
        for site, region in regions.items():
            held[site] = await contents(region)
            progress.advance(compared)
        reports = tuple([await _report(site, held, watch) for site in regions])
        if not in_time or all(not report.difference and not report.queued for report in reports):
            progress.update(queues, description="queues: empty", total=1, completed=1)
            return reports
        progress.remove_task(compared)


async def _report(site: int, held: Mapping[int, Mapping[Key, object]], watch: GatewayWatch) -> SiteReport:
    gateways = await watch.gateways(site)
    return SiteReport(
        site=site,
        entries=len(held[site]),
        difference=compare(held[LOADING_SITE], held[site]),
        events_sent=sum(sender.counters["eventsDistributed"] for each in gateways for sender in each.senders),
        events_received=sum(_received(each) for each in gateways),
        queued=sum(sender.queued for each in gateways for sender in each.senders),
    )


def _received(gateways: Gateways) -> int:
    return 0 if gateways.receiver is None else gateways.receiver.counters["eventsReceived"]
