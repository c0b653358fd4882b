"""What a member answers to listeners: the records of its copies after their cursors, as soon as there are any.

A listener asks, is answered when there is something to tell, and asks again from where that led it. That one question
on its way is all the credit there is: who is slow asks later, and what came meanwhile waits in the log. Nothing is kept
for a single listener here, so that it may go on at any other member that holds the bucket.

Copies keep what they replace only while somebody listens to their region (`LINGER_S` beyond the last question).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing

from heliograph.bucket.history import ANSWER_BYTES_MAX, History, Reread, answer_from, tells, told_of
from heliograph.errors import HeliographError, NotPrimaryError, UnavailableError, UsageError
from heliograph.link.messages import FROM_NOW, Heard, Listen, Told
from heliograph.member.copy import BucketCopy
from heliograph.member.region import HostedRegion
from heliograph.model.batch import Record, decode_record
from heliograph.model.ids import Seq

WAIT_MS_MAX = 60_000
LINGER_S = 60.0
"""How long after the last question a region's newest records are still kept."""
REREADS_AT_ONCE = 8
REREAD_S = 2.0
"""After so long an answer from the log reads no further bucket."""

_log = logging.getLogger(__name__)


class _Listened:
    """One region that is listened to, in one of its generations."""

    def __init__(self, region: HostedRegion, now_s: float) -> None:
        self.region = region
        self.history = History()
        self.asked_s = now_s
        self.waiting = 0
        self.held = frozenset[int]()
        self.news: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        """Let everyone who waits look again."""
        if not self.news.done():
            self.news.set_result(None)

    def readable(self) -> frozenset[int]:
        """The buckets that can be listened to here."""
        return frozenset(number for number, copy in self.region.copies.items() if copy.readable)


class Listening:
    """The listeners' side of one member. region: as `Operations.region`."""

    def __init__(self, name: str, site: int, region: Callable[[str], HostedRegion]) -> None:
        self._name = name
        self._site = site
        self._region = region
        self._regions: dict[str, _Listened] = {}
        self._rereads = asyncio.Semaphore(REREADS_AT_ONCE)
        self._ended = False

    @property
    def active(self) -> bool:
        """Say whether somebody listens, so that records matter here."""
        return bool(self._regions)

    # --- what copies tell

    def on_record(self, region: str, bucket: int, seq: Seq, record: Record) -> None:
        """A copy here appended or applied a record."""
        listened = self._regions.get(region)
        if listened is None:
            return
        copy = listened.region.copies.get(bucket)
        if copy is None or copy.view.seq != seq:
            return  # of a generation that is gone
        before = copy.view.take_replaced()
        if before is None:
            listened.history.begin(bucket, seq)  # what this record replaced is not known
        elif tells(record):
            listened.history.note(told_of(bucket, seq, record, before))
        listened.wake()

    def on_restored(self, region: str, bucket: int) -> None:
        """A copy here jumped forward to a snapshot."""
        listened = self._regions.get(region)
        if listened is not None and bucket in listened.region.copies:
            self._begin(listened, listened.region.copies[bucket])
            listened.wake()

    def _begin(self, listened: _Listened, copy: BucketCopy) -> None:
        copy.view.take_replaced()
        listened.history.begin(copy.bucket, copy.view.seq)

    def look(self) -> None:
        """From time to time: wake who waits for a bucket that went elsewhere, and forget what nobody listens to."""
        now_s = asyncio.get_running_loop().time()
        for name, listened in list(self._regions.items()):
            if self._gone(listened.region):
                self._forget(name)
                continue
            held = listened.readable()
            if held != listened.held:
                listened.held = held
                listened.wake()
            if not listened.waiting and now_s - listened.asked_s > LINGER_S:
                self._forget(name)

    def _gone(self, region: HostedRegion) -> bool:
        try:
            return self._region(region.name) is not region
        except HeliographError:
            return True

    def close(self) -> None:
        """Answer who still waits: this member tells no more."""
        self._ended = True
        for region in list(self._regions):
            self._forget(region)

    def _forget(self, name: str) -> None:
        listened = self._regions.pop(name, None)
        if listened is not None:
            for copy in listened.region.copies.values():
                copy.view.replaced = None
            listened.wake()

    # --- what listeners ask

    async def hear(self, request: Listen) -> Heard:
        """Answer when there is something to tell, or nothing after `wait_ms`.

        Raises RegionNotFoundError, NotPrimaryError when a bucket is not held here, EventsLostError when the log was cut
        above a cursor, UnavailableError.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(request.wait_ms, WAIT_MS_MAX) / 1000
        while True:
            if self._ended:
                raise UnavailableError(f"{self._name} stops")
            region = self._region(request.region)
            if request.generation not in (FROM_NOW, region.generation):
                return Heard(region.generation, self._site, request.after, [])
            listened = self._listened(region)
            tips = self._tips(region, request.buckets)
            cursors = _cursors(request, tips)
            if FROM_NOW in request.after:
                return Heard(region.generation, self._site, list(cursors.values()), [])
            records, reached, behind = answer_from(listened.history, cursors, tips)
            if behind:
                records, reached = await self._reread(region, behind, tips)
            if reached:
                return Heard(region.generation, self._site, list((cursors | reached).values()), records)
            if loop.time() >= deadline:
                return Heard(region.generation, self._site, request.after, [])
            await self._news(listened, deadline - loop.time())

    def _listened(self, region: HostedRegion) -> _Listened:
        now_s = asyncio.get_running_loop().time()
        listened = self._regions.get(region.name)
        if listened is None or listened.region is not region:
            self._forget(region.name)
            listened = self._regions[region.name] = _Listened(region, now_s)
            listened.held = listened.readable()
            for copy in region.copies.values():
                self._begin(listened, copy)
            _log.info("listening begins region=%s", region.name)
        listened.asked_s = now_s
        return listened

    def _tips(self, region: HostedRegion, buckets: Sequence[int]) -> dict[int, int]:
        """Return up to where the copies here show the buckets."""
        tips: dict[int, int] = {}
        for bucket in buckets:
            copy = region.copies.get(bucket)
            if copy is None or not copy.readable:
                raise NotPrimaryError(f"{self._name} does not hold bucket {bucket} of {region.name}")
            tips[bucket] = copy.view.seq
        return tips

    async def _reread(
        self, region: HostedRegion, behind: dict[int, int], tips: dict[int, int]
    ) -> tuple[list[Told], dict[int, int]]:
        """Read the log bucket by bucket, who is furthest behind first, until it is enough for an answer."""
        records: list[Told] = []
        reached: dict[int, int] = {}
        left = ANSWER_BYTES_MAX
        async with self._rereads:
            enough_at = asyncio.get_running_loop().time() + REREAD_S
            for bucket, after in behind.items():
                reread = Reread(region.name, bucket, self._site, after, tips[bucket], left)
                await self._read(region, reread, bucket, after)
                records += reread.records
                reached[bucket] = reread.read_to
                left -= reread.size
                if left <= 0 or asyncio.get_running_loop().time() > enough_at:
                    break
        return records, reached

    async def _read(self, region: HostedRegion, reread: Reread, bucket: int, after: int) -> None:
        async with aclosing(region.store.log.read([region.subject(bucket)], after=Seq(after))) as stream:
            async for entries in stream:
                for entry in entries:
                    reread.take(entry.seq, entry.previous, decode_record(entry.payload))
                    if reread.done:
                        return
        reread.end()

    async def _news(self, listened: _Listened, within_s: float) -> None:
        if listened.news.done():
            listened.news = asyncio.get_running_loop().create_future()
        listened.waiting += 1
        try:
            await asyncio.wait({listened.news}, timeout=within_s)
        finally:
            listened.waiting -= 1
            listened.asked_s = asyncio.get_running_loop().time()


def _cursors(request: Listen, tips: dict[int, int]) -> dict[int, int]:
    if not len(tips) == len(request.buckets) == len(request.after) or min(request.after, default=0) < FROM_NOW:
        raise UsageError("listening needs one cursor for each of some different buckets")
    return {
        bucket: tips[bucket] if after == FROM_NOW else after
        for bucket, after in zip(request.buckets, request.after, strict=True)
    }
