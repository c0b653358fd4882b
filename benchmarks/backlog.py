"""What a backlog costs the site that sends: memory, the rate of its puts, and the time until the other site has it all.

    python benchmarks/backlog.py [--events=2000000] [--value-size=100] [--put-all=100] [--clients=8] [--keys=20000]
                                 [--memory=100] [--serial] [--json]

Three sites in real processes on loopback, each a locator with its engine and one server: site 1 sends to site 2, which
is killed (`kill -9`) before the backlog begins; site 3 has the same region and no gateway sender. Site 1 and site 3 are
given the same puts in turns of `TURN_EVENTS`, so that what else the machine does meets both. All events go to a bounded
set of keys, put once before, so that the regions' own data stays as large as it is.

* `put_rate_ratio`: seconds of site 3 by seconds of site 1 for the same puts: 1 when the backlog costs nothing.
  `median_turn_ratio` is the same by turns, which a disturbed one does not move.
* `growth_mb`: resident memory that site 1's server gained while the backlog was built, at most, and then while it
  drained; `region_growth_mb` the same of site 3's server. What is more at site 1 is the queue's.
* `drain_per_second`: from the start of site 2's server until site 1's queue is empty.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field

import psutil
import uvloop

from heliograph import aio
from heliograph.errors import UnavailableError
from heliograph.gfsh.bench.load import KeySequence, run_load
from heliograph.gfsh.bench.measuring import MB
from heliograph.gfsh.comparison import compare, contents
from heliograph.gfsh.gateway_watch import GatewayWatch
from heliograph.gfsh.local_sites import HOST, LocalSite, LocalSites, terminable
from heliograph.model.ids import Address

REGION, SENDER = "bench", "wan"
NEAR, FAR, ALONE = 1, 2, 3
TURN_EVENTS = 50_000
POLL_S = 0.1
DRAIN_TIMEOUT_S = 900.0


@dataclass(slots=True)
class Watched:
    """A server: its resident memory from `begin` on, and the seconds that its puts took, by turns."""

    process: psutil.Process
    begin: int = 0
    peak: int = 0
    turns: list[float] = field(default_factory=list)

    def look(self) -> None:
        """Note how much memory it has now."""
        self.peak = max(self.peak, self.process.memory_info().rss)

    def again(self) -> None:
        """Look for the peak anew."""
        self.peak = 0
        self.look()

    @property
    def growth_mb(self) -> float:
        """What it had gained at its peak."""
        return round((self.peak - self.begin) / MB, 1)


class Backlog:
    """One run; `options` as in `main`."""

    def __init__(self, options: argparse.Namespace, sites: LocalSites) -> None:
        self._options = options
        self._sites = sites
        self._servers = {number: Watched(psutil.Process(_server_pid(sites[number]))) for number in (NEAR, ALONE)}
        self._sequence = KeySequence(options.keys)
        self._turn = 0

    async def run(self) -> dict[str, float | int | bool]:
        """Build the backlog, have it drained, and return the figures."""
        options, near, alone = self._options, self._servers[NEAR], self._servers[ALONE]
        addresses = {NEAR: [Address(HOST, self._sites[NEAR].server_port)]}
        async with (
            aio.connect(str(self._sites[NEAR].locator)) as client,
            aio.connect(str(self._sites[ALONE].locator)) as lonely,
            GatewayWatch(addresses) as watch,
        ):
            regions = {NEAR: client.region(REGION), ALONE: lonely.region(REGION)}
            await watch.all_connected(timeout_s=30)
            for region in regions.values():
                await self._put(region, max(options.keys, TURN_EVENTS))
            await _drained(watch)
            await asyncio.to_thread(_kill, self._sites[FAR])
            cpu = {}
            for number, server in self._servers.items():
                server.begin = server.process.memory_info().rss
                cpu[number] = server.process.cpu_times().user + server.process.cpu_times().system
            await self._build(regions)
            used = {
                number: server.process.cpu_times().user + server.process.cpu_times().system - cpu[number]
                for number, server in self._servers.items()
            }
            queued = sum(sender.queued for sender in await watch.senders(NEAR))
            figures: dict[str, float | int | bool] = {
                "events": options.events,
                "queued": queued,
                "maximum_queue_memory_mb": options.memory,
                "put_per_second": round(options.events / sum(near.turns)),
                "put_per_second_without_sender": round(options.events / sum(alone.turns)),
                "put_rate_ratio": round(sum(alone.turns) / sum(near.turns), 3),
                "median_turn_ratio": round(
                    statistics.median(a / n for a, n in zip(alone.turns, near.turns, strict=True)), 3
                ),
                "server_cpu_seconds": round(used[NEAR], 2),
                "server_cpu_seconds_without_sender": round(used[ALONE], 2),
                "growth_mb": near.growth_mb,
                "region_growth_mb": alone.growth_mb,
            }
            near.again()
            await asyncio.to_thread(self._sites[FAR].start)
            begin = time.monotonic()
            await _drained(watch, near)
            seconds = time.monotonic() - begin
            figures["drain_per_second"] = round(queued / seconds)
            figures["drain_growth_mb"] = near.growth_mb
            async with aio.connect(str(self._sites[FAR].locator)) as far:
                sent, received = await contents(regions[NEAR]), await contents(far.region(REGION))
            figures["converged"] = bool(sent) and not compare(sent, received)
            return figures

    async def _build(self, regions: dict[int, aio.Region]) -> None:
        left, order = self._options.events, [NEAR, ALONE]
        while left > 0:
            events = min(left, TURN_EVENTS)
            left -= events
            for number in order:
                begin = time.monotonic()
                await self._put(regions[number], events)
                self._servers[number].turns.append(time.monotonic() - begin)
                self._servers[number].look()
            order.reverse()  # who comes second in one turn comes first in the next
            self._turn += 1

    async def _put(self, region: aio.Region, events: int) -> None:
        options = self._options
        await run_load(
            region,
            self._sequence,
            clients=range(self._turn * options.clients, (self._turn + 1) * options.clients),
            operations=-(-events // options.put_all),
            put_all=options.put_all,
            value_size=options.value_size,
        )


async def _drained(watch: GatewayWatch, server: Watched | None = None) -> None:
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    while not all(sender.drained for sender in await watch.senders(NEAR)):
        if time.monotonic() > deadline:
            raise UnavailableError(f"not drained after {DRAIN_TIMEOUT_S:g} s")
        if server is not None:
            server.look()
        await asyncio.sleep(POLL_S)


def _server_pid(site: LocalSite) -> int:
    (server,) = site.members("server")
    return server.pid


def _kill(site: LocalSite) -> None:
    """Kill a site's locator, its engine and its server."""
    (locator,), (server,) = site.members("locator"), site.members("server")
    family = [psutil.Process(server.pid), *psutil.Process(locator.pid).children(recursive=True)]
    family.append(psutil.Process(locator.pid))
    for process in family:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family)
    site.session.disconnect()


def configure(options: argparse.Namespace, sites: LocalSites) -> None:
    """Create the receiver, the sender and the regions."""
    first, last = sites[FAR].receiver_ports
    kind = "REPLICATE_PERSISTENT" if options.serial else "PARTITION_PERSISTENT"
    region = f"create region --name={REGION} --type={kind}"
    sites[FAR].run(f"create gateway-receiver --start-port={first} --end-port={last} --bind-address={HOST}")
    sites[FAR].run(region)
    sites[ALONE].run(region)
    sites[NEAR].run(
        f"create gateway-sender --id={SENDER} --remote-distributed-system-id={FAR} --enable-persistence=true"
        f" --parallel={str(not options.serial).lower()} --maximum-queue-memory={options.memory}"
    )
    sites[NEAR].run(f"{region} --gateway-sender-id={SENDER}")


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description="measure what a backlog costs the site that sends")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--value-size", type=int, default=100)
    parser.add_argument("--put-all", type=int, default=100)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--memory", type=int, default=100, help="maximum-queue-memory in MB")
    parser.add_argument("--serial", action="store_true", help="a serial sender and a replicated region")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    links: dict[int, tuple[int, ...]] = {NEAR: (FAR,), FAR: (NEAR,), ALONE: ()}

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    with terminable(), LocalSites(links, dict.fromkeys(links, 1), say) as sites:
        sites.start()
        configure(options, sites)
        figures = uvloop.run(Backlog(options, sites).run())
    lines = (f"{name:<36}{value!s:>12}" for name, value in figures.items())
    sys.stdout.write((json.dumps(figures) if options.json else "\n".join(lines)) + "\n")


if __name__ == "__main__":
    main()
