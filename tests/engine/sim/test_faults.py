"""Seeded swarms on the simulated engine: writers, followers and every fault at once."""

from __future__ import annotations

import asyncio
import random
from functools import partial

import pytest

from heliograph.engine.append import append_settled
from heliograph.engine.seam import Log, LogEntry
from heliograph.engine.sim.engine import SimClient, connect_engine
from heliograph.engine.sim.faults import Fault
from heliograph.engine.sim.loop import run
from heliograph.engine.sim.server import SimEngine
from heliograph.errors import FencedError, UnavailableError
from heliograph.model.ids import NO_SEQ
from tests.engine.worlds import background, collect, eventually

SUBJECT = "log.DEFAULT.region.0.0"


async def writer(log: Log, name: str, count: int, written: list[str]) -> None:
    """Append `count` batches; a fenced one becomes primary again after whoever was, as a bucket's copy does."""
    number, expected = 0, NO_SEQ
    while number < count:
        batch_id = f"{name}{number}"
        try:
            expected = await append_settled(log, SUBJECT, b"x", expected=expected, batch_id=batch_id, deadline_s=600)
        except FencedError:
            last = await patient_last(log)
            expected = NO_SEQ if last is None else last.seq
            continue
        written.append(batch_id)
        number += 1


async def patient_last(log: Log) -> LogEntry | None:
    while True:
        try:
            return await log.last(SUBJECT)
        except UnavailableError:
            await asyncio.sleep(0.1)


async def chaos(engine: SimEngine, clients: list[SimClient], rng: random.Random) -> None:
    while True:
        await asyncio.sleep(rng.uniform(0.5, 5))
        if rng.random() < 0.5:
            engine.stop()
            await asyncio.sleep(rng.uniform(0, 3))
            engine.start()
        else:
            connection = rng.choice(clients).connection
            connection.cut()
            await asyncio.sleep(rng.uniform(0, 3))
            connection.heal()


async def swarm(rng: random.Random, names: str = "a") -> tuple[float, list[str], list[LogEntry]]:
    engine = SimEngine(rng)
    chances = {Fault.ANSWER_LOST: 0.1, Fault.REQUEST_LOST: 0.1, Fault.DELAYED: 0.1}
    clients = [connect_engine(engine) for _ in range(3)]
    logs = [await client.open_log("DEFAULT") for client in clients]
    engine.faults.chances = chances
    written: list[str] = []
    followed: list[LogEntry] = []
    follow = logs[2].follow([SUBJECT], after=NO_SEQ)
    async with background(chaos(engine, clients, rng), collect(follow, followed)):
        await asyncio.gather(*(writer(log, name, 30, written) for log, name in zip(logs, names, strict=False)))
        last = await patient_last(logs[1])
        assert last is not None
        await eventually(lambda: bool(followed) and followed[-1].seq == last.seq)
    return asyncio.get_running_loop().time(), written, followed


@pytest.mark.parametrize("seed", range(10))
def test_no_append_is_lost_doubled_or_reordered(seed: int) -> None:
    _, written, followed = run(swarm, seed=seed)
    assert written == [f"a{number}" for number in range(30)]
    assert [entry.batch_id for entry in followed] == written
    assert [entry.previous for entry in followed] == [NO_SEQ, *(entry.seq for entry in followed[:-1])]


@pytest.mark.parametrize("seed", range(10))
def test_two_writers_never_both_succeed_on_one_sequence(seed: int) -> None:
    _, written, followed = run(partial(swarm, names="ab"), seed=seed)
    assert len(written) == 60
    assert set(written) <= {entry.batch_id for entry in followed}
    assert [entry.previous for entry in followed] == [NO_SEQ, *(entry.seq for entry in followed[:-1])]


def test_a_seed_repeats_its_run_exactly() -> None:
    assert run(swarm, seed=42) == run(swarm, seed=42)
    assert run(swarm, seed=42)[0] != run(swarm, seed=43)[0]


def test_a_delayed_append_is_written_after_its_writer_gave_up() -> None:
    async def main(rng: random.Random) -> None:
        engine = SimEngine(rng)
        log = await connect_engine(engine).open_log("DEFAULT")
        engine.faults.plan(Fault.DELAYED)
        with pytest.raises(UnavailableError, match="no answer"):
            await log.append(SUBJECT, b"x", expected=NO_SEQ, batch_id="b1")
        assert await log.last(SUBJECT) is None
        await asyncio.sleep(10)
        last = await log.last(SUBJECT)
        assert last is not None
        seq = await append_settled(log, SUBJECT, b"x", expected=NO_SEQ, batch_id="b1", deadline_s=1)
        assert seq == last.seq

    run(main, seed=1)


def test_a_cut_client_is_alone() -> None:
    async def main(rng: random.Random) -> None:
        engine = SimEngine(rng)
        cut, other = connect_engine(engine), connect_engine(engine)
        logs = [await client.open_log("DEFAULT") for client in (cut, other)]
        cut.connection.cut()
        assert not cut.connected
        with pytest.raises(UnavailableError):
            await logs[0].append(SUBJECT, b"x", expected=NO_SEQ, batch_id="b1")
        seq = await logs[1].append(SUBJECT, b"y", expected=NO_SEQ, batch_id="b2")
        cut.connection.heal()
        with pytest.raises(FencedError):
            await logs[0].append(SUBJECT, b"x", expected=NO_SEQ, batch_id="b1")
        assert await logs[0].append(SUBJECT, b"x", expected=seq, batch_id="b3") == seq + 1

    run(main, seed=1)
