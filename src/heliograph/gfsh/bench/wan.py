"""`helio bench wan`: two sites, load at the first, and how fast all of it is in the second one's log.

    client processes ──> site 1: locator, engine, servers ══ (delaying proxy) ══> site 2: locator, engine, servers

The clock is the machine's monotonic one, which every process reads: `begin` of the first put and `end` of the last one
come from the clients, the moment at which the senders' queues are empty from a watch that begins to look only then.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from heliograph import aio
from heliograph.errors import UnavailableError
from heliograph.gfsh.bench.child import Child
from heliograph.gfsh.bench.measuring import Usage, engine_pids, machine, percentile, versions
from heliograph.gfsh.bench.proxy import ProxyConfig, Route
from heliograph.gfsh.bench.settings import Latency, WanReport, WanSettings
from heliograph.gfsh.bench.worker import WorkerConfig, WorkerReport
from heliograph.gfsh.comparison import compare, contents
from heliograph.gfsh.gateway_watch import GatewayWatch
from heliograph.gfsh.local_sites import HOST, LocalSites, Say, terminable
from heliograph.model.ids import Address
from heliograph.model.tls import TlsProperties

REGION, SENDER, DEAD = "bench", "wan", "dead"
NEAR, FAR, NOWHERE = 1, 2, 255
PROXY, CLIENT = "proxy", "client"
"""How processes are called that are not the sites'; clients have a number behind."""
CONNECT_TIMEOUT_S = 30.0
LOAD_TIMEOUT_S = 3_600.0
DRAIN_TIMEOUT_S = 600.0
"""How long the queues may take to become empty after the last put."""
LATENCY_SAMPLES = 200
LATENCY_TIMEOUT_S = 10.0
_DRAIN_POLL_S = 0.002
_IDLE_S = 0.01
"""Between two latency samples, so that each finds an idle system."""
_PROXY_HOSTS = ("127.0.0.2", "::1")
"""Other loopback addresses than `HOST`: the proxy has the receiver's port at one of them, being all that is told."""


def run_wan(settings: WanSettings, say: Say) -> WanReport:
    """Run the benchmark and leave nothing behind. Raises HeliographError when something does not work."""
    servers = {NEAR: settings.servers - settings.embedded, FAR: settings.servers}
    with terminable(), LocalSites({NEAR: (FAR,), FAR: (NEAR,)}, servers, say) as sites, ExitStack() as children:
        if settings.tls is not None:
            sites.secure(settings.tls, (HOST, *_PROXY_HOSTS))
        sites.start()
        proxied = _start_proxy(settings, sites, children)
        pids = {PROXY: proxied.pid} if proxied else {}
        if settings.embedded:
            workers = _start_workers(settings, sites, children)
            _configure(settings, sites)
        else:
            _configure(settings, sites)
            workers = _start_workers(settings, sites, children)
            pids |= {f"{CLIENT}{number}": worker.pid for number, worker in enumerate(workers, start=1)}
        secured = {site.number: site.properties for site in sites}
        tls = sites[NEAR].session.tls
        addresses = {site.number: [member.address for member in site.members("server")] for site in sites}
        locators = {site.number: site.locator for site in sites}
        say(f"putting {settings.put_alls * settings.put_all:,} events")
        usage = Usage(pids | _site_pids(sites))
        return asyncio.run(_measure(settings, usage, workers, addresses, locators, secured, tls))


def _start_proxy(settings: WanSettings, sites: LocalSites, children: ExitStack) -> Child | None:
    """Put the delaying proxy before every port that a receiver of the far site may take."""
    if not _is_proxied(settings):
        return None
    first, last = sites[FAR].receiver_ports
    host = _proxy_host()
    routes = tuple(Route(Address(host, port), Address(HOST, port)) for port in range(first, last + 1))
    proxy = children.enter_context(
        Child("heliograph.gfsh.bench.proxy", ProxyConfig(routes=routes, delay_ms=settings.rtt_ms / 2))
    )
    asyncio.run(proxy.ready())
    return proxy


def _is_proxied(settings: WanSettings) -> bool:
    return settings.proxied or settings.rtt_ms > 0


def _proxy_host() -> str:
    for host in _PROXY_HOSTS:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, 0))
            except OSError:
                continue
            return host
    raise UnavailableError(f"--rtt-ms needs a second loopback address, one of {', '.join(_PROXY_HOSTS)}")


def _configure(settings: WanSettings, sites: LocalSites) -> None:
    """Create the receiver, the sender and the region at both sites."""
    kind = "PARTITION" if settings.parallel else "REPLICATE"
    kind += "_PERSISTENT" if settings.persistent else ""
    first, last = sites[FAR].receiver_ports
    told = f" --hostname-for-senders={_proxy_host()}" if _is_proxied(settings) else ""
    sites[FAR].run(f"create gateway-receiver --start-port={first} --end-port={last} --bind-address={HOST}{told}")
    sites[FAR].run(f"create region --name={REGION} --type={kind}")
    batch = f" --batch-size={settings.batch_size}" if settings.batch_size is not None else ""
    rules = (
        f"--parallel={str(settings.parallel).lower()} --enable-persistence={str(settings.persistent).lower()}{batch}"
    )
    senders = {SENDER: FAR} | ({DEAD: NOWHERE} if settings.dead_site else {})
    for sender, site in senders.items():
        sites[NEAR].run(f"create gateway-sender --id={sender} --remote-distributed-system-id={site} {rules}")
    sites[NEAR].run(f"create region --name={REGION} --type={kind} --gateway-sender-id={','.join(senders)}")


def _start_workers(settings: WanSettings, sites: LocalSites, children: ExitStack) -> list[Child]:
    """Start the clients: a process each, or one that embeds a member."""
    everyone = list(range(settings.clients))
    shares = [everyone] if settings.embedded else [[number] for number in everyone]
    workers = []
    for number, clients in enumerate(shares):
        config = WorkerConfig(
            locator=str(sites[NEAR].locator),
            region=REGION,
            member="embedded" if settings.embedded else "",
            clients=clients,
            operations=settings.put_alls // len(shares) + (number < settings.put_alls % len(shares)),
            put_all=settings.put_all,
            value_size=settings.value_size,
            properties=None if sites[NEAR].properties is None else str(sites[NEAR].properties),
        )
        workers.append(children.enter_context(Child("heliograph.gfsh.bench.worker", config)))
    for worker in workers:
        asyncio.run(worker.ready())
    return workers


def _site_pids(sites: LocalSites) -> dict[str, int]:
    pids = {}
    for site in sites:
        for locator in site.members("locator"):
            pids[locator.name] = locator.pid
            for number, pid in enumerate(engine_pids(locator.pid), start=1):
                pids[f"nats-server{site.number}-{number}"] = pid
        pids |= {f"{member.name}": member.pid for member in site.members("server")}
    return pids


async def _measure(
    settings: WanSettings,
    usage: Usage,
    workers: Sequence[Child],
    servers: Mapping[int, Sequence[Address]],
    locators: Mapping[int, Address],
    secured: Mapping[int, Path | None],
    tls: TlsProperties,
) -> WanReport:
    events = settings.put_alls * settings.put_all
    async with GatewayWatch(servers, but_to=NOWHERE, tls=tls) as watch:
        await watch.all_connected(timeout_s=CONNECT_TIMEOUT_S)
        usage.begin()
        for worker in workers:
            worker.go()
        lines = [await worker.line(timeout_s=LOAD_TIMEOUT_S) for worker in workers]
        drained = await _drained(watch, events)
        cpu_seconds = usage.cpu_seconds()
    reports = [msgspec.json.decode(line, type=WorkerReport) for line in lines]
    begin, end = min(report.begin for report in reports), max(report.end for report in reports)
    both = (aio.connect(str(locators[site]), security_properties_file=secured[site]) for site in (NEAR, FAR))
    async with next(both) as near, next(both) as far:
        latency = await _latency(near.region(REGION), far.region(REGION), settings.value_size)
        sent, received = await contents(near.region(REGION)), await contents(far.region(REGION))
    return WanReport(
        events=events,
        put_events_per_second=round(events / (end - begin)),
        wan_events_per_second=round(events / (drained - begin)),
        wan_events_per_cpu_second=round(events / max(0.01, _of_the_sites(cpu_seconds))),
        latency_ms=latency,
        converged=bool(sent) and not compare(sent, received),
        entries=len(sent),
        cpu_seconds=cpu_seconds,
        peak_rss_mb=usage.peak_rss_mb(),
        settings=settings,
        versions=versions(),
        machine=machine(),
    )


def _of_the_sites(cpu_seconds: Mapping[str, float]) -> float:
    return sum(seconds for name, seconds in cpu_seconds.items() if name != PROXY and not name.startswith(CLIENT))


async def _drained(watch: GatewayWatch, events: int) -> float:
    """Wait until the far site has acknowledged all events, and return when that was."""
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    while True:
        senders = await watch.senders(NEAR)
        now = time.monotonic()
        acknowledged = sum(sender.counters["eventsAcknowledged"] for sender in senders)
        if acknowledged >= events and all(sender.drained for sender in senders):
            return now
        if now > deadline:
            queued = sum(sender.queued for sender in senders)
            raise UnavailableError(
                f"{queued} events still queued {DRAIN_TIMEOUT_S:g} s after the last put, {acknowledged} of {events} "
                f"acknowledged: {'; '.join(sender.error for sender in senders if sender.error)}"
            )
        await asyncio.sleep(_DRAIN_POLL_S)


async def _latency(near: aio.Region, far: aio.Region, value_size: int) -> Latency:
    """Put single entries at the near site, and read at the far one until each is there."""
    samples = []
    for number in range(LATENCY_SAMPLES):
        await asyncio.sleep(_IDLE_S)
        samples.append(await _one_way(near, far, f"flight:{number}", os.urandom(value_size)))
    p50, p99 = (round(percentile(samples, percent) * 1000, 2) for percent in (50, 99))
    return Latency(p50, p99, len(samples))


async def _one_way(near: aio.Region, far: aio.Region, key: str, value: bytes) -> float:
    begin = time.monotonic()
    try:
        async with asyncio.timeout(LATENCY_TIMEOUT_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(near.put(key, value))
            while await far.get(key) != value:
                pass  # ask again at once: one question at a time, so that the system stays as good as idle
            return time.monotonic() - begin
    except TimeoutError:
        raise UnavailableError(f"a put was not readable at the other site after {LATENCY_TIMEOUT_S:g} s") from None
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
