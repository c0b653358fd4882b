"""What clients and other sites did with a region here: counts that only grow as long as the member hosts the region."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.bucket.judging import Merge
from heliograph.model.batch import DESTROY


class Traffic:
    """Of one region at one member. Counted batch by batch.

    gets: keys that were read in copies here, found or not. puts, destroys: events that primaries here put into the log,
    those from other sites among them; removals that are no events (expired, cleared entries) are none.
    """

    __slots__ = ("destroys", "gets", "puts")

    def __init__(self) -> None:
        self.gets = self.puts = self.destroys = 0

    def wrote(self, merges: Iterable[Merge]) -> None:
        """Count the events of a record that is in the log."""
        for columns, _ in merges:
            destroyed = columns.ops.count(DESTROY)
            self.destroys += destroyed
            self.puts += len(columns.ops) - destroyed
