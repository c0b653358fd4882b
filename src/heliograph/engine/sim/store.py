"""What the simulated engine holds: the contents of logs and registries, and the rules of a write."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import islice

from heliograph.engine.seam import Change, Item, LogEntry
from heliograph.errors import ConflictError, DiskStoreFullError, FencedError
from heliograph.model.ids import NO_SEQ, Seq

ENTRY_OVERHEAD_BYTES = 64


def _seq(entry: LogEntry) -> Seq:
    return entry.seq


class LogStore:
    """The messages of one disk store. They survive everything; only `truncate` and `forget` drop some.

    size: bytes. room: bytes that there may be; a test that sets it has the engine's disk full up.
    """

    def __init__(self) -> None:
        self.size = 0
        self.room: int | None = None
        self._last_seq = NO_SEQ
        self._entries: dict[str, list[LogEntry]] = {}
        self.dropped: dict[str, list[LogEntry]] = {}
        """What was dropped: no reader sees it, but a test that judges the whole history."""

    def append(self, subject: str, payload: bytes, expected: Seq, batch_id: str) -> Seq:
        """Append a message. Raises FencedError or DiskStoreFullError as `seam.Log.append` says."""
        size = ENTRY_OVERHEAD_BYTES + len(payload)
        if self.room is not None and self.size + size > self.room:  # first, as some engines look at it
            raise DiskStoreFullError(f"the engine has no room for the write: it has {self.room} bytes")
        entries = self._entries.setdefault(subject, [])
        last = entries[-1].seq if entries else NO_SEQ
        if last != expected:
            raise FencedError(f"the log refused the append to {subject}: its last sequence is {last}, not {expected}")
        self.size += size
        self._last_seq = Seq(self._last_seq + 1)
        entries.append(LogEntry(subject, self._last_seq, expected, batch_id, payload))
        return self._last_seq

    def last(self, subject: str) -> LogEntry | None:
        """Return a subject's last message."""
        entries = self._entries.get(subject)
        return entries[-1] if entries else None

    def end(self, subjects: Sequence[str]) -> Seq:
        """Return the last sequence of the subjects."""
        return max((last.seq for last in map(self.last, subjects) if last is not None), default=NO_SEQ)

    def after(self, subjects: Sequence[str], after: Seq, count_max: int) -> list[LogEntry]:
        """Return, in order, the first messages of the subjects with a sequence > `after`."""
        found = (self._entries.get(subject, []) for subject in subjects)
        tails = (entries[bisect_right(entries, after, key=_seq) :] for entries in found)
        return list(islice(heapq.merge(*tails, key=_seq), count_max))

    def truncate(self, subject: str, below: Seq) -> None:
        """Drop a subject's messages below a sequence, but not the last one."""
        entries = self._entries.get(subject, [])
        dropped = min(bisect_left(entries, below, key=_seq), len(entries) - 1)
        if dropped > 0:
            self._drop(subject, dropped)

    def forget(self, subject: str) -> None:
        """Drop all of a subject's messages."""
        self._drop(subject, len(self._entries.get(subject, ())))
        self._entries.pop(subject, None)

    def subjects(self) -> list[str]:
        """Return the subjects that have messages, sorted."""
        return sorted(subject for subject, entries in self._entries.items() if entries)

    def _drop(self, subject: str, count: int) -> None:
        entries = self._entries.get(subject, [])
        self.size -= sum(ENTRY_OVERHEAD_BYTES + len(entry.payload) for entry in entries[:count])
        self.dropped.setdefault(subject, []).extend(entries[:count])
        del entries[:count]


class RegistryStore:
    """The newest change of every key of one registry; the end of an entry is a change too."""

    def __init__(self) -> None:
        self.revision = 0
        self._changes: dict[str, Change] = {}

    def get(self, key: str) -> Item | None:
        """Return an entry."""
        change = self._changes.get(key)
        if change is None or change.value is None:
            return None
        return Item(key, change.value, change.revision)

    def items(self, prefix: str) -> dict[str, Item]:
        """Return the entries of a prefix, sorted."""
        found = (self.get(key) for key in sorted(self._changes) if within(key, prefix))
        return {item.key: item for item in found if item is not None}

    def changes(self, prefix: str, after: int) -> list[Change]:
        """Return the newest changes of the prefix's keys with a revision > `after`, in order."""
        found = (change for key, change in self._changes.items() if change.revision > after and within(key, prefix))
        return sorted(found, key=lambda change: change.revision)

    def create(self, key: str, value: bytes) -> int:
        """Create an entry. Raises ConflictError when it exists."""
        if self.get(key) is not None:
            raise ConflictError(f"{key} exists")
        return self.put(key, value)

    def update(self, key: str, value: bytes, revision: int) -> int:
        """Replace an entry. Raises ConflictError when it has another revision."""
        self._check(key, revision)
        return self.put(key, value)

    def put(self, key: str, value: bytes | None) -> int:
        """Create, replace or (with None) end an entry; returns the new revision."""
        self.revision += 1
        self._changes[key] = Change(key, value, self.revision)
        return self.revision

    def delete(self, key: str, revision: int | None) -> None:
        """End an entry that exists. Raises ConflictError when it has another revision."""
        if self.get(key) is None:
            return
        if revision is not None:
            self._check(key, revision)
        self.put(key, None)

    def expire(self, key: str, revision: int) -> bool:
        """End an entry unless it was changed since `revision`; says whether it ended."""
        item = self.get(key)
        if item is None or item.revision != revision:
            return False
        self.put(key, None)
        return True

    def _check(self, key: str, revision: int) -> None:
        item = self.get(key)
        if item is None or item.revision != revision:
            raise ConflictError(f"{key} is not at revision {revision}")


def within(key: str, prefix: str) -> bool:
    """Say whether a key is of a prefix."""
    return key == prefix or key.startswith(prefix + ".")
