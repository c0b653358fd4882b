"""Members without a network: real copies and regions over the simulated engine, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from heliograph.bucket.conflicts import ConflictLog
from heliograph.bucket.judging import Judge
from heliograph.bucket.primary import RECORD_BYTES_MAX
from heliograph.engine.seam import bucket_subject
from heliograph.engine.sim.engine import connect_engine
from heliograph.engine.sim.loop import run
from heliograph.engine.sim.server import SimEngine
from heliograph.link.messages import Changed, Done
from heliograph.member.backlog import Backlog
from heliograph.member.copy import BucketCopy
from heliograph.member.stores import Store, Stores
from heliograph.member.tasks import Tasks
from heliograph.member.traffic import Traffic
from heliograph.member.waiters import OneWrite
from heliograph.model.attributes import DEFAULT_STORE
from heliograph.model.batch import Record, decode_record
from heliograph.model.ids import Seq
from heliograph.net.seam import Clock
from heliograph.net.sim import SimClock

REGION = "r"
SITE = 1
WAIT_S = 60.0

SUBJECT = bucket_subject(DEFAULT_STORE, REGION, 0, 0)


class Host:
    """A member as its copies see it. sunk: (bucket, sequence) of every record that a copy of it took."""

    store: Store

    def __init__(self, engine: SimEngine, name: str) -> None:
        self.name = name
        self.site = SITE
        self.record_bytes_max = RECORD_BYTES_MAX
        self.backlog = Backlog()
        self.clock: Clock = SimClock()
        self.client = connect_engine(engine)
        self.sunk: list[tuple[int, Seq]] = []
        self.restored: list[tuple[int, Seq]] = []
        self._tasks = Tasks()
        self._batches = 0

    def judge(self, region: str) -> Judge:
        return Judge(region, ConflictLog())

    def batch_id(self) -> str:
        self._batches += 1
        return f"{self.name}.{self._batches}"

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.spawn(coroutine)

    def on_restored(self, region: str, bucket: int, seq: Seq) -> None:
        self.restored.append((bucket, seq))

    async def close(self) -> None:
        await self._tasks.close()

    def copy(self) -> BucketCopy:
        """A copy of bucket 0 that nobody feeds but the test."""
        return BucketCopy(REGION, 0, SUBJECT, store=self.store, host=self, sink=self._sink, traffic=Traffic())

    def region_sink(self, region: str, bucket: int, seq: Seq, previous: Seq, record: Record) -> None:
        self._sink(bucket, seq, previous, record)

    def _sink(self, bucket: int, seq: Seq, previous: Seq, record: Record) -> None:
        self.sunk.append((bucket, seq))


class Members:
    """All members of a test, and their engine."""

    def __init__(self, rng: random.Random) -> None:
        self.engine = SimEngine(rng)
        self.hosts: list[Host] = []

    async def join(self, name: str) -> Host:
        host = Host(self.engine, name)
        host.store = await Stores(host.client, 1).open(DEFAULT_STORE)
        self.hosts.append(host)
        return host

    def records(self, subject: str = SUBJECT) -> list[Record]:
        """What a bucket's log holds."""
        entries = self.engine.logs[DEFAULT_STORE].after([subject], Seq(0), 1 << 30)
        return [decode_record(entry.payload) for entry in entries]

    async def close(self) -> None:
        for host in self.hosts:
            await host.close()


def simulate(main: Callable[[Members], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on virtual time."""

    async def whole(rng: random.Random) -> None:
        members = Members(rng)
        await main(members)
        await members.close()

    run(whole, seed=1, limit_s=600)


def put(copy: BucketCopy, key: str, value: bytes = b"v") -> asyncio.Future[Done | Changed]:
    """Put one entry; raises, or the future tells, what the caller would hear."""
    waiter = OneWrite(asyncio.get_running_loop())
    copy.put([key], [value], b"", len(value), waiter)
    return waiter.future


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  (conditions of any kind, on virtual time)
            await asyncio.sleep(0.001)
