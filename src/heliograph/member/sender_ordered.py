"""The buckets of a gateway sender that keeps the order of threads: fed by one reader of the log, in the log's order.

    every bucket's cursor opened ──> where do their logs end? ──> one reader, from the first record that any lacks
             ^── a bucket, or its owner, changes: all are closed ──┘

What copies here append or apply comes in an order of its own, so it is only counted. When a bucket is missing, whether
it was gained, lost or fenced, what its log holds might have to leave before what the others hold; so all are closed
then, and opened anew at their cursors. What was acknowledged after those is sent again, which does no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import aclosing

from heliograph.engine.seam import Log, LogEntry
from heliograph.errors import HeliographError
from heliograph.gateway.queue import BucketQueue
from heliograph.gateway.reading import End, start_in_order
from heliograph.member.sender_buckets import FOLLOW_SETTLE_S, Assignment, BucketKey, Shipped, ShippedBuckets
from heliograph.member.sender_feed import RETRY_S, Feed, Sources
from heliograph.member.sender_host import monotonic_ms
from heliograph.model.batch import Record, decode_record
from heliograph.model.ids import Seq

_log = logging.getLogger(__name__)


class OrderedFeed(Feed):
    """Reads one log for all queues at once; a record that there is no memory for holds up all that follow."""

    def start(self) -> None:
        """Begin to count what there is no memory to read; the task ends with `tasks`."""
        self._tasks.spawn(self._count_always())

    def wake(self) -> None:
        """Memory may be free."""
        self.on_room()

    def on_missed(self, queue: BucketQueue) -> None:
        """Nothing is read out of order."""

    def hold(self) -> None:
        """Read no more until `follow_after`."""
        if self._follower is not None:
            self._follower.cancel()
            self._follower = None

    def follow_after(self, subjects: Collection[str], after: Seq) -> None:
        """Read exactly these subjects, all of them added."""
        self.hold()
        sources = {subject: self._sources[subject] for subject in sorted(subjects)}
        self._follower = self._tasks.spawn(self._follow_in_order(sources, after))

    async def _count_always(self) -> None:
        while True:
            self._wake.clear()
            if not await self._count():
                await self._wake.wait()

    async def _follow_in_order(self, sources: Sources, after: Seq) -> None:
        while True:
            try:
                async with aclosing(self._log.follow(list(sources), after=after)) as stream:
                    async for entries in stream:
                        for entry in entries:
                            await self._feed(sources[entry.subject], entry)
                            after = entry.seq
            except HeliographError as exc:
                _log.warning("following interrupted error=%s", exc)
            await asyncio.sleep(RETRY_S)

    async def _feed(self, queue: BucketQueue, entry: LogEntry) -> None:
        """Have a queue hold the next record of the log; waits until there is memory for it."""
        record = decode_record(entry.payload)
        while self._sources.get(entry.subject) is queue and entry.seq > queue.tip:
            if entry.previous > queue.tip:  # and yet the log was read from the first record that any queue lacks
                _log.error("log truncated too early subject=%s tip=%d seq=%d", entry.subject, queue.tip, entry.seq)
                queue.skip_lost(entry.previous)
            queue.offer(entry.seq, entry.previous, record, monotonic_ms())
            if queue.tip >= entry.seq:
                self._on_taken(queue)
                return
            self._starved = True
            self._wake.set()  # what can't be read is counted
            self._room.clear()
            await self._room.wait()


class OrderedBuckets(ShippedBuckets):
    """See the module. Its dispatchers are one, with an `OrderedLane`."""

    _following: dict[BucketKey, Shipped] | None = None
    """What is read now."""

    def assign(self, assigned: dict[BucketKey, Assignment]) -> None:
        """Ship exactly these buckets; all are opened anew when one is another than before."""
        wanted = {key: each._replace(hosted=False) for key, each in assigned.items()}
        if wanted != self._assigned:
            for key in sorted(self._assigned):
                self.remove(key)
            super().assign(wanted)

    @property
    def uncounted_buckets(self) -> int:
        """Buckets of which nobody knows yet whether something is queued."""
        if self._following != self._shipped:
            return len(self._assigned)
        return super().uncounted_buckets

    def offer(self, region: str, bucket: int, seq: Seq, previous: Seq, record: Record) -> None:
        """Count a record that a copy here appended or applied."""
        shipped = self._shipped.get((region, bucket))
        if shipped is not None:
            shipped.queue.note(seq, previous, record)

    def _on_fenced(self, key: BucketKey, error: HeliographError) -> None:
        """Let go of all buckets; they are assigned again if they should still be shipped from here."""
        _log.info("not shipped from here sender=%s region=%s bucket=%d reason=%s", self._sender, *key, error)
        self.assign({})

    async def _look_back(self, key: BucketKey, shipped: Shipped, log: Log) -> None:
        """Nothing: what was appended before is found when all buckets are open."""

    def _make_feed(self, log: Log) -> OrderedFeed:
        return OrderedFeed(log, self._memory, self._tasks, self._on_taken)

    async def _follow_always(self) -> None:
        """Have the log read whenever all buckets are open, and only then."""
        while True:
            await self._followed_changed.wait()
            await asyncio.sleep(FOLLOW_SETTLE_S)
            self._followed_changed.clear()
            self._following = None
            for feed in self._ordered_feeds():
                feed.hold()
            if self._shipped and self._shipped.keys() == self._assigned.keys():
                await self._follow(dict(self._shipped))

    async def _follow(self, shipped: dict[BucketKey, Shipped]) -> None:
        """Begin to read; does nothing when the buckets change meanwhile."""
        ends = await asyncio.gather(*(self._end_of(each) for each in shipped.values()))
        if self._shipped != shipped or self._followed_changed.is_set():
            return
        for each, end in zip(shipped.values(), ends, strict=True):
            each.queue.learn_last(end.last)
            if each.cursor.owned_before:
                each.queue.maybe_sent = end.last
        self._following = shipped
        for feed in self._ordered_feeds():
            own = [(each.subject, end) for each, end in zip(shipped.values(), ends, strict=True) if each.feed is feed]
            if own:
                feed.follow_after([subject for subject, _ in own], start_in_order([end for _, end in own]))

    async def _end_of(self, shipped: Shipped) -> End:
        async with self._slots:
            last = await self._persistently(lambda: self._log_of(shipped).last(shipped.subject))
        tip = shipped.queue.tip
        return End(tip) if last is None else End(tip, last.seq, last.previous)

    def _log_of(self, shipped: Shipped) -> Log:
        return next(log for log, feed in self._feeds.items() if feed is shipped.feed)

    def _ordered_feeds(self) -> list[OrderedFeed]:
        return [feed for feed in self._feeds.values() if isinstance(feed, OrderedFeed)]
