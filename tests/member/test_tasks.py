from __future__ import annotations

import asyncio

import pytest

from heliograph.member.tasks import Tasks


async def for_ever() -> None:
    await asyncio.Event().wait()


def test_close_ends_every_task() -> None:
    async def scenario() -> None:
        tasks = Tasks()
        running = [tasks.spawn(for_ever()) for _ in range(3)]
        await asyncio.sleep(0)
        await tasks.close()
        assert all(task.cancelled() for task in running)

    asyncio.run(scenario())


def test_what_is_spawned_after_the_end_never_begins() -> None:
    begun: list[str] = []

    async def late(name: str) -> None:
        begun.append(name)

    async def scenario() -> None:
        tasks = Tasks()

        async def spawning() -> None:
            try:
                await for_ever()
            finally:
                tasks.spawn(late("on its way out"))

        tasks.spawn(spawning())
        await asyncio.sleep(0)
        await tasks.close()
        assert len(asyncio.all_tasks()) == 1
        orphan = tasks.spawn(late("afterwards"))
        await asyncio.wait({orphan})
        assert orphan.cancelled()

    asyncio.run(scenario())
    assert begun == []


def test_a_task_that_fails_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("unexpected")

    async def scenario() -> None:
        failures: list[BaseException] = []
        tasks = Tasks(failures.append)
        await asyncio.wait({tasks.spawn(fail())})
        await asyncio.sleep(0)
        assert [str(each) for each in failures] == ["unexpected"]
        await tasks.close()

    asyncio.run(scenario())
    assert "task failed" in caplog.text
    assert "Traceback" in caplog.text
