"""How fast one member's gateway sender goes; `gateway.rates` reckons it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from heliograph.gateway.lanes import LaneCounters
from heliograph.gateway.queue import QueueCounters
from heliograph.gateway.rates import Rates
from heliograph.member.sender_host import monotonic_ms

SAMPLE_S = 1.0
"""How often the counters are looked at."""


class SenderRates:
    """Lives as long as the sender; `watch` as long as it runs."""

    def __init__(self, queues: QueueCounters, lanes: Callable[[], LaneCounters]) -> None:
        self._queues = queues
        self._lanes = lanes
        self._rates = Rates()

    async def watch(self) -> None:
        """Look at the counters until cancelled; afterwards nothing moves."""
        try:
            while True:
                queues, lanes = self._queues, self._lanes()
                counts = (queues.received, queues.queued, lanes.batches, lanes.acknowledged, lanes.on_way_ms)
                self._rates.sample(counts, monotonic_ms())
                await asyncio.sleep(SAMPLE_S)
        finally:
            self._rates = Rates()

    def shown(self) -> dict[str, int]:
        """Return the rates under the names of statistics.md §3.1."""
        return {
            "eventsReceivedRate": self._rates.per_second(0),
            "eventsQueuedRate": self._rates.per_second(1),
            "batchesDispatchedRate": self._rates.per_second(2),
            "averageDistributionTimePerBatch": self._rates.per_other(4, 3),
        }
