"""What nats-py raises, and what it swallows, as the seam's users see it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from nats.js.errors import APIError

from heliograph.engine.nats.failures import translated
from heliograph.errors import HeliographError, UnavailableError, UsageError


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


@pytest.mark.parametrize(
    ("code", "err_code", "description", "kind"),
    [
        (400, 10026, "maximum consumers limit reached", UnavailableError),
        (400, 10027, "maximum number of streams reached", UnavailableError),
        (400, 10002, "resource limits exceeded for account", UnavailableError),
        (400, 10005, "no suitable peers for placement", UnavailableError),
        (404, 10059, "stream not found", UnavailableError),
        (503, 10008, "JetStream system temporarily unavailable", UnavailableError),
        (400, 10065, "subjects overlap with an existing stream", UsageError),
        (400, 10054, "message size exceeds maximum allowed", UsageError),
        (500, 10074, "replicas > 1 not supported in non-clustered mode", UsageError),
    ],
)
def test_only_what_can_never_be_right_is_the_callers_fault(
    code: int, err_code: int, description: str, kind: type[HeliographError]
) -> None:
    async def refused() -> None:
        with translated("try"):
            APIError.from_error({"code": code, "err_code": err_code, "description": description})

    with pytest.raises(HeliographError, match=description) as raised:
        asyncio.run(refused())
    assert type(raised.value) is kind
