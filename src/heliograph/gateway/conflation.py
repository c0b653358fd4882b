"""Conflation: of the updates of a key that wait in a bucket's queue, only the newest is sent (semantics.md §4).

    queued   create a=1   update a=2   update b=3   destroy b   update a=4   update b=5
    sent     create a=1                             destroy b   update a=4   update b=5

Creates and destroys always leave, and so does an update that is on its way when a newer one comes. An update that
leaves its place is shipped at the place of the newer one, so events of one key keep their order. Nothing can be lost:
the newer update lies after the older one in the log, so the queue's floor never passes both for the older one's sake.

A record from which events were taken is encoded anew when it is sent, or when half of it is gone; until then it takes
the memory that it took.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from heliograph.gateway.held import Held
from heliograph.model.batch import UPDATE, Part, decode_columns, encode_columns
from heliograph.model.keys import Key

INDEXED_BYTES = 192
"""What knowing the newest update of a key costs, near enough."""


class _Operations(msgspec.Struct, array_like=True, frozen=True):
    """The columns of a part, of which only operations and keys are decoded."""

    ops: bytes
    keys: list[Any]
    values: msgspec.Raw
    stamps: msgspec.Raw


_decode_operations = msgspec.msgpack.Decoder(_Operations).decode


def updates_of(parts: Sequence[Part]) -> list[Key]:
    """Return the keys that the events of `parts` update, in their order; one that is updated twice stands twice."""
    found: list[Key] = []
    for part in parts:
        events = _decode_operations(part.columns)
        if events.ops.count(UPDATE) == len(events.ops):
            found += events.keys
        else:
            found += [key for op, key in zip(events.ops, events.keys, strict=True) if op == UPDATE]
    return found


def newest_only(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts of one record with only the last update of every key."""
    seen: set[Key] = set()

    def is_last(key: Key) -> bool:
        last = key not in seen
        seen.add(key)
        return last

    return tuple(reversed([kept for part in reversed(parts) if (kept := _thinned(part, is_last)) is not None]))


def without(parts: Sequence[Part], keys: Collection[Key]) -> tuple[Part, ...]:
    """Return the parts without their updates of `keys`."""
    return tuple([kept for part in parts if (kept := _thinned(part, lambda key: key not in keys)) is not None])


def _thinned(part: Part, stays: Callable[[Key], bool]) -> Part | None:
    """Return a part with those of its updates whose key `stays`, asked from the last to the first; None for none."""
    columns = decode_columns(part.columns)
    ops, keys = columns.ops, columns.keys
    positions = [i for i in range(len(keys) - 1, -1, -1) if ops[i] != UPDATE or stays(keys[i])]
    if len(positions) == len(keys):
        return part
    if not positions:
        return None
    left = encode_columns(columns.take(positions[::-1]))
    return msgspec.structs.replace(part, count=len(positions), columns=left)


class ConflationIndex:
    """Which waiting record updates a key last, for one queue. A record updates a key once at most: `newest_only`."""

    def __init__(self) -> None:
        self._newest: dict[Key, Held] = {}

    def __len__(self) -> int:
        """Return the number of keys with an update in the queue."""
        return len(self._newest)

    def freed_by(self, updates: Sequence[Key]) -> int:
        """Return the bytes of the records that would be sent no more if these keys were updated again."""
        if len(updates) == 1:
            old = self._newest.get(updates[0])
            return old.size if old is not None and not old.sent and old.count == 1 else 0
        left: dict[int, int] = {}
        freed = 0
        for key in updates:
            old = self._newest.get(key)
            if old is not None and not old.sent:
                left[old.seq] = left.get(old.seq, old.count) - 1
                freed += old.size if not left[old.seq] else 0
        return freed

    def add(self, held: Held) -> tuple[list[Held], int]:
        """Take a record's updates for the newest of their keys.

        Returns the waiting records that lost events by it, each once, and how many events those were.
        """
        newest = self._newest
        hit: dict[int, Held] = {}
        before = held.absorbed
        for key in held.updates:
            old = newest.get(key)
            newest[key] = held
            if old is None or old.sent:
                continue
            if old.superseded is None:
                old.superseded = set()
            old.superseded.add(key)
            old.count -= 1
            held.absorbed += 1
            hit[old.seq] = old
        return list(hit.values()), held.absorbed - before

    def forget(self, held: Held) -> None:
        """A record leaves the queue."""
        newest = self._newest
        for key in held.updates:
            if newest.get(key) is held:
                del newest[key]

    def clear(self) -> None:
        """Forget all."""
        self._newest.clear()


def note_updates(held: Held) -> None:
    """Note what a record updates that enters the queue, and leave only the last update of each key in it.

    One that filters could not decide on yet takes no part: it may turn out that nothing of it is to be sent.
    """
    if held.undecided or not held.count:
        return
    updates = updates_of(held.parts)
    held.updates = tuple(dict.fromkeys(updates))
    held.size += INDEXED_BYTES * len(held.updates)
    if len(held.updates) < len(updates):
        held.absorbed = len(updates) - len(held.updates)
        held.count -= held.absorbed
        held.size -= sum([part.size for part in held.parts])
        held.parts = newest_only(held.parts)
        held.size += sum([part.size for part in held.parts])


def strip(held: Held) -> None:
    """Encode a record anew without what was superseded in it, and have its size say so."""
    if held.superseded is None:
        return
    before = sum([part.size for part in held.parts]) + INDEXED_BYTES * len(held.updates)
    held.parts = without(held.parts, held.superseded) if held.count else ()
    held.updates = [key for key in held.updates if key not in held.superseded]
    held.superseded = None
    held.size += sum([part.size for part in held.parts]) + INDEXED_BYTES * len(held.updates) - before


def worth_stripping(held: Held) -> bool:
    """Say whether half of a record's events or more were superseded."""
    return held.superseded is not None and len(held.superseded) >= held.count
