"""Async event queues: what their listeners are given, in what order, and again when they fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from heliograph.errors import UsageError
from heliograph.gateway.lanes import Lane, Route
from heliograph.gateway.memory import Memory
from heliograph.gateway.plugins import GatewayEvent
from heliograph.gateway.queue import BucketQueue, QueueCounters
from heliograph.member.gateway_plugins import PluginFailures
from heliograph.member.listener_dispatcher import ListenerDispatcher
from heliograph.model.batch import Part
from heliograph.model.ids import Seq
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.results import Result
from tests.gateway.builders import part_of, record_of
from tests.scenarios.plugins import LISTENERS, TOLD, listening
from tests.scenarios.sites import Site, passes, queue_of, scenario, until

PLUGINS = "tests.scenarios.plugins:"
Q = queue_of("q")


def keys(name: str) -> list[Any]:
    return [event.key for event in TOLD[name]]


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=3)
async def test_every_event_once_in_the_order_of_its_key(ln: Site, parallel: bool) -> None:
    await ln.create_queue("q", listening("order"), parallel=parallel, dispatcher_threads=3)
    await ln.create_region("r", "PARTITION", queues="q")
    for value in range(5):
        await ln.put("r", range(50), value)
    await ln.remove("r", range(10))
    await ln.until_drained(Q)
    assert len(TOLD["order"]) == 260
    for key in range(50):
        told = [(event.operation, event.value) for event in TOLD["order"] if event.key == key]
        expected: list[tuple[str, Any]] = [("create", 0), *(("update", value) for value in range(1, 5))]
        assert told == expected + [("destroy", None)] * (key < 10)
    assert not any(event.possible_duplicate for event in TOLD["order"])
    assert ln.count(Q, "eventsReceived") == ln.count(Q, "eventsAcknowledged") == 260


@scenario(ln=2)
async def test_a_queue_keeps_the_order_of_threads_over_buckets(ln: Site) -> None:
    await ln.create_queue("q", listening("threads"), order_policy="thread", batch_size=7)
    await ln.create_region("r", "PARTITION", queues="q")
    await ln.put("r", range(100), writers=1, at="b")
    await ln.until_drained(Q)
    assert keys("threads") == [*range(100)]
    with pytest.raises(UsageError, match="queue p is parallel and can't be created with order-policy thread"):
        await ln.create_queue("p", listening("threads"), order_policy="thread", parallel=True)


@scenario(ln=2, ny=1)
async def test_filters_leave_the_order_of_threads_as_it_is(ln: Site, ny: Site) -> None:
    await ny.receives("r", kind="PARTITION")
    filters = (PLUGINS + "ByNumber",)
    await ln.create_sender("ny", to=ny, order_policy="thread", batch_size=5, gateway_event_filters=filters)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(480, 720), writers=1)
    await ln.until_drained("ny")
    assert [each.key for each in ny.written("r")] == [*range(480, 500), *range(700, 720)]


@scenario(ln=2)
async def test_a_batch_that_fails_comes_again_until_it_is_processed(ln: Site) -> None:
    await ln.create_queue("q", listening("fails", failures=5), batch_size=10)
    await ln.create_region("r", queues="q", total_num_buckets=1)
    await ln.pause_queue("q")
    await ln.put("r", range(100), writers=1)
    await ln.until_queued(Q, 100)
    await ln.resume_queue("q")
    await until(lambda: ln.count(Q, "batchesRedistributed") >= 2)
    errors = [status.error for status in ln.statuses(Q).values() if status.error]
    assert any("Listening: process_events of 10 events of region r" in error for error in errors), errors
    await ln.until_drained(Q)
    assert keys("fails") == [*range(100)]
    [primary] = [each for each in LISTENERS["fails"] if each.batches]
    assert primary.batches == [10] * 15
    assert [event.possible_duplicate for event in primary.events] == [True] * 10 + [False] * 90
    assert ln.count(Q, "batchesRedistributed") == 5
    assert ln.count(Q, "pluginFailures") == 2, "a False is no failure of the plug-in"
    assert not any(status.error for status in ln.statuses(Q).values())


@scenario(ln=1)
async def test_no_call_has_more_events_than_the_batch_size(ln: Site) -> None:
    await ln.create_queue("q", listening("sizes"), batch_size=7)
    await ln.create_region("r", queues="q", total_num_buckets=1)
    await ln.put_all("r", range(100))
    await ln.until_drained(Q)
    assert keys("sizes") == [*range(100)]
    [listener] = LISTENERS["sizes"]
    assert max(listener.batches) == 7


@scenario(ln=1)
async def test_events_wait_for_the_interval_to_be_a_batch(ln: Site) -> None:
    await ln.create_queue("q", listening("waits"), batch_size=50, batch_time_interval=5_000)
    await ln.create_region("r", queues="q")
    await ln.put("r", range(20))
    await passes(4.0)
    assert keys("waits") == []
    await ln.until_drained(Q)
    assert LISTENERS["waits"][0].batches == [20]


@scenario(ln=2, ny=1)
async def test_what_comes_from_other_sites_goes_to_the_queues_here(ln: Site, ny: Site) -> None:
    await ny.create_queue("q", listening("remote"))
    await ny.receives("r", queues="q")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(10))
    await until(lambda: len(TOLD["remote"]) == 10)
    assert {event.origin for event in TOLD["remote"]} == {1}


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=3)
async def test_who_takes_over_goes_on_and_says_what_may_have_been_seen(ln: Site, parallel: bool) -> None:
    await ln.create_queue("q", listening("over"), parallel=parallel)
    await ln.create_region("r", "PARTITION_REDUNDANT", queues="q")
    await ln.pause_queue("q")
    await ln.put("r", range(60))
    await ln.until_queued(Q, 60)
    ln.kill("a")
    await ln.resume_queue("q", "b", "c")
    await ln.put("r", range(60, 120), at="b")
    await ln.until_drained(Q)
    assert {*keys("over")} == {*range(120)}
    taken_over = [event for event in TOLD["over"] if event.key < 60 and event.possible_duplicate]
    assert taken_over, "what another had queued may have been processed there"


@scenario(ln=2)
async def test_buckets_that_move_while_they_are_processed_lose_nothing(ln: Site) -> None:
    await ln.create_queue("q", listening("moves", failures=12), parallel=True, batch_size=5)
    await ln.create_region("r", "PARTITION_REDUNDANT", queues="q")
    await ln.put("r", range(100))
    await ln.join("c")
    await ln.leave("a")
    await ln.put("r", range(100, 200), at="c")
    await ln.until_drained(Q)
    assert {*keys("moves")} == {*range(200)}


@scenario(ln=2, ny=1)
async def test_a_queue_and_a_sender_share_a_region_and_filter_for_themselves(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    await ln.create_queue(
        "q",
        listening("filtered"),
        gateway_event_filters=(PLUGINS + "ByNumber",),
        gateway_event_substitution_filter=PLUGINS + 'Prefixing{"name": "subst", "prefix": "> "}',
    )
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny", queues="q")
    await ln.put("r", range(450, 750), "own")
    await ln.until_drained(Q)
    await ln.until_drained("ny")
    assert sorted(keys("filtered")) == [*range(450, 500), *range(700, 750)]
    assert {event.value for event in TOLD["filtered"]} == {"> own"}
    assert ln.count(Q, "eventsFiltered") == 200
    assert {*(await ny.contents("r")).values()} == {"own"}


@scenario(ln=1)
async def test_a_queue_conflates_updates_that_wait(ln: Site) -> None:
    await ln.create_queue("q", listening("conflates"), enable_batch_conflation=True)
    await ln.create_region("r", queues="q")
    await ln.put("r", ["k"], 0)
    await ln.until_drained(Q)
    await ln.pause_queue("q")
    for value in range(1, 10):
        await ln.put("r", ["k"], value)
    await ln.resume_queue("q")
    await ln.until_drained(Q)
    assert [event.value for event in TOLD["conflates"]] == [0, 9]
    assert ln.count(Q, "eventsNotQueuedConflated") == 8


@pytest.mark.parametrize("persistent", [False, True])
@scenario(ln=1)
async def test_a_queue_that_is_not_persistent_is_empty_when_the_site_starts_cold(ln: Site, persistent: bool) -> None:
    await ln.create_queue("q", listening("cold"), persistent=persistent, pause_event_processing=True)
    await ln.create_region("r", "REPLICATE_PERSISTENT", queues="q")
    await ln.put("r", range(10))
    await ln.until_queued(Q, 10)
    await ln.leave("a")
    await ln.join("a")
    await ln.resume_queue("q")
    await ln.put("r", range(10, 20))
    await ln.until_drained(Q)
    assert sorted(keys("cold")) == [*range(0 if persistent else 10, 20)]


@scenario(ln=2)
async def test_queues_are_added_altered_taken_off_and_destroyed(ln: Site) -> None:
    await ln.create_region("r")
    await ln.put("r", range(10))
    await ln.create_queue("q", listening("life"))
    await ln.alter_region("r", queues="q")
    await ln.put("r", range(10, 20))
    await ln.until_drained(Q)
    assert sorted(keys("life")) == [*range(10, 20)], "what was written before is not for it"
    await ln.alter_queue("q", batch_size=3, max_queue_memory=7)
    await ln.put("r", range(20, 30))
    await ln.until_drained(Q)
    assert sorted(keys("life")) == [*range(10, 30)]
    assert not any(each.closed for each in LISTENERS["life"]), "altering goes on with the listeners"
    with pytest.raises(UsageError, match="async event queue q is used by r: take it off there first"):
        await ln.destroy_queue("q")
    await ln.alter_region("r", queues="")
    await ln.destroy_queue("q")
    assert all(each.closed for each in LISTENERS["life"])
    assert ln.statuses(Q) == {}


@scenario(ln=2)
async def test_what_does_not_fit_is_refused(ln: Site) -> None:
    await ln.create_queue("p", listening("unfit"), parallel=True)
    with pytest.raises(UsageError, match="region r is replicated and can't use the parallel async event queue p"):
        await ln.create_region("r", queues="p")
    with pytest.raises(UsageError, match=r"whose queue is not: create that with --persistent=true"):
        await ln.create_region("r", "PARTITION_PERSISTENT", queues="p")
    with pytest.raises(UsageError, match="region r names async event queue none, which does not exist"):
        await ln.create_region("r", queues="none")
    with pytest.raises(UsageError, match="ids that begin with AsyncEventQueue_ are of async event queues"):
        await ln.create_sender(Q, to=2)
    with pytest.raises(UsageError, match="max-queue-memory 0"):
        await ln.create_queue("q", listening("unfit"), max_queue_memory=0)
    with pytest.raises(UsageError, match="async-event-queue p exists already"):
        await ln.create_queue("p", listening("unfit"))
    with pytest.raises(UsageError, match="async event queue 'q' does not exist"):
        await ln.destroy_queue("q")

    async def create(admin: Any) -> Result:
        result: Result = await admin.queues.create(AsyncEventQueueAttributes(id="q", listener=PLUGINS + "ByNumber"))
        assert result.status == "ERROR"
        assert "has no method process_events" in result.tables[0].rows[0][2]
        return Result()

    await ln.operate(create)


# --- in a real loop: threads


class Owner:
    sending = True

    def on_progress(self, *, reread: bool) -> None:
        pass


class Rig:
    """A dispatcher with one bucket, in the loop of the test."""

    def __init__(self, plugin: Any) -> None:
        self.lane = Lane(100, 0, lambda _: Route(16, ()))
        self.owner = Owner()
        self.dispatcher = ListenerDispatcher(
            self.lane,
            host=_Host(),  # type: ignore[arg-type]  # only its randomness is used
            owner=self.owner,
            listener=("m:listener", plugin),
            failures=PluginFailures("queue=q"),
            batch_events=100,
        )
        self.queue = BucketQueue("r", 0, -1, Seq(0), Memory(1 << 30), QueueCounters())
        self.dispatcher.add(self.queue)

    def offer(self, *keys: str) -> None:
        self.queue.offer(Seq(self.queue.tip + 1), self.queue.tip, record_of(part_of(*keys)), 0)
        self.dispatcher.on_offered(self.queue)


class _Host:
    class rng:  # noqa: N801
        @staticmethod
        def random() -> float:
            return 0.0


class Blocking:
    """Works until it is let go; writes down in which thread."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self.threads: set[int] = set()
        self.seen: list[object] = []

    def process_events(self, events: Sequence[GatewayEvent]) -> bool:
        self.begun.set()
        assert self.let_go.wait(30)
        self.threads.add(threading.get_ident())
        self.seen += [event.key for event in events]
        return True


async def _until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  (of another thread)
            await asyncio.sleep(0.001)


def test_a_plain_listener_may_take_its_time_in_a_thread_and_is_given_one_batch_at_a_time() -> None:
    async def main() -> None:
        blocking = Blocking()
        rig = Rig(blocking)
        running = asyncio.create_task(rig.dispatcher.run())
        rig.offer("a")
        await _until(blocking.begun.is_set)
        rig.offer("b")
        rig.offer("c")
        assert blocking.seen == [], "the loop goes on while it works"
        blocking.let_go.set()
        await _until(lambda: rig.queue.floor == 3)
        assert blocking.seen == ["a", "b", "c"]
        assert threading.get_ident() not in blocking.threads
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(main())


def test_a_stop_waits_for_a_listener_that_works_and_what_it_did_comes_again() -> None:
    async def main() -> None:
        blocking = Blocking()
        rig = Rig(blocking)
        running = asyncio.create_task(rig.dispatcher.run())
        rig.offer("a")
        await _until(blocking.begun.is_set)
        running.cancel()
        await asyncio.sleep(0)
        assert not running.done()
        blocking.let_go.set()
        await asyncio.wait([running])
        assert (blocking.seen, rig.queue.floor, rig.queue.unsent_events) == (["a"], 0, 1)

    asyncio.run(main())


def test_a_coroutine_function_runs_in_the_loop() -> None:
    class Awaiting:
        def __init__(self) -> None:
            self.threads: set[int] = set()

        async def process_events(self, events: Sequence[GatewayEvent]) -> bool:
            await asyncio.sleep(0)
            self.threads.add(threading.get_ident())
            return True

    async def main() -> None:
        awaiting = Awaiting()
        rig = Rig(awaiting)
        running = asyncio.create_task(rig.dispatcher.run())
        rig.offer("a")
        await _until(lambda: rig.queue.floor == 1)
        assert awaiting.threads == {threading.get_ident()}
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(main())


def test_a_bucket_that_leaves_while_its_batch_fails_is_not_handed_out_any_more() -> None:
    class Failing:
        calls = 0

        async def process_events(self, events: Sequence[GatewayEvent]) -> bool:
            self.calls += 1
            return False

    async def main() -> None:
        failing = Failing()
        rig = Rig(failing)
        running = asyncio.create_task(rig.dispatcher.run())
        rig.offer("a")
        await _until(lambda: failing.calls >= 1)
        rig.dispatcher.remove(rig.queue)
        rig.queue.close()
        calls = failing.calls
        await _until(lambda: rig.dispatcher.error == "")
        await asyncio.sleep(0.3)
        assert failing.calls == calls
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(main())


def test_what_nobody_can_read_waits_and_shows_why() -> None:
    class Taking:
        async def process_events(self, events: Sequence[GatewayEvent]) -> bool:
            return True

    async def main() -> None:
        rig = Rig(Taking())
        running = asyncio.create_task(rig.dispatcher.run())
        rig.queue.offer(Seq(1), Seq(0), record_of(Part(1, (), 0, 0, 1, b"unreadable")), 0)
        rig.dispatcher.on_offered(rig.queue)
        await _until(lambda: "malformed event columns" in rig.dispatcher.error)
        assert (rig.queue.floor, rig.queue.queued_events) == (0, 1)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(main())
