"""The virtual-time event loop."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from heliograph.engine.sim.loop import StalledError, VirtualLoop, run


def test_time_jumps_to_the_next_timer() -> None:
    async def main(rng: random.Random) -> list[tuple[float, str]]:
        loop = asyncio.get_running_loop()
        happened: list[tuple[float, str]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            happened.append((loop.time(), name))

        await asyncio.gather(sleeper("hour", 3600), sleeper("second", 1), sleeper("day", 80000))
        return happened

    started = time.monotonic()
    happened = run(main, seed=1)
    assert time.monotonic() - started < 5
    assert [name for _, name in happened] == ["second", "hour", "day"]
    assert [moment for moment, _ in happened] == pytest.approx([1, 3600, 80000])


def test_the_seed_decides_the_dice() -> None:
    async def main(rng: random.Random) -> float:
        return rng.random()

    assert run(main, seed=7) == run(main, seed=7) != run(main, seed=8)


def test_waiting_for_nothing_is_an_error_that_names_the_seed() -> None:
    async def main(rng: random.Random) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError) as timed_out:
        run(main, seed=3, limit_s=10)
    assert timed_out.value.__notes__ == ["simulation seed 3"]


def test_without_any_timer_the_loop_says_that_it_stalls() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    loop = VirtualLoop()
    waiting = loop.create_task(main())
    with pytest.raises(StalledError):
        loop.run_until_complete(waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(waiting)
    loop.close()
