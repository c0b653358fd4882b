"""The server as a daemon's body: a cache that nobody in its process uses."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from heliograph.api.cache import Cache
from heliograph.api.cache_config import CacheOptions
from heliograph.model.ids import Address

if TYPE_CHECKING:
    from heliograph.gfsh.daemon import OnReady


async def run(name: str, options: CacheOptions, on_ready: OnReady) -> None:
    """Run a server until a signal, or an operator's `shutdown`, ends it.

    Raises UsageError or UnavailableError when it can't be started, and why it stopped when it stopped by itself.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    async with Cache(name, **options) as cache:
        on_ready(Address(cache.member.config.bind_address or "127.0.0.1", cache.address.port), "")
        cache.member.on_failed = asked.set
        cache.member.process.on_shut_down = asked.set
        await asked.wait()
        if cache.member.failure is not None:
            raise cache.member.failure
