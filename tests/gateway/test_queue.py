"""The queue against a naive model: the log as a list, and what the remote site was sent."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heliograph.gateway.filters import EventFilters
from heliograph.gateway.held import HELD_BYTES
from heliograph.gateway.memory import Memory
from heliograph.gateway.plugins import GatewayEvent, GatewayEventFilter
from heliograph.gateway.queue import BucketQueue, Flight, Probe, QueueCounters
from heliograph.model.batch import CLEARED, EXPIRED, Part, Record, Removal
from heliograph.model.ids import NO_SEQ, Seq
from tests.gateway.builders import ELSEWHERE, HERE, THERE, keys_of, part_of, record_of

UNLIMITED = Memory(1 << 40)


def new_queue(memory: Memory = UNLIMITED, floor: int = 0) -> BucketQueue:
    return BucketQueue("r", 3, THERE, Seq(floor), memory, QueueCounters())


def offer(queue: BucketQueue, seq: int, previous: int, *keys: str, origin: int = HERE) -> bool:
    return queue.offer(Seq(seq), Seq(previous), record_of(part_of(*keys, origin=origin)), 0)


def take(queue: BucketQueue, events_max: int = 1_000, bytes_max: int = 1 << 20) -> tuple[Flight, list[Part]]:
    items: list[tuple[int, Part]] = []
    flight = queue.take(items, events_max, bytes_max, (THERE,))
    assert flight is not None
    return flight, [part for _, part in items]


def sent_keys(parts: list[Part]) -> list[object]:
    return [key for part in parts for key in keys_of(part)]


def test_records_leave_in_order_and_the_floor_follows_their_acknowledgement() -> None:
    queue = new_queue()
    assert offer(queue, 4, 0, "a")
    assert offer(queue, 9, 4, "b", "c")
    flight, parts = take(queue)
    assert sent_keys(parts) == ["a", "b", "c"]
    assert (queue.floor, queue.queued_events) == (0, 3)
    queue.on_ack(flight)
    assert (queue.floor, queue.queued_events, queue.memory.used_bytes) == (9, 0, 0)


def test_a_silent_part_is_passed_over_and_counts_nowhere() -> None:
    queue = new_queue()
    silent = msgspec.structs.replace(part_of("a", "b"), silent=True)
    assert not queue.offer(Seq(4), NO_SEQ, record_of(silent), 0)
    assert queue.floor == 4
    assert queue.offer(Seq(5), Seq(4), record_of(silent, part_of("c")), 0)
    flight, parts = take(queue)
    assert sent_keys(parts) == ["c"]
    queue.on_ack(flight)
    assert queue.floor == 5
    assert (queue.counters.received, queue.counters.queued, queue.counters.skipped) == (1, 1, 0)


def test_a_part_leaves_with_its_birth_and_recipients_on_it() -> None:
    queue = new_queue()
    offer(queue, 4, 0, "a")
    _, (part,) = take(queue)
    assert (part.birth_bucket, part.birth_seq, part.recipients) == (3, 4, (THERE,))


@pytest.mark.parametrize("order", list(permutations(range(1, 6))))
def test_flights_may_be_acknowledged_in_any_order_but_the_floor_stays_contiguous(order: tuple[int, ...]) -> None:
    queue = new_queue()
    flights = {}
    for seq in sorted(order):
        offer(queue, seq, seq - 1, "k")
        flights[seq] = take(queue)[0]
    acknowledged = set()
    for seq in order:
        queue.on_ack(flights[seq])
        acknowledged.add(seq)
        assert queue.floor == next(floor for floor in range(6) if floor + 1 not in acknowledged)


def test_a_gap_is_not_taken_but_known() -> None:
    queue = new_queue(floor=10)
    assert not offer(queue, 30, 20, "b")
    assert (queue.behind, queue.queued_events, queue.uncounted, queue.tip) == (True, 1, False, 10)
    assert offer(queue, 20, 5, "a"), "the record before the floor need not be the floor itself"
    assert queue.queued_events == 2
    assert offer(queue, 30, 20, "b")
    assert (queue.behind, queue.queued_events) == (False, 2)
    assert not offer(queue, 30, 20, "b"), "a record that is held already is ignored"


def test_what_is_not_for_the_remote_site_is_acknowledged_in_its_turn_without_being_sent() -> None:
    queue = new_queue()
    assert not offer(queue, 1, 0, "x", origin=THERE)
    assert queue.floor == 1
    assert not queue.offer(Seq(2), Seq(1), Record(2, (), "m2"), 0)
    assert queue.floor == 2
    offer(queue, 3, 2, "a")
    offer(queue, 4, 3, "y", origin=THERE)
    assert queue.floor == 2
    flight, parts = take(queue)
    assert sent_keys(parts) == ["a"]
    offer(queue, 5, 4, "z", origin=THERE)
    assert queue.floor == 2
    queue.on_ack(flight)
    assert (queue.floor, queue.counters.skipped) == (5, 3)


def test_what_this_site_takes_away_by_itself_is_not_sent_and_counts_for_nothing() -> None:
    queue = new_queue()
    offer(queue, 1, 0, "a")
    removals = (Removal(EXPIRED, ["a"]), Removal(CLEARED))
    assert not queue.offer(Seq(2), Seq(1), Record(1, (), "", removals), 0)
    assert (queue.floor, queue.queued_events, queue.counters.received) == (0, 1, 1)
    flight, parts = take(queue)
    assert sent_keys(parts) == ["a"]
    queue.on_ack(flight)
    assert (queue.floor, queue.counters.received, queue.counters.skipped) == (2, 1, 0)


def test_only_the_parts_for_the_remote_site_are_held() -> None:
    queue = new_queue()
    parts = (part_of("a", origin=ELSEWHERE), part_of("b", origin=THERE), part_of("c"))
    queue.offer(Seq(1), NO_SEQ, record_of(*parts), 0)
    assert sent_keys(take(queue)[1]) == ["a", "c"]


def test_a_batch_holds_whole_records_up_to_its_limits_and_always_one() -> None:
    queue = new_queue()
    offer(queue, 1, 0, "a", "b", "c")
    offer(queue, 2, 1, "d")
    offer(queue, 3, 2, "e")
    assert sent_keys(take(queue, events_max=2)[1]) == ["a", "b", "c"]
    assert sent_keys(take(queue, bytes_max=1)[1]) == ["d"]
    assert queue.take([(0, part_of("full"))], 0, 1 << 20, ()) is None
    assert sent_keys(take(queue)[1]) == ["e"]


def test_after_a_rewind_everything_unacknowledged_leaves_again_and_old_acknowledgements_are_stale() -> None:
    queue = new_queue()
    offer(queue, 1, 0, "a")
    first, _ = take(queue)
    offer(queue, 2, 1, "b")
    second, _ = take(queue)
    offer(queue, 3, 2, "c")
    queue.on_ack(second)
    queue.rewind()
    queue.on_ack(first)
    assert queue.floor == 0
    assert queue.counters.repeated == 2
    again, parts = take(queue)
    assert sent_keys(parts) == ["a", "b", "c"]
    queue.on_ack(again)
    assert queue.floor == 3


def test_somebody_else_may_count_what_there_is_no_room_for() -> None:
    queue = new_queue(Memory(0), floor=10)
    queue.memory.used_bytes = 1  # another queue's
    queue.learn_last(Seq(30))
    assert queue.uncounted
    queue.recount(Seq(10), Seq(30), 5)
    assert (queue.queued_events, queue.uncounted) == (5, False)
    assert not offer(queue, 40, 30, "k")
    queue.memory.used_bytes = 0
    assert offer(queue, 20, 10, "a", "b", "c")
    assert (queue.queued_events, queue.overflowed_events) == (6, 3)


def test_a_count_goes_with_what_was_missed_meanwhile_but_not_with_a_window_that_moved() -> None:
    queue = new_queue(Memory(0), floor=10)
    queue.memory.used_bytes = 1
    queue.learn_last(Seq(30))
    offer(queue, 40, 30, "k")
    queue.recount(Seq(10), Seq(30), 5)
    assert queue.queued_events == 6
    queue.recount(Seq(10), Seq(40), 99)
    assert queue.queued_events == 6, "that is known already"
    moved = new_queue(floor=10)
    moved.learn_last(Seq(30))
    offer(moved, 30, 10, "k")
    moved.recount(Seq(10), Seq(30), 1)
    assert moved.queued_events == 1


def test_a_record_that_will_be_read_later_is_noted_and_counted_once() -> None:
    queue = new_queue()
    queue.note(Seq(2), NO_SEQ, record_of(part_of("a", "b")))
    queue.note(Seq(2), NO_SEQ, record_of(part_of("a", "b")))
    queue.note(Seq(5), Seq(2), Record(1, (), "control"))
    assert (queue.queued_events, queue.uncounted, queue.tip) == (2, False, 0)
    offer(queue, 2, 0, "a", "b")
    assert queue.queued_events == 2
    queue.offer(Seq(5), Seq(2), Record(1, (), "control"), 0)
    assert not queue.behind
    queue.note(Seq(5), Seq(2), Record(1, (), "control"))
    assert not queue.behind


def test_a_record_without_events_that_there_is_no_room_for_leaves_nothing_uncounted() -> None:
    queue = new_queue(Memory(0))
    queue.memory.used_bytes = 1
    queue.offer(Seq(1), NO_SEQ, Record(1, (), "control"), 0)
    assert (queue.behind, queue.uncounted) == (True, False)
    queue.offer(Seq(9), Seq(7), Record(1, (), "control"), 0)
    assert queue.uncounted, "something lies between"


def test_events_below_a_sequence_are_taken_and_what_is_not_for_the_remote_site_with_them() -> None:
    queue = new_queue()
    offer(queue, 1, 0, "x", "y")
    offer(queue, 4, 1, "z", origin=THERE)
    offer(queue, 6, 4, "k")
    items: list[tuple[int, Part]] = []
    flight = queue.take(items, 100, 1 << 20, (THERE,), Seq(3))
    assert flight is not None
    assert [held.seq for held in flight.held] == [1, 4]
    assert queue.next_seq == 6


def test_what_the_log_holds_is_uncounted_until_it_is_read() -> None:
    queue = new_queue()
    queue.learn_last(Seq(2))
    assert (queue.queued_events, queue.uncounted) == (0, True)
    assert offer(queue, 1, 0, "a")
    assert offer(queue, 2, 1, "b")
    assert (queue.queued_events, queue.uncounted) == (2, False)


def test_memory_bounds_the_window_and_a_large_record_still_fits_alone() -> None:
    memory = Memory(HELD_BYTES)
    queue = new_queue(memory)
    assert offer(queue, 1, 0, "a")
    assert not offer(queue, 2, 1, "b")
    assert (queue.behind, queue.readable, queue.queued_events) == (True, False, 2)
    queue.on_ack(take(queue)[0])
    assert queue.readable
    assert offer(queue, 2, 1, "b")
    assert (queue.behind, queue.queued_events) == (False, 1)


def test_a_restricted_queue_holds_one_record_until_it_is_free_again() -> None:
    queue = new_queue()
    for seq in (1, 2, 3):
        offer(queue, seq, seq - 1, str(seq))
    take(queue, events_max=1)
    queue.restrict(Probe())
    assert (queue.tip, queue.queued_events, queue.readable) == (1, 3, False)
    assert not offer(queue, 4, 3, "4")
    flight, parts = take(queue)
    assert sent_keys(parts) == ["1"]
    queue.on_ack(flight)
    queue.unrestrict()
    assert (queue.floor, queue.queued_events, queue.readable) == (1, 3, True)
    for seq in (2, 3, 4):
        assert offer(queue, seq, seq - 1, str(seq))
    assert (queue.queued_events, queue.behind) == (3, False)


def test_of_the_queues_of_a_refused_region_one_holds_one_record_and_none_takes_memory() -> None:
    memory, probe = Memory(1 << 20), Probe()
    queues = [new_queue(memory) for _ in range(3)]
    for queue in queues[:2]:
        offer(queue, 1, 0, "a")
        offer(queue, 2, 1, "b")
    for queue in queues:
        queue.restrict(probe)
    assert (memory.used_bytes, [queue.held_events for queue in queues]) == (0, [1, 0, 0])
    assert not offer(queues[2], 1, 0, "a")
    assert not any(queue.readable for queue in queues)
    assert [queue.queued_events for queue in queues] == [2, 2, 1]
    queues[0].close()
    assert [queue.readable for queue in queues] == [False, True, True], "another may be tried with"
    assert offer(queues[1], 1, 0, "a")
    assert not offer(queues[2], 1, 0, "a")
    for queue in queues:
        queue.unrestrict()
    assert (memory.used_bytes, probe.holder) == (queues[1].held_bytes, None)


def test_a_closed_queue_frees_its_memory_and_keeps_its_floor() -> None:
    memory = Memory(1 << 20)
    queue = new_queue(memory)
    offer(queue, 1, 0, "a")
    flight, _ = take(queue)
    offer(queue, 2, 1, "b")
    queue.close()
    queue.on_ack(flight)
    assert (memory.used_bytes, queue.floor, queue.queued_events) == (0, 0, 0)


class Refusing(GatewayEventFilter):
    """Refuses keys that begin with an x."""

    def before_enqueue(self, event: GatewayEvent) -> bool:
        return not str(event.key).startswith("x")


def filtering_queue() -> BucketQueue:
    queue = new_queue(Memory(1 << 40))
    queue.filters = EventFilters([("m:f", Refusing())], None, lambda *_: None)
    return queue


def books(queue: BucketQueue) -> tuple[int, int, int, int]:
    """Events received, queued, filtered and acknowledged; checked against those that are queued now."""
    counters = queue.counters
    gone = counters.skipped + counters.acked + counters.filtered + counters.conflated
    assert counters.received == gone + queue.held_events
    return counters.received, counters.queued, counters.filtered, counters.acked


def test_what_filters_refuse_is_counted_and_never_sent() -> None:
    queue = filtering_queue()
    assert offer(queue, 1, 0, "a", "x1")
    assert not offer(queue, 2, 1, "x2", "x3")
    assert books(queue) == (4, 1, 3, 0)
    assert queue.held_bytes == 2 * HELD_BYTES + part_of("a").size
    flight, parts = take(queue)
    assert sent_keys(parts) == ["a"]
    queue.on_ack(flight)
    assert (queue.floor, queue.held_bytes, books(queue)) == (2, 0, (4, 1, 3, 1))


def test_a_record_of_which_nothing_is_left_passes_by_itself() -> None:
    queue = filtering_queue()
    assert not offer(queue, 1, 0, "x")
    assert (queue.floor, queue.queued_events, books(queue)) == (1, 0, (1, 0, 1, 0))


def test_what_is_kept_back_when_a_batch_is_made_counts_as_filtered_once_its_turn_is_over() -> None:
    queue = new_queue(Memory(1 << 40))
    offer(queue, 1, 0, "a", "b")
    flight, _ = take(queue)
    flight.withheld = 1
    queue.rewind()
    assert books(queue) == (2, 2, 0, 0)
    flight, _ = take(queue)
    flight.withheld = 1
    queue.on_ack(flight)
    assert books(queue) == (2, 2, 1, 1)


def test_records_that_are_let_go_of_are_counted_when_they_come_again() -> None:
    queue = filtering_queue()
    offer(queue, 1, 0, "a", "x")
    offer(queue, 2, 1, "b", "x")
    queue.restrict(Probe())
    assert books(queue) == (2, 1, 1, 0)
    queue.close()
    assert books(queue) == (0, 0, 0, 0)


def test_what_may_have_been_sent_before_says_so() -> None:
    queue = new_queue()
    queue.maybe_sent = Seq(1)
    offer(queue, 1, 0, "a")
    offer(queue, 2, 1, "b")
    assert [take(queue, 1)[0].repeated for _ in range(2)] == [True, False]
    queue.rewind()
    offer(queue, 3, 2, "c")
    assert [take(queue, 1)[0].repeated for _ in range(3)] == [True, True, False]


def test_records_that_the_log_no_longer_holds_are_passed_and_counted() -> None:
    queue = new_queue()
    queue.skip_lost(Seq(20))
    assert offer(queue, 30, 20, "b")
    assert queue.counters.lost_runs == 1


class QueueMachine(RuleBasedStateMachine):
    """The log is a list; live records may be missed, the rest is read from the list when the queue is readable."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(8 * (HELD_BYTES + 64))
        self.queue = new_queue(self.memory)
        self.probe = Probe()
        self.log: list[tuple[int, int, Record]] = []
        self.flights: list[tuple[Flight, list[int]]] = []
        self.arrived: list[int] = []
        self.acknowledged: set[int] = set()
        self.largest = 0

    def offer(self, entry: tuple[int, int, Record]) -> None:
        self.queue.offer(Seq(entry[0]), Seq(entry[1]), entry[2], 0)

    @rule(
        gap=st.integers(1, 3),
        origins=st.lists(st.sampled_from([HERE, THERE, ELSEWHERE]), max_size=2),
        live=st.booleans(),
    )
    def append(self, gap: int, origins: list[int], live: bool) -> None:
        previous = self.log[-1][0] if self.log else 0
        seq = previous + gap
        self.log.append((seq, previous, record_of(*(part_of(str(seq), origin=origin) for origin in origins))))
        if live:
            self.offer(self.log[-1])
        else:
            self.queue.learn_last(Seq(seq))

    @rule(position=st.integers(0, 30))
    def offer_again(self, position: int) -> None:
        if position < len(self.log):
            self.offer(self.log[position])

    @rule(count=st.integers(1, 5))
    def read(self, count: int) -> None:
        if self.queue.readable:
            for entry in [entry for entry in self.log if entry[0] > self.queue.tip][:count]:
                self.offer(entry)

    @rule(events_max=st.sampled_from([1, 1, 2, 4]))
    def send(self, events_max: int) -> None:
        if self.queue.unsent_events:
            flight, parts = take(self.queue, events_max)
            seqs = [part.birth_seq for part in parts]
            assert seqs == sorted(seqs), "order within the bucket"
            assert all(seq > self.queue.floor for seq in seqs)
            self.flights.append((flight, seqs))
            self.arrived += seqs

    @rule(pick=st.integers(0, 99))
    def acknowledge(self, pick: int) -> None:
        if self.flights:
            flight, seqs = self.flights.pop(pick % len(self.flights))
            self.acknowledged.update(seqs)
            self.queue.on_ack(flight)

    @rule()
    def lose(self) -> None:
        self.queue.rewind()

    @rule(elsewhere=st.booleans())
    def refuse(self, elsewhere: bool) -> None:
        """The region is refused; `elsewhere`: it is tried with a record of another queue, unless this one has one."""
        if elsewhere and self.probe.holder is None:
            self.probe.holder = new_queue()
        self.queue.restrict(self.probe)

    @rule()
    def recover(self) -> None:
        self.queue.unrestrict()
        self.probe.holder = None

    def passes(self, seq: int) -> bool:
        """Say whether filters let a record pass."""
        return True

    def shippable(self, seq: int) -> bool:
        return self.passes(seq) and any(
            part.origin != THERE for s, _, record in self.log if s == seq for part in record.parts
        )

    @invariant()
    def the_books_balance(self) -> None:
        books(self.queue)

    @invariant()
    def nothing_is_skipped(self) -> None:
        for seq, _, _ in self.log:
            if seq <= self.queue.floor and self.shippable(seq):
                assert seq in self.acknowledged

    @invariant()
    def memory_is_bounded_and_counted(self) -> None:
        held = [*self.queue._unsent, *(held for flight in self.queue._flights for held in flight.held)]
        assert self.queue.held_bytes == sum(each.size for each in held)
        assert self.memory.used_bytes == (0 if self.queue.restricted else self.queue.held_bytes)
        assert not self.queue.restricted or len(held) <= 1
        assert self.queue.held_events == sum(each.count for each in held)
        assert self.queue.unsent_events == sum(each.count for each in self.queue._unsent)
        largest = max((each.size for each in held), default=0)
        assert self.memory.used_bytes <= max(self.memory.limit_bytes, largest)

    @invariant()
    def an_empty_queue_has_delivered_everything(self) -> None:
        if not self.queue.queued_events and not self.queue.uncounted:
            missing = {seq for seq, _, _ in self.log if self.shippable(seq)} - self.acknowledged
            assert not missing

    def teardown(self) -> None:
        """Once all is well again everything arrives, in order."""
        self.queue.unrestrict()
        self.queue.rewind()
        self.arrived.clear()
        floor = self.queue.floor
        for _ in range(3 * len(self.log) + 3):
            while self.queue.unsent_events:
                flight, parts = take(self.queue)
                self.arrived += [part.birth_seq for part in parts]
                self.queue.on_ack(flight)
            for entry in [entry for entry in self.log if entry[0] > self.queue.tip]:
                self.offer(entry)
        expected = [
            seq
            for seq, _, record in self.log
            if seq > floor and self.passes(seq)
            for part in record.parts
            if part.origin != THERE
        ]
        assert self.arrived == expected
        assert self.queue.floor == (self.log[-1][0] if self.log else 0)
        assert (self.queue.queued_events, self.queue.uncounted) == (0, False)


class RefusingSome(GatewayEventFilter):
    """Refuses every third record."""

    def before_enqueue(self, event: GatewayEvent) -> bool:
        return int(str(event.key)) % 3 != 0


class FilteringQueueMachine(QueueMachine):
    """The same with a filter, which is asked again about what is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.queue.filters = EventFilters([("m:f", RefusingSome())], None, lambda *_: None)

    def passes(self, seq: int) -> bool:
        return seq % 3 != 0


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestFilteringQueueMachine = FilteringQueueMachine.TestCase
TestFilteringQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_an_acknowledgement_can_not_come_twice() -> None:
    queue = new_queue()
    offer(queue, 1, 0, "a")
    first, _ = take(queue)
    offer(queue, 2, 1, "b")
    second, _ = take(queue)
    queue.on_ack(second)
    with pytest.raises(Exception, match="acknowledged twice"):
        queue.on_ack(second)
    queue.on_ack(first)
    assert queue.floor == 2
