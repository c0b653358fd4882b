"""`helio bench site`: one site, how fast its clients put and get, and what an entry costs in memory.

    client processes, or one that embeds a member ──> locator, engine, servers

The entries are put by one client beforehand, which is when the memory of the members is compared.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack

import msgspec

from heliograph import aio
from heliograph.gfsh.bench.child import Child
from heliograph.gfsh.bench.load import KeySequence
from heliograph.gfsh.bench.measuring import Usage, engine_pids, machine, percentile, versions
from heliograph.gfsh.bench.settings import Latency, SiteReport, SiteSettings
from heliograph.gfsh.bench.worker import WorkerConfig, WorkerReport
from heliograph.gfsh.local_sites import LocalSite, LocalSites, Say, terminable
from heliograph.model.keys import Key

REGION = "bench"
LOAD_TIMEOUT_S = 3_600.0
PUT_ALL = 1_000
"""Entries that are put at a time before anything is measured."""


def run_site(settings: SiteSettings, say: Say) -> SiteReport:
    """Run the benchmark and leave nothing behind. Raises HeliographError when something does not work."""
    servers = {1: settings.servers - settings.embedded}
    with terminable(), LocalSites({1: ()}, servers, say) as sites, ExitStack() as children:
        sites.start()
        site = sites[1]
        workers = _start_workers(settings, site, children)
        site.run(f"create region --name={REGION} --type=PARTITION")
        members = {member.name: member.pid for member in site.members("server")}
        say(f"putting {settings.entries:,} entries")
        held = Usage(members)
        before = held.rss_bytes()
        load_s = asyncio.run(_put_entries(str(site.locator), settings))
        grown = held.rss_bytes() - before
        say(f"doing {settings.operations:,} operations")
        usage = Usage(members | _other_pids(site, workers, settings))
        usage.begin()
        reports = asyncio.run(_measure(workers))
        begin, end = min(report.begin for report in reports), max(report.end for report in reports)
        return SiteReport(
            operations=settings.operations,
            operations_per_second=round(settings.operations / (end - begin)),
            put_ms=_latency([sample for report in reports for sample in report.puts]),
            get_ms=_latency([sample for report in reports for sample in report.gets]),
            entries=settings.entries,
            load_entries_per_second=round(settings.entries / load_s),
            bytes_per_entry=round(grown / settings.entries),
            cpu_seconds=usage.cpu_seconds(),
            peak_rss_mb=usage.peak_rss_mb(),
            settings=settings,
            versions=versions(),
            machine=machine(),
        )


def _start_workers(settings: SiteSettings, site: LocalSite, children: ExitStack) -> list[Child]:
    everyone = list(range(settings.clients))
    shares = [everyone] if settings.embedded else [[number] for number in everyone]
    workers = []
    for number, clients in enumerate(shares):
        config = WorkerConfig(
            locator=str(site.locator),
            region=REGION,
            member="embedded" if settings.embedded else "",
            clients=clients,
            operations=settings.operations // len(shares) + (number < settings.operations % len(shares)),
            put_all=settings.put_all,
            value_size=settings.value_size,
            get_percent=settings.get_percent,
            keys=settings.entries,
        )
        workers.append(children.enter_context(Child("heliograph.gfsh.bench.worker", config)))
    for worker in workers:
        asyncio.run(worker.ready())
    return workers


def _other_pids(site: LocalSite, workers: Sequence[Child], settings: SiteSettings) -> dict[str, int]:
    (locator,) = site.members("locator")
    pids = {locator.name: locator.pid}
    pids |= {f"nats-server{number}": pid for number, pid in enumerate(engine_pids(locator.pid), start=1)}
    if not settings.embedded:
        pids |= {f"client{number}": worker.pid for number, worker in enumerate(workers, start=1)}
    return pids


async def _put_entries(locator: str, settings: SiteSettings) -> float:
    """Put every entry once and return how many seconds that took."""
    value = os.urandom(settings.value_size)
    async with aio.connect(locator, timeout_s=LOAD_TIMEOUT_S) as client:
        region = client.region(REGION)
        batches = KeySequence(settings.entries).batches(0, min(PUT_ALL, settings.entries))
        begin = time.monotonic()
        for _ in range(-(-settings.entries // PUT_ALL)):
            entries: dict[Key, bytes] = dict.fromkeys(next(batches), value)
            await region.put_all(entries)
        return time.monotonic() - begin


async def _measure(workers: Sequence[Child]) -> list[WorkerReport]:
    for worker in workers:
        worker.go()
    lines = [await worker.line(timeout_s=LOAD_TIMEOUT_S) for worker in workers]
    return [msgspec.json.decode(line, type=WorkerReport) for line in lines]


def _latency(microseconds: Sequence[int]) -> Latency | None:
    if not microseconds:
        return None
    p50, p99 = (round(percentile(microseconds, percent) / 1000, 3) for percent in (50, 99))
    return Latency(p50, p99, len(microseconds))
