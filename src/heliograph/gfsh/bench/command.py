"""bench wan: what two sites move. bench site: what one does. bench failover: writes that wait when a server dies."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from heliograph.errors import UsageError
from heliograph.gfsh.bench.settings import (
    CLIENTS_MAX,
    SERVERS_MAX,
    FailoverSettings,
    SiteSettings,
    WanComparison,
    WanSettings,
)
from heliograph.gfsh.grammar import Several, command
from heliograph.gfsh.output import Document
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, Table
from heliograph.model.tls import ALL

if TYPE_CHECKING:
    from heliograph.gfsh.bench.settings import WanReport

_COUNT = click.IntRange(min=1)


@command("bench wan")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option(
    "--events", type=_COUNT, default=500_000, help="Events to put, rounded up to whole put_alls. [default: 500000]"
)
@click.option("--value-size", type=_COUNT, default=100, help="Bytes of each value. [default: 100]")
@click.option("--put-all", type=click.IntRange(1, 200_000), default=100, help="Entries in one put_all. [default: 100]")
@click.option(
    "--clients", type=click.IntRange(1, CLIENTS_MAX), default=8, help="Clients that put at the same time. [default: 8]"
)
@click.option("--parallel", is_flag=True, help="A parallel gateway sender, as by default.")
@click.option("--serial", is_flag=True, help="A serial gateway sender, with a replicated region.")
@click.option(
    "--servers",
    type=Several(click.IntRange(1, SERVERS_MAX)),
    default=(1,),
    help="Servers of each site, or several numbers to compare. [default: 1]",
)
@click.option("--batch-size", type=click.INT, help="The gateway sender's; by default its own default.")
@click.option(
    "--rtt-ms",
    type=Several(click.FloatRange(0, 10_000)),
    default=(0.0,),
    help="Round trip between the sites, or several to compare, all of them then through the proxy. [default: 0]",
)
@click.option("--persistent", is_flag=True, help="Persistent regions and queues; today all are kept anyway.")
@click.option("--embedded", is_flag=True, help="Clients are tasks in the sending member, not processes of their own.")
@click.option("--tls", help="Links by TLS, certificates at both ends: of all components, or of some (gateway,locator).")
@click.option("--dead-site", is_flag=True, help="A second gateway sender of the region, to a site that is not there.")
@click.pass_obj
def bench_wan(
    session: Session,
    /,
    as_json: bool,
    parallel: bool,
    serial: bool,
    servers: tuple[int, ...],
    rtt_ms: tuple[float, ...],
    tls: str | None,
    **options: Any,
) -> Result:
    """Measure what two sites on this machine move, from a put to the other site's log."""
    if parallel and serial:
        raise UsageError("give either --parallel or --serial")
    proxied = any(rtt_ms)
    secured = ALL if tls == "" else tls
    settings = [
        WanSettings(parallel=not serial, servers=number, rtt_ms=each, proxied=proxied, tls=secured, **options)
        for number in servers
        for each in rtt_ms
    ]

    from heliograph.gfsh.bench.wan import run_wan

    reports = [run_wan(each, _say) for each in settings]
    result = result_of(reports[0]) if len(reports) == 1 else comparison_of(reports)
    if as_json or session.printer.json:
        document = reports[0] if len(reports) == 1 else WanComparison(reports)
        return Document(status=result.status, info=result.info, document=document)
    return result


@command("bench site")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--operations", type=_COUNT, default=100_000, help="Puts and gets in all. [default: 100000]")
@click.option("--entries", type=_COUNT, default=200_000, help="Entries that are put before. [default: 200000]")
@click.option("--value-size", type=_COUNT, default=100, help="Bytes of each value. [default: 100]")
@click.option("--put-all", type=click.IntRange(1, 200_000), default=1, help="Entries in one operation. [default: 1]")
@click.option(
    "--get-percent", type=click.IntRange(0, 100), default=50, help="Of the operations; the others put. [default: 50]"
)
@click.option(
    "--clients", type=click.IntRange(1, CLIENTS_MAX), default=8, help="Clients that work at the same time. [default: 8]"
)
@click.option("--servers", type=click.IntRange(1, SERVERS_MAX), default=1, help="Servers of the site. [default: 1]")
@click.option("--embedded", is_flag=True, help="Clients are tasks in a member's process, not processes of their own.")
@click.pass_obj
def bench_site(session: Session, /, as_json: bool, **options: Any) -> Result:
    """Measure how fast one site on this machine puts and gets, and the memory that an entry takes."""
    from heliograph.gfsh.bench.site import run_site

    report = run_site(SiteSettings(**options), _say)
    if as_json or session.printer.json:
        return Document(document=report)
    rows: list[tuple[str, ...]] = [
        ("Operations", f"{report.operations:,}"),
        ("Operations/s", f"{report.operations_per_second:,}"),
    ]
    for name, latency in (("Put", report.put_ms), ("Get", report.get_ms)):
        if latency is not None:
            rows += [(f"{name} p50, ms", f"{latency.p50:.3f}"), (f"{name} p99, ms", f"{latency.p99:.3f}")]
    rows += [
        ("Entries", f"{report.entries:,}"),
        ("Loaded, entries/s", f"{report.load_entries_per_second:,}"),
        ("Bytes of memory an entry", f"{report.bytes_per_entry:,}"),
    ]
    return Result(tables=[Table(("Figure", "Value"), rows, "Site"), _processes(report.cpu_seconds, report.peak_rss_mb)])


@command("bench failover")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--rounds", type=_COUNT, default=5, help="Servers to kill, one after the other. [default: 5]")
@click.option("--servers", type=click.IntRange(2, SERVERS_MAX), default=3, help="Servers of the site. [default: 3]")
@click.pass_obj
def bench_failover(session: Session, /, as_json: bool, **options: Any) -> Result:
    """Measure how long a bucket takes no writes when its primary's server is killed."""
    from heliograph.gfsh.bench.failover import run_failover

    report = run_failover(FailoverSettings(**options), _say)
    if as_json or session.printer.json:
        return Document(document=report)
    times = report.takeover_ms
    rows: list[tuple[str, ...]] = [
        ("Buckets taken over", str(times.samples)),
        ("p50, ms", f"{times.p50:,.1f}"),
        ("p99, ms", f"{times.p99:,.1f}"),
        ("Longest, ms", f"{times.max:,.1f}"),
    ]
    return Result(tables=[Table(("Figure", "Value"), rows, "Take-over")])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def result_of(report: WanReport) -> Result:
    """Return the tables of a report; an ERROR when the sites differ."""
    figures: list[tuple[str, ...]] = [
        ("Events", f"{report.events:,}"),
        ("Put, events/s", f"{report.put_events_per_second:,}"),
        ("In the remote log, events/s", f"{report.wan_events_per_second:,}"),
        ("Events per CPU second of the sites", f"{report.wan_events_per_cpu_second:,}"),
        ("Idle latency p50, ms", f"{report.latency_ms.p50:.2f}"),
        ("Idle latency p99, ms", f"{report.latency_ms.p99:.2f}"),
        ("Entries compared", f"{report.entries:,}"),
        ("Converged", str(report.converged).lower()),
    ]
    tables = [Table(("Figure", "Value"), figures, "WAN"), _processes(report.cpu_seconds, report.peak_rss_mb)]
    return _judged([report], tables)


def comparison_of(reports: Sequence[WanReport]) -> Result:
    """Return a table with a row for each report, compared with the first; an ERROR when the sites differ in one."""
    first = reports[0]
    rows: list[tuple[str, ...]] = [
        (
            str(report.settings.servers),
            f"{report.settings.rtt_ms:g}",
            f"{report.wan_events_per_second:,}",
            f"{report.wan_events_per_second / first.wan_events_per_second:.2f}",
            f"{report.wan_events_per_cpu_second:,}",
            f"{report.wan_events_per_cpu_second / first.wan_events_per_cpu_second:.2f}",
        )
        for report in reports
    ]
    columns = ("Servers", "Round trip, ms", "Events/s", "By the first", "Events/CPU s", "By the first")
    return _judged(reports, [Table(columns, rows, "WAN")])


def _judged(reports: Sequence[WanReport], tables: list[Table]) -> Result:
    if all(report.converged for report in reports):
        return Result(tables=tables)
    return Result(status="ERROR", info=["The two sites do not hold the same entries."], tables=tables)


def _processes(cpu_seconds: Mapping[str, float], peak_rss_mb: Mapping[str, float]) -> Table:
    rows: list[tuple[str, ...]] = [
        (name, f"{seconds:.2f}", f"{peak_rss_mb[name]:.0f}") for name, seconds in cpu_seconds.items()
    ]
    return Table(("Process", "CPU seconds", "Peak RSS, MB"), rows, "Processes")


COMMANDS = (bench_wan, bench_site, bench_failover)
