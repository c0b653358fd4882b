"""The readers of a gateway sender's logs, where they wait for one another."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import cast

from heliograph.engine.seam import Log, LogEntry
from heliograph.gateway.memory import Memory
from heliograph.gateway.queue import BucketQueue, Probe, QueueCounters
from heliograph.member.sender_feed import Feed
from heliograph.member.tasks import Tasks
from heliograph.model.ids import NO_SEQ, Seq
from tests.gateway.builders import THERE
from tests.member.wan import World, simulate


class ClosingLog:
    """A log of which something happens while a reader of some subjects is being closed."""

    def __init__(self, log: Log, subject: str, while_closing: Callable[[], None]) -> None:
        self._log = log
        self._subject = subject
        self._while_closing = while_closing

    async def follow(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        try:
            async with aclosing(self._log.follow(subjects, after=after)) as stream:
                async for entries in stream:
                    yield list(entries)
        finally:
            if list(subjects) == [self._subject]:
                self._while_closing()


def test_a_reader_that_waits_for_memory_goes_on_when_it_is_freed_while_another_one_ends() -> None:
    async def scenario(world: World) -> None:
        memory, counters = Memory(1), QueueCounters()  # one record fills it
        followed, refused = (BucketQueue("r", bucket, THERE, NO_SEQ, memory, counters) for bucket in (0, 1))
        subjects = [world.local.subject("r", bucket) for bucket in (0, 1)]
        await world.append("r", 0, "a")
        refused.restrict(Probe())
        refused.learn_last(await world.append("r", 1, "c"))

        def acknowledge() -> None:
            flight = followed.take([], 1, 1, ())
            assert flight is not None
            followed.on_ack(flight)
            feed.on_room()

        tasks = Tasks(world.local.fail)
        log = cast(Log, ClosingLog(world.local.log_of("r"), subjects[1], acknowledge))
        feed = Feed(log, memory, tasks, lambda _: None)
        feed.start()
        feed.add(subjects[0], followed)
        feed.follow(subjects[:1])
        await world.until(lambda: followed.held_events == 1)
        second = await world.append("r", 0, "b")
        feed.add(subjects[1], refused)
        feed.wake()
        await world.until(lambda: (refused.held_events, followed.floor) == (1, 1))
        await world.until(lambda: followed.tip == second)
        await tasks.close()

    simulate(scenario)
