from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.gateway.held import HELD_BYTES
from heliograph.gateway.memory import Memory
from heliograph.gateway.queue import BucketQueue, Probe, QueueCounters
from heliograph.gateway.reading import READ_DISTANCE_MAX, READ_QUEUES_MAX, End, next_reading, start_in_order
from heliograph.model.ids import Seq
from tests.gateway.builders import THERE, part_of, record_of


def queue_at(floor: int, last: int, memory: Memory | None = None) -> BucketQueue:
    queue = BucketQueue("r", 0, THERE, Seq(floor), memory or Memory(1 << 20), QueueCounters())
    queue.learn_last(Seq(last))
    return queue


def test_only_queues_that_lack_something_are_read_the_one_that_lacks_most_first() -> None:
    complete, late, early = queue_at(9, 9), queue_at(5, 9), queue_at(2, 9)
    assert next_reading([complete, late, early]) == [early, late]
    assert next_reading([complete]) == []


def test_queues_far_apart_in_the_log_are_read_in_passes_of_their_own() -> None:
    behind, ahead = queue_at(0, 9), queue_at(READ_DISTANCE_MAX + 1, READ_DISTANCE_MAX + 9)
    assert next_reading([ahead, behind]) == [behind]


def test_a_pass_is_bounded() -> None:
    assert len(next_reading([queue_at(0, 9) for _ in range(READ_QUEUES_MAX + 5)])) == READ_QUEUES_MAX


def test_nothing_is_read_into_a_memory_without_room_or_for_a_region_that_is_refused() -> None:
    memory = Memory(2 * HELD_BYTES)
    queue = queue_at(0, 9, memory)
    assert next_reading([queue]) == [queue]
    queue.offer(Seq(1), Seq(0), record_of(part_of("k")), 0)
    assert next_reading([queue]) == []
    refused = queue_at(0, 9)
    refused.offer(Seq(1), Seq(0), record_of(part_of("k")), 0)
    refused.restrict(Probe())
    assert next_reading([refused]) == []


def test_a_log_is_read_in_order_from_the_first_record_that_a_queue_lacks() -> None:
    assert start_in_order([End(Seq(7), Seq(7), Seq(3)), End(Seq(0))]) == 7, "nobody lacks anything"
    assert start_in_order([End(Seq(7), Seq(7), Seq(3)), End(Seq(2), Seq(9), Seq(2))]) == 7
    assert start_in_order([End(Seq(7), Seq(7), Seq(3)), End(Seq(2), Seq(5), Seq(2))]) == 4, "one record, the last"
    assert start_in_order([End(Seq(7), Seq(7), Seq(3)), End(Seq(2), Seq(9), Seq(6))]) == 2


@settings(deadline=None)
@given(
    log=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    floors=st.tuples(*[st.integers(0, 30)] * 4),
    asked=st.tuples(*[st.integers(0, 30)] * 4),
)
def test_nothing_that_a_queue_lacks_lies_before_the_start(
    log: list[int], floors: tuple[int, ...], asked: tuple[int, ...]
) -> None:
    """The log goes on while the buckets' last records are asked for; the tips were known before."""
    known = max(floors)
    ends = []
    for bucket, (floor, later) in enumerate(zip(floors, asked, strict=True)):
        own = [0, *[seq for seq, written in enumerate(log, 1) if written == bucket and seq <= max(known, later)]]
        tip = max(seq for seq in own if seq <= floor)
        ends.append(End(Seq(tip), Seq(own[-1]), Seq(own[-2] if len(own) > 1 else 0)))
    start = start_in_order(ends)
    for seq, bucket in enumerate(log, 1):
        if seq > ends[bucket].tip:
            assert seq > start
