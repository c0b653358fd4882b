"""Which queues are read from the log together, when they lack what the log holds (see `gateway.queue`)."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.gateway.queue import BucketQueue

READ_QUEUES_MAX = 64
READ_DISTANCE_MAX = 100_000
"""Queues further apart in the log are not read in one pass: too much of the front one would be read for nothing."""


def next_reading(queues: Iterable[BucketQueue]) -> list[BucketQueue]:
    """Return the queues to be read in the next pass, the one that lacks most first; none when nothing is to be read.

    The pass begins after the first one's tip. In log order the queues advance side by side, so none starves.
    """
    readable = sorted((queue for queue in queues if queue.readable), key=lambda queue: queue.tip)
    return [queue for queue in readable[:READ_QUEUES_MAX] if queue.tip - readable[0].tip <= READ_DISTANCE_MAX]
