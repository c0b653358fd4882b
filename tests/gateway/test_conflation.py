"""Conflation in a queue: by example, and against a remote site that takes what is newest."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heliograph.gateway.conflation import ConflationIndex, newest_only, updates_of, without
from heliograph.gateway.filters import EventFilters
from heliograph.gateway.held import HELD_BYTES
from heliograph.gateway.memory import Memory
from heliograph.gateway.plugins import GatewayEvent, GatewayEventFilter
from heliograph.gateway.queue import BucketQueue, Flight, Probe, QueueCounters
from heliograph.model.batch import CREATE, DESTROY, UPDATE, Columns, Part, Record, decode_columns, encode_columns
from heliograph.model.ids import Seq
from heliograph.model.keys import Key, encode_value
from tests.gateway.builders import HERE, THERE

Event = tuple[int, str]
"""Operation and key."""
EVENTS = st.lists(st.tuples(st.sampled_from([CREATE, UPDATE, UPDATE, DESTROY]), st.sampled_from("abcd")), max_size=4)


def part_of(events: Iterable[Event], value: object, origin: int = HERE) -> Part:
    """Return a part whose values are `value` and whose stamps rise with it."""
    ops, keys = zip(*events, strict=True)
    values = [b"" if op == DESTROY else encode_value(value) for op in ops]
    return Part(origin, (), 0, 0, len(keys), encode_columns(Columns(bytes(ops), list(keys), values, [1] * len(keys))))


def new_queue(memory: Memory | None = None) -> BucketQueue:
    return BucketQueue("r", 3, THERE, Seq(0), memory or Memory(1 << 40), QueueCounters(), ConflationIndex())


class Writer:
    """Offers records to a queue, the first with sequence 1."""

    def __init__(self, queue: BucketQueue) -> None:
        self.queue = queue
        self.seq = 0

    def write(self, *events: Event) -> None:
        self.seq += 1
        record = Record(1, (part_of(events, self.seq),) if events else ())
        self.queue.offer(Seq(self.seq), Seq(self.seq - 1), record, 0)


def take(queue: BucketQueue, events_max: int = 1_000) -> tuple[Flight, list[tuple[int, int, Key]]]:
    """Return a flight with its events: sequence, operation and key."""
    items: list[tuple[int, Part]] = []
    flight = queue.take(items, events_max, 1 << 20, (THERE,))
    assert flight is not None
    return flight, [(part.birth_seq, op, key) for _, part in items for op, key in events_of(part)]


def events_of(part: Part) -> list[tuple[int, Key]]:
    columns = decode_columns(part.columns)
    assert part.count == len(columns.keys)
    return list(zip(columns.ops, columns.keys, strict=True))


def test_only_the_newest_of_several_updates_leaves_and_takes_the_last_place() -> None:
    queue = new_queue()
    writer = Writer(queue)
    for key in "aba":
        writer.write((UPDATE, key))
    assert (queue.queued_events, queue.counters.queued, queue.counters.conflated) == (2, 3, 1)
    flight, sent = take(queue)
    assert sent == [(2, UPDATE, "b"), (3, UPDATE, "a")]
    queue.on_ack(flight)
    assert (queue.floor, queue.queued_events, queue.counters.acked, queue.held_bytes) == (3, 0, 2, 0)


def test_creates_and_destroys_always_leave() -> None:
    queue = new_queue()
    writer = Writer(queue)
    for op in (CREATE, UPDATE, UPDATE, UPDATE, UPDATE, DESTROY):
        writer.write((op, "k"))
    assert take(queue)[1] == [(1, CREATE, "k"), (5, UPDATE, "k"), (6, DESTROY, "k")]


def test_update_destroy_update_becomes_destroy_update() -> None:
    queue = new_queue()
    writer = Writer(queue)
    for op in (UPDATE, DESTROY, UPDATE):
        writer.write((op, "k"))
    assert take(queue)[1] == [(2, DESTROY, "k"), (3, UPDATE, "k")]


def test_what_is_on_its_way_is_left_alone_also_when_it_has_to_go_again() -> None:
    queue = new_queue()
    writer = Writer(queue)
    writer.write((UPDATE, "k"))
    _, sent = take(queue)
    writer.write((UPDATE, "k"))
    assert (queue.queued_events, queue.counters.conflated) == (2, 0)
    queue.rewind()
    assert take(queue)[1] == [*sent, (2, UPDATE, "k")]


def test_an_update_that_came_back_unsent_is_superseded_like_any_other() -> None:
    queue = new_queue()
    writer = Writer(queue)
    writer.write((UPDATE, "k"))
    take(queue)
    queue.rewind()
    writer.write((UPDATE, "k"))
    assert take(queue)[1] == [(2, UPDATE, "k")]


def test_events_are_taken_out_of_a_record_of_many() -> None:
    queue = new_queue()
    writer = Writer(queue)
    writer.write((UPDATE, "a"), (CREATE, "b"), (UPDATE, "c"), (UPDATE, "d"))
    writer.write((UPDATE, "a"), (UPDATE, "d"))
    flight, sent = take(queue)
    assert sent == [(1, CREATE, "b"), (1, UPDATE, "c"), (2, UPDATE, "a"), (2, UPDATE, "d")]
    assert flight.size == sum(held.size for held in flight.held)
    queue.on_ack(flight)
    assert queue.held_bytes == 0


def test_within_one_record_only_the_last_update_of_a_key_is_held() -> None:
    queue = new_queue()
    Writer(queue).write((UPDATE, "a"), (UPDATE, "b"), (UPDATE, "a"))
    assert (queue.queued_events, queue.counters.queued, queue.counters.conflated) == (2, 3, 1)
    assert take(queue)[1] == [(1, UPDATE, "b"), (1, UPDATE, "a")]


def test_the_index_holds_a_key_until_its_update_is_acknowledged() -> None:
    queue = new_queue()
    writer = Writer(queue)
    writer.write((CREATE, "k"))
    for _ in range(99):
        writer.write((UPDATE, "k"))
    assert queue.conflation is not None
    assert (queue.queued_events, len(queue.conflation)) == (2, 1)
    flight, _ = take(queue)
    assert len(queue.conflation) == 1
    queue.on_ack(flight)
    assert (queue.queued_events, len(queue.conflation)) == (0, 0)


def test_a_full_memory_takes_updates_of_what_it_holds_for_ever() -> None:
    memory = Memory(100 * (HELD_BYTES + 300))
    queue = new_queue(memory)
    writer = Writer(queue)
    while not queue.behind:
        writer.write((UPDATE, f"k{writer.seq:06}"))
    held = writer.seq - 1
    queue = new_queue(memory := Memory(memory.limit_bytes))
    writer = Writer(queue)
    for number in range(20 * held):
        writer.write((UPDATE, f"k{number % held:06}"))
        assert memory.used_bytes <= memory.limit_bytes * 1.1
    assert (queue.behind, queue.queued_events) == (False, held)
    assert len(queue._unsent) <= 2 * held


def test_an_update_that_filters_could_not_decide_on_yet_displaces_none_and_stays() -> None:
    class Failing(GatewayEventFilter):
        def before_enqueue(self, event: GatewayEvent) -> bool:
            if event.value == 2:
                raise RuntimeError("not now")
            return True

    queue = new_queue()
    queue.filters = EventFilters([("failing", Failing())], None, lambda *_: None)
    writer = Writer(queue)
    for _ in range(3):
        writer.write((UPDATE, "k"))
    assert take(queue)[1] == [(2, UPDATE, "k"), (3, UPDATE, "k")]


def test_creates_of_different_keys_are_not_conflated() -> None:
    queue = new_queue()
    writer = Writer(queue)
    for number in range(50):
        writer.write((CREATE, f"k{number}"))
    assert (queue.queued_events, queue.counters.conflated) == (50, 0)


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ([(UPDATE, "a"), (UPDATE, "b")], [(UPDATE, "b")]),
        ([(CREATE, "a"), (UPDATE, "a"), (DESTROY, "a")], [(CREATE, "a"), (DESTROY, "a")]),
        ([(UPDATE, "a")], None),
    ],
)
def test_a_part_without_the_updates_of_some_keys(events: list[Event], left: list[Event] | None) -> None:
    parts = without([part_of(events, 1)], {"a"})
    assert [events_of(part) for part in parts] == ([] if left is None else [left])


def test_a_part_from_which_nothing_is_taken_is_not_encoded_anew() -> None:
    part = part_of([(UPDATE, "a"), (CREATE, "b")], 1)
    assert without([part], {"b"})[0] is part
    assert newest_only([part])[0] is part


def test_of_several_parts_the_last_has_the_newest_update() -> None:
    parts = [part_of([(UPDATE, "a"), (UPDATE, "b")], 1), part_of([(DESTROY, "b"), (UPDATE, "a")], 2, origin=3)]
    assert updates_of(parts) == ["a", "b", "a"]
    assert [(part.origin, events_of(part)) for part in newest_only(parts)] == [
        (HERE, [(UPDATE, "b")]),
        (3, [(DESTROY, "b"), (UPDATE, "a")]),
    ]


class ConflatingMachine(RuleBasedStateMachine):
    """A log, its queue, and a remote site that keeps the newest event of every key."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(6 * (HELD_BYTES + 400))
        self.queue = new_queue(self.memory)
        self.probe = Probe()
        self.log: list[tuple[int, int, Record]] = []
        self.flights: list[tuple[Flight, list[tuple[int, int, Key]]]] = []
        self.remote: dict[Key, tuple[int, int]] = {}
        self.arrived: set[tuple[int, int, Key]] = set()

    def offer(self, entry: tuple[int, int, Record]) -> None:
        self.queue.offer(Seq(entry[0]), Seq(entry[1]), entry[2], 0)

    def send(self, events_max: int) -> None:
        flight, sent = take(self.queue, events_max)
        assert [seq for seq, _, _ in sent] == sorted(seq for seq, _, _ in sent)
        self.flights.append((flight, sent))

    def arrive(self, position: int) -> None:
        flight, sent = self.flights.pop(position)
        for seq, op, key in sent:
            if seq >= self.remote.get(key, (0, 0))[0]:
                self.remote[key] = (seq, op)
        self.arrived.update(sent)
        self.queue.on_ack(flight)

    @rule(parts=st.lists(EVENTS.filter(bool), max_size=2), live=st.booleans())
    def append(self, parts: list[list[Event]], live: bool) -> None:
        seq = len(self.log) + 1
        self.log.append((seq, seq - 1, Record(1, tuple(part_of(events, seq) for events in parts))))
        if live:
            self.offer(self.log[-1])
        else:
            self.queue.learn_last(Seq(seq))

    @rule()
    def read(self) -> None:
        if self.queue.readable:
            for entry in self.log[self.queue.tip :]:
                self.offer(entry)

    @rule(events_max=st.integers(1, 4))
    def ship(self, events_max: int) -> None:
        if self.queue.unsent_events:
            self.send(events_max)

    @rule(pick=st.integers(0, 99))
    def acknowledge(self, pick: int) -> None:
        if self.flights:
            self.arrive(pick % len(self.flights))

    @rule()
    def lose(self) -> None:
        self.queue.rewind()

    @rule()
    def refuse(self) -> None:
        self.queue.restrict(self.probe)

    @rule()
    def recover(self) -> None:
        self.queue.unrestrict()

    def expected(self, through: int) -> dict[Key, tuple[int, int]]:
        newest: dict[Key, tuple[int, int]] = {}
        for seq, _, record in self.log[:through]:
            for op, key in (event for part in record.parts for event in events_of(part)):
                newest[key] = (seq, op)
        return newest

    @invariant()
    def the_ledger_balances(self) -> None:
        counters = self.queue.counters
        assert counters.queued == counters.acked + counters.conflated + self.queue.held_events
        assert min(counters.queued, counters.conflated, self.queue.held_events) >= 0

    @invariant()
    def memory_is_counted(self) -> None:
        held = [*self.queue._unsent, *(held for flight in self.queue._flights for held in flight.held)]
        assert self.queue.held_bytes == sum(each.size for each in held)
        assert self.memory.used_bytes == (0 if self.queue.restricted else self.queue.held_bytes)
        assert self.queue.held_events == sum(each.count for each in held)
        assert self.queue.unsent_events == sum(each.count for each in self.queue._unsent)

    @invariant()
    def only_updates_that_a_later_one_follows_are_missing_below_the_floor(self) -> None:
        for seq, _, record in self.log[: self.queue.floor]:
            for op, key in (event for part in record.parts for event in events_of(part)):
                if (seq, op, key) not in self.arrived:
                    assert op == UPDATE
                    assert any(
                        (UPDATE, key) in events_of(part) for _, _, later in self.log[seq:] for part in later.parts
                    )

    def teardown(self) -> None:
        """Once all is well the remote site has what the log says, and everything is forgotten."""
        self.queue.unrestrict()
        self.queue.rewind()
        self.flights.clear()
        while self.queue.floor < len(self.log):
            for entry in self.log[self.queue.tip :]:
                self.offer(entry)
            while self.queue.unsent_events:
                self.send(3)
                self.arrive(0)
        expected = self.expected(len(self.log))
        assert {key: newest for key, newest in self.remote.items() if key in expected} == expected
        assert self.queue.conflation is not None
        assert (self.queue.queued_events, self.queue.held_bytes, len(self.queue.conflation)) == (0, 0, 0)


TestConflatingMachine = ConflatingMachine.TestCase
TestConflatingMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
