"""What an operator is warned of: events that took long to reach the remote site, and a queue that has grown long.

An event's age is counted from its birth, which its stamp tells, to its acknowledgement: it includes the time before a
record was read from the log again, and, of an event of a third site, its way to this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from heliograph.model.batch import Part, Stamps
from heliograph.model.clock import ms_of_stamp, stamp_of_ms

WARNING_INTERVAL_MS = 10_000
"""Late events are warned of together, no more often than this; all of them are counted."""
LONG_QUEUE_EVENTS = 5_000
"""What a queue is long from (configuration.md §1.5)."""


class _Stamped(msgspec.Struct, array_like=True, frozen=True):
    """The columns of a part, of which only the stamps are decoded."""

    ops: msgspec.Raw
    keys: msgspec.Raw
    values: msgspec.Raw
    stamps: Stamps


_decode_stamps = msgspec.msgpack.Decoder(_Stamped).decode


class Late(NamedTuple):
    """Events that were acknowledged late since the last warning, and the age of the oldest."""

    events: int
    oldest_ms: int


class AgeAlarm:
    """Counts acknowledged events older than `threshold_ms` (`alert-threshold`), 0 for none."""

    def __init__(self, threshold_ms: int) -> None:
        self.threshold_ms = threshold_ms
        self.exceeding = 0
        """Late events of all time."""
        self._untold = Late(0, 0)
        self._told_ms: int | None = None

    def on_acknowledged(self, parts: Iterable[Part], now_ms: int) -> Late | None:
        """Count the late events of parts that are in the remote site's log now; returns what to warn of, if anything.

        now_ms: since the Unix epoch.
        """
        if not self.threshold_ms:
            return None
        for part in parts:
            self._count(part, now_ms)
        if not self._untold.events:
            return None
        if self._told_ms is not None and 0 <= now_ms - self._told_ms < WARNING_INTERVAL_MS:
            return None
        late, self._untold, self._told_ms = self._untold, Late(0, 0), now_ms
        return late

    def _count(self, part: Part, now_ms: int) -> None:
        stamps = _decode_stamps(part.columns).stamps
        first_punctual = stamp_of_ms(now_ms - self.threshold_ms)
        if isinstance(stamps, int):
            oldest, late = stamps, part.count if stamps < first_punctual else 0
        else:
            oldest, late = min(stamps), sum([stamp < first_punctual for stamp in stamps])
        if late:
            self.exceeding += late
            events, oldest_ms = self._untold
            self._untold = Late(events + late, max(oldest_ms, now_ms - ms_of_stamp(oldest)))


class LengthAlarm:
    """Says once when a queue has become long, and once when it is long no more."""

    def __init__(self) -> None:
        self.long = False

    def look(self, queued: int) -> bool:
        """Take the number of queued events; returns whether `long` has changed."""
        long = queued >= LONG_QUEUE_EVENTS
        changed, self.long = long != self.long, long
        return changed
