"""How full a disk store is, as one member reckons it, and what follows from that.

    roomy ──used >= 3/4 of the limit──> pressed ──used >= limit──> full          and back, as its logs are cut

A member learns what the store takes from the engine now and then, and adds what it appends itself until it asks again.
What other members append meanwhile it does not see, so a limit may be passed by as much as they write in that time.

The limit is one of writes. A *full* store takes none from clients and none from other sites; it does take what keeps
the site going and what makes room: take-overs, removals, expiry. The engine itself would refuse these too, which is
why it is not told the limit. A *pressed* store is cut more eagerly, see `member.snapshotter`.
"""

from __future__ import annotations

from dataclasses import dataclass

APPEND_OVERHEAD_BYTES = 200
"""What an append takes beside its payload, near enough: subject, headers, and the engine's own."""


@dataclass(slots=True)
class Space:
    """Of one disk store. limit_bytes: 0 for no limit; nothing is reckoned then."""

    limit_bytes: int = 0
    used_bytes: int = 0
    full: bool = False
    appended_bytes: int = 0
    """Of all appends so far: what is noted when the engine is asked, see `measured`."""

    def append(self, size: int) -> None:
        """A payload of `size` bytes is on its way to the log."""
        if self.limit_bytes:
            size += APPEND_OVERHEAD_BYTES
            self.appended_bytes += size
            self._set(self.used_bytes + size)

    def measured(self, used_bytes: int, asked_at: int) -> None:
        """The engine said what the store takes; `asked_at` is what `appended_bytes` was when it was asked.

        What was appended since may be in the answer already: it is counted twice rather than not at all.
        """
        self._set(used_bytes + self.appended_bytes - asked_at)

    def limit(self, limit_bytes: int) -> None:
        """The store has this limit from now on."""
        self.limit_bytes = limit_bytes
        self._set(self.used_bytes)

    @property
    def pressed(self) -> bool:
        """Say whether the store is near its limit."""
        return 0 < self.limit_bytes * 3 <= self.used_bytes * 4

    def _set(self, used_bytes: int) -> None:
        self.used_bytes = used_bytes
        self.full = 0 < self.limit_bytes <= used_bytes
