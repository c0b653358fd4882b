"""A gateway sender's queue of one bucket: a cursor in the bucket's log and a bounded window of records after it.

The log is the queue (architecture §1); what is held here is the part of it that is on its way or next:

      acknowledged        in flight            unsent              only in the log
    ──────────────┬──────────────────────┬─────────────────┬──────────────────────────
                floor                                     tip                last_known

* `floor`: every record of the bucket up to and including it is acknowledged or not for the remote site. It is what the
  cursor stores, and only rises.
* `tip`: every record after the floor, up to and including the tip, is held, in order, without a gap. A record extends
  the window only when no other one lies between the tip and it (`previous <= tip < seq`) and memory allows; otherwise
  it only raises `last_known`, the queue is `behind`, and the shell reads it from the log later.
* A flight is a run of records sent together. Flights are acknowledged in any order; the floor follows the oldest one.
* `rewind` makes everything unacknowledged unsent again, in order; acknowledgements of flights before that are stale.
* A record of which nothing is for the remote site, or left by conflation, is acknowledged by itself when its turn
  comes.
* Filters, where there are any, look at a record when it enters the window, and again when it has to be read again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from heliograph.errors import invariant
from heliograph.gateway.conflation import ConflationIndex, note_updates, strip, updates_of, worth_stripping
from heliograph.gateway.filters import EventFilters
from heliograph.gateway.held import HELD_BYTES, Held
from heliograph.gateway.loops import is_for, outgoing
from heliograph.gateway.memory import Memory
from heliograph.model.batch import Part, Record
from heliograph.model.ids import NO_SEQ, Seq

EMPTIED_BYTES = 128
"""What is left of that when conflation took all events of a record."""
SWEPT_SHARE = 4
"""Emptied records are swept out when they are more than one in so many."""


@dataclass(slots=True, eq=False)
class Probe:
    """What one region that the remote site refuses is tried with: a single record, of the queue that holds it.

    It is not charged to `Memory`, so that a refused region leaves all of that to others however large its records are.
    """

    holder: BucketQueue | None = None


@dataclass(slots=True)
class QueueCounters:
    """What went through the queues of one gateway sender.

    received: events offered. queued: of those, taken to be sent. skipped: not for the remote site by the loop rule.
    filtered: kept from it by filters, before they were queued or, counted when their turn was over, when they were
    to be sent. conflated: queued and not sent, for a newer update of the key followed. So received = skipped + acked +
    parked + filtered + conflated + those queued now.
    acked: acknowledged by the remote site. parked: events that it can never take, which are kept elsewhere now.
    repeated: sent again, so possible duplicates there.
    lost_runs: how often the log had been truncated before a queue had read it; never, unless something is broken.

    queued = acked + parked + conflated + what the windows hold.
    """

    received: int = 0
    queued: int = 0
    skipped: int = 0
    filtered: int = 0
    acked: int = 0
    conflated: int = 0
    parked: int = 0
    repeated: int = 0
    lost_runs: int = 0


@dataclass(slots=True, eq=False)
class Flight:
    """Records of one queue that were sent together; `held` is emptied when they are taken back.

    withheld: events among them that filters kept back when they were to be sent. repeated: some may have been sent
    before.
    parked: of its events, once it is done.
    """

    held: list[Held]
    count: int
    size: int
    done: bool = False
    withheld: int = 0
    repeated: bool = False
    parked: int = 0


@dataclass(slots=True, eq=False)
class BucketQueue:
    """See the module. `site`: the dsid that the sender leads to; its queues share one `Memory` and `QueueCounters`.

    conflation: of this queue alone, None without `enable-batch-conflation`.
    """

    region: str
    bucket: int
    site: int
    floor: Seq
    memory: Memory
    counters: QueueCounters
    conflation: ConflationIndex | None = None
    filters: EventFilters | None = None
    maybe_sent: Seq = NO_SEQ
    """Records up to it may have been sent before."""
    tip: Seq = field(init=False)
    last_known: Seq = field(init=False)
    listed: bool = False
    """The lane has the queue among those with something to send; the lane's own mark."""
    held_bytes: int = 0
    held_events: int = 0
    unsent_events: int = 0
    _probe: Probe | None = None
    _counted: Seq = NO_SEQ
    _missed_events: int = 0
    _missed_after: Seq = NO_SEQ
    _unsent: deque[Held] = field(default_factory=deque)
    _emptied: int = 0
    """Records among the unsent that conflation left nothing of, since they were last swept out; or more."""
    _flights: deque[Flight] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.tip = self.last_known = self.floor

    # --- what comes in

    def offer(self, seq: Seq, previous: Seq, record: Record, now_ms: int) -> bool:
        """Take the next record of the bucket's log; returns whether there may be something new to send.

        previous: the sequence of the bucket's record before this one. A record that is held already is ignored.
        """
        if seq <= self.tip:
            return False
        fresh = seq > self.last_known
        if fresh:
            self.last_known = seq
        parts, count, size, skipped = self._select(record)
        if previous > self.tip or not self._may_hold(size, parts):
            if fresh:
                self._know(seq, previous, count)
            return False
        if not fresh and seq > self._missed_after:
            self._missed_events = max(0, self._missed_events - count)
        held = Held(seq, parts, count, size, now_ms, skipped)
        if self.filters is not None and count:
            held = self._filtered(held, self.filters)
        if self.conflation is not None:
            note_updates(held)
        self._hold(held)
        return held.count > 0

    def note(self, seq: Seq, previous: Seq, record: Record) -> None:
        """Know of a record that is going to be offered when the log is read, and count its events."""
        if seq > self.last_known:
            self.last_known = seq
            self._know(seq, previous, self._select(record)[1])

    def _know(self, seq: Seq, previous: Seq, count: int) -> None:
        """Count the events of the newest record of the log, which is not held."""
        if previous <= max(self.tip, self._counted):
            self._counted = seq
        if count:
            self._miss(seq, count)

    def recount(self, after: Seq, through: Seq, events: int) -> None:
        """Somebody has counted the events in the log after `after`, where the tip was, up to `through`, the last known.

        Ignored when the window has moved meanwhile: then it is being read, which counts too.
        """
        if self.tip == after and not (self._missed_events and self._missed_after < through):
            self._missed_events += events
            self._missed_after = after
            self._counted = max(self._counted, through)

    def events_for_site(self, record: Record) -> int:
        """Return how many events of a record are for the remote site."""
        return self._select(record)[1]

    def _select(self, record: Record) -> tuple[tuple[Part, ...], int, int, int]:
        """Return the parts for the remote site, their events, the bytes to hold them, and the events skipped."""
        parts = record.parts
        if len(parts) == 1 and is_for(parts[0], self.site):
            return parts, parts[0].count, HELD_BYTES + parts[0].size, 0
        site = self.site
        chosen = tuple([part for part in parts if is_for(part, site)])
        count = sum([part.count for part in chosen])
        size = HELD_BYTES + sum([part.size for part in chosen])
        return chosen, count, size, sum([part.count for part in parts if not part.silent]) - count

    def _filtered(self, held: Held, filters: EventFilters) -> Held:
        """Return what filters leave of a record that enters the window."""
        parts = filters.enqueue(self.region, self.bucket, held.parts)
        if parts is None:
            held.undecided = True
            return held
        count = sum([part.count for part in parts])
        size = HELD_BYTES + sum([part.size for part in parts])
        return Held(held.seq, parts, count, size, held.arrived_ms, held.skipped, held.count - count)

    def _may_hold(self, size: int, parts: tuple[Part, ...]) -> bool:
        if self._probe is not None:
            return self._probe.holder is None
        if self.memory.fits(size):
            return True
        if self.conflation is None:
            return False
        freed = self.conflation.freed_by(updates_of(parts)) + self._emptied * EMPTIED_BYTES
        return self.memory.fits(size - freed)

    def _miss(self, seq: Seq, count: int) -> None:
        if not self._missed_events or seq <= self._missed_after:
            self._missed_after = Seq(seq - 1)
        self._missed_events += count

    def _hold(self, held: Held) -> None:
        self.tip = held.seq
        if self.tip >= self.last_known:
            self._missed_events = 0
        self.held_bytes += held.size
        if self._probe is None:
            self.memory.used_bytes += held.size
        else:
            self._probe.holder = self
        self._count(held, 1)
        self.held_events += held.count
        self.unsent_events += held.count
        self._unsent.append(held)
        if not held.count:
            self._settle()
        elif self.conflation is not None:
            self._supersede(self.conflation, held)

    def _supersede(self, conflation: ConflationIndex, held: Held) -> None:
        """Take out of waiting records what this one updates again."""
        losers, taken = conflation.add(held)
        self.counters.conflated += taken
        self.held_events -= taken
        self.unsent_events -= taken
        for old in losers:
            if not old.count:
                self._strip(old)
                self._free(old.size - EMPTIED_BYTES)
                old.size = EMPTIED_BYTES
                self._emptied += 1
            elif worth_stripping(old):
                self._strip(old)
        if self._emptied * SWEPT_SHARE > len(self._unsent):
            self._sweep()

    def _strip(self, held: Held) -> None:
        size = held.size
        strip(held)
        self._free(size - held.size)

    def _sweep(self) -> None:
        """Let go of unsent records with no events; not of the last, by which the floor rises."""
        last = self._unsent.pop()
        gone = [held for held in self._unsent if not held.count]
        self._unsent = deque([held for held in self._unsent if held.count])
        self._unsent.append(last)
        self._free(sum([held.size for held in gone]))
        self._emptied = 0

    def _count(self, held: Held, times: int) -> None:
        """Count a record that comes into the window, or, -1 times, one that leaves it and will have to come again."""
        counters = self.counters
        queued = held.count + held.absorbed
        counters.received += times * (queued + held.skipped + held.filtered)
        counters.queued += times * queued
        counters.conflated += times * held.absorbed
        counters.skipped += times * held.skipped
        counters.filtered += times * held.filtered

    def skip_lost(self, through: Seq) -> None:
        """The log no longer holds what lies between the tip and `through`: go on after it, and count that."""
        self.tip = through
        self.counters.lost_runs += 1

    def learn_last(self, seq: Seq) -> None:
        """The bucket's log reaches to `seq` at least."""
        self.last_known = max(self.last_known, seq)

    @property
    def restricted(self) -> bool:
        """Say whether the remote site refuses the region: only the `Probe`'s record is held."""
        return self._probe is not None

    @property
    def behind(self) -> bool:
        """Say whether the log holds records after the window."""
        return self.tip < self.last_known

    @property
    def readable(self) -> bool:
        """Say whether records after the window should be read from the log now."""
        return self.behind and (self.memory.roomy if self._probe is None else self._probe.holder is None)

    @property
    def queued_events(self) -> int:
        """Events not acknowledged yet, as far as they are known here; see `uncounted`."""
        return self.held_events + self._missed_events

    @property
    def overflowed_events(self) -> int:
        """Those of `queued_events` that only the log holds."""
        return self._missed_events

    @property
    def uncounted(self) -> bool:
        """Say whether the log holds records after the window, and nobody knows yet whether events are in them."""
        return self.last_known > max(self.tip, self._counted) and not self.queued_events

    @property
    def next_seq(self) -> Seq:
        """The sequence of the next record with events to be sent; there has to be one."""
        return next(held.seq for held in self._unsent if held.count)

    @property
    def oldest_unsent_ms(self) -> int | None:
        """When the oldest unsent record came, None without one."""
        return self._unsent[0].arrived_ms if self.unsent_events else None

    # --- what goes out

    def take(
        self,
        items: list[tuple[int, Part]],
        events_max: int,
        bytes_max: int,
        recipients: tuple[int, ...],
        below: Seq | None = None,
    ) -> Flight | None:
        """Append what is to be shipped next to `items`, as `outgoing` parts; None when nothing fits.

        Whole records, up to `events_max` events and `bytes_max` bytes; into empty `items` at least one fits always.
        below: no events of records from this sequence on.
        """
        flight = Flight([], 0, 0)
        unsent, bucket = self._unsent, self.bucket
        while unsent:
            held = unsent[0]
            if held.superseded is not None:
                self._strip(held)
            count, size = flight.count + held.count, flight.size + held.size
            if items and held.count and (count > events_max or size > bytes_max):
                break
            if below is not None and held.count and held.seq >= below:
                break
            unsent.popleft()
            held.sent = True
            seq = held.seq
            items += [(bucket, outgoing(part, bucket, seq, recipients)) for part in held.parts]
            flight.held.append(held)
            flight.count, flight.size = count, size
        if not flight.held:
            return None
        flight.repeated = flight.held[0].seq <= self.maybe_sent
        self.unsent_events -= flight.count
        self._flights.append(flight)
        return flight

    def on_ack(self, flight: Flight, parked: int = 0) -> None:
        """The flight's records are in the remote site's log, but for events that are parked; a flight that was taken
        back is stale and ignored.
        """
        if not flight.held:
            return
        invariant(not flight.done, "a flight was acknowledged twice", self.region, self.bucket, self.floor)
        flight.done = True
        flight.parked = parked
        self._settle()

    def _settle(self) -> None:
        """Move the floor over everything acknowledged, and over records that are not for the remote site."""
        flights, unsent = self._flights, self._unsent
        while flights and flights[0].done:
            flight = flights.popleft()
            if self.conflation is not None:
                for held in flight.held:
                    self.conflation.forget(held)
            self.counters.parked += flight.parked
            self.counters.acked -= flight.parked
            self._release(flight.held[-1].seq, flight.count, flight.size, flight.withheld)
            flight.held = []
        if not flights:
            while unsent and not unsent[0].count:
                held = unsent.popleft()
                self._release(held.seq, 0, held.size)

    def _release(self, floor: Seq, count: int, size: int, withheld: int = 0) -> None:
        invariant(floor > self.floor, "the floor would not rise", self.region, self.bucket, self.floor, floor)
        self.floor = floor
        self.counters.acked += count - withheld
        self.counters.filtered += withheld
        self.held_events -= count
        self._free(size)

    def _free(self, size: int) -> None:
        self.held_bytes -= size
        if self._probe is None:
            self.memory.used_bytes -= size
        elif self._probe.holder is self and not self.held_bytes:
            self._probe.holder = None

    # --- setbacks

    def rewind(self) -> None:
        """Make everything unacknowledged unsent again, in order.

        A flight acknowledged out of order is sent again with the others: its records lie above the floor.
        """
        flights = self._flights
        while flights:
            flight = flights.pop()
            self.maybe_sent = max(self.maybe_sent, flight.held[-1].seq)
            for held in flight.held:
                held.sent = False
            self._unsent.extendleft(reversed(flight.held))
            self.unsent_events += flight.count
            self.counters.repeated += flight.count
            flight.held = []
        self._settle()

    def restrict(self, probe: Probe) -> None:
        """Rewind and hold nothing until `unrestrict`, or one record when the region has none yet to be tried with.

        What is let go of is read from the log again.
        """
        self.rewind()
        if self._probe is None:
            self.memory.used_bytes -= self.held_bytes
            self._probe = probe
        if self._unsent and probe.holder is None:
            probe.holder = self
        self._counted = max(self._counted, self.tip)
        while len(self._unsent) > (probe.holder is self):
            self._drop(self._unsent.pop())
        self.tip = self._unsent[-1].seq if self._unsent else self.floor

    def unrestrict(self) -> None:
        """The remote site takes the region again."""
        if self._probe is None:
            return
        if self._probe.holder is self:
            self._probe.holder = None
        self._probe = None
        self.memory.used_bytes += self.held_bytes

    def _drop(self, held: Held) -> None:
        """Let go of the last unsent record, which is read from the log again.

        What it superseded counts no more: most of that is read again, too.
        """
        if self.conflation is not None:
            self.conflation.forget(held)
        self._miss(held.seq, held.count)
        self._count(held, -1)
        self.held_events -= held.count
        self.unsent_events -= held.count
        self._free(held.size)

    def close(self) -> None:
        """Let go of everything held; the floor stays. Whoever ships it next counts it."""
        for flight in self._flights:
            for held in flight.held:
                self._count(held, -1)
            flight.held = []
        for held in self._unsent:
            self._count(held, -1)
        self._flights.clear()
        self._unsent.clear()
        if self.conflation is not None:
            self.conflation.clear()
        self._free(self.held_bytes)
        self.held_events = self.unsent_events = self._missed_events = 0
        self._counted = NO_SEQ
        self.tip = self.last_known = self.floor
