"""Which queues are read from the log together, when they lack what the log holds (see `gateway.queue`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from heliograph.gateway.queue import BucketQueue
from heliograph.model.ids import NO_SEQ, Seq

READ_QUEUES_MAX = 64
READ_DISTANCE_MAX = 100_000
"""Queues further apart in the log are not read in one pass: too much of the front one would be read for nothing."""


def next_reading(queues: Iterable[BucketQueue]) -> list[BucketQueue]:
    """Return the queues to be read in the next pass, the one that lacks most first; none when nothing is to be read.

    The pass begins after the first one's tip. In log order the queues advance side by side, so none starves.
    """
    readable = sorted((queue for queue in queues if queue.readable), key=lambda queue: queue.tip)
    return [queue for queue in readable[:READ_QUEUES_MAX] if queue.tip - readable[0].tip <= READ_DISTANCE_MAX]


class End(NamedTuple):
    """A queue's tip, and the last record of its bucket and the one before that; NO_SEQ where there is none."""

    tip: Seq
    last: Seq = NO_SEQ
    previous: Seq = NO_SEQ


def start_in_order(ends: Sequence[End]) -> Seq:
    """Return after which sequence a log is to be read so that several queues, at least one, miss nothing of it.

    Every `last` has to be asked for when all tips were known. Buckets that are rarely written have tips far behind, and
    the log need not be read from there: of a queue that lacks nothing, no record lies below any of these tips.
    """
    start = max(end.tip for end in ends)
    for tip, last, previous in ends:
        if last > tip:
            start = min(start, Seq(last - 1) if previous <= tip else tip)
    return start
