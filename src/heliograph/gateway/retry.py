"""How long to wait before something is tried again: doubling, bounded, with jitter."""

from __future__ import annotations

JITTER = 0.5
"""A wait is drawn from [1 - JITTER, 1] of its nominal length, so that many senders don't come back at one moment."""


class Backoff:
    """The waits between attempts that fail; `first_ms`, twice that, ... up to `limit_ms`."""

    __slots__ = ("_first_ms", "_limit_ms", "_next_ms")

    def __init__(self, first_ms: int, limit_ms: int) -> None:
        self._first_ms = first_ms
        self._limit_ms = limit_ms
        self._next_ms = first_ms

    def next_ms(self, draw: float) -> int:
        """Return the next wait in ms, at least 1; `draw` is a random number in [0, 1)."""
        nominal = self._next_ms
        self._next_ms = min(nominal * 2, self._limit_ms)
        return max(1, round(nominal * (1 - JITTER * draw)))

    def reset(self) -> None:
        """Something succeeded: begin with the first wait again."""
        self._next_ms = self._first_ms
