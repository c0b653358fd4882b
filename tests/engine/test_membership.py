from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from heliograph.engine.membership import CRASHED_S, Membership
from heliograph.engine.sim.engine import SimClient, SimRegistry, connect_engine
from heliograph.engine.sim.loop import run
from heliograph.engine.sim.server import SimEngine
from heliograph.errors import HeliographError
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo
from heliograph.model.registry import decode_entry, member_key

TIMEOUT_S = 2.0


class Process:
    """A process that runs, or wants to run, as member "a"."""

    client: SimClient
    registry: SimRegistry
    membership: Membership

    def __init__(self, incarnation: str) -> None:
        self.incarnation = incarnation
        self.pid = 1
        self.lost: list[HeliographError] = []

    async def open(self, engine: SimEngine) -> None:
        self.client = connect_engine(engine)
        self.registry = await self.client.open_registry("site")
        self.membership = Membership(self.registry, self.info, TIMEOUT_S, self.lost.append)

    def info(self) -> MemberInfo:
        return MemberInfo(
            name="a",
            kind="server",
            incarnation=self.incarnation,
            joined_ms=0,
            address=Address("a", 1),
            pid=self.pid,
        )

    async def live(self) -> asyncio.Task[None]:
        await self.membership.register()
        return asyncio.create_task(self.membership.give_signs_of_life())

    async def holder(self) -> str:
        """Who has the name now, "" when nobody has."""
        item = await self.registry.get(member_key("a"))
        return "" if item is None else decode_entry(item.value, MemberInfo).incarnation


def with_processes(scenario: Callable[[Process, Process], Coroutine[Any, Any, None]]) -> None:
    async def main(rng: random.Random) -> None:
        engine, processes = SimEngine(rng), (Process("old"), Process("new"))
        for process in processes:
            await process.open(engine)
        await scenario(*processes)

    run(main, seed=1)


async def ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_a_living_member_keeps_its_name() -> None:
    async def scenario(old: Process, new: Process) -> None:
        living = await old.live()
        await asyncio.sleep(10 * TIMEOUT_S)
        assert await new.holder() == "old"
        old.pid = 2
        await asyncio.gather(old.membership.tell_news(), old.membership.tell_news())
        await asyncio.sleep(10 * TIMEOUT_S)
        assert (await new.holder(), old.lost) == ("old", [])
        await ended(living)

    with_processes(scenario)


def test_who_comes_back_and_finds_its_name_taken_gives_way() -> None:
    """It was paused for longer than `member-timeout`, and its replacement was started."""

    async def scenario(old: Process, new: Process) -> None:
        living = await old.live()
        old.client.connection.cut()
        replacing = await new.live()
        old.client.connection.heal()
        await asyncio.sleep(5 * TIMEOUT_S)
        assert len(old.lost) == 1
        assert "another process runs as member a" in str(old.lost[0])
        await old.membership.leave()
        await asyncio.sleep(5 * TIMEOUT_S)
        assert (await new.holder(), new.lost) == ("new", [])
        await ended(living, replacing)

    with_processes(scenario)


def test_who_was_away_and_is_not_replaced_takes_its_name_again() -> None:
    async def scenario(old: Process, new: Process) -> None:
        living = await old.live()
        old.client.connection.cut()
        await asyncio.sleep(2 * TIMEOUT_S)
        assert await new.holder() == ""
        old.client.connection.heal()
        await asyncio.sleep(TIMEOUT_S)
        assert (await new.holder(), old.lost) == ("old", [])
        await ended(living)

    with_processes(scenario)


def test_a_renewal_whose_answer_was_lost_is_not_taken_for_anothers() -> None:
    async def scenario(old: Process, new: Process) -> None:
        living = await old.live()
        for _ in range(5):
            item = await new.registry.get(member_key("a"))
            assert item is not None
            await new.registry.update("members.a", item.value, revision=item.revision, ttl_s=TIMEOUT_S)
            await asyncio.sleep(TIMEOUT_S)
        assert (await new.holder(), old.lost) == ("old", [])
        await ended(living)

    with_processes(scenario)


def test_who_left_stays_away_though_it_still_runs() -> None:
    async def scenario(old: Process, new: Process) -> None:
        living = await old.live()
        await old.membership.leave()
        old.pid = 2
        await old.membership.tell_news()
        await asyncio.sleep(TIMEOUT_S)
        assert await new.holder() == ""
        started_at = asyncio.get_running_loop().time()
        replacing = await new.live()
        assert asyncio.get_running_loop().time() - started_at < CRASHED_S
        await ended(living, replacing)

    with_processes(scenario)


def test_the_name_of_who_is_certainly_dead_is_not_waited_for() -> None:
    async def scenario(old: Process, new: Process) -> None:
        dead = await old.live()
        await ended(dead)
        loop = asyncio.get_running_loop()
        began = loop.time()
        same_address = Membership(
            new.registry, new.info, TIMEOUT_S, new.lost.append, lambda other: other.address == new.info().address
        )
        await same_address.register()
        assert loop.time() - began < TIMEOUT_S
        assert await new.holder() == "new"
        await old.membership.leave()
        assert await new.holder() == "new", "who comes back late deletes nothing of its successor's"

    with_processes(scenario)
