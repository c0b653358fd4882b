"""What a gateway receiver applies next of one link's ordered batches (`link.messages.WanBatch.ordered`).

A run is what one bucket appends at once. The next one begins when the one before it is in the log, of whatever batch,
region and bucket they are. When one fails, nothing that came after it may overtake: all that waits is let go of, and
what still comes is not taken, until a batch begins anew where the sender has not heard of a success.

    taking ──a run failed──> failed ──a batch that begins anew──> taking
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from heliograph.errors import invariant

R = TypeVar("R")


class InOrder(Generic[R]):
    """See the module. R: a run, whatever the shell needs to know of it."""

    def __init__(self) -> None:
        self._waiting: deque[R] = deque()
        self._under_way = False
        self._failed = False

    def take(self, runs: Iterable[R], *, anew: bool) -> bool:
        """Take the runs of a batch, in order; returns False, and takes none, when an earlier one has failed."""
        if anew:
            self._failed = False
        if self._failed:
            return False
        self._waiting.extend(runs)
        return True

    def next(self) -> R | None:
        """Return the run to be applied now; None when there is none, or one is under way."""
        if self._under_way or not self._waiting:
            return None
        self._under_way = True
        return self._waiting.popleft()

    def on_ended(self, *, failed: bool) -> list[R]:
        """The run under way has ended; returns the runs that are let go of because it has failed."""
        invariant(self._under_way, "a run ended that was not under way")
        self._under_way = False
        if not failed:
            return []
        self._failed = True
        return self.close()

    def close(self) -> list[R]:
        """Let go of all that waits, and return it."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting
