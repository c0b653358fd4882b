"""Connections whose peer has not said yet who it is, and what is logged of those that were refused.

Anybody who reaches a port can make connections, so that strangers may cost no more than a bound, and may not keep out
whoever has something to say. A peer of heliograph says its hello at once: where strangers are too many, the one that
was silent the longest goes, of the address that holds the most. So a flood pushes out itself, also when its address is
that of a proxy or of this machine, which good peers share.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from heliograph.errors import invariant

STRANGERS_MAX = 1024
"""Connections of a port without an accepted hello."""
STRANGERS_OF_ADDRESS_MAX = 512
"""Those of one address: less than all, and more than one machine's clients and lanes open within a second."""
REFUSALS_LOGGED_OF_ADDRESS = 3
REFUSALS_LOGGED = 30
"""Refusals that a port logs within `REFUSALS_INTERVAL_MS`, of one address and of all; the others are counted."""
REFUSALS_INTERVAL_MS = 10_000

T = TypeVar("T")


class Strangers(Generic[T]):
    """The strangers of one port, by address, each address's in the order in which they came.

    Invariants: at most `most` in all, `most_of_address` of one address; an address without any is not kept.
    """

    def __init__(self, most: int = STRANGERS_MAX, most_of_address: int = STRANGERS_OF_ADDRESS_MAX) -> None:
        invariant(0 < most_of_address <= most, "the bounds of strangers contradict each other", most, most_of_address)
        self._most = most
        self._most_of_address = most_of_address
        self._by_address: dict[str, dict[T, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, stranger: T, address: str) -> T | None:
        """Count a new one in. Returns the one that has to go for it, which is counted out."""
        theirs = self._by_address.get(address, {})
        crowd = None
        if len(theirs) >= self._most_of_address:
            crowd = address
        elif self._count >= self._most:
            crowd = max(self._by_address, key=lambda each: len(self._by_address[each]))
        leaving = None
        if crowd is not None:
            leaving = next(iter(self._by_address[crowd]))
            self.remove(leaving, crowd)
        self._by_address.setdefault(address, {})[stranger] = None
        self._count += 1
        return leaving

    def remove(self, stranger: T, address: str) -> bool:
        """Count one out; returns whether it was one of them."""
        theirs = self._by_address.get(address)
        if theirs is None or stranger not in theirs:
            return False
        del theirs[stranger]
        self._count -= 1
        if not theirs:
            del self._by_address[address]
        return True


class RefusalLog:
    """Says which refusals of a port are logged: the first ones, of every address and in all, of every interval.

    It keeps no more addresses than it lets lines through.
    """

    def __init__(self) -> None:
        self._ends_ms = 0
        self._lines = 0
        self._of_address: dict[str, int] = {}
        self._unlogged = 0

    def note(self, address: str, now_ms: int) -> int | None:
        """Take note of a refusal. Returns None when it is not to be logged, else how many were not before it."""
        if now_ms >= self._ends_ms:
            self._ends_ms = now_ms + REFUSALS_INTERVAL_MS
            self._lines = 0
            self._of_address.clear()
        lines = self._of_address.get(address, 0)
        if lines >= REFUSALS_LOGGED_OF_ADDRESS or self._lines >= REFUSALS_LOGGED:
            self._unlogged += 1
            return None
        self._of_address[address] = lines + 1
        self._lines += 1
        unlogged, self._unlogged = self._unlogged, 0
        return unlogged
