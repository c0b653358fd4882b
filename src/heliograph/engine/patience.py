"""Doing what may take several attempts, while an engine of several nodes elects the primary replica of a store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from heliograph.errors import UnavailableError

RETRY_S = 0.2
PATIENCE_S = 60.0

_log = logging.getLogger(__name__)
T = TypeVar("T")


async def patiently(attempt: Callable[[], Awaitable[T]], within_s: float = PATIENCE_S) -> T:
    """Return what `attempt` does once the engine is available. Raises UnavailableError when `within_s` is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        try:
            return await attempt()
        except UnavailableError as exc:
            if loop.time() > deadline:
                raise
            _log.info("attempt repeated error=%s", exc)
        await asyncio.sleep(RETRY_S)
