"""When entries expire: which of a bucket's entries their primary takes away, and when it has to look again.

An entry's time to live begins with the write that its version names, wherever that was done; its idle time with the
last read that the primary knows of as well. A primary that took over knows no reads: for it all were read just then.

There is no timer an entry, and no looking through all of them: a key with a value stands in exactly one *slot*, which
ends no earlier than the key might expire. When a slot has ended its keys are judged: those that were written or read
meanwhile move on to a later slot. What expires moves on too, so that it is tried again should its removal not reach the
log; once it is gone it stands nowhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from heliograph.bucket.view import BucketView
from heliograph.model.batch import EXPIRED, INVALIDATED, Columns, Removal
from heliograph.model.clock import SITE_BITS, ms_of_stamp
from heliograph.model.keys import NO_VALUE, Key, key_bytes

SLOT_MS = 100
"""A slot ends at a multiple of it; an entry expires that much later than it might, at most."""
REMOVE_KEYS_MAX = 10_000
REMOVE_BYTES_MAX = 256 * 1024
"""Keys, and their bytes, that one record takes away."""
RETRY_MS = 1_000
"""When a removal that did not reach the log is tried again. No rule is shorter: what is put again would expire late."""


class Rule(NamedTuple):
    """What becomes of an entry (EXPIRED or INVALIDATED) so many ms after its last write, or read when `idle`."""

    after_ms: int
    kind: int
    idle: bool


class Expirations:
    """The slots of one bucket at its primary. reads_late_ms: by how much a read elsewhere may be told late."""

    def __init__(self, view: BucketView, rules: tuple[Rule, ...], now_ms: int, reads_late_ms: int = 0) -> None:
        self.rules = rules
        self._view = view
        self._reads_late_ms = reads_late_ms
        self._since_ms = now_ms
        self._reads: dict[Key, int] = {}
        self._standing: set[Key] = set()
        self._slots: dict[int, list[Key]] = {}
        self._ends: list[int] = []
        """The ends of the slots, as a heap."""
        for key in view.values:
            self._stand(key, self._next_ms(key))

    @property
    def next_ms(self) -> int | None:
        """When the next slot ends, None without any."""
        return self._ends[0] if self._ends else None

    def on_written(self, columns: Columns) -> None:
        """The view has taken over events."""
        for key in columns.keys:
            if key not in self._standing:
                self._stand(key, self._next_ms(key))

    def on_read(self, keys: Iterable[Key], now_ms: int) -> None:
        """Entries were read."""
        values = self._view.values
        self._reads.update([(key, now_ms) for key in keys if key in values])

    def due(self, now_ms: int) -> tuple[Removal, ...]:
        """Return what is to be taken away now, as much as goes into one record."""
        due: dict[int, list[Key]] = {EXPIRED: [], INVALIDATED: []}
        size = 0
        while self._ends and self._ends[0] <= now_ms and size < REMOVE_BYTES_MAX:
            end = heapq.heappop(self._ends)
            keys = self._slots.pop(end)
            while keys and size < REMOVE_BYTES_MAX:
                key = keys.pop()
                self._standing.discard(key)
                kind, when_ms = self._judge(key)
                if when_ms is None:
                    self._reads.pop(key, None)
                elif when_ms > now_ms:
                    self._stand(key, when_ms)
                else:
                    due[kind].append(key)
                    size += key_bytes((key,)) + REMOVE_BYTES_MAX // REMOVE_KEYS_MAX
                    self._stand(key, now_ms + RETRY_MS)
            if keys:
                self._slots[end] = keys
                heapq.heappush(self._ends, end)
        return tuple(Removal(kind, keys) for kind, keys in due.items() if keys)

    def _judge(self, key: Key) -> tuple[int, int | None]:
        """Return what becomes of an entry next, and when; None for what is not there, or has nothing to lose."""
        value = self._view.values.get(key)
        if value is None:
            return EXPIRED, None
        written_ms = ms_of_stamp(self._view.versions[key] >> SITE_BITS)
        first: tuple[int, int | None] = (EXPIRED, None)
        for rule in self.rules:
            if rule.kind == INVALIDATED and value == NO_VALUE:
                continue
            when_ms = written_ms + rule.after_ms
            if rule.idle:
                read_ms = max(written_ms, self._reads.get(key, 0), self._since_ms)
                when_ms = read_ms + rule.after_ms + self._reads_late_ms
            if first[1] is None or when_ms < first[1]:
                first = (rule.kind, when_ms)
        return first

    def _next_ms(self, key: Key) -> int | None:
        return self._judge(key)[1]

    def _stand(self, key: Key, when_ms: int | None) -> None:
        """Put a key into the slot in which `when_ms` lies."""
        if when_ms is None:
            return
        end = -(-when_ms // SLOT_MS) * SLOT_MS
        slot = self._slots.get(end)
        if slot is None:
            self._slots[end] = slot = []
            heapq.heappush(self._ends, end)
        slot.append(key)
        self._standing.add(key)
