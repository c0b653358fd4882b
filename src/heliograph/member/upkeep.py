"""What one bucket's copy does besides answering: noting reads, having entries expire and tombstones collected.

The primary takes away what is due, one removal of a kind at a time; what does not reach the log is tried again when it
is looked for again. A copy elsewhere notes what is read there, until somebody tells the primary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from heliograph.bucket.expiration import Expirations, Rule
from heliograph.bucket.primary import BucketPrimary
from heliograph.bucket.removing import CollectRequest, ExpireRequest, RemovalRequest
from heliograph.bucket.view import BucketView
from heliograph.member.waiters import Chore
from heliograph.model.ids import Seq
from heliograph.model.keys import Key


class Kept(Protocol):
    """The copy that is looked after."""

    view: BucketView

    @property
    def accepting(self) -> bool:
        """Say whether this member is the bucket's primary and takes writes."""
        ...


class Upkeep:
    """See the module. submit: of the primary; raises OverloadedError."""

    def __init__(
        self,
        copy: Kept,
        primary: Callable[[], BucketPrimary | None],
        submit: Callable[[RemovalRequest], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._copy = copy
        self._primary = primary
        self._submit = submit
        self._now_ms = now_ms
        self._rules: tuple[Rule, ...] = ()
        self._reads_late_ms = 0
        self._expiring: Chore | None = None
        self._collecting: Chore | None = None
        self._reads: dict[Key, None] = {}

    def begin(self, primary: BucketPrimary) -> None:
        """The copy has become the bucket's primary."""
        self._reads = {}  # to a new primary, everything counts as read just now
        primary.expirations = self._expirations()

    def expire_by(self, rules: tuple[Rule, ...], reads_late_ms: int) -> None:
        """Have entries expire by these rules from now on. reads_late_ms: see `Expirations`."""
        if (rules, reads_late_ms) != (self._rules, self._reads_late_ms):
            self._rules, self._reads_late_ms = rules, reads_late_ms
            primary = self._primary()
            if primary is not None:
                primary.expirations = self._expirations()

    def _expirations(self) -> Expirations | None:
        if not self._rules:
            return None
        return Expirations(self._copy.view, self._rules, self._now_ms(), self._reads_late_ms)

    def expire(self) -> None:
        """Take away what has expired, if this member is the primary and anything may have. Raises OverloadedError."""
        primary = self._primary()
        if primary is None or not self._copy.accepting or primary.expirations is None:
            return
        due_ms = primary.expirations.next_ms
        if due_ms is not None and due_ms <= self._now_ms() and not _under_way(self._expiring):
            chore = Chore()
            self._submit(ExpireRequest(chore))
            self._expiring = chore

    def collect(self, through: Seq, stable: int) -> None:
        """Collect the tombstones that the log left up to and including a sequence, as the primary.

        stable: as of `CollectRequest`. Raises OverloadedError.
        """
        if not _under_way(self._collecting):
            chore = Chore()
            self._submit(CollectRequest(chore, through, stable))
            self._collecting = chore

    # --- reads, which keep entries from becoming idle

    def on_read(self, keys: Iterable[Key]) -> None:
        """Entries were read, here or at another member."""
        primary = self._primary()
        if primary is not None and primary.expirations is not None:
            primary.expirations.on_read(keys, self._now_ms())
        else:
            values = self._copy.view.values
            self._reads.update([(key, None) for key in keys if key in values])

    @property
    def has_reads_to_tell(self) -> bool:
        """Say whether there are reads that the primary elsewhere does not know of."""
        return bool(self._reads) and self._primary() is None

    def take_reads(self) -> list[Key]:
        """Return what was read since this was called last."""
        keys, self._reads = list(self._reads), {}
        return keys


def _under_way(chore: Chore | None) -> bool:
    return chore is not None and chore.under_way
