"""What listeners are told of a region: its newest records, with the values that they replaced.

The log is the queue of every listener, as it is of a gateway sender. A listener has a cursor in each bucket's log and
asks for what lies behind it. What was written last is held here, because only the copy that applied a record knows
which values it replaced; what is older is read from the log again (`Reread`), which knows them only where the same
reading has passed an event of the key before:

      only in the log           held: with old values
    ───────────────────┬───────────────────────────────
                     floor                           tip

Invariants: of a bucket that is held, every record after its floor is held, in order. The sizes of all held records
together are bounded; the oldest of any bucket goes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from heliograph.errors import EventsLostError, invariant
from heliograph.link.messages import Told
from heliograph.model.batch import (
    CLEARED,
    COLLECTED,
    CREATE,
    INVALIDATED,
    Columns,
    Record,
    Removal,
    decode_columns,
)
from heliograph.model.ids import Seq
from heliograph.model.keys import NO_VALUE, Key, key_bytes

HISTORY_BYTES_MAX = 32 * 1024 * 1024
"""Of the records of one region that are held for its listeners."""
ANSWER_BYTES_MAX = 1024 * 1024
"""An answer takes no further record beyond this."""
REPLACED_BYTES_MAX = 5 * 1024 * 1024
"""Of the values that one record replaced, so that an answer with the largest record fits into a frame. Those beyond are
not known to listeners."""
EVENT_BYTES, RECORD_BYTES = 16, 256
"""What an event, and a record, adds to its bytes, near enough."""


class History:
    """The newest records of a region's buckets, as far as they fit into memory."""

    def __init__(self, bytes_max: int = HISTORY_BYTES_MAX) -> None:
        self.size = 0
        self._bytes_max = bytes_max
        self._floors: dict[int, Seq] = {}
        self._held: dict[int, deque[tuple[Told, int]]] = {}
        self._order: deque[int] = deque()
        """The bucket of every held record, the oldest first; of a bucket that was begun anew more than are held."""

    def begin(self, bucket: int, seq: Seq) -> None:
        """Hold a bucket's records from after `seq` on, and nothing of it that was before."""
        for _, size in self._held.get(bucket, ()):
            self.size -= size
        self._held[bucket] = deque()
        self._floors[bucket] = seq

    def note(self, told: Told) -> None:
        """Hold the next record of a bucket that was begun."""
        size = size_of(told)
        self._held[told.bucket].append((told, size))
        self._order.append(told.bucket)
        self.size += size
        while self.size > self._bytes_max and self._order:
            self._forget_oldest(self._order.popleft())

    def _forget_oldest(self, bucket: int) -> None:
        held = self._held[bucket]
        if held:
            told, size = held.popleft()
            self.size -= size
            self._floors[bucket] = Seq(told.seq)

    def holds(self, bucket: int, after: int) -> bool:
        """Say whether every record of a bucket after `after` is held."""
        floor = self._floors.get(bucket)
        return floor is not None and floor <= after

    def since(self, bucket: int, after: int, bytes_max: int) -> tuple[list[Told], int, bool]:
        """Return a bucket's records after `after`, no further one beyond `bytes_max`, their size, and whether these are
        all; `bytes_max` is more than 0.
        """
        newer = []
        for each in reversed(self._held[bucket]):
            if each[0].seq <= after:
                break
            newer.append(each)
        records: list[Told] = []
        size = 0
        while newer and size < bytes_max:
            told, more = newer.pop()
            records.append(told)
            size += more
        return records, size, not newer


class Answer(NamedTuple):
    """What to tell next: records and the cursors that they lead to, of buckets whose cursors moved.

    behind: or else the cursors from which the log has to be read.
    """

    records: list[Told]
    reached: dict[int, int]
    behind: dict[int, int]


def answer_from(history: History, cursors: Mapping[int, int], tips: Mapping[int, int]) -> Answer:
    """Return what to tell next to who has these cursors; nothing at all when there is no news.

    tips: up to where the copies here show each bucket. Who is furthest behind is served first, be it from the log, so
    that no bucket starves another.
    """
    news = sorted((after, bucket) for bucket, after in cursors.items() if tips[bucket] > after)
    behind = {bucket: after for after, bucket in news if not history.holds(bucket, after)}
    if news and news[0][1] in behind:
        return Answer([], {}, behind)
    records: list[Told] = []
    reached: dict[int, int] = {}
    left = ANSWER_BYTES_MAX
    for after, bucket in news:
        if bucket in behind or left <= 0:
            continue
        some, size, drained = history.since(bucket, after, left)
        records += some
        left -= size
        reached[bucket] = tips[bucket] if drained else some[-1].seq
    return Answer(records, reached, {})


class Reread:
    """One reading of a bucket's log from a listener's cursor up to `tip`, for an answer of `bytes_max`.

    An old value is known where this reading has passed the key before, or where this site saw that there was none.
    The cursor only moves to records that were shown: each names its predecessor, so that a gap is seen.
    """

    def __init__(self, region: str, bucket: int, site: int, after: int, tip: int, bytes_max: int) -> None:
        self.records: list[Told] = []
        self.read_to = after
        self.size = 0
        self._region = region
        self._bucket = bucket
        self._site = site
        self._tip = tip
        self._bytes_max = bytes_max
        self._passed = _Passed()

    @property
    def done(self) -> bool:
        """Say whether it is enough for an answer."""
        return self.read_to >= self._tip or self.size >= self._bytes_max

    def take(self, seq: Seq, previous: Seq, record: Record) -> None:
        """Take the next record of the reading. Raises EventsLostError when the log was cut before it."""
        if previous > self.read_to:
            raise self._lost()
        self.read_to = seq
        before = [self._passed.remove(removal) for removal in record.removals]
        before += [self._passed.merge(decode_columns(part.columns), part.origin == self._site) for part in record.parts]
        if tells(record):
            told = told_of(self._bucket, seq, record, before)
            self.records.append(told)
            self.size += size_of(told)

    def end(self) -> None:
        """The log shows no more. Raises EventsLostError when it does not hold what a copy has shown."""
        if not self.done:
            raise self._lost()

    def _lost(self) -> EventsLostError:
        return EventsLostError(
            f"events of bucket {self._bucket} of region {self._region} were cut from the log before this listener took "
            "them: listen anew, and read the entries after that"
        )


class _Passed:
    """What a reading knows of a bucket's entries because it has passed their events; empty = no entry."""

    def __init__(self) -> None:
        self._values: dict[Key, bytes] = {}
        self._else: bytes | None = None
        """What it knows of a key that it has not passed: empty after the bucket was cleared, else nothing."""

    def remove(self, removal: Removal) -> list[bytes | None]:
        """Take away; returns the value before of every key that is named."""
        before = [self._values.get(key, self._else) for key in removal.keys]
        if removal.kind == CLEARED:
            self._values.clear()
            self._else = b""
        for key, value in zip(removal.keys, before, strict=True):
            if value != b"":
                self._values[key] = NO_VALUE if removal.kind == INVALIDATED else b""
        return before

    def merge(self, columns: Columns, born_here: bool) -> list[bytes | None]:
        """Apply events; returns the value before each."""
        before: list[bytes | None] = []
        values = self._values
        for op, key, value in zip(columns.ops, columns.keys, columns.values, strict=True):
            before.append(values.get(key, b"" if op == CREATE and born_here else self._else))
            values[key] = value
        return before


def tells(record: Record) -> bool:
    """Say whether a record holds anything that listeners hear of."""
    told = any(not part.silent for part in record.parts)
    return told or any(removal.kind != COLLECTED for removal in record.removals)


def told_of(bucket: int, seq: Seq, record: Record, before: Sequence[Sequence[bytes | None]]) -> Told:
    """Return what listeners are told of a record. before: the values before each removal and part."""
    invariant(len(before) == len(record.removals) + len(record.parts), "old values are missing", bucket, seq)
    parts = record.parts
    if any(part.silent for part in parts):
        of_parts = zip(parts, before[len(record.removals) :], strict=True)
        before = [*before[: len(record.removals)], *(column for part, column in of_parts if not part.silent)]
        parts = tuple(part for part in parts if not part.silent)
    left = REPLACED_BYTES_MAX
    replaced: list[list[bytes | None]] = []
    for column in before:
        left -= _bytes_of(column)
        replaced.append(list(column) if left >= 0 else _cut(column, left + _bytes_of(column)))
    return Told(bucket, seq, record.removals, parts, replaced)


def _cut(column: Sequence[bytes | None], bytes_max: int) -> list[bytes | None]:
    """Forget old values from where they no longer fit."""
    kept: list[bytes | None] = []
    for value in column:
        bytes_max -= len(value or b"")
        kept.append(value if bytes_max >= 0 else None)
    return kept


def _bytes_of(column: Sequence[bytes | None]) -> int:
    return sum(map(len, filter(None, column)))


def size_of(told: Told) -> int:
    """Bytes that a record takes in memory and in an answer, near enough."""
    size = RECORD_BYTES + sum(map(_bytes_of, told.replaced))
    for removal in told.removals:
        size += key_bytes(removal.keys) + EVENT_BYTES * len(removal.keys)
    for part in told.parts:
        size += part.size + EVENT_BYTES * part.count
    return size
