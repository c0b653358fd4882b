"""A region at this member: its copies, and the follower that keeps those up to date that it does not write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing

from heliograph.bucket.expiration import rules_of
from heliograph.engine.queues import log_ends
from heliograph.engine.seam import bucket_subject
from heliograph.errors import HeliographError
from heliograph.member.copy import BucketCopy, CopyHost
from heliograph.member.stores import Store
from heliograph.member.traffic import Traffic
from heliograph.model.attributes import RegionAttributes
from heliograph.model.batch import Record
from heliograph.model.ids import NO_SEQ, Seq
from heliograph.model.members import RegionPlacement
from heliograph.model.routing import member_routing

RETRY_S = 0.5
TAKEOVERS_AT_ONCE = 16
READS_LATE_MS = 1_000
"""How long what was read at a redundant copy may take to be known to the primary; several times what it does take."""
ENDS_AT_ONCE = 32

_log = logging.getLogger(__name__)

RegionSink = Callable[[str, int, Seq, Seq, Record], None]
"""Called with (region, bucket, seq, previous, record) for every record that a copy here appends or applies."""


class HostedRegion:
    """One region: every server knows it, and holds those of its buckets that the placement gives to it."""

    def __init__(
        self, attributes: RegionAttributes, generation: int, *, store: Store, host: CopyHost, sink: RegionSink
    ) -> None:
        self.attributes = attributes
        self.routing, self.problem = member_routing(attributes)
        """How keys find their buckets, and what is wrong with that here."""
        self.rules = rules_of(attributes)
        """How its entries expire; none when they don't."""
        self.generation = generation
        self.store = store
        self.copies: dict[int, BucketCopy] = {}
        self.placement: RegionPlacement | None = None
        self.life = 0
        """What is left of earlier ones is gone."""
        self.traffic = Traffic()
        self._host = host
        self._sink = sink
        self._takeovers: dict[int, asyncio.Task[None]] = {}
        self._takeover_slots = asyncio.Semaphore(TAKEOVERS_AT_ONCE)
        self._follower: asyncio.Task[None] | None = None
        self._following: tuple[frozenset[int], frozenset[int]] | None = None
        self._loaded = asyncio.Event()

    @property
    def name(self) -> str:
        """The region's name."""
        return self.attributes.name

    @property
    def record_bytes_max(self) -> int:
        """Bytes of events beyond which a record takes no further request."""
        return self._host.record_bytes_max

    def subject(self, bucket: int) -> str:
        """Return the subject of a bucket's log."""
        return bucket_subject(self.store.name, self.name, self.generation, bucket)

    def primary_of(self, bucket: int) -> str:
        """Return the name of the member that should be the bucket's primary, "" when none is known."""
        return self.placement.buckets[bucket].primary if self.placement is not None else ""

    @property
    def notes_reads(self) -> bool:
        """Say whether reads keep entries from expiring."""
        return any(rule.idle for rule in self.rules)

    @property
    def _reads_late_ms(self) -> int:
        """By how much the primary may hear late of a read, which is read elsewhere if there are other copies."""
        return READS_LATE_MS if self.attributes.replicated or self.attributes.copies else 0

    @property
    def settled(self) -> bool:
        """Say whether this member is all that the placement wants it to be, its copies loaded."""
        if self.placement is None or not self._loaded.is_set():
            return False
        wanted = self._primaries()
        return all(self.copies[bucket].accepting for bucket in wanted)

    def accepting(self) -> list[BucketCopy]:
        """Return the copies that take writes here."""
        return [copy for copy in self.copies.values() if copy.accepting]

    # --- following the configuration and the placement

    def alter(self, attributes: RegionAttributes) -> None:
        """Take up altered attributes."""
        self.attributes = attributes
        self.rules = rules_of(attributes)
        for copy in self.copies.values():
            copy.upkeep.expire_by(self.rules, self._reads_late_ms)

    async def log_ends(self) -> list[int]:
        """Return the last sequence of every bucket's log, also of those that are not held here."""
        return await log_ends(self.store.log, list(map(self.subject, range(self.attributes.total_num_buckets))))

    def arrange(self, placement: RegionPlacement, life: int = 0) -> None:
        """Take up a placement: gain and drop copies, begin take-overs, step down. Work goes on in tasks.

        life: of a region that is not persistent; what is left of earlier ones is cleared by the primaries.
        """
        self.placement, self.life = placement, life
        name = self._host.name
        held = {number for number, bucket in enumerate(placement.buckets) if name in bucket.holders}
        for number in self.copies.keys() - held:
            self._end_takeover(number)
            self.copies[number].step_down()
            if self.copies[number].retired:
                self.copies.pop(number).let_go()
        for number in sorted(held - self.copies.keys()):
            copy = BucketCopy(
                self.name,
                number,
                self.subject(number),
                store=self.store,
                host=self._host,
                sink=self._sink_of(),
                traffic=self.traffic,
            )
            copy.upkeep.expire_by(self.rules, self._reads_late_ms)
            self.copies[number] = copy
            self._loaded.clear()
        for copy in self.copies.values():
            copy.life = life
            if copy.accepting and not copy.readable:
                copy.step_down()  # whoever is primary next, perhaps this copy again, begins the new life
        wanted = self._primaries()
        for number in held - wanted:
            self._end_takeover(number)
            if self.copies[number].accepting:
                self.copies[number].step_down()
        for number in wanted:
            copy = self.copies[number]
            if not copy.accepting and copy.retired and number not in self._takeovers:
                self._takeovers[number] = self._host.spawn(self._take_over(copy))
        self._follow()

    def _primaries(self) -> set[int]:
        if self.placement is None:
            return set()
        return {n for n, bucket in enumerate(self.placement.buckets) if bucket.primary == self._host.name}

    def _sink_of(self) -> Callable[[int, Seq, Seq, Record], None]:
        name, sink = self.name, self._sink
        return lambda bucket, seq, previous, record: sink(name, bucket, seq, previous, record)

    def _end_takeover(self, number: int) -> None:
        task = self._takeovers.pop(number, None)
        if task is not None:
            task.cancel()
            self.copies[number].following = True

    async def _take_over(self, copy: BucketCopy) -> None:
        """Become primary of one bucket, however often the engine can't be reached."""
        try:
            if not copy.loaded:
                await self._loaded.wait()
            async with self._takeover_slots:
                while True:
                    try:
                        if not copy.loaded:
                            await self._restore([copy])  # its log was cut under it
                        await copy.become_primary()
                    except HeliographError as exc:
                        _log.warning("take-over delayed region=%s bucket=%d error=%s", self.name, copy.bucket, exc)
                        await asyncio.sleep(RETRY_S)
                    else:
                        break
            _log.info("primary region=%s bucket=%d epoch=%d", self.name, copy.bucket, copy.epoch)
        finally:
            if self._takeovers.get(copy.bucket) is asyncio.current_task():
                del self._takeovers[copy.bucket]

    # --- following the log

    def _follow(self) -> None:
        """Have one task load what is new and follow exactly the buckets that are held and not written here."""
        followed = frozenset(n for n in self.copies if n not in self._primaries() and self.copies[n].retired)
        task = (frozenset(self.copies), followed)
        if task == self._following:
            return
        self._following = task
        if self._follower is not None:
            self._follower.cancel()
        self._follower = self._host.spawn(self._load_and_follow(followed))

    async def _load_and_follow(self, followed: frozenset[int]) -> None:
        while True:
            try:
                await self._load()
                if not followed:
                    return
                subjects = [self.subject(number) for number in sorted(followed)]
                after = Seq(min(self.copies[number].view.seq for number in followed))
                async with aclosing(self.store.log.follow(subjects, after=after)) as stream:
                    async for entries in stream:
                        for entry in entries:
                            copy = self.copies.get(int(entry.subject.rpartition(".")[2]))
                            if copy is not None and copy.following:
                                copy.on_entry(entry)
            except HeliographError as exc:
                _log.warning("following interrupted region=%s error=%s", self.name, exc)
            await asyncio.sleep(RETRY_S)

    async def _load(self) -> None:
        """Read what new copies lack, all buckets in one pass."""
        fresh = {number: copy for number, copy in self.copies.items() if not copy.loaded}
        if fresh:
            await self._restore(fresh.values())
            after = Seq(min(copy.view.seq for copy in fresh.values()))
            subjects = [copy.subject for _, copy in sorted(fresh.items())]
            async for entries in self.store.log.read(subjects, after=after):
                for entry in entries:
                    copy = fresh[int(entry.subject.rpartition(".")[2])]
                    if copy.following:
                        copy.on_entry(entry)
        for copy in fresh.values():
            copy.loaded = copy.loaded or copy.following
        self._loaded.set()

    async def _restore(self, copies: Iterable[BucketCopy]) -> None:
        """Let copies start from their newest snapshots, where those hold more than they do."""
        store = self.store.snapshots
        newest = await store.newest(self.name, self.generation)
        for copy in copies:
            seq = newest.get(copy.bucket, NO_SEQ)
            if seq > copy.view.seq:
                found = await store.load(self.name, self.generation, copy.bucket, seq)
                if found is not None and copy.retired:
                    copy.restore(*found)

    def close(self) -> None:
        """Stop hosting: what is pending fails, nothing is followed any more."""
        for number in list(self._takeovers):
            self._end_takeover(number)
        if self._follower is not None:
            self._follower.cancel()
        for copy in self.copies.values():
            copy.step_down()

    @property
    def drained(self) -> bool:
        """Say whether no write is in flight any more, after `close`."""
        return all(copy.retired for copy in self.copies.values())
