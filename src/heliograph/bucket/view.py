"""A copy of one bucket: its log applied in order, in memory.

Invariants: `seq` is the last record applied; every key with a value has a version; a key with a version and no value is
a tombstone, which takes part in the same comparison as a value (architecture §3); `stamp_max` is no smaller than the
stamp of any applied event.
"""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.errors import invariant
from heliograph.model.batch import DESTROY, Columns, Record, decode_columns
from heliograph.model.ids import NO_SEQ, Epoch, Seq
from heliograph.model.keys import Key


class BucketView:
    """Entries of one bucket as of `seq`. The log holds accepted events only, so applying decides nothing."""

    __slots__ = ("epoch", "primary", "seq", "stamp_max", "values", "versions")

    def __init__(self) -> None:
        self.values: dict[Key, bytes] = {}
        self.versions: dict[Key, int] = {}
        self.seq: Seq = NO_SEQ
        self.epoch = Epoch(0)
        self.primary = ""
        self.stamp_max = 0

    def apply(self, seq: Seq, record: Record) -> None:
        """Apply the next record of the log. Raises PeerError when its columns are malformed."""
        decoded = [(part.origin, decode_columns(part.columns)) for part in record.parts]
        merges = [(columns, columns.newest(origin)) for origin, columns in decoded]
        self.advance(seq, record)
        for columns, newest in merges:
            self.merge(columns, newest)

    def advance(self, seq: Seq, record: Record) -> None:
        """Note that `record` is the last one applied, without its events."""
        invariant(seq > self.seq, "a record is applied twice or out of order", seq, self.seq)
        self.seq = seq
        self.epoch = Epoch(max(self.epoch, record.epoch))
        if record.primary:
            self.primary = record.primary

    def merge(self, columns: Columns, newest: Mapping[Key, int]) -> None:
        """Apply accepted events; `newest` are the versions that they leave, see `Columns.newest`."""
        self.versions.update(newest)
        self.stamp_max = max(self.stamp_max, columns.stamp_max())
        if DESTROY not in columns.ops:
            self.values.update(zip(columns.keys, columns.values, strict=True))
            return
        for op, key, value in zip(columns.ops, columns.keys, columns.values, strict=True):
            if op == DESTROY:
                self.values.pop(key, None)
            else:
                self.values[key] = value
