"""A gateway sender stores its cursor past what it has sent, not past what was acknowledged."""

from __future__ import annotations

from heliograph.gateway.queue import BucketQueue, Flight
from heliograph.gfsh.daemon import main

take, on_ack = BucketQueue.take, BucketQueue.on_ack


def take_as_delivered(queue: BucketQueue, *args) -> Flight | None:
    flight = take(queue, *args)
    if flight is not None:
        on_ack(queue, flight)
    return flight


BucketQueue.take = take_as_delivered  # type: ignore[method-assign, assignment]
BucketQueue.on_ack = lambda queue, flight, parked=0: None  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    main()
