"""Faults of the simulated engine, on demand or by chance."""

from __future__ import annotations

import enum
import random
from collections import deque
from dataclasses import dataclass, field


class Fault(enum.Enum):
    """What may happen to one append."""

    NONE = "none"
    REQUEST_LOST = "request lost"
    """It never reaches the engine; the answer never comes."""
    ANSWER_LOST = "answer lost"
    """It is written; the answer never comes."""
    DELAYED = "delayed"
    """Request and answer take `Faults.delay_s` each; the client may have given up by then."""


@dataclass(slots=True)
class Faults:
    """What goes wrong from now on. Change it while the simulation runs.

    latency_s: least and most time that a request, and an answer, takes.
    chances: of each fault, for every append; 0 for those not named.
    """

    latency_s: tuple[float, float] = (0.0001, 0.001)
    delay_s: float = 8.0
    chances: dict[Fault, float] = field(default_factory=dict)
    _planned: deque[Fault] = field(default_factory=deque)

    def plan(self, *faults: Fault) -> None:
        """Have the next appends, of any client, suffer these faults, one each; they precede what chance does."""
        self._planned.extend(faults)

    def draw(self, rng: random.Random) -> Fault:
        """Return what happens to the next append."""
        if self._planned:
            return self._planned.popleft()
        for fault, chance in self.chances.items():
            if rng.random() < chance:
                return fault
        return Fault.NONE

    def latency(self, rng: random.Random) -> float:
        """Return how long one way takes."""
        return rng.uniform(*self.latency_s)
