"""What nats-py raises, and what it swallows, as the seam's users see it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from heliograph.engine.nats.failures import translated


async def swallowing() -> None:
    with translated("try"), suppress(asyncio.CancelledError):  # as `nats.aio.client.Client._flush_pending` does
        await asyncio.Event().wait()


def test_a_swallowed_cancellation_is_raised_again() -> None:
    async def scenario() -> bool:
        task = asyncio.create_task(swallowing())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(scenario())


def test_a_deadline_whose_cancellation_was_swallowed_is_still_a_deadline() -> None:
    async def scenario() -> None:
        try:
            async with asyncio.timeout(0.001):
                await swallowing()
        except TimeoutError:
            return
        raise AssertionError("no TimeoutError")

    asyncio.run(scenario())
