"""A lane that keeps the order of the log, alone, and with the receiver's end of it over links that are lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from heliograph.gateway.in_order import InOrder
from heliograph.gateway.lanes import REFUSED_FIRST_MS, WINDOW_BYTES, Outgoing, Route
from heliograph.gateway.memory import Memory
from heliograph.gateway.ordered_lane import OrderedLane
from heliograph.gateway.queue import BucketQueue, Flight, QueueCounters
from heliograph.gateway.verdict import parts_in_order
from heliograph.link.messages import IN_ORDER, IN_ORDER_ANEW
from heliograph.model.batch import Part
from heliograph.model.ids import Seq
from heliograph.model.routing import Routing
from tests.gateway.builders import ELSEWHERE, HERE, THERE, keys_of, part_of, record_of

BUCKETS = 4


class Bench:
    """A lane with the queues of one log, fed in the log's order; a record's key is its sequence."""

    def __init__(self, batch_size: int = 100, interval_ms: int = 0, memory: int = 1 << 30) -> None:
        self.lane = OrderedLane(batch_size, interval_ms, lambda _: Route(BUCKETS, (THERE,)))
        self.memory = Memory(memory)
        self.counters = QueueCounters()
        self.queues: dict[tuple[str, int], BucketQueue] = {}
        self.log: list[tuple[str, int, bool, int]] = []
        self.lasts: dict[tuple[str, int], int] = {}
        self.fed = 0
        self.now_ms = 0

    def add(self, region: str = "r", bucket: int = 0) -> BucketQueue:
        queue = BucketQueue(region, bucket, THERE, Seq(0), self.memory, self.counters)
        self.queues[region, bucket] = queue
        self.lane.add(queue)
        return queue

    def append(self, region: str = "r", bucket: int = 0, *, away: bool = True, feed: bool = True) -> None:
        """Append a record to the log: an event for the remote site, or one that is not."""
        self.log.append((region, bucket, away, self.lasts.get((region, bucket), 0)))
        self.lasts[region, bucket] = len(self.log)
        if feed:
            self.feed()

    def feed(self) -> None:
        """Offer what the log has next, as far as there is memory for it."""
        while self.fed < len(self.log):
            region, bucket, away, previous = self.log[self.fed]
            seq = self.fed + 1
            queue = self.queues[region, bucket]
            part = part_of(str(seq), origin=HERE if away else THERE)
            queue.offer(Seq(seq), Seq(previous), record_of(part), self.now_ms)
            if queue.tip < seq:
                return
            self.lane.on_offered(queue)
            self.fed = seq

    def next(self) -> Outgoing | None:
        return self.lane.next_batch(self.now_ms)

    def keys(self) -> str:
        """The keys of the next batch; empty without one."""
        outgoing = self.next()
        return " ".join(str(key) for _, part in outgoing.batch.items for key in keys_of(part)) if outgoing else ""


def bench(*records: tuple[str, int], batch_size: int = 100, interval_ms: int = 0) -> Bench:
    made = Bench(batch_size, interval_ms)
    for region, bucket in sorted(set(records)):
        made.add(region, bucket)
    for region, bucket in records:
        made.append(region, bucket)
    return made


def test_records_of_all_buckets_leave_in_the_order_of_the_log() -> None:
    made = bench(("r", 0), ("r", 3), ("r", 0), ("r", 0), ("r", 1), ("r", 3))
    outgoing = made.next()
    assert outgoing is not None
    assert outgoing.batch.ordered == IN_ORDER_ANEW
    assert [(bucket, *keys_of(part)) for bucket, part in outgoing.batch.items] == [
        (0, "1"), (3, "2"), (0, "3"), (0, "4"), (1, "5"), (3, "6"),
    ]  # fmt: skip
    made.append("r", 1)
    second = made.next()
    assert second is not None
    assert second.batch.ordered == IN_ORDER


def test_a_batch_ends_where_the_log_goes_on_with_another_region() -> None:
    made = bench(("r", 0), ("r", 1), ("s", 0), ("r", 0), ("r", 1))
    assert [made.keys() for _ in range(4)] == ["1 2", "3", "4 5", ""]


def test_batch_size_closes_a_batch() -> None:
    made = bench(*[("r", number % 2) for number in range(5)], batch_size=2)
    assert [made.keys() for _ in range(4)] == ["1 2", "3 4", "5", ""]


def test_an_interval_lets_a_batch_wait() -> None:
    made = bench(("r", 0), ("s", 1), batch_size=3, interval_ms=100)
    assert made.keys() == ""
    assert made.lane.wake_ms() == 100
    made.append("r", 0)
    assert made.keys() == "1", "there are three events, but of several regions"
    made.now_ms = 100
    assert [made.keys() for _ in range(2)] == ["2", "3"]
    assert made.lane.wake_ms() is None


def test_the_window_holds_batches_back() -> None:
    made = Bench()
    queue = made.add()
    for seq in (1, 2, 3):
        large = Part(HERE, (), 0, 0, 1, b"x" * (WINDOW_BYTES // 2))
        queue.offer(Seq(seq), Seq(seq - 1), record_of(large), 0)
        made.lane.on_offered(queue)
    first = made.next()
    assert first is not None
    assert made.next() is not None
    assert made.next() is None
    made.lane.on_ack(first.batch_id)
    assert made.next() is not None


def test_what_is_not_for_the_remote_site_holds_up_nothing() -> None:
    made = bench(("r", 0), ("r", 1))
    made.append("r", 0, away=False)
    made.append("r", 0)
    outgoing = made.next()
    assert outgoing is not None
    assert [keys_of(part) for _, part in outgoing.batch.items] == [["1"], ["2"], ["4"]]
    made.lane.on_ack(outgoing.batch_id)
    assert [queue.floor for queue in made.queues.values()] == [4, 2]


def test_after_a_lost_link_all_begins_anew_in_order() -> None:
    made = bench(("r", 0), ("r", 1), ("r", 0), batch_size=1)
    first = made.next()
    assert first is not None
    assert made.keys() == "2"
    made.lane.on_ack(first.batch_id)
    assert made.lane.on_link_lost() == 1
    again = made.next()
    assert again is not None
    assert again.batch.ordered == IN_ORDER_ANEW
    assert [keys_of(part) for _, part in again.batch.items] == [["2"]]
    assert made.keys() == "3"


def test_after_a_refusal_the_lane_waits_then_probes_from_there() -> None:
    made = bench(("r", 0), ("s", 0), ("r", 1))
    first, second = made.next(), made.next()
    assert first is not None
    assert second is not None
    assert made.lane.on_refused(first.batch_id, "no such region", 0, 0.0) == "r"
    assert made.lane.on_refused(second.batch_id, "overtaking", 0, 0.0) == "", "it is forgotten"
    assert made.lane.error == "no such region"
    assert made.next() is None, "not even of the other region"
    assert made.lane.wake_ms() == REFUSED_FIRST_MS
    made.now_ms = REFUSED_FIRST_MS
    probe = made.next()
    assert probe is not None
    assert probe.batch.ordered == IN_ORDER_ANEW
    assert made.next() is None, "one batch at a time"
    assert made.lane.wake_ms() is None
    assert made.lane.on_refused(probe.batch_id, "no such region", made.now_ms, 0.0) == ""
    made.now_ms *= 10
    probe = made.next()
    assert probe is not None
    assert not made.lane.on_ack(probe.batch_id)
    assert made.lane.error == ""
    assert [made.keys() for _ in range(3)] == ["2", "3", ""]


def test_a_removed_queue_sends_nothing_and_its_acknowledgements_are_ignored() -> None:
    made = bench(("r", 0), ("r", 1), ("r", 0), batch_size=1)
    first = made.next()
    assert first is not None
    removed = made.queues["r", 0]
    made.lane.remove(removed)
    removed.close()
    assert [made.keys() for _ in range(2)] == ["2", ""]
    made.lane.on_ack(first.batch_id)
    assert removed.floor == 0
    made.lane.remove(made.queues["r", 1])
    assert made.lane.idle
    assert made.next() is None


@dataclass
class Wire:
    """One link and its receiver's end: batches on their way there, answers on their way back."""

    batches: deque[Outgoing] = field(default_factory=deque)
    answers: deque[tuple[int, bool]] = field(default_factory=deque)
    order: InOrder[tuple[int, str, int, tuple[Part, ...]]] = field(default_factory=InOrder)
    left: dict[int, int] = field(default_factory=dict)
    under_way: tuple[int, str, int, tuple[Part, ...]] | None = None


class OrderMachine(RuleBasedStateMachine):
    """A log of several regions and buckets, a lane, links that are lost with their receivers still at work, a site.

    Several receivers may be at work at once: those whose links are lost end what they have under way. What arrived at
    the site, repeats left out, has to be the log from its beginning, without a gap, at all times.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(batch_size=3, memory=4_000)
        for region in "rs":
            for bucket in range(BUCKETS):
                self.bench.add(region, bucket)
        self.wires = [Wire()]
        self.applied: list[int] = []
        self.remote_buckets = BUCKETS

    @property
    def wire(self) -> Wire:
        return self.wires[-1]

    def wire_of(self, pick: int) -> Wire:
        """Mostly the link there is, else one that was lost."""
        return self.wires[-1 - pick] if pick < len(self.wires) else self.wire

    @rule(records=st.lists(st.tuples(st.sampled_from("rrs"), st.integers(0, BUCKETS - 1)), min_size=1, max_size=6))
    def append(self, records: list[tuple[str, int]]) -> None:
        for region, bucket in records:
            self.bench.append(region, bucket)

    @rule(region=st.sampled_from("rs"), bucket=st.integers(0, BUCKETS - 1))
    def append_what_came_from_there(self, region: str, bucket: int) -> None:
        self.bench.append(region, bucket, away=False)

    @rule()
    def feed(self) -> None:
        self.bench.feed()

    @rule()
    def send(self) -> None:
        while (outgoing := self.bench.next()) is not None:
            self.wire.batches.append(outgoing)

    @rule(pick=st.integers(0, 6))
    def arrive(self, pick: int) -> None:
        self.take(self.wire_of(pick))

    def take(self, wire: Wire) -> None:
        if not wire.batches:
            return
        outgoing = wire.batches.popleft()
        batch_id, batch = outgoing.batch_id, outgoing.batch
        runs = [
            (batch_id, batch.region, bucket, tuple(parts))
            for bucket, parts in parts_in_order(batch, Routing(self.remote_buckets))
        ]
        assert runs
        wire.left[batch_id] = len(runs)
        if not wire.order.take(runs, anew=batch.ordered == IN_ORDER_ANEW):
            wire.answers.append((batch_id, False))
        self.go_on(wire)

    def go_on(self, wire: Wire) -> None:
        if wire.under_way is None:
            wire.under_way = wire.order.next()

    @rule(pick=st.integers(0, 6), ends=st.sampled_from(["well", "well", "well", "badly", "unknown"]))
    def end_run(self, pick: int, ends: str) -> None:
        """unknown: it is in the log, and the receiver does not hear of it."""
        self.end(self.wire_of(pick), ends)

    def end(self, wire: Wire, ends: str) -> None:
        if wire.under_way is None:
            return
        (batch_id, _, _, parts), wire.under_way = wire.under_way, None
        if ends != "badly":
            self.applied += [int(str(key)) for part in parts for key in keys_of(part)]
        failed = ends != "well"
        let_go = wire.order.on_ended(failed=failed)
        wire.left[batch_id] -= 1
        if failed:
            refused = dict.fromkeys([batch_id, *[run[0] for run in let_go]])
            wire.answers.extend((each, False) for each in refused)
        elif not wire.left[batch_id]:
            wire.answers.append((batch_id, True))
        self.go_on(wire)

    @rule()
    def answer(self) -> None:
        if self.wire.answers:
            batch_id, done = self.wire.answers.popleft()
            if done:
                self.bench.lane.on_ack(batch_id)
            else:
                self.bench.lane.on_refused(batch_id, "no", self.bench.now_ms, 0.5)

    @rule(lost=st.sampled_from([False, False, False, True]), on_their_way=st.booleans())
    def lose_link(self, lost: bool, on_their_way: bool) -> None:
        """on_their_way: the receiver still gets the batches that were sent."""
        if not lost:
            return
        if not on_their_way:
            self.wire.batches.clear()
        self.wires.append(Wire())
        self.bench.lane.on_link_lost()

    @rule(passed_ms=st.integers(1, 10_000))
    def wait(self, passed_ms: int) -> None:
        self.bench.now_ms += passed_ms

    @invariant()
    def what_arrived_is_the_log_from_its_beginning(self) -> None:
        first = list(dict.fromkeys(self.applied))
        assert first == self.shipped()[: len(first)]

    @invariant()
    def floors_are_only_over_what_arrived(self) -> None:
        arrived = set(self.applied)
        for (region, bucket), queue in self.bench.queues.items():
            below = {
                seq
                for seq, (there, number, away, _) in enumerate(self.bench.log[: queue.floor], 1)
                if away and (there, number) == (region, bucket)
            }
            assert below <= arrived

    def shipped(self) -> list[int]:
        return [seq for seq, (_, _, away, _) in enumerate(self.bench.log, 1) if away]

    def teardown(self) -> None:
        """Once nothing fails any more, all of the log arrives, over the link that there is."""
        for _ in range(8 * len(self.bench.log) + 60):
            self.wait(10_000)
            self.feed()
            self.send()
            self.take(self.wire)
            self.end(self.wire, "well")
            self.answer()
        assert list(dict.fromkeys(self.applied)) == self.shipped()
        counters = self.bench.counters
        assert (counters.queued, counters.acked) == (len(self.shipped()),) * 2
        assert self.bench.memory.used_bytes == 0


class OtherBucketsMachine(OrderMachine):
    """The same where the remote site sorts the events into buckets of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.remote_buckets = 7


TestOrderMachine = OrderMachine.TestCase
TestOrderMachine.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestOtherBucketsMachine = OtherBucketsMachine.TestCase
TestOtherBucketsMachine.settings = settings(max_examples=30, stateful_step_count=60, deadline=None)


def test_a_lane_keeps_the_order_of_what_came_from_other_sites() -> None:
    made = Bench()
    queue = made.add()
    other = made.add("r", 1)
    for seq, to in ((1, queue), (2, other), (3, queue)):
        part = part_of(str(seq), origin=ELSEWHERE, recipients=(HERE,), birth=(0, seq))
        to.offer(Seq(seq), Seq(to.tip), record_of(part), 0)
        made.lane.on_offered(to)
    assert made.keys() == "1 2 3"


def _goes_on(order: InOrder, *, failed: bool) -> list:
    order._under_way = False
    return []


def _takes_all(queue: BucketQueue, items, events_max, bytes_max, recipients, below=None) -> Flight | None:
    return _TAKE(queue, items, events_max, bytes_max, recipients)


def _sends_only_that_again(lane: OrderedLane, batch_id: int, error: str, now_ms: int, draw: float) -> str:
    landed = lane._land(batch_id)
    for queue, _ in landed.flights if landed is not None else ():
        queue.rewind()
        lane.on_offered(queue)
    return ""


_TAKE = BucketQueue.take


@pytest.mark.parametrize(
    ("owner", "method", "bug"),
    [
        (InOrder, "on_ended", _goes_on),
        (BucketQueue, "take", _takes_all),
        (OrderedLane, "hold_back", _sends_only_that_again),
    ],
)
def test_a_planted_bug_is_found(owner: type, method: str, bug: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, method, bug)
    quick = settings(
        max_examples=400, stateful_step_count=60, deadline=None, phases=[Phase.generate], database=None,
        derandomize=True, print_blob=False,
    )  # fmt: skip
    with pytest.raises(AssertionError):
        run_state_machine_as_test(OrderMachine, settings=quick)
