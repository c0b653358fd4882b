"""Conflicts between sites: what a resolver is asked, and the bounded memory of how they ended (semantics.md §7).

Counted is every event of another site that lost against the entry it found, and every one that a resolver was asked
about. One that is newer than its entry is an update like any other, and a repeat is no conflict.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from enum import IntEnum
from typing import Literal, NamedTuple, TypeAlias

from heliograph.model.clock import SITE_BITS, ms_of_stamp
from heliograph.model.keys import Key, key_bytes, shown_key

NEWEST_MAX = 1000
"""Conflicts that are remembered one by one."""
NEWEST_BYTES_MAX = 1024 * 1024
"""Bytes of their keys."""
REFUSE: Literal[False] = False


class Outcome(IntEnum):
    """How a conflict ended, and by whose word."""

    LOST = 0
    """The rule: the entry's version is greater."""
    ALLOWED = 1
    """The resolver: the event is applied."""
    CHANGED = 2
    """The resolver: the event is applied with another value."""
    REFUSED = 3
    """The resolver: the entry stays."""
    FAILED_WON = 4
    """The resolver raised, and the rule applied the event."""
    FAILED_LOST = 5
    """The resolver raised, and by the rule the entry stays."""


WORDS = {
    Outcome.LOST: "older, lost",
    Outcome.ALLOWED: "resolver allowed",
    Outcome.CHANGED: "resolver changed the value",
    Outcome.REFUSED: "resolver refused",
    Outcome.FAILED_WON: "resolver failed, newer won",
    Outcome.FAILED_LOST: "resolver failed, older lost",
}


class Conflict(NamedTuple):
    """An event of one site that finds an entry of another. Values are encoded: empty for none, or a destroy.

    op: CREATE, UPDATE or DESTROY. old_version, new_version: of the entry and of the event.
    """

    op: int
    key: Key
    old_value: bytes
    new_value: bytes
    old_version: int
    new_version: int
    argument: bytes


Resolution: TypeAlias = bytes | Literal[False] | None
"""The value to apply, `REFUSE`, or None for the rule to decide."""
Resolve: TypeAlias = Callable[[Conflict], Resolution]


class Remembered(NamedTuple):
    """One conflict as it is told. at_ms: when it was judged, by this site's clock."""

    region: str
    key: Key
    outcome: Outcome
    old_version: int
    new_version: int
    at_ms: int


class ConflictLog:
    """What one member remembers of the conflicts that it judged: counts for ever, the newest ones one by one."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[Outcome]] = {}
        """Region -> how many ended how."""
        self.duplicates = 0
        self._newest: deque[Remembered] = deque()
        self._bytes = 0

    def note(self, region: str, outcome: Outcome, key: Key, old_version: int, new_version: int, now_ms: int) -> None:
        """Remember a conflict."""
        self.counts.setdefault(region, Counter())[outcome] += 1
        self._newest.append(Remembered(region, key, outcome, old_version, new_version, now_ms))
        self._bytes += key_bytes((key,))
        while len(self._newest) > NEWEST_MAX or self._bytes > NEWEST_BYTES_MAX:
            self._bytes -= key_bytes((self._newest.popleft().key,))

    def newest(self, region: str, key: str | None, limit: int) -> list[Remembered]:
        """Return the newest conflicts, of a region ("" for all) and a key as it is shown (None for all)."""
        found: list[Remembered] = []
        for each in reversed(self._newest):
            if len(found) == limit:
                break
            if region in ("", each.region) and (key is None or key == shown_key(each.key)):
                found.append(each)
        return found


def site_of(version: int) -> int:
    """Return the site that a version was born at."""
    return version & ((1 << SITE_BITS) - 1)


def ms_of(version: int) -> int:
    """Return when a version was born, in ms since the Unix epoch."""
    return ms_of_stamp(version >> SITE_BITS)


def outcome_of(resolution: Resolution, conflict: Conflict) -> Outcome:
    """Return how a conflict ends that a resolver was asked about."""
    if resolution is None:
        return Outcome.FAILED_WON if conflict.new_version > conflict.old_version else Outcome.FAILED_LOST
    if resolution is REFUSE:
        return Outcome.REFUSED
    return Outcome.ALLOWED if resolution == conflict.new_value else Outcome.CHANGED
