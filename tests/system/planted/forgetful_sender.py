"""A gateway sender forgets what does not fit into its memory."""

from __future__ import annotations

from heliograph.gateway.queue import BucketQueue
from heliograph.gfsh.daemon import main
from heliograph.model.batch import Record
from heliograph.model.ids import Seq

offer = BucketQueue.offer


def offer_or_forget(queue: BucketQueue, seq: Seq, previous: Seq, record: Record, now_ms: int) -> bool:
    taken = offer(queue, seq, previous, record, now_ms)
    if queue.tip < seq:
        queue.tip = queue.last_known = seq
        queue._missed_events = 0
    return taken


BucketQueue.offer = offer_or_forget  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    main()
