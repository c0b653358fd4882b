"""Feeds queues from the log: what they missed, and all of what no copy here offers them.

Records that a copy here appends or applies are offered at once. Two tasks read the log besides:

* *catching up* reads, in passes of several buckets, what queues lack: after they were opened, and when more came than
  their memory held. A pass follows the log until its queues meet the records offered live, so that it ends even while
  a bucket is written without pause.
* *following* reads everything of the buckets of which this member holds no copy (a serial sender's).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing

from heliograph.engine.seam import Log, LogEntry
from heliograph.errors import HeliographError
from heliograph.gateway.memory import Memory
from heliograph.gateway.queue import BucketQueue
from heliograph.gateway.reading import next_reading
from heliograph.member.sender_host import monotonic_ms
from heliograph.member.tasks import Tasks
from heliograph.model.batch import decode_record
from heliograph.model.ids import Seq

RETRY_S = 0.5

_log = logging.getLogger(__name__)

Sources = dict[str, BucketQueue]
"""Subject -> the queue it feeds."""


class Feed:
    """The log readers of one gateway sender; `on_taken` is told of every queue that took a record."""

    def __init__(self, log: Log, memory: Memory, tasks: Tasks, on_taken: Callable[[BucketQueue], None]) -> None:
        self._log = log
        self._memory = memory
        self._tasks = tasks
        self._on_taken = on_taken
        self._sources: Sources = {}
        self._followed: Sources = {}
        self._follower: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._starved = False

    def start(self) -> None:
        """Begin to catch up; the task ends with `tasks`."""
        self._tasks.spawn(self._catch_up_always())

    def add(self, subject: str, queue: BucketQueue) -> None:
        """Feed a queue what it misses of its subject."""
        self._sources[subject] = queue

    def remove(self, subject: str) -> None:
        """Feed a queue no longer."""
        del self._sources[subject]

    def follow(self, subjects: Collection[str]) -> None:
        """Follow the log for exactly these subjects, all of them added."""
        followed = {subject: self._sources[subject] for subject in sorted(subjects)}
        if followed == self._followed:
            return
        self._followed = followed
        if self._follower is not None:
            self._follower.cancel()
        self._follower = self._tasks.spawn(self._follow_always(followed)) if followed else None

    def wake(self) -> None:
        """A queue may be readable."""
        self._wake.set()

    def on_missed(self, queue: BucketQueue) -> None:
        """A queue could not take what a copy here offered it: read it from the log, now or when memory is free."""
        if queue.readable:
            self._wake.set()
        elif not self._memory.roomy:
            self._starved = True

    def on_room(self) -> None:
        """Memory was freed."""
        if not self._memory.roomy:
            return
        self._room.set()  # whoever waits for it, whatever the other task has made of `_starved` meanwhile
        if self._starved:
            self._starved = False
            self._wake.set()

    async def _catch_up_always(self) -> None:
        while True:
            self._wake.clear()
            queues = set(next_reading(self._sources.values()))
            if not queues:
                self._starved = not self._memory.roomy
                if not await self._count():
                    await self._wake.wait()
                continue
            try:
                met = await self._catch_up({s: q for s, q in self._sources.items() if q in queues})
            except HeliographError as exc:
                _log.warning("catching up interrupted error=%s", exc)
                await asyncio.sleep(RETRY_S)
            else:
                if not met:
                    await self._wake.wait()

    async def _count(self) -> bool:
        """Count what there is no memory to read, of queues of which nothing is known; returns whether there were any.

        Such a queue may wait for long: of a sender that is paused, or that nobody answers.
        """
        sources = {subject: queue for subject, queue in self._sources.items() if queue.uncounted}
        if not sources:
            return False
        afters = {subject: queue.tip for subject, queue in sources.items()}
        throughs = {subject: queue.last_known for subject, queue in sources.items()}
        events = dict.fromkeys(sources, 0)
        try:
            async with aclosing(self._log.read(list(sources), after=Seq(min(afters.values())))) as stream:
                async for entries in stream:
                    for entry in entries:
                        if afters[entry.subject] < entry.seq <= throughs[entry.subject]:
                            record = decode_record(entry.payload)
                            events[entry.subject] += sources[entry.subject].events_for_site(record)
        except HeliographError as exc:
            _log.warning("counting interrupted error=%s", exc)
            await asyncio.sleep(RETRY_S)
            return True
        for subject, queue in sources.items():
            if self._sources.get(subject) is queue:
                queue.recount(afters[subject], throughs[subject], events[subject])
        return True

    async def _catch_up(self, sources: Sources) -> bool:
        """Read until the queues lack nothing; returns False when memory ended it."""
        reading = _Reading(sources)
        async with aclosing(self._log.follow(list(sources), after=reading.after)) as stream:
            async for entries in stream:
                missed = self._take(reading, entries)
                if missed or not any(queue.behind for queue in sources.values()):
                    self._starved = bool(missed)  # memory may become free while the stream is being closed
                    return all(queue.restricted for queue in missed)
        return True

    async def _follow_always(self, sources: Sources) -> None:
        while True:
            try:
                await self._follow(sources)
            except HeliographError as exc:
                _log.warning("following interrupted error=%s", exc)
            await asyncio.sleep(RETRY_S)

    async def _follow(self, sources: Sources) -> None:
        reading = _Reading(sources)
        async with aclosing(self._log.follow(list(sources), after=reading.after)) as stream:
            async for entries in stream:
                if self._take(reading, entries):
                    self._wake.set()
                while self._memory.full:
                    self._starved = True
                    self._room.clear()
                    await self._room.wait()

    def _take(self, reading: _Reading, entries: Sequence[LogEntry]) -> list[BucketQueue]:
        """Offer entries to their queues; returns the queues that could not hold one."""
        missed: list[BucketQueue] = []
        for entry in entries:
            queue = reading.sources[entry.subject]
            lost = reading.is_lost_before(entry)
            if self._sources.get(entry.subject) is not queue or entry.seq <= queue.tip:
                continue
            if lost:
                _log.error("log truncated too early subject=%s tip=%d seq=%d", entry.subject, queue.tip, entry.seq)
                queue.skip_lost(entry.previous)
            queue.offer(entry.seq, entry.previous, decode_record(entry.payload), monotonic_ms())
            if queue.tip < entry.seq:
                missed.append(queue)
            else:
                self._on_taken(queue)
        return missed


class _Reading:
    """One reading of some subjects, from behind the queue that lacks most."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.after = Seq(min(queue.tip for queue in sources.values()))
        self._read_to: dict[str, Seq] = {}

    def is_lost_before(self, entry: LogEntry) -> bool:
        """Say whether the log no longer holds what the entry's queue needs before it.

        The reading shows every message after `after`; when the one before this entry was not shown, it is gone.
        """
        read_to = self._read_to.get(entry.subject, self.after)
        self._read_to[entry.subject] = entry.seq
        tip = self.sources[entry.subject].tip
        return read_to <= tip < entry.previous and read_to < entry.previous
