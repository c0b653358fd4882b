"""Work that is done once for all who want it at the same time."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.errors import UnavailableError, UsageError
from heliograph.net.shared import SharedTasks


class Work:
    """Counts how often it is begun; ends when told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.begins = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        self.begins.set()
        await self.end.wait()
        return self.begun


def test_who_asks_meanwhile_waits_for_the_same_task() -> None:
    async def main() -> None:
        shared, work = SharedTasks[int](), Work()
        callers = [asyncio.create_task(shared.run("key", work)) for _ in range(3)]
        await asyncio.sleep(0)
        callers[0].cancel()
        work.end.set()
        assert await asyncio.gather(*callers[1:]) == [1, 1]
        assert await shared.run("key", work) == 2
        await shared.close("over")

    asyncio.run(main())


def test_keys_are_apart_and_an_error_reaches_its_callers_only() -> None:
    async def fail() -> int:
        raise UnavailableError("gone")

    async def main() -> None:
        shared, work = SharedTasks[int](), Work()
        work.end.set()
        results = await asyncio.gather(
            shared.run("bad", fail), shared.run("bad", fail), shared.run("good", work), return_exceptions=True
        )
        assert [type(result) for result in results] == [UnavailableError, UnavailableError, int]
        await shared.close("over")

    asyncio.run(main())


def test_close_ends_what_runs_and_refuses_more() -> None:
    async def main() -> None:
        shared, work = SharedTasks[int](), Work()
        caller = asyncio.create_task(shared.run("key", work))
        await work.begins.wait()
        await shared.close("the client is closed")
        for late in (caller, shared.run("key", work)):
            with pytest.raises(UsageError, match="the client is closed"):
                await late
        assert work.begun == 1

    asyncio.run(main())
