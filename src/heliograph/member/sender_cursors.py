"""The cursors of a gateway sender in the registry, fenced by their owner's epoch (architecture §4).

A cursor only moves forward, and never under an owner that a newer one has followed: every write is a compare-and-set,
and who finds a newer epoch, or that the queue was emptied (`engine.queues`), stops shipping the bucket.
"""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.engine.seam import Item, Registry
from heliograph.errors import ConflictError, FencedError
from heliograph.model.ids import Seq
from heliograph.model.registry import Cursor, cursor_key, decode_entry, encode_entry


class CursorGoneError(FencedError):
    """The cursor is missing: its gateway sender was destroyed, or taken off the region, or the entry was deleted."""


@dataclass(slots=True)
class StoredCursor:
    """A cursor as this owner last saw it in the registry. owned_before: somebody has shipped the bucket already."""

    key: str
    epoch: int
    seq: Seq
    revision: int
    emptied: int
    life: int
    owned_before: bool = False


class Cursors:
    """The cursors of one gateway sender."""

    def __init__(self, registry: Registry, sender: str) -> None:
        self._registry = registry
        self._sender = sender

    async def open(self, region: str, generation: int, bucket: int, *, epoch: int, begin: Seq) -> StoredCursor:
        """Return a bucket's cursor; one that is missing is created at `begin` before anything is shipped.

        One that nobody has owned yet becomes this owner's before anything is shipped, so that the next one knows that
        something may have been. Raises FencedError when a newer owner has stored it, UnavailableError when the registry
        can't be reached.
        """
        key = cursor_key(self._sender, region, generation, bucket)
        while True:
            item = await self._registry.get(key)
            if item is not None:
                found = _owned(item, epoch)
                if found.owned_before:
                    return found
                try:
                    value = encode_entry(Cursor(found.seq, epoch, found.emptied, found.life))
                    found.revision = await self._registry.update(key, value, revision=item.revision)
                except ConflictError:
                    continue  # somebody claimed or emptied it meanwhile
                return found
            try:
                revision = await self._registry.create(key, encode_entry(Cursor(begin, epoch)))
            except ConflictError:
                continue  # somebody created it meanwhile: read it
            return StoredCursor(key, epoch, begin, revision, 0, 0)

    async def store(self, cursor: StoredCursor, seq: Seq) -> None:
        """Move a cursor forward to `seq`, or leave it where an earlier owner moved it further.

        Raises as `open`, CursorGoneError when there is none any more, and FencedError when the queue was emptied.
        """
        while cursor.seq < seq:
            try:
                value = encode_entry(Cursor(seq, cursor.epoch, cursor.emptied, cursor.life))
                cursor.revision = await self._registry.update(cursor.key, value, revision=cursor.revision)
            except ConflictError:
                item = await self._registry.get(cursor.key)
                if item is None:
                    raise CursorGoneError(f"the cursor {cursor.key} is gone: was its sender destroyed?") from None
                found = _owned(item, cursor.epoch)
                if found.emptied != cursor.emptied:
                    raise FencedError(f"the queue of {cursor.key} was emptied meanwhile") from None
                cursor.seq, cursor.revision = found.seq, found.revision
            else:
                cursor.seq = seq


def _owned(item: Item, epoch: int) -> StoredCursor:
    stored = decode_entry(item.value, Cursor)
    if stored.epoch > epoch:
        raise FencedError(f"the cursor {item.key} belongs to epoch {stored.epoch}, this owner has {epoch}")
    return StoredCursor(item.key, epoch, Seq(stored.seq), item.revision, stored.emptied, stored.life, stored.epoch > 0)
