"""When entries expire: which of a bucket's entries their primary takes away, and when it has to look again.

An entry's time to live begins with the write that its version names, wherever that was done; its idle time with the
last read that the primary knows of as well. A primary that took over knows no reads: for it all were read just then.

There is no timer an entry, and no looking through all of them: a key that may expire stands in a *slot*, which ends
when the key might expire first. When a slot has ended its keys are judged: those that were written or read meanwhile
move on to a later slot. What expires moves on too, so that it is tried again should its removal not reach the log; once
it is gone it stands nowhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from heliograph.bucket.view import BucketView
from heliograph.model.attributes import RegionAttributes
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


def rules_of(attributes: RegionAttributes) -> tuple[Rule, ...]:
    """Return the rules of a region; none when its entries do not expire."""
    live_s, live_action = attributes.entry_time_to_live_expiration, attributes.entry_time_to_live_expiration_action
    idle_s, idle_action = attributes.entry_idle_time_expiration, attributes.entry_idle_time_expiration_action
    rules = (Rule(live_s * 1000, _KINDS[live_action], idle=False), Rule(idle_s * 1000, _KINDS[idle_action], idle=True))
    return tuple(rule for rule in rules if rule.after_ms)


_KINDS = {"destroy": EXPIRED, "invalidate": INVALIDATED}


class Expirations:
    """The slots of one bucket at its primary. reads_late_ms: by how much a read elsewhere may be told late."""

    def __init__(self, view: BucketView, rules: tuple[Rule, ...], now_ms: int, reads_late_ms: int = 0) -> None:
        self.rules = rules
        self._view = view
        self._reads_late_ms = reads_late_ms
        self._since_ms = now_ms
        self._reads: dict[Key, int] = {}
        self._standing: dict[Key, int] = {}
        """Key -> the end of its slot; in another slot a key no longer counts."""
        self._mixed = len({rule.kind for rule in rules}) > 1
        """What lost its value and waits to be destroyed may lose a new value before that."""
        self._slots: dict[int, list[Key]] = {}
        self._heap: list[int] = []
        """The ends of the slots."""
        for key in view.values:
            self._await(key)

    @property
    def next_ms(self) -> int | None:
        """When the next slot ends, None without any."""
        return self._heap[0] if self._heap else None

    def on_written(self, columns: Columns) -> None:
        """The view has taken over events."""
        for key in columns.keys:
            if self._mixed or key not in self._standing:
                self._await(key)

    def on_read(self, keys: Iterable[Key], now_ms: int) -> None:
        """Entries were read."""
        values = self._view.values
        self._reads.update([(key, now_ms) for key in keys if key in values])

    def due(self, now_ms: int) -> tuple[Removal, ...]:
        """Return what is to be taken away now, as much as goes into one record."""
        due: dict[int, list[Key]] = {EXPIRED: [], INVALIDATED: []}
        size = 0
        while self._heap and self._heap[0] <= now_ms and size < REMOVE_BYTES_MAX:
            end = heapq.heappop(self._heap)
            keys = self._slots.pop(end)
            while keys and size < REMOVE_BYTES_MAX:
                key = keys.pop()
                if self._standing.get(key) != end:
                    continue
                del self._standing[key]
                ends = self._ends_of(key)
                kinds = [kind for when_ms, kind in ends if when_ms <= now_ms]
                later_ms = [when_ms for when_ms, _ in ends if when_ms > now_ms]
                if kinds:
                    due[min(kinds)].append(key)
                    size += key_bytes((key,)) + REMOVE_BYTES_MAX // REMOVE_KEYS_MAX
                    later_ms.append(now_ms + RETRY_MS)
                if later_ms:
                    self._stand(key, min(later_ms))
                else:
                    self._reads.pop(key, None)
            if keys:
                self._slots[end] = keys
                heapq.heappush(self._heap, end)
        return tuple(Removal(kind, keys) for kind, keys in due.items() if keys)

    def _ends_of(self, key: Key) -> list[tuple[int, int]]:
        """Return when which kinds of removal are due of an entry; none of what is not there or has nothing to lose."""
        value = self._view.values.get(key)
        if value is None:
            return []
        written_ms = ms_of_stamp(self._view.versions[key] >> SITE_BITS)
        ends = []
        for rule in self.rules:
            if rule.kind == INVALIDATED and value == NO_VALUE:
                continue
            since_ms = written_ms
            if rule.idle:
                since_ms = max(written_ms, self._reads.get(key, 0), self._since_ms) + self._reads_late_ms
            ends.append((since_ms + rule.after_ms, rule.kind))
        return ends

    def _await(self, key: Key) -> None:
        """Have a key judged when it might expire first, unless it is judged earlier anyway."""
        ends = self._ends_of(key)
        if ends:
            first_ms = min(ends)[0]
            if _slot_of(first_ms) < self._standing.get(key, first_ms + SLOT_MS):
                self._stand(key, first_ms)

    def _stand(self, key: Key, when_ms: int) -> None:
        """Put a key into the slot in which `when_ms` lies."""
        end = _slot_of(when_ms)
        slot = self._slots.get(end)
        if slot is None:
            self._slots[end] = slot = []
            heapq.heappush(self._heap, end)
        slot.append(key)
        self._standing[key] = end


def _slot_of(when_ms: int) -> int:
    """Return the end of the slot in which a time lies."""
    return -(-when_ms // SLOT_MS) * SLOT_MS
