from __future__ import annotations

import asyncio

import pytest

from heliograph.errors import OverloadedError
from heliograph.member.backlog import WAKE_MAX, Backlog


def test_beyond_the_bound_nothing_more_is_taken_until_something_was_answered() -> None:
    async def scenario() -> None:
        backlog = Backlog(100)
        backlog.used_bytes += 99
        backlog.check()
        backlog.used_bytes += 50
        with pytest.raises(OverloadedError, match=r"149 bytes of writes wait for the engine \(limit 100\)"):
            backlog.check()
        waiting = asyncio.create_task(backlog.room())
        await asyncio.sleep(0)
        backlog.give_back(49)
        await asyncio.sleep(0)
        assert not waiting.done()
        backlog.give_back(1)
        await waiting
        await backlog.room()

    asyncio.run(scenario())


def test_who_waits_is_woken_in_turn_and_waits_on_when_others_took_the_room() -> None:
    async def scenario() -> None:
        backlog = Backlog(100)
        backlog.used_bytes = 200
        woken: list[int] = []

        async def take(number: int) -> None:
            await backlog.room()
            woken.append(number)
            backlog.used_bytes += 100

        tasks = [asyncio.create_task(take(number)) for number in range(3 * WAKE_MAX)]
        await asyncio.sleep(0)
        tasks.pop(0).cancel()
        for _ in range(5):
            backlog.give_back(backlog.used_bytes - 50)
            await asyncio.sleep(0.001)
        assert woken[0] == 1
        assert len(woken) == 5
        while not all(task.done() for task in tasks):
            backlog.give_back(backlog.used_bytes)
            await asyncio.sleep(0)
        assert sorted(woken) == list(range(1, 3 * WAKE_MAX))

    asyncio.run(scenario())
