"""A copy of one bucket: its log applied in order, in memory.

Invariants: `seq` is the last record applied; every key with a value has a version; a key with a version and no value is
a tombstone, which takes part in the same comparison as a value (architecture §3), and `tombstones` has it; `stamp_max`
is no smaller than the stamp of any applied event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import repeat

from heliograph.bucket.requests import RequestMemory
from heliograph.errors import invariant
from heliograph.model.batch import (
    CLEARED,
    COLLECTED,
    DESTROY,
    EXPIRED,
    INVALIDATED,
    Columns,
    Part,
    Record,
    Removal,
    decode_columns,
)
from heliograph.model.clock import SITE_BITS
from heliograph.model.ids import NO_SEQ, Epoch, Seq
from heliograph.model.keys import NO_VALUE, Key, key_bytes


class BucketView:
    """Entries of one bucket as of `seq`. The log holds accepted events only, so applying decides nothing.

    tombstones: key -> the sequence of the record that removed it, the oldest first. A key that has a value again may
    still stand there; it is no tombstone.
    life: of the region, see `Removal`.
    """

    __slots__ = (
        "epoch",
        "fence",
        "life",
        "marks",
        "primary",
        "replaced",
        "requests",
        "seq",
        "stamp_max",
        "tombstones",
        "values",
        "versions",
    )

    def __init__(self) -> None:
        self.values: dict[Key, bytes] = {}
        self.versions: dict[Key, int] = {}
        self.tombstones: dict[Key, Seq] = {}
        self.seq: Seq = NO_SEQ
        self.epoch = Epoch(0)
        self.primary = ""
        self.stamp_max = 0
        self.life = 0
        self.fence = 0
        """The newest stamp of the tombstones that were collected though an older event may still come; 0 for none."""
        self.marks: dict[tuple[int, int], tuple[int, int]] = {}
        """Site and bucket of birth -> the greatest sequence and stamp of what was judged, see `bucket.judging`."""
        self.requests = RequestMemory()
        self.replaced: list[list[bytes]] | None = None
        """When somebody listens: the values before, one list for each removal and each part since it was last taken."""

    @property
    def size(self) -> int:
        """Bytes of the keys and values, counted anew each time."""
        return key_bytes(list(self.values)) + sum(map(len, self.values.values()))

    def take_replaced(self) -> list[list[bytes]] | None:
        """Return what was replaced since the last call; None at the first one, from which on it is kept."""
        taken, self.replaced = self.replaced, []
        return taken

    def apply(self, seq: Seq, record: Record) -> None:
        """Apply the next record of the log. Raises PeerError when its columns are malformed."""
        decoded = [(part.origin, decode_columns(part.columns)) for part in record.parts]
        merges = [(columns, columns.newest(origin)) for origin, columns in decoded]
        self.advance(seq, record)
        for part, (columns, newest) in zip(record.parts, merges, strict=True):
            self.merge(part, columns, newest)

    def advance(self, seq: Seq, record: Record) -> None:
        """Take `record` as the last one applied, with its removals and without its events."""
        invariant(seq > self.seq, "a record is applied twice or out of order", seq, self.seq)
        self.seq = seq
        self.epoch = Epoch(max(self.epoch, record.epoch))
        if record.primary:
            self.primary = record.primary
        for removal in record.removals:
            self._remove(removal)
        for mark in record.marks:
            self._mark(*mark)
        if record.requests is not None:
            self.requests.apply(seq, record.requests)

    def merge(self, part: Part, columns: Columns, newest: Mapping[Key, int]) -> None:
        """Apply a part, which holds `columns`; `newest` are the versions that they leave, see `Columns.newest`."""
        if self.replaced is not None:
            self.replaced.append(before_each(self.values, columns))
        self.versions.update(newest)
        stamp = columns.stamp_max()
        self.stamp_max = max(self.stamp_max, stamp)
        if part.birth_seq:
            self._mark(part.origin, part.birth_bucket, part.birth_seq, stamp)
        if DESTROY not in columns.ops:
            self.values.update(zip(columns.keys, columns.values, strict=True))
            return
        destroyed = []
        for op, key, value in zip(columns.ops, columns.keys, columns.values, strict=True):
            if op == DESTROY:
                self.values.pop(key, None)
                destroyed.append(key)
            else:
                self.values[key] = value
        self._bury(destroyed)

    def _mark(self, site: int, bucket: int, seq: int, stamp: int) -> None:
        place = (site, bucket)
        seq_max, stamp_max = self.marks.get(place, (0, 0))
        if seq > seq_max and stamp > stamp_max:  # as nearly always, so at a glance
            self.marks[place] = seq, stamp
        else:
            self.marks[place] = max(seq, seq_max), max(stamp, stamp_max)

    def has_tombstones(self, through: int) -> bool:
        """Say whether the log left tombstones up to and including a sequence."""
        return next(iter(self.tombstones.values()), through + 1) <= through

    def removed_before(self, through: int, stamp: int) -> Seq:
        """Return the last sequence, `through` at most, up to which all tombstones are of events older than a stamp.

        One record may have left older and newer ones: then it lies beyond.
        """
        for key, seq in self.tombstones.items():
            if seq > through:
                break
            if key not in self.values and self.versions[key] >> SITE_BITS >= stamp:
                return Seq(seq - 1)
        return Seq(through)

    def newest_tombstone(self, through: int) -> int:
        """Return the newest stamp of the tombstones left by the log up to and including a sequence; 0 without any."""
        newest = 0
        for key, seq in self.tombstones.items():
            if seq > through:
                break
            if key not in self.values:
                newest = max(newest, self.versions[key] >> SITE_BITS)
        return newest

    def _remove(self, removal: Removal) -> None:
        values = self.values
        if self.replaced is not None:
            self.replaced.append(list(map(values.get, removal.keys, repeat(b""))))
        if removal.kind == EXPIRED:
            self._bury([key for key in removal.keys if values.pop(key, None) is not None])
        elif removal.kind == INVALIDATED:
            values.update([(key, NO_VALUE) for key in removal.keys if key in values])
        elif removal.kind == CLEARED:
            self._bury(values)
            self.values = {}
            self.life = max(self.life, removal.number)
        elif removal.kind == COLLECTED:
            self._collect(removal.number)
            self.fence = max(self.fence, removal.fence)

    def _bury(self, keys: Iterable[Key]) -> None:
        """Note that keys lose their values with the last record applied."""
        tombstones, seq = self.tombstones, self.seq
        for key in keys:
            tombstones.pop(key, None)  # a key comes last again, so that the oldest stay first
            tombstones[key] = seq

    def _collect(self, through: int) -> None:
        collected = []
        for key, seq in self.tombstones.items():
            if seq > through:
                break
            collected.append(key)
        for key in collected:
            del self.tombstones[key]
            if key not in self.values:
                del self.versions[key]


def before_each(values: Mapping[Key, bytes], columns: Columns) -> list[bytes]:
    """Return the value that each event finds when all are applied to `values`; empty where there is no entry."""
    before = list(map(values.get, columns.keys, repeat(b"")))
    if isinstance(columns.stamps, int):
        return before  # the keys differ
    newer: dict[Key, bytes] = {}
    for position, (key, value) in enumerate(zip(columns.keys, columns.values, strict=True)):
        if key in newer:
            before[position] = newer[key]
        newer[key] = value
    return before
