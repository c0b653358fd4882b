"""What one member's gateway sender warns of in its log; `gateway.alarms` decides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from heliograph.gateway.alarms import AgeAlarm, LengthAlarm
from heliograph.gateway.held import Held
from heliograph.net.seam import Clock

LOOK_S = 1.0
"""How often the length of the queue is looked at: a shorter peak may go unnoticed."""

_log = logging.getLogger(__name__)


class Queue(Protocol):
    """All that a sender has queued at this member."""

    @property
    def queued_events(self) -> int:
        """Events not acknowledged yet, as far as they are known."""
        ...


class SenderAlarms:
    """Lives as long as the sender, over its starts and stops."""

    def __init__(self, sender: str, clock: Clock) -> None:
        self._sender = sender
        self._clock = clock
        self._age = AgeAlarm(0)

    @property
    def exceeding(self) -> int:
        """Events that were older than the threshold when they were acknowledged."""
        return self._age.exceeding

    def set_alert_threshold(self, threshold_ms: int) -> None:
        """Warn of events that are older from now on; 0 for none."""
        self._age.threshold_ms = threshold_ms

    def on_acknowledged(self, held: Sequence[Held]) -> None:
        """Records are in the remote site's log."""
        late = self._age.on_acknowledged([part for each in held for part in each.parts], self._clock.now_ms())
        if late is not None:
            _log.warning(
                "late sender=%s events=%d oldest_ms=%d alert_threshold=%d",
                self._sender,
                late.events,
                late.oldest_ms,
                self._age.threshold_ms,
            )

    async def watch(self, queue: Queue) -> None:
        """Look at the length of the queue until cancelled."""
        alarm = LengthAlarm()
        while True:
            await asyncio.sleep(LOOK_S)
            queued = queue.queued_events
            if alarm.look(queued):
                level, text = (
                    (logging.WARNING, "queue is long") if alarm.long else (logging.INFO, "queue is short again")
                )
                _log.log(level, "%s sender=%s events=%d", text, self._sender, queued)
