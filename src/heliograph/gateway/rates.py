"""How fast something goes: what counters have grown by lately, per second."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

SPAN_MS = 10_000
"""Rates are over the samples of so long, and one older one at most."""


class Rates:
    """Rates of some counters, of which `sample` is told from time to time."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, tuple[int, ...]]] = deque()

    def sample(self, counts: Sequence[int], now_ms: int) -> None:
        """Take the counters as they are now; always the same ones, in the same order."""
        samples = self._samples
        samples.append((now_ms, tuple(counts)))
        while len(samples) > 2 and samples[1][0] <= now_ms - SPAN_MS:
            samples.popleft()

    def grown(self, position: int) -> int:
        """Return by how much a counter has grown; one that fell, because something is counted anew, has not."""
        if not self._samples:
            return 0
        return max(0, self._samples[-1][1][position] - self._samples[0][1][position])

    def per_second(self, position: int) -> int:
        """Return how fast a counter has grown; at least 1 when it has grown at all."""
        grown = self.grown(position)
        if not grown:
            return 0
        return max(1, round(grown * 1000 / (self._samples[-1][0] - self._samples[0][0])))

    def per_other(self, position: int, other: int) -> int:
        """Return how much a counter has grown for each by which another one has; 0 when that has not."""
        growth = self.grown(other)
        return round(self.grown(position) / growth) if growth else 0
