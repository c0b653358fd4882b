"""A locator as a process: the locator and the HTTP admin API in one, until a signal ends them."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from heliograph.admin.app import make_app
from heliograph.admin.server import serve_http
from heliograph.locator.config import LocatorConfig
from heliograph.locator.locator import Locator
from heliograph.model.ids import Address

_log = logging.getLogger(__name__)


@asynccontextmanager
async def running(locator: Locator) -> AsyncIterator[Locator]:
    """Run a locator with its HTTP admin API; on leaving, HTTP stops first, then the links, then the engine."""
    config = locator.config
    try:
        await locator.start()
        listening = Address(config.http_service_bind_address, config.http_service_port)
        http = await serve_http(make_app(locator.site), listening)
        try:
            host = config.advertised_http_host
            locator.http_url = f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"
            _log.info("admin API served url=%s", locator.http_url)
            yield locator
        finally:
            await http.close()
    finally:
        await locator.stop()


async def run_locator(config: LocatorConfig, on_ready: Callable[[Locator], None]) -> None:
    """Run a locator until SIGTERM or SIGINT. `on_ready` is called once it answers.

    Raises UsageError or UnavailableError when it can't be started, and whatever made it stop by itself.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, asked.set)
    try:
        async with running(Locator(config)) as locator:
            on_ready(locator)
            ends = {asyncio.create_task(asked.wait()), asyncio.create_task(locator.wait_stopped())}
            done, rest = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.wait(ends)
            for task in done:
                task.result()
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signum)
