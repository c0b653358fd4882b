from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heliograph.gateway.filters import EventFilters
from heliograph.gateway.lanes import REFUSED_FIRST_MS, WINDOW_BYTES, Lane, Outgoing, Route, lane_of
from heliograph.gateway.memory import Memory
from heliograph.gateway.plugins import GatewayEvent, GatewayEventFilter
from heliograph.gateway.queue import BucketQueue, QueueCounters
from heliograph.model.batch import Part
from heliograph.model.ids import Seq
from tests.gateway.builders import HERE, THERE, keys_of, part_of, record_of

BUCKETS = 16


class Bench:
    """A lane with queues, and live offers into them."""

    def __init__(self, batch_size: int = 100, interval_ms: int = 0, filters: EventFilters | None = None) -> None:
        self.lane = Lane(batch_size, interval_ms, lambda _: Route(BUCKETS, (THERE,)), filters=filters)
        self.memory = Memory(1 << 30)
        self.queues: dict[tuple[str, int], BucketQueue] = {}
        self.now_ms = 0

    def add(self, region: str = "r", bucket: int = 0) -> BucketQueue:
        queue = BucketQueue(region, bucket, THERE, Seq(0), self.memory, QueueCounters())
        self.queues[region, bucket] = queue
        self.lane.add(queue)
        return queue

    def offer(self, *keys: str, region: str = "r", bucket: int = 0, size: int = 0) -> None:
        queue = self.queues[region, bucket]
        part = part_of(*keys)
        if size:
            part = Part(HERE, (), 0, 0, len(keys), b"x" * size)
        queue.offer(Seq(queue.tip + 1), queue.tip, record_of(part), self.now_ms)
        self.lane.on_offered(queue)

    def next(self) -> Outgoing | None:
        return self.lane.next_batch(self.now_ms)

    def keys(self) -> list[object]:
        """The keys of the next batch; empty without one."""
        outgoing = self.next()
        return [key for _, part in outgoing.batch.items for key in keys_of(part)] if outgoing else []

    def refuse(self, batch_id: int) -> str:
        return self.lane.on_refused(batch_id, "no such region", self.now_ms, 0.0)


def test_a_bucket_has_one_lane_and_lanes_share_the_buckets() -> None:
    lanes = [lane_of(bucket, 5) for bucket in range(113)]
    assert set(lanes) == set(range(5))
    assert lanes == [lane_of(bucket, 5) for bucket in range(113)]


def test_a_batch_holds_one_region_and_several_buckets() -> None:
    bench = Bench()
    for region, bucket in (("r", 0), ("r", 1), ("s", 0)):
        bench.add(region, bucket)
        bench.offer(f"{region}{bucket}", region=region, bucket=bucket)
    first, second = bench.next(), bench.next()
    assert first is not None
    assert second is not None
    assert (first.batch.region, first.batch.buckets, [bucket for bucket, _ in first.batch.items]) == ("r", 16, [0, 1])
    assert (second.batch.region, [bucket for bucket, _ in second.batch.items]) == ("s", [0])
    assert second.batch_id > first.batch_id
    assert bench.next() is None


def test_batch_size_closes_a_batch_without_cutting_a_part() -> None:
    bench = Bench(batch_size=3)
    bench.add()
    for keys in ("ab", "c", "d", "efghi", "j"):
        bench.offer(*keys)
    assert [bench.keys() for _ in range(5)] == [["a", "b", "c"], ["d"], [*"efghi"], ["j"], []]


def test_batch_size_minus_one_takes_all_there_is() -> None:
    bench = Bench(batch_size=-1)
    bench.add()
    for number in range(500):
        bench.offer(str(number))
    assert len(bench.keys()) == 500


def test_a_bucket_that_fills_batches_lets_the_others_have_their_turn() -> None:
    bench = Bench(batch_size=2)
    bench.add(bucket=0)
    bench.add(bucket=1)
    for key in "abcd":
        bench.offer(key, bucket=0)
    bench.offer("x", bucket=1)
    assert [bench.keys() for _ in range(3)] == [["a", "b"], ["x", "c"], ["d"]]


def test_regions_take_turns() -> None:
    bench = Bench(batch_size=1)
    for region in "rs":
        bench.add(region)
        for key in "ab":
            bench.offer(region + key, region=region)
    assert [bench.keys() for _ in range(4)] == [["ra"], ["sa"], ["rb"], ["sb"]]


def test_the_window_holds_batches_back_until_an_acknowledgement() -> None:
    bench = Bench()
    queue = bench.add()
    for _ in range(3):
        bench.offer("k", size=WINDOW_BYTES // 2)
    first, second = bench.next(), bench.next()
    assert first is not None
    assert second is not None
    assert bench.next() is None
    bench.lane.on_ack(second.batch_id)
    assert queue.floor == 0
    assert bench.next() is not None
    bench.lane.on_ack(first.batch_id)
    assert queue.floor == 2


def test_an_interval_lets_a_batch_wait_until_it_is_full_or_its_oldest_event_is_old() -> None:
    bench = Bench(batch_size=3, interval_ms=100)
    bench.add()
    bench.add(bucket=1)
    bench.now_ms = 10
    bench.offer("a")
    bench.now_ms = 60
    bench.offer("b", bucket=1)
    assert bench.next() is None
    assert bench.lane.wake_ms() == 110
    bench.now_ms = 110
    assert bench.keys() == ["a", "b"]
    assert bench.lane.wake_ms() is None
    for key in "cde":
        bench.offer(key)
    assert bench.keys() == ["c", "d", "e"]


def test_after_a_lost_link_everything_unacknowledged_leaves_again_in_order() -> None:
    bench = Bench(batch_size=1)
    queue = bench.add()
    for key in "abc":
        bench.offer(key)
    first = bench.next()
    assert first is not None
    assert bench.keys() == ["b"]
    bench.lane.on_ack(first.batch_id)
    assert bench.lane.on_link_lost() == 1
    assert [bench.keys() for _ in range(3)] == [["b"], ["c"], []]
    assert (queue.floor, queue.counters.repeated, bench.lane.counters.redistributed) == (1, 1, 1)


def test_a_refused_region_waits_then_probes_with_one_batch_while_others_go_on() -> None:
    bench = Bench(batch_size=1)
    refused = bench.add("r")
    other = bench.add("r", 1)
    bench.add("s")
    for key in "abc":
        bench.offer(key, region="r")
    first, second = bench.next(), bench.next()
    assert first is not None
    assert second is not None
    assert bench.refuse(first.batch_id) == "r"
    assert bench.refuse(second.batch_id) == "", "told once"
    bench.offer("other", region="r", bucket=1)
    assert bench.lane.error == "no such region"
    bench.offer("x", region="s")
    assert bench.keys() == ["x"]
    assert bench.next() is None
    assert bench.lane.wake_ms() == REFUSED_FIRST_MS
    bench.now_ms = REFUSED_FIRST_MS
    probe = bench.next()
    assert probe is not None
    assert [keys_of(part) for _, part in probe.batch.items] == [["a"]]
    assert bench.next() is None, "one batch at a time"
    assert bench.refuse(probe.batch_id) == ""
    assert bench.lane.wake_ms() == 3 * REFUSED_FIRST_MS, "the wait doubles"
    bench.now_ms = 3 * REFUSED_FIRST_MS
    probe = bench.next()
    assert probe is not None
    assert bench.lane.on_ack(probe.batch_id)
    assert (bench.lane.error, refused.restricted) == ("", False)
    assert bench.next() is None, "the rest is read from the log first"
    assert (refused.floor, refused.readable, other.readable) == (1, True, True)


def test_what_was_in_flight_when_a_batch_was_refused_does_not_open_its_region() -> None:
    """As when events of one site are refused for its clock, and those of others are taken: all would be sent again."""
    bench = Bench(batch_size=1)
    queue = bench.add()
    for key in "abc":
        bench.offer(key)
    batches = [bench.next() for _ in "abc"]
    first, second, third = (batch.batch_id for batch in batches if batch is not None)
    bench.refuse(first)
    assert not bench.lane.on_ack(second)
    assert (bench.lane.error, queue.restricted) == ("no such region", True)
    bench.now_ms = REFUSED_FIRST_MS
    assert bench.next() is None, "the third is not answered yet"
    bench.refuse(third)
    assert bench.lane.wake_ms() == 3 * REFUSED_FIRST_MS, "the wait doubles"
    bench.now_ms = 3 * REFUSED_FIRST_MS
    probe = bench.next()
    assert probe is not None
    assert [keys_of(part) for _, part in probe.batch.items] == [["a"]]
    assert bench.lane.on_ack(probe.batch_id)
    assert (bench.lane.error, queue.floor) == ("", 1)


class Keeping(GatewayEventFilter):
    """Keeps back what begins with an x, and fails for what begins with a !; as long as `strict`."""

    def __init__(self) -> None:
        self.strict = True
        self.told: list[object] = []

    def before_transmit(self, event: GatewayEvent) -> bool:
        if self.strict and str(event.key).startswith("!"):
            raise ValueError("can't decide")
        return not str(event.key).startswith("x")

    def after_acknowledgement(self, event: GatewayEvent) -> None:
        self.told.append(event.key)


def test_what_filters_keep_back_does_not_leave_and_is_done_with_when_its_batch_is() -> None:
    keeping = Keeping()
    bench = Bench(filters=EventFilters([("m:f", keeping)], None, lambda *_: None))
    one, two = bench.add(bucket=0), bench.add(bucket=1)
    bench.offer("a", "x1", "b", bucket=0)
    bench.offer("x2", bucket=1)
    sent = bench.next()
    assert sent is not None
    assert [key for _, part in sent.batch.items for key in keys_of(part)] == ["a", "b"]
    assert bench.lane.counters.events == 2
    assert keeping.told == []
    bench.lane.on_ack(sent.batch_id)
    assert keeping.told == ["a", "b"]
    assert (one.counters.acked, one.counters.filtered) == (2, 1)
    assert (two.counters.acked, two.counters.filtered, two.queued_events) == (0, 1, 0)


def test_a_batch_that_a_filter_can_not_decide_on_waits_like_a_refused_one() -> None:
    keeping = Keeping()
    bench = Bench(filters=EventFilters([("m:f", keeping)], None, lambda *_: None))
    bench.add()
    bench.add("other")
    bench.offer("!")
    bench.offer("a", region="other")
    stuck = bench.next()
    assert stuck is not None
    assert "before_transmit of an update of region r, bucket 0: ValueError: can't decide" in stuck.error
    bench.lane.hold_back(stuck.batch_id, stuck.error, bench.now_ms, 0.0)
    assert bench.keys() == ["a"], "other regions go on"
    assert (bench.lane.error, bench.lane.counters.refused) == (stuck.error, 0)
    keeping.strict = False
    assert bench.next() is None
    bench.now_ms += REFUSED_FIRST_MS
    again = bench.next()
    assert again is not None
    assert not again.error
    bench.lane.on_ack(again.batch_id)
    assert bench.lane.error == ""


def test_a_queue_that_joins_a_refused_region_is_restricted_too() -> None:
    bench = Bench(batch_size=1)
    bench.add(bucket=0)
    bench.offer("a")
    first = bench.next()
    assert first is not None
    bench.refuse(first.batch_id)
    joined = bench.add(bucket=1)
    assert joined.restricted


def test_a_removed_queue_sends_nothing_and_its_acknowledgements_are_ignored() -> None:
    bench = Bench(batch_size=1)
    queue = bench.add()
    bench.offer("a")
    bench.offer("b")
    first = bench.next()
    assert first is not None
    bench.lane.remove(queue)
    queue.close()
    bench.lane.on_ack(first.batch_id)
    assert bench.lane.idle
    assert bench.next() is None
    assert queue.floor == 0


class LaneMachine(RuleBasedStateMachine):
    """A lane over a remote site that acknowledges, refuses and loses links; what it logs is compared per bucket."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(batch_size=3)
        self.offered: dict[tuple[str, int], list[str]] = {}
        self.logged: dict[tuple[str, int], list[str]] = {}
        for region in "rs":
            for bucket in (0, 1):
                self.bench.add(region, bucket)
                self.offered[region, bucket] = []
                self.logged[region, bucket] = []
        self.out: list[Outgoing] = []
        self.log: dict[tuple[str, int], list[tuple[int, int, str]]] = {key: [] for key in self.offered}

    @rule(region=st.sampled_from("rs"), bucket=st.integers(0, 1), count=st.integers(1, 4))
    def offer(self, region: str, bucket: int, count: int) -> None:
        for _ in range(count):
            key = str(len(self.offered[region, bucket]))
            self.offered[region, bucket].append(key)
            queue = self.bench.queues[region, bucket]
            log = self.log[region, bucket]
            log.append((len(log) + 1, len(log), key))
            queue.offer(Seq(len(log)), Seq(len(log) - 1), record_of(part_of(key)), self.bench.now_ms)
            self.bench.lane.on_offered(queue)

    @rule()
    def send(self) -> None:
        while (outgoing := self.bench.next()) is not None:
            self.out.append(outgoing)

    @rule(pick=st.integers(0, 99))
    def acknowledge(self, pick: int) -> None:
        if self.out:
            outgoing = self.out.pop(pick % len(self.out))
            self.arrive(outgoing)
            self.bench.lane.on_ack(outgoing.batch_id)

    def arrive(self, outgoing: Outgoing) -> None:
        for bucket, part in outgoing.batch.items:
            self.logged[outgoing.batch.region, bucket] += map(str, keys_of(part))

    @rule(pick=st.integers(0, 99))
    def refuse(self, pick: int) -> None:
        if self.out:
            self.bench.refuse(self.out.pop(pick % len(self.out)).batch_id)

    @rule()
    def lose_link(self) -> None:
        self.out.clear()
        self.bench.lane.on_link_lost()

    @rule(passed_ms=st.integers(1, 5_000))
    def wait(self, passed_ms: int) -> None:
        self.bench.now_ms += passed_ms

    @rule()
    def read_log(self) -> None:
        for key, queue in self.bench.queues.items():
            if queue.readable:
                for seq, previous, name in self.log[key][queue.tip :]:
                    queue.offer(Seq(seq), Seq(previous), record_of(part_of(name)), self.bench.now_ms)
                self.bench.lane.on_offered(queue)

    @invariant()
    def the_floor_is_only_over_what_arrived(self) -> None:
        for key, queue in self.bench.queues.items():
            assert set(self.offered[key][: queue.floor]) <= set(self.logged[key])

    @invariant()
    def what_is_listed_has_something_to_send(self) -> None:
        for region in self.bench.lane._regions.values():
            assert {id(queue) for queue in region.ready} == {
                id(queue) for queue in region.queues.values() if queue.unsent_events
            }
            assert all(queue.listed for queue in region.ready)

    def teardown(self) -> None:
        """Once the remote site takes everything, everything arrives."""
        self.lose_link()
        for _ in range(4 * sum(map(len, self.offered.values())) + 4):
            self.wait(10_000)
            self.read_log()
            self.send()
            while self.out:
                self.acknowledge(0)
        for key, queue in self.bench.queues.items():
            assert queue.floor == len(self.offered[key])
            assert set(self.logged[key]) == set(self.offered[key])


TestLaneMachine = LaneMachine.TestCase
TestLaneMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
