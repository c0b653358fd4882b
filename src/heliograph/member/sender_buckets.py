"""The buckets that a running gateway sender ships: opened at their cursor, offered to, closed, their cursors stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from heliograph.engine.seam import Log
from heliograph.errors import FencedError, HeliographError, RegionNotFoundError
from heliograph.gateway.conflation import ConflationIndex
from heliograph.gateway.filters import EventFilters
from heliograph.gateway.lanes import lane_of
from heliograph.gateway.memory import Memory
from heliograph.gateway.queue import BucketQueue, QueueCounters
from heliograph.gateway.retry import Backoff
from heliograph.member.listener_dispatcher import ListenerDispatcher
from heliograph.member.sender_cursors import CursorGoneError, Cursors, StoredCursor
from heliograph.member.sender_dispatcher import Dispatcher
from heliograph.member.sender_feed import Feed
from heliograph.member.sender_host import SenderHost, monotonic_ms
from heliograph.member.tasks import Tasks
from heliograph.model.batch import Record, decode_record
from heliograph.model.ids import NO_SEQ, Seq

STORE_INTERVAL_S = 0.25
STORES_PER_S_MAX = 200
"""With more dirty cursors than this allows in an interval, they are stored less often instead."""
AT_ONCE_MAX = 32
"""Buckets opened, or cursors stored, at one time."""
FOLLOW_SETTLE_S = 0.02
"""Buckets are gained and lost many at a time; the log is followed anew once for all of them."""
RETRY_FIRST_MS, RETRY_LIMIT_MS = 50, 2_000

_log = logging.getLogger(__name__)
T = TypeVar("T")

BucketKey = tuple[str, int]
"""Region and bucket."""


class Assignment(NamedTuple):
    """A bucket that this member ships.

    generation, epoch: of which region of the name, and as which owner. hosted: a copy here offers its records.
    """

    generation: int
    epoch: int
    hosted: bool


@dataclass(slots=True, eq=False)
class Shipped:
    """A bucket that is shipped now."""

    queue: BucketQueue
    feed: Feed
    subject: str
    cursor: StoredCursor
    dispatcher: Dispatcher | ListenerDispatcher

    @property
    def dirty(self) -> bool:
        """Say whether the cursor in the registry is behind."""
        return self.queue.floor > self.cursor.seq


class ShippedBuckets:
    """All of them, from a start of the sender to its stop."""

    def __init__(
        self,
        host: SenderHost,
        sender: str,
        remote_dsid: int,
        *,
        memory: Memory,
        counters: QueueCounters,
        conflates: bool,
        dispatchers: Sequence[Dispatcher | ListenerDispatcher],
        tasks: Tasks,
        filters: EventFilters | None = None,
    ) -> None:
        self._host = host
        self._sender = sender
        self._remote_dsid = remote_dsid
        self._memory = memory
        self._counters = counters
        self._conflates = conflates
        self._filters = filters
        self._dispatchers = dispatchers
        self._tasks = tasks
        self._cursors = Cursors(host.registry, sender)
        self._feeds: dict[Log, Feed] = {}
        """Of every disk store that a region's buckets are in."""
        self._assigned: dict[BucketKey, Assignment] = {}
        self._reached: dict[tuple[BucketKey, int], Seq] = {}
        """Floors of buckets whose cursor vanished, by bucket and its region's generation: who ships them again begins
        there, not at the beginning. A region of the same name that is created anew begins with its log.
        """
        self._opening: dict[BucketKey, asyncio.Task[None]] = {}
        self._shipped: dict[BucketKey, Shipped] = {}
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._moved = asyncio.Event()
        self._unstored = False
        self._followed_changed = asyncio.Event()

    def start(self) -> None:
        """Begin to read logs and to store cursors; the tasks end with `tasks`."""
        self._tasks.spawn(self._store_always())
        self._tasks.spawn(self._follow_always())

    def close(self) -> None:
        """Let go of what the queues hold, which the next start reads from the log and counts again; the tasks ended."""
        for shipped in self._shipped.values():
            shipped.queue.close()

    @property
    def empty(self) -> bool:
        """Say whether no bucket is to be shipped from here."""
        return not self._assigned

    @property
    def queued_events(self) -> int:
        """Events not acknowledged yet, as far as they are known."""
        return sum(shipped.queue.queued_events for shipped in self._shipped.values())

    @property
    def overflowed_events(self) -> int:
        """Those of `queued_events` that only the log holds."""
        return sum(shipped.queue.overflowed_events for shipped in self._shipped.values())

    @property
    def held_bytes(self) -> int:
        """Memory that the queues take."""
        return self._memory.used_bytes

    @property
    def conflation_indexes_size(self) -> int:
        """Keys of which an update is in a queue, when the sender conflates."""
        queues = [shipped.queue for shipped in self._shipped.values()]
        return sum(len(queue.conflation) for queue in queues if queue.conflation is not None)

    @property
    def uncounted_buckets(self) -> int:
        """Buckets of which nobody knows yet whether something is queued."""
        return len(self._opening) + sum(shipped.queue.uncounted for shipped in self._shipped.values())

    # --- which buckets

    def assign(self, assigned: dict[BucketKey, Assignment]) -> None:
        """Ship exactly these buckets."""
        for key in sorted(self._assigned.keys() - assigned.keys()):
            self.remove(key)
        for key, assignment in assigned.items():
            self.add(key, assignment)

    def add(self, key: BucketKey, assignment: Assignment) -> None:
        """Ship a bucket; one that is shipped for another region or epoch is opened again."""
        known = self._assigned.get(key)
        if known == assignment:
            return
        if known is not None and known[:2] != assignment[:2]:
            self.remove(key)
            known = None
        self._assigned[key] = assignment
        if known is None:
            self._opening[key] = self._tasks.spawn(self._open(key, assignment))
        self._followed_changed.set()

    def remove(self, key: BucketKey) -> None:
        """Ship a bucket no longer; its cursor is stored by a task of its own."""
        self._assigned.pop(key, None)
        opening = self._opening.pop(key, None)
        if opening is not None:
            opening.cancel()
        shipped = self._shipped.pop(key, None)
        if shipped is None:
            return
        shipped.feed.remove(shipped.subject)
        shipped.dispatcher.remove(shipped.queue)
        shipped.queue.close()
        self._on_room()
        shipped.feed.wake()  # of a refused region another queue may now be tried
        self._followed_changed.set()
        if shipped.dirty:
            self._tasks.spawn(self._store(key, shipped))

    async def _open(self, key: BucketKey, assignment: Assignment) -> None:
        """Begin to ship a bucket at its cursor."""
        region, bucket = key
        try:
            async with self._slots:
                log, subject = self._host.log_of(region), self._host.subject(region, bucket)
                begin = self._reached.get((key, assignment.generation), NO_SEQ)
                cursor = await self._persistently(
                    lambda: self._cursors.open(
                        region, assignment.generation, bucket, epoch=assignment.epoch, begin=begin
                    )
                )
                await self._look_back(key, self._begin(key, log, subject, cursor), log)
        except (FencedError, RegionNotFoundError) as exc:
            self._on_fenced(key, exc)
        finally:
            if self._opening.get(key) is asyncio.current_task():
                del self._opening[key]

    def _begin(self, key: BucketKey, log: Log, subject: str, cursor: StoredCursor) -> Shipped:
        """From here on the bucket is offered to; what came before is found by the log's last sequence."""
        region, bucket = key
        dispatcher = self._dispatchers[lane_of(bucket, len(self._dispatchers))]
        queue = BucketQueue(
            region,
            bucket,
            self._remote_dsid,
            cursor.seq,
            self._memory,
            self._counters,
            filters=self._filters,
            conflation=ConflationIndex() if self._conflates else None,
        )
        shipped = Shipped(queue, self._feed_of(log), subject, cursor, dispatcher)
        self._shipped[key] = shipped
        dispatcher.add(queue)
        shipped.feed.add(subject, queue)
        self._followed_changed.set()
        _log.info("shipping sender=%s region=%s bucket=%d after=%d", self._sender, region, bucket, cursor.seq)
        return shipped

    async def _look_back(self, key: BucketKey, shipped: Shipped, log: Log) -> None:
        """Take what was appended before the bucket was offered to: one record at once, more from the log."""
        last = await self._persistently(lambda: log.last(shipped.subject))
        if last is None:
            return
        if shipped.cursor.owned_before:
            shipped.queue.maybe_sent = last.seq
        if last.previous <= shipped.queue.tip:
            self.offer(*key, last.seq, last.previous, decode_record(last.payload))
        else:
            shipped.queue.learn_last(last.seq)
            shipped.feed.wake()

    def _feed_of(self, log: Log) -> Feed:
        feed = self._feeds.get(log)
        if feed is None:
            feed = self._feeds[log] = self._make_feed(log)
            feed.start()
        return feed

    def _make_feed(self, log: Log) -> Feed:
        return Feed(log, self._memory, self._tasks, self._on_taken)

    def _on_room(self) -> None:
        """Memory, which all queues share, may be free."""
        for feed in self._feeds.values():
            feed.on_room()

    def _on_fenced(self, key: BucketKey, error: HeliographError) -> None:
        """Let go of a bucket; it is assigned again, and opened anew, if it should still be shipped from here."""
        _log.info("not shipped from here sender=%s region=%s bucket=%d reason=%s", self._sender, *key, error)
        self.remove(key)

    async def _follow_always(self) -> None:
        """Have all of what no copy here offers read from the log, whenever that changes."""
        while True:
            await self._followed_changed.wait()
            await asyncio.sleep(FOLLOW_SETTLE_S)
            self._followed_changed.clear()
            followed = [s for key, s in self._shipped.items() if not self._assigned[key].hosted]
            for feed in self._feeds.values():
                feed.follow([shipped.subject for shipped in followed if shipped.feed is feed])

    # --- the hot path

    def offer(self, region: str, bucket: int, seq: Seq, previous: Seq, record: Record) -> None:
        """Queue a record that a copy here appended or applied; ignored when the bucket is not shipped from here."""
        shipped = self._shipped.get((region, bucket))
        if shipped is None:
            return
        queue = shipped.queue
        if queue.offer(seq, previous, record, monotonic_ms()):
            shipped.dispatcher.on_offered(queue)
        elif queue.behind:
            shipped.feed.on_missed(queue)
        elif shipped.dirty:
            self._moved.set()  # by a record that is not for the remote site

    def learn_last(self, region: str, bucket: int, seq: Seq) -> None:
        """The bucket's log reaches to `seq`, and what lies before it is not going to be offered."""
        shipped = self._shipped.get((region, bucket))
        if shipped is None:
            return
        shipped.queue.learn_last(seq)
        if shipped.queue.behind:
            shipped.feed.on_missed(shipped.queue)

    def _on_taken(self, queue: BucketQueue) -> None:
        shipped = self._shipped[queue.region, queue.bucket]
        shipped.dispatcher.on_offered(queue)
        if shipped.dirty:
            self._moved.set()

    def on_progress(self, *, reread: bool) -> None:
        """Queues moved: memory may be free, cursors may be behind."""
        self._moved.set()
        if reread:
            for feed in self._feeds.values():
                feed.wake()
        else:
            self._on_room()

    # --- cursors

    async def store_all(self) -> None:
        """Store every cursor that is behind."""
        dirty = [(key, shipped) for key, shipped in self._shipped.items() if shipped.dirty]
        for start in range(0, len(dirty), AT_ONCE_MAX):
            await asyncio.gather(*(self._store(*each) for each in dirty[start : start + AT_ONCE_MAX]))

    async def _store_always(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            dirty = sum(shipped.dirty for shipped in self._shipped.values())
            await self.store_all()
            await asyncio.sleep(max(STORE_INTERVAL_S, dirty / STORES_PER_S_MAX))

    async def _store(self, key: BucketKey, shipped: Shipped) -> None:
        try:
            await self._cursors.store(shipped.cursor, shipped.queue.floor)
        except FencedError as exc:
            if self._shipped.get(key) is shipped:
                if isinstance(exc, CursorGoneError):
                    self._reached[key, self._assigned[key].generation] = shipped.queue.floor
                self._on_fenced(key, exc)
        except HeliographError as exc:
            # The cursor stays behind, which costs repeats but loses nothing, and is tried again.
            if not self._unstored:
                _log.warning("cursors not stored sender=%s region=%s bucket=%d error=%s", self._sender, *key, exc)
            self._unstored = True
            self._moved.set()
        else:
            self._unstored = False

    async def _persistently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until the engine answers, unless its answer is that the bucket is not to be shipped from here."""
        backoff = Backoff(RETRY_FIRST_MS, RETRY_LIMIT_MS)
        while True:
            try:
                return await attempt()
            except (FencedError, RegionNotFoundError):
                raise
            except HeliographError as exc:
                _log.warning("bucket not opened yet sender=%s error=%s", self._sender, exc)
                await asyncio.sleep(backoff.next_ms(self._host.rng.random()) / 1000)
