"""Emptying a gateway sender's queue: its cursors are set to where the logs of its buckets end.

A cursor that is emptied says so by a number. Whoever ships the bucket since before, be it slow or cut off, finds
another number than its own when it stores the cursor, lets go of what it holds and opens the bucket anew
(`member.sender_cursors`). Each cursor is one compare-and-set that only moves forward, so emptying may be repeated, and
one that ended in the middle is completed by the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from heliograph.engine.seam import Log, Registry
from heliograph.errors import ConflictError
from heliograph.model.ids import NO_SEQ
from heliograph.model.registry import Cursor, cursor_key, decode_entry, encode_entry

CURSORS_AT_ONCE = 64


async def log_ends(log: Log, subjects: Sequence[str]) -> list[int]:
    """Return the last sequence of every subject, 0 of an empty one. Raises UnavailableError."""
    ends: list[int] = []
    for start in range(0, len(subjects), CURSORS_AT_ONCE):
        last = await asyncio.gather(*map(log.last, subjects[start : start + CURSORS_AT_ONCE]))
        ends += [entry.seq if entry is not None else NO_SEQ for entry in last]
    return ends


async def empty_queue(
    registry: Registry, sender: str, region: str, generation: int, ends: Sequence[int], *, life: int = 0
) -> None:
    """Have a sender begin after `ends`, by bucket: the last sequences of the region's logs. Raises UnavailableError.

    life: of the site, which begins; what was emptied for it already is left alone, as it may be in use. 0 for none.
    """
    keys = [cursor_key(sender, region, generation, bucket) for bucket in range(len(ends))]
    for start in range(0, len(keys), CURSORS_AT_ONCE):
        some = slice(start, start + CURSORS_AT_ONCE)
        await asyncio.gather(*(_empty(registry, *each, life) for each in zip(keys[some], ends[some], strict=True)))


async def _empty(registry: Registry, key: str, end: int, life: int) -> None:
    while True:
        item = await registry.get(key)
        found = decode_entry(item.value, Cursor) if item is not None else Cursor(0, 0)
        if life and found.life >= life:
            return
        value = encode_entry(Cursor(max(end, found.seq), found.epoch, found.emptied + 1, life or found.life))
        try:
            if item is None:
                await registry.create(key, value)
            else:
                await registry.update(key, value, revision=item.revision)
        except ConflictError:
            continue  # its owner stored it meanwhile
        return
