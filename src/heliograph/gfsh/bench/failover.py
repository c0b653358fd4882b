"""`helio bench failover`: how long writes stand still when a server that holds primaries is killed.

One site, some servers, one redundant copy. A writer a bucket puts one key of that bucket again and again, each from a
thin client with one write on its way. Each round kills (`kill -9`) the server with the most primaries,
measures for every bucket that it was primary of the time until a write begun after the kill is acknowledged, and starts
the server again.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import Counter

import psutil

from heliograph import aio
from heliograph.errors import HeliographError, UnavailableError
from heliograph.gfsh.asking import ask
from heliograph.gfsh.bench.measuring import machine, percentile, versions
from heliograph.gfsh.bench.settings import FailoverReport, FailoverSettings, Takeover
from heliograph.gfsh.local_sites import LocalSite, LocalSites, Say, terminable
from heliograph.link.messages import SiteQuery, SiteView
from heliograph.model.attributes import RegionAttributes
from heliograph.model.keys import Key, bucket_of

REGION = "bench"
BUCKETS = RegionAttributes(name=REGION).total_num_buckets
RECOVERY_TIMEOUT_S = 60.0
CALM_S = 1.0
"""Before a server is killed, so that its writers are at work."""
_RETRY_S = 0.002


def run_failover(settings: FailoverSettings, say: Say) -> FailoverReport:
    """Run the benchmark and leave nothing behind. Raises HeliographError when something does not work."""
    with terminable(), LocalSites({1: ()}, {1: settings.servers}, say) as sites:
        sites.start()
        sites[1].run(f"create region --name={REGION} --type=PARTITION_REDUNDANT")
        samples: list[float] = []
        for _ in range(settings.rounds):
            _wait_copied(sites[1])
            victim, seconds = asyncio.run(_round(str(sites[1].locator), _view(sites[1])))
            samples += seconds
            say(f"{victim} killed: its {len(seconds)} buckets took writes again after {max(seconds):.2f} s at most")
            sites[1].start_server(int(victim.rpartition("-")[2]))
    p50, p99, worst = (round(percentile(samples, percent) * 1000, 1) for percent in (50, 99, 100))
    return FailoverReport(
        takeover_ms=Takeover(p50, p99, worst, len(samples)), settings=settings, versions=versions(), machine=machine()
    )


async def _round(locator: str, view: SiteView) -> tuple[str, list[float]]:
    """Kill a server under load; return its name and, in seconds, how long each of its buckets took no writes."""
    (placement,) = view.placements
    primaries = [bucket.primary for bucket in placement.buckets]
    victim, _ = Counter(primaries).most_common(1)[0]
    (pid,) = [member.pid for member in view.members if member.name == victim]
    lost = {number for number, primary in enumerate(primaries) if primary == victim}
    async with aio.connect(locator, timeout_s=RECOVERY_TIMEOUT_S) as client, asyncio.TaskGroup() as tasks:
        writers = [_Writer(client.region(REGION), key) for key in _keys().values()]
        running = [tasks.create_task(writer.run()) for writer in writers]
        await asyncio.sleep(CALM_S)
        killed = time.monotonic()
        psutil.Process(pid).kill()
        for number in lost:
            writers[number].killed = killed
        async with asyncio.timeout(RECOVERY_TIMEOUT_S):
            seconds = [await writers[number].recovered for number in lost]
        for task in running:
            task.cancel()
    return victim, [end - killed for end in seconds]


class _Writer:
    """Puts one key again and again.

    recovered: when a write was acknowledged that began after `killed`; one that began before may have been done before.
    """

    def __init__(self, region: aio.Region, key: Key) -> None:
        self.killed = math.inf
        self.recovered: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._region = region
        self._key = key

    async def run(self) -> None:
        for number in itertools.count():
            begin = time.monotonic()
            try:
                await self._region.put(self._key, number)
            except HeliographError as exc:
                if not exc.retriable:
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                if begin > self.killed and not self.recovered.done():
                    self.recovered.set_result(time.monotonic())


def _keys() -> dict[int, Key]:
    """Return a key of every bucket, by the bucket's number."""
    keys: dict[int, Key] = {}
    for number in itertools.count():
        keys.setdefault(bucket_of(number, BUCKETS), number)
        if len(keys) == BUCKETS:
            break
    return dict(sorted(keys.items()))


def _view(site: LocalSite) -> SiteView:
    return ask(site.locator, SiteQuery(), SiteView)


def _wait_copied(site: LocalSite) -> None:
    """Wait until every bucket has its redundant copy again."""
    deadline = time.monotonic() + RECOVERY_TIMEOUT_S
    while time.monotonic() < deadline:
        (placement,) = _view(site).placements
        if all(bucket.primary and bucket.secondaries for bucket in placement.buckets):
            return
        time.sleep(0.1)
    raise UnavailableError(f"buckets have no redundant copy {RECOVERY_TIMEOUT_S:g} s after the server is back")
