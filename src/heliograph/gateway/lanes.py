"""A lane: which records a dispatcher's connection sends next, in which batches, and what became of them.

A bucket belongs to one lane (`lane_of`), so a lane keeps the order of its buckets by being one connection. A batch
holds records of one region, of several of the lane's buckets. Several batches are in flight, bounded by a window in
bytes, so that throughput does not fall with the round-trip time; while the window is full what arrives waits and makes
the next batches larger by itself. A region is in one of three states at a lane:

    open ──refused──> waiting ──(back-off over)──> probing, one batch in flight ──acknowledged──> open
                         ^───────────────refused───────────┘

so a region that the remote site refuses costs one record per back-off, and other regions of the lane go on. Which of
its buckets is tried is drawn from the refused batch: one that alone is refused is found after some draws, and stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from heliograph.gateway.filters import EventFilters, Items, PluginFailedError
from heliograph.gateway.held import Held
from heliograph.gateway.parking import others
from heliograph.gateway.queue import BucketQueue, Flight, Probe
from heliograph.gateway.retry import Backoff
from heliograph.link.messages import Rejected, WanBatch

WINDOW_BYTES = 4 * 1024 * 1024
"""Of columns in flight on a lane; a batch may begin below it, so one batch more can be out."""
WINDOW_BATCHES = 1024
BATCH_BYTES_MAX = 1024 * 1024
"""Of columns in a batch; a larger record makes a batch of its own (a record is below the engine's append limit)."""
BATCH_EVENTS_MAX = 1 << 30
"""Stands for `batch-size` -1: no limit."""
NOTHING_PARKED: Mapping[int, int] = {}
REFUSED_FIRST_MS, REFUSED_LIMIT_MS = 50, 5_000


class Route(NamedTuple):
    """What a batch of a region says besides its events: see `WanBatch.buckets` and `loops.outgoing`."""

    buckets: int
    recipients: tuple[int, ...]
    resolver: str = ""


class Outgoing(NamedTuple):
    """A batch to send now.

    error: why it can't be: a filter failed, and `hold_back` is to be called. repeated: some of it may have been sent
    before.
    """

    batch_id: int
    batch: WanBatch
    error: str = ""
    repeated: bool = False


def lane_of(bucket: int, lanes: int) -> int:
    """Return the lane of a bucket.

    Order policies `key` and `partition` agree here: a key has one bucket, and a bucket one lane (semantics.md §3.2;
    tests/member/test_sender.py, test_a_keys_events_keep_their_order_across_dispatcher_threads).
    """
    return bucket % lanes


@dataclass(slots=True)
class _InFlight:
    """A batch that was sent and not answered. probe: it is to show whether a refused region is taken again."""

    region: _LaneRegion
    batch: WanBatch
    flights: list[tuple[BucketQueue, Flight]]
    events: int
    size: int
    probe: bool
    sent: Items = field(default_factory=list)
    """What was sent, where filters want to be told."""


@dataclass(slots=True, eq=False)
class _LaneRegion:
    """One region's queues at a lane. `ready`: those with something to send, each once."""

    name: str
    queues: dict[int, BucketQueue] = field(default_factory=dict)
    ready: deque[BucketQueue] = field(default_factory=deque)
    in_flight: int = 0
    probing: bool = False
    probe: Probe = field(default_factory=Probe)
    blocked_until_ms: int = 0
    error: str = ""
    backoff: Backoff = field(default_factory=lambda: Backoff(REFUSED_FIRST_MS, REFUSED_LIMIT_MS))


@dataclass(slots=True)
class LaneCounters:
    """Of one lane. refused: batches; redistributed: batches whose fate a lost link left unknown.

    acknowledged: batches. on_way_ms: how long these took together, from leaving to their acknowledgement.
    """

    batches: int = 0
    events: int = 0
    refused: int = 0
    redistributed: int = 0
    acknowledged: int = 0
    on_way_ms: int = 0

    def time(self, on_way_ms: int) -> None:
        """Count a batch that is acknowledged after so long."""
        self.acknowledged += 1
        self.on_way_ms += on_way_ms

    def add(self, other: LaneCounters) -> None:
        """Count what `other` counted, too."""
        self.batches += other.batches
        self.events += other.events
        self.refused += other.refused
        self.redistributed += other.redistributed
        self.acknowledged += other.acknowledged
        self.on_way_ms += other.on_way_ms


class Lane:
    """The batches of one dispatcher. Batch ids rise from 1 and never repeat, over all links of the lane.

    batch_size: events, -1 for no limit. batch_interval_ms: how long a batch that is not full waits for more (0 or less:
    not at all). route: looked up for every batch. acknowledged: told of the records of every acknowledged flight.
    filters: those of the queues, which are asked again before a batch leaves.
    """

    def __init__(
        self,
        batch_size: int,
        batch_interval_ms: int,
        route: Callable[[str], Route],
        acknowledged: Callable[[Sequence[Held]], None] | None = None,
        filters: EventFilters | None = None,
    ) -> None:
        self.counters = LaneCounters()
        self._batch_events = batch_size if batch_size > 0 else BATCH_EVENTS_MAX
        self._interval_ms = batch_interval_ms
        self._route = route
        self._acknowledged = acknowledged
        self._filters = filters
        self._regions: dict[str, _LaneRegion] = {}
        self._in_flight: dict[int, _InFlight] = {}
        self._in_flight_bytes = 0
        self._next_id = 1

    @property
    def idle(self) -> bool:
        """Say whether the lane has no bucket."""
        return not self._regions

    @property
    def error(self) -> str:
        """Why a region does not move, empty when all do."""
        return next((region.error for region in self._regions.values() if region.error), "")

    # --- queues

    def add(self, queue: BucketQueue) -> None:
        """Serve a queue."""
        region = self._regions.setdefault(queue.region, _LaneRegion(queue.region))
        region.queues[queue.bucket] = queue
        if region.probing:
            queue.restrict(region.probe)
        self.on_offered(queue)

    def remove(self, queue: BucketQueue) -> None:
        """Serve a queue no longer; acknowledgements of what it has in flight are ignored."""
        region = self._regions[queue.region]
        del region.queues[queue.bucket]
        if queue.listed:
            region.ready.remove(queue)
            queue.listed = False
        if not region.queues:
            del self._regions[queue.region]

    def on_offered(self, queue: BucketQueue) -> None:
        """Something may be new in a queue of the lane."""
        if queue.unsent_events and not queue.listed:
            queue.listed = True
            self._regions[queue.region].ready.append(queue)

    # --- batches

    def next_batch(self, now_ms: int) -> Outgoing | None:
        """Return the next batch, or None when the window is full or nothing is due (see `wake_ms`)."""
        if self._in_flight_bytes >= WINDOW_BYTES or len(self._in_flight) >= WINDOW_BATCHES:
            return None
        for region in self._regions.values():
            if region.ready and not self._held_back(region) and self._due_ms(region) <= now_ms:
                if len(self._regions) > 1:  # all take turns
                    self._regions[region.name] = self._regions.pop(region.name)
                return self._assemble(region)
        return None

    def wake_ms(self) -> int | None:
        """When a batch becomes due that only time holds back; None when there is none."""
        return min(
            (self._due_ms(region) for region in self._regions.values() if region.ready and not self._held_back(region)),
            default=None,
        )

    def _held_back(self, region: _LaneRegion) -> bool:
        return region.probing and region.in_flight > 0

    def _due_ms(self, region: _LaneRegion) -> int:
        """When the region's next batch may leave; 0 means at once."""
        if self._interval_ms <= 0:
            return region.blocked_until_ms
        events = 0
        for queue in region.ready:
            events += queue.unsent_events
            if events >= self._batch_events:
                return region.blocked_until_ms
        oldest_ms = min((queue.oldest_unsent_ms or 0) for queue in region.ready)
        return max(region.blocked_until_ms, oldest_ms + self._interval_ms)

    def _assemble(self, region: _LaneRegion) -> Outgoing:
        route = self._route(region.name)
        items: Items = []
        flights: list[tuple[BucketQueue, Flight]] = []
        events = size = 0
        ready = region.ready
        for _ in range(len(ready)):
            queue = ready[0]
            flight = queue.take(items, self._batch_events - events, BATCH_BYTES_MAX - size, route.recipients)
            if flight is None:
                break
            flights.append((queue, flight))
            events += flight.count
            size += flight.size
            ready.popleft()
            if queue.unsent_events:
                ready.append(queue)  # it filled the batch; the others come first next time
                break
            queue.listed = False
        return self._depart(region, WanBatch(region.name, route.buckets, items, route.resolver), flights, events, size)

    def _depart(
        self,
        region: _LaneRegion,
        batch: WanBatch,
        flights: list[tuple[BucketQueue, Flight]],
        events: int,
        size: int,
    ) -> Outgoing:
        batch_id = self._next_id
        self._next_id += 1
        departing = self._in_flight[batch_id] = _InFlight(region, batch, flights, events, size, region.probing)
        self._in_flight_bytes += size
        region.in_flight += 1
        if self._filters is not None:
            try:
                batch = departing.batch = self._filter(departing, batch, self._filters)
            except PluginFailedError as exc:
                return Outgoing(batch_id, batch, str(exc))
        self.counters.batches += 1
        self.counters.events += departing.events
        return Outgoing(batch_id, batch, repeated=any(flight.repeated for _, flight in flights))

    def _filter(self, departing: _InFlight, batch: WanBatch, filters: EventFilters) -> WanBatch:
        """Take out of a batch what filters keep back. Raises PluginFailedError."""
        parts = iter(batch.items)
        for _, flight in departing.flights:
            flight.withheld = flight.count
            for held in flight.held:
                passed = filters.transmit(
                    batch.region,
                    list(islice(parts, len(held.parts))),
                    undecided=held.undecided,
                    possible_duplicate=flight.repeated,
                )
                departing.sent += passed
                flight.withheld -= sum([part.count for _, part in passed])
            departing.events -= flight.withheld
        return WanBatch(batch.region, batch.buckets, departing.sent, batch.resolver, batch.ordered)

    def _land(self, batch_id: int) -> _InFlight | None:
        landed = self._in_flight.pop(batch_id, None)
        if landed is not None:
            self._in_flight_bytes -= landed.size
            landed.region.in_flight -= 1
        return landed

    def is_whole(self, batch_id: int) -> bool:
        """Say whether all queues of a batch in flight are still served here."""
        batch = self._in_flight.get(batch_id)
        return batch is not None and all(flight.held for _, flight in batch.flights)

    # --- what became of them

    def in_flight(self, batch_id: int) -> WanBatch | None:
        """Return a batch that was sent and not answered; None when there is none of that id."""
        flying = self._in_flight.get(batch_id)
        return None if flying is None else flying.batch

    def note_rejected(self, batch_id: int, rejected: Sequence[Rejected]) -> None:
        """Events of a batch are not in the remote site's log, so filters are not told of them; `rejected` fits it."""
        flying = self._in_flight.get(batch_id)
        if flying is not None and self._filters is not None:
            flying.sent = others(flying.sent, rejected)

    def on_ack(self, batch_id: int, parked: Mapping[int, int] = NOTHING_PARKED) -> bool:
        """A batch is in the remote site's log; an unknown id is ignored. Returns whether its region is open again.

        Only the answer to a probe opens it: what was in flight when another batch was refused may be taken although
        that one still is not, and would be sent again with it, without end.
        parked: bucket -> so many events of it are not there, and kept elsewhere.
        """
        landed = self._land(batch_id)
        if landed is None:
            return False
        left = dict(parked)
        for queue, flight in landed.flights:
            if self._acknowledged is not None:
                self._acknowledged(flight.held)
            queue.on_ack(flight, left.pop(queue.bucket, 0))  # the bucket may have several flights
        if self._filters is not None:
            self._filters.acknowledged(landed.region.name, landed.sent)
        region = landed.region
        if not landed.probe:
            return False
        region.probing = False
        region.error = ""
        region.blocked_until_ms = 0
        region.backoff.reset()
        for queue in region.queues.values():
            queue.unrestrict()
        return True

    def on_refused(self, batch_id: int, error: str, now_ms: int, draw: float) -> str:
        """The remote site refuses a batch: its region waits and is then tried with one record at a time.

        Returns the region's name when that is news, else an empty text. draw: a random number in [0, 1).
        """
        if batch_id in self._in_flight:
            self.counters.refused += 1
        return self.hold_back(batch_id, error, now_ms, draw)

    def hold_back(self, batch_id: int, error: str, now_ms: int, draw: float) -> str:
        """A batch can't leave, see `Outgoing.error`: the same as `on_refused`, but that the remote site did not."""
        landed = self._land(batch_id)
        if landed is None:
            return ""
        region = landed.region
        news = not region.probing
        if now_ms >= region.blocked_until_ms:
            region.blocked_until_ms = now_ms + region.backoff.next_ms(draw)
        region.probing = True
        region.error = error
        drawn, _ = landed.flights[int(draw * len(landed.flights))]
        if region.queues.get(drawn.bucket) is drawn:
            drawn.restrict(region.probe)
        for queue in region.queues.values():
            queue.restrict(region.probe)
        self._relist(region)
        return region.name if news else ""

    def on_link_lost(self) -> int:
        """Nothing in flight will be answered: everything is unsent again. Returns the number of such batches."""
        lost = len(self._in_flight)
        self.counters.redistributed += lost
        self._in_flight.clear()
        self._in_flight_bytes = 0
        for region in self._regions.values():
            region.in_flight = 0
            for queue in region.queues.values():
                queue.rewind()
            self._relist(region)
        return lost

    def _relist(self, region: _LaneRegion) -> None:
        """List anew who has something to send, after queues took records back or let go of them."""
        region.ready.clear()
        for queue in region.queues.values():
            queue.listed = False
            self.on_offered(queue)
