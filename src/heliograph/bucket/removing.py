"""Removals: what a primary takes away of its bucket without an event, on request and by itself.

They are drafted like events (see `bucket.primary`), but into records of their own: a record takes away, or it holds
events. Requests of one kind share a record. What expires and which tombstones are old enough is decided when the record
is drafted, when the view holds all that was before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

from heliograph.bucket.expiration import Expirations
from heliograph.bucket.repeats import BaseRequest, Outcome
from heliograph.bucket.view import BucketView
from heliograph.link.messages import Changed
from heliograph.model.batch import CLEARED, COLLECTED, INVALIDATED, Removal
from heliograph.model.ids import NO_SEQ, Seq
from heliograph.model.keys import Key, key_bytes

REQUESTS_MAX = 4096
INVALIDATE_BYTES_MAX = 256 * 1024
"""Bytes of keys that are invalidated with one record."""
MARKS = 16
"""How many times, at most, a tombstone's age is told apart within the time that tombstones are kept."""


class RemovalRequest(BaseRequest, frozen=True):
    """Base of the requests that take away. waiter: as of `bucket.primary.PutRequest`."""

    waiter: Any

    @property
    def told(self) -> bool:
        """Say whether a caller is told what is gone, be it nothing: that has to be so by the log, not by the view."""
        return False


class ClearRequest(RemovalRequest, frozen=True):
    """Take away every entry. life: that the region begins with it, see `Removal`; 0 when somebody clears it."""

    life: int = 0

    @property
    def told(self) -> bool:
        """As of every request."""
        return not self.life


class InvalidateRequest(RemovalRequest, frozen=True):
    """Take away an entry's value and leave the entry."""

    key: Key

    @property
    def told(self) -> bool:
        """As of every request."""
        return True

    def answer(self, seq: int, old: bytes | None) -> Changed:
        """As of every request; nobody is told the old value."""
        return Changed(seq > 0, old or b"", abs(seq))


class ExpireRequest(RemovalRequest, frozen=True):
    """Take away what has expired."""


class CollectRequest(RemovalRequest, frozen=True):
    """Collect the tombstones that the log left up to and including a sequence.

    stable: no event with a smaller stamp can come any more; tombstones that are newer leave a fence (see `Removal`).
    """

    through: Seq
    stable: int


Removed: TypeAlias = tuple[tuple[Removal, ...], list[tuple[RemovalRequest, Outcome]]]
"""Removals of a record, and what became of each request."""


def take(pending: deque[RemovalRequest]) -> list[RemovalRequest]:
    """Take the first requests, all of one kind, as many as go into one record."""
    kind = type(pending[0])
    taken: list[RemovalRequest] = []
    size = 0
    while pending and type(pending[0]) is kind and len(taken) < REQUESTS_MAX and size < INVALIDATE_BYTES_MAX:
        request = pending.popleft()
        taken.append(request)
        if isinstance(request, InvalidateRequest):
            size += key_bytes((request.key,))
    return taken


def decide(
    requests: Sequence[RemovalRequest], view: BucketView, expirations: Expirations | None, now_ms: int
) -> Removed:
    """Decide requests that `take` returned."""
    first = requests[0]
    if isinstance(first, InvalidateRequest):
        return _invalidate(requests, view)
    removals: tuple[Removal, ...] = ()
    if isinstance(first, ClearRequest):
        life = max(request.life for request in requests if isinstance(request, ClearRequest))
        if view.values or life > view.life:
            removals = (Removal(CLEARED, [], life),)
    elif isinstance(first, ExpireRequest):
        removals = expirations.due(now_ms) if expirations is not None else ()
    else:
        collecting = [request for request in requests if isinstance(request, CollectRequest)]
        through = max(request.through for request in collecting)
        stable = min(request.stable for request in collecting)
        if view.has_tombstones(through):
            newest = view.newest_tombstone(through)
            removals = (Removal(COLLECTED, [], through, newest if newest >= stable else 0),)
    return removals, [(request, None) for request in requests]


def _invalidate(requests: Sequence[RemovalRequest], view: BucketView) -> Removed:
    outcomes: list[tuple[RemovalRequest, Outcome]] = []
    keys: dict[Key, None] = {}
    for request in requests:
        assert isinstance(request, InvalidateRequest)  # noqa: S101  (for the type checker)
        old = view.values.get(request.key, b"")
        if old:
            keys[request.key] = None
        outcomes.append((request, Changed(bool(old), old, 0)))
    return ((Removal(INVALIDATED, list(keys)),) if keys else ()), outcomes


class TombstoneAges:
    """How old the tombstones of a bucket are, as its primary sees it, without a time for each.

    It marks now and then how far the log has come: what a record before a mark removed is older than the mark. A
    primary that took over begins anew, so tombstones are kept for longer then.
    """

    def __init__(self, kept_ms: int) -> None:
        self._kept_ms = kept_ms
        self._marks: deque[tuple[int, Seq]] = deque()
        self._old = NO_SEQ

    def mark(self, now_ms: int, seq: Seq) -> None:
        """The bucket's log reaches to `seq` now. Times only rise."""
        if not self._marks or now_ms - self._marks[-1][0] >= self._kept_ms // MARKS:
            self._marks.append((now_ms, seq))

    def kept_long_enough(self, now_ms: int) -> Seq:
        """Return the sequence up to which tombstones are old enough to be collected; `NO_SEQ` when none is."""
        while self._marks and self._marks[0][0] + self._kept_ms <= now_ms:
            self._old = self._marks.popleft()[1]
        return self._old
