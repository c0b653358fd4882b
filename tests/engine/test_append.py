"""How an append of unknown outcome is settled, over a log that answers as told; the conformance suite has real ones."""

from __future__ import annotations

import asyncio
import random
from asyncio import Future
from collections.abc import AsyncGenerator, Sequence
from typing import cast

import pytest

from heliograph.engine.append import append_settled
from heliograph.engine.seam import Log, LogEntry
from heliograph.engine.sim.loop import run
from heliograph.errors import FencedError, HeliographError, UnavailableError
from heliograph.model.ids import NO_SEQ, Seq

SUBJECT = "log.DEFAULT.r.0.0"


class ToldLog:
    """Refuses every append as fenced; `shown`: what each reading of the subject shows, the last one again and again."""

    def __init__(self, *shown: list[LogEntry]) -> None:
        self.shown = list(shown)
        self.appends = 0

    def append(self, subject: str, payload: bytes, *, expected: Seq, batch_id: str) -> Future[Seq]:
        self.appends += 1
        answer: Future[Seq] = asyncio.get_running_loop().create_future()
        answer.set_exception(FencedError("wrong last sequence"))
        return answer

    async def scan(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        entries = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        if entries:
            yield entries


def entry(batch_id: str) -> LogEntry:
    return LogEntry(SUBJECT, Seq(5), NO_SEQ, batch_id, b"")


def settled(log: ToldLog) -> Seq | HeliographError:
    async def main(_rng: random.Random) -> Seq | HeliographError:
        try:
            return await append_settled(cast(Log, log), SUBJECT, b"x", expected=NO_SEQ, batch_id="mine", deadline_s=5)
        except HeliographError as exc:
            return exc

    return run(main, seed=1)


def test_a_reading_that_shows_nothing_is_repeated_until_it_shows_who_refused_the_append() -> None:
    """So it is when the node that reads was the log's primary, and its successor has the append already."""
    log = ToldLog([], [], [entry("mine")])
    assert settled(log) == 5
    assert log.appends == 3
    assert isinstance(settled(ToldLog([], [entry("theirs")])), FencedError)


def test_nothing_shown_to_the_end_is_unknown_and_not_refused() -> None:
    error = settled(ToldLog([]))
    assert isinstance(error, UnavailableError)
    assert not isinstance(error, FencedError)


@pytest.mark.parametrize("other", ["theirs", "another"])
def test_another_message_in_its_place_decides_at_once(other: str) -> None:
    log = ToldLog([entry(other)])
    assert isinstance(settled(log), FencedError)
    assert log.appends == 1
