"""Core of `wan-copy region`: which entries go into the next batch, and how long to wait before it leaves.

    a bucket's view ──begin──> Copier ──fill──> batch full ──take──> items of a WanBatch, one a bucket and site of birth
                                          └──> the bucket has no more: the next one goes on with the same batch

An entry leaves with its own version, so the remote site drops it where it has that one, or a newer one. What is newer
than all that the bucket held when the copy began is left out: the sender's queue brings it.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import length_hint
from typing import NamedTuple

from heliograph.bucket.view import BucketView
from heliograph.model.batch import UPDATE, Columns, Part, encode_columns
from heliograph.model.clock import VERSION_STEP
from heliograph.model.keys import NO_VALUE, Key, key_bytes

BATCH_BYTES_MAX = 1024 * 1024
"""A batch takes no further entry beyond this."""
ENTRY_BYTES = 32
"""What an entry adds to its key and value, about."""
BIRTH_SEQ = 1
"""Where an entry was born is not known any more; the lowest sequence hides nothing of the queue from a resolver."""
ANY_STAMP = 1 << 64
"""Above every stamp."""


class _Entry(NamedTuple):
    key: Key
    value: bytes
    stamp: int


class Copier:
    """See the module. recipients: the sites that need not be sent the entries by the remote one, sorted."""

    def __init__(self, batch_size: int, recipients: tuple[int, ...]) -> None:
        self.count = 0
        """Entries of the batch so far."""
        self._batch_size = batch_size
        self._recipients = recipients
        self._size = 0
        self._entries: dict[tuple[int, int], list[_Entry]] = {}
        """(bucket, origin) -> what the batch holds of it."""
        self._view = BucketView()
        self._bucket = 0
        self._through = ANY_STAMP
        self._keys: Iterator[Key] = iter(())
        self.held = 0
        """Entries that the bucket had when it was begun."""

    def begin(self, bucket: int, view: BucketView, through: int) -> None:
        """Go on with a bucket, whose entries are looked at as they are put into batches.

        through: the newest stamp that it held when the copy began.
        """
        self._bucket, self._view, self._through = bucket, view, through
        self.held = len(view.values)
        self._keys = iter(list(view.values))

    @property
    def more(self) -> bool:
        """Say whether the bucket has entries that were not looked at."""
        return length_hint(self._keys) > 0

    def go_on(self, view: BucketView) -> None:
        """Go on with the bucket that was begun, whose newest view this is."""
        self._view = view

    def fill(self) -> bool:
        """Put entries into the batch; returns False when the bucket has no more, True when the batch is full."""
        values, versions, through = self._view.values, self._view.versions, self._through
        for key in self._keys:
            value = values.get(key, NO_VALUE)
            if value == NO_VALUE:  # it is gone by now, or was invalidated, which no other site ever hears of
                continue
            stamp, origin = divmod(versions[key], VERSION_STEP)
            if stamp > through:
                continue
            self._entries.setdefault((self._bucket, origin), []).append(_Entry(key, value, stamp))
            self.count += 1
            self._size += key_bytes([key]) + len(value) + ENTRY_BYTES
            if self.count >= self._batch_size or self._size >= BATCH_BYTES_MAX:
                return True
        return False

    def take(self) -> list[tuple[int, Part]]:
        """Return the batch as items of a `WanBatch`, none when it is empty, and begin the next one."""
        items = [
            (bucket, Part(origin, self._recipients, bucket, BIRTH_SEQ, len(entries), _columns(entries)))
            for (bucket, origin), entries in self._entries.items()
        ]
        self._entries = {}
        self.count = self._size = 0
        return items


def _columns(entries: list[_Entry]) -> bytes:
    keys, values, stamps = map(list, zip(*entries, strict=True))
    return encode_columns(Columns(bytes([UPDATE]) * len(keys), keys, values, stamps))


def pause_s(copied: int, elapsed_s: float, max_rate: int) -> float:
    """Return the seconds to wait so that `copied` entries in `elapsed_s` are no more than `max_rate` a second (0: any).

    Without any entries there is nothing to wait for: the first batch leaves at once.
    """
    return max(0.0, copied / max_rate - elapsed_s) if max_rate else 0.0
