"""A lane that keeps the order of threads (`order-policy=thread`): what is sent next is what the log has next.

The log of a disk store orders all that is written to its regions, and what a thread puts after another put of its own
was acknowledged stands after it. Threads are not recorded, so the one order that is sure to hold each thread's is that
of the log as a whole: one lane sends the records of all queues by their sequences. Queues are fed in that order too
(`member.sender_ordered`), so the smallest sequence that is held is the next one of the log.

A batch holds one region, so it ends where the log goes on with another one. Several batches are in flight; the receiver
applies one after the other, and after a refusal none, until one arrives that begins anew (`link.messages.WanBatch`):

    open ──refused──> waiting ──(back-off over)──> probing, one batch in flight ──acknowledged──> open
                         ^───────────────refused───────────┘

Refused is the lane as a whole, whichever region it was: what follows in the log must not overtake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from heliograph.gateway.filters import EventFilters, Items
from heliograph.gateway.held import Held
from heliograph.gateway.lanes import (
    BATCH_BYTES_MAX,
    NOTHING_PARKED,
    REFUSED_FIRST_MS,
    REFUSED_LIMIT_MS,
    WINDOW_BATCHES,
    WINDOW_BYTES,
    Lane,
    Outgoing,
    Route,
)
from heliograph.gateway.queue import BucketQueue, Flight
from heliograph.gateway.retry import Backoff
from heliograph.link.messages import IN_ORDER, IN_ORDER_ANEW, WanBatch
from heliograph.model.ids import Seq

_Next = tuple[Seq, str, int, BucketQueue]
"""What a queue has next, its region and bucket, and itself."""


class OrderedLane(Lane):
    """See the module. All queues have to be of one log. Arguments are those of `Lane`."""

    def __init__(
        self,
        batch_size: int,
        batch_interval_ms: int,
        route: Callable[[str], Route],
        acknowledged: Callable[[Sequence[Held]], None] | None = None,
        filters: EventFilters | None = None,
    ) -> None:
        super().__init__(batch_size, batch_interval_ms, route, acknowledged, filters)
        self._order: list[_Next] = []
        """A heap with every queue that is `listed`, and such as were removed."""
        self._anew = True
        self._probing = False
        self._refusal = ""
        self._blocked_until_ms = 0
        self._backoff = Backoff(REFUSED_FIRST_MS, REFUSED_LIMIT_MS)

    @property
    def error(self) -> str:
        """Why nothing moves, empty when all does."""
        return self._refusal

    # --- queues

    def remove(self, queue: BucketQueue) -> None:
        """Serve a queue no longer; acknowledgements of what it has in flight are ignored."""
        region = self._regions[queue.region]
        del region.queues[queue.bucket]
        queue.listed = False
        if not region.queues:
            del self._regions[queue.region]
        if self.idle:
            self._order.clear()

    def on_offered(self, queue: BucketQueue) -> None:
        """Something may be new in a queue of the lane."""
        if queue.unsent_events and not queue.listed:
            queue.listed = True
            heappush(self._order, _next(queue))

    def _head(self) -> BucketQueue | None:
        """Return the queue that the log goes on with."""
        order = self._order
        while order:
            seq, _, _, queue = order[0]
            if not (queue.listed and queue.unsent_events):
                heappop(order)
                queue.listed = False
            elif seq != queue.next_seq:
                heappop(order)
                heappush(order, _next(queue))
            else:
                return queue
        return None

    # --- batches

    def next_batch(self, now_ms: int) -> Outgoing | None:
        """Return the next batch, or None when the window is full or nothing is due (see `wake_ms`)."""
        if self._in_flight_bytes >= WINDOW_BYTES or len(self._in_flight) >= WINDOW_BATCHES:
            return None
        if self._probing and self._in_flight:
            return None
        head = self._head()
        if head is None or self._next_due_ms(head) > now_ms:
            return None
        return self._assemble_in_order(head.region)

    def wake_ms(self) -> int | None:
        """When a batch becomes due that only time holds back; None when there is none."""
        head = self._head()
        return None if head is None or (self._probing and self._in_flight) else self._next_due_ms(head)

    def _next_due_ms(self, head: BucketQueue) -> int:
        if self._interval_ms <= 0 or sum(each[3].unsent_events for each in self._order) >= self._batch_events:
            return self._blocked_until_ms
        return max(self._blocked_until_ms, (head.oldest_unsent_ms or 0) + self._interval_ms)

    def _assemble_in_order(self, region: str) -> Outgoing:
        """Take what the log has next, as far as it is of one region and fits into a batch."""
        route = self._route(region)
        items: Items = []
        flights: list[tuple[BucketQueue, Flight]] = []
        events = size = 0
        while (queue := self._head()) is not None and queue.region == region:
            heappop(self._order)
            after = self._head()
            below = None if after is None else after.next_seq
            flight = queue.take(items, self._batch_events - events, BATCH_BYTES_MAX - size, route.recipients, below)
            if flight is not None:
                flights.append((queue, flight))
                events += flight.count
                size += flight.size
            queue.listed = False
            self.on_offered(queue)
            if flight is None or (queue.listed and (below is None or queue.next_seq < below)):
                break  # the batch is full
        ordered = IN_ORDER_ANEW if self._anew else IN_ORDER
        self._anew = False
        batch = WanBatch(region, route.buckets, items, route.resolver, ordered)
        return self._depart(self._regions[region], batch, flights, events, size)

    # --- what became of them

    def on_ack(self, batch_id: int, parked: Mapping[int, int] = NOTHING_PARKED) -> bool:
        """As `Lane.on_ack`. No queue was restricted, so returns False."""
        if batch_id in self._in_flight:
            super().on_ack(batch_id, parked)
            self._probing = False
            self._refusal = ""
            self._blocked_until_ms = 0
            self._backoff.reset()
        return False

    def hold_back(self, batch_id: int, error: str, now_ms: int, draw: float) -> str:
        """A batch can't leave, or is refused with all that follow: the lane waits, and tries again from there."""
        landed = self._land(batch_id)
        if landed is None:
            return ""
        news = not self._probing
        self._probing = True
        self._refusal = error
        self._blocked_until_ms = now_ms + self._backoff.next_ms(draw)
        self._begin_anew()
        return landed.region.name if news else ""

    def on_link_lost(self) -> int:
        """Nothing in flight will be answered: everything is unsent again. Returns the number of such batches."""
        lost = len(self._in_flight)
        self.counters.redistributed += lost
        self._begin_anew()
        return lost

    def _begin_anew(self) -> None:
        self._in_flight.clear()
        self._in_flight_bytes = 0
        self._anew = True
        self._order.clear()
        for region in self._regions.values():
            region.in_flight = 0
            for queue in region.queues.values():
                queue.rewind()
                queue.listed = bool(queue.unsent_events)
                if queue.listed:
                    self._order.append(_next(queue))
        heapify(self._order)


def _next(queue: BucketQueue) -> _Next:
    return queue.next_seq, queue.region, queue.bucket, queue
