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
from heliograph.net.tls import TlsContexts

_log = logging.getLogger(__name__)


@asynccontextmanager
async def running(locator: Locator) -> AsyncIterator[Locator]:
    """Run a locator with its HTTP admin API; on leaving, HTTP stops first, then the links, then the engine."""
    config = locator.config
    try:
        await locator.start()
        listening = Address(config.http_service_bind_address, config.http_service_port)
        contexts = TlsContexts(config.tls)
        http = await serve_http(
            make_app(locator.site, locator.security.gatekeeper), listening, lambda: contexts.listening("web")
        )
        try:
            scheme = "https" if config.tls.enables("web") else "http"
            locator.http_url = f"{scheme}://{Address(config.advertised_http_host, http.port).endpoint}"
            _log.info("admin API served url=%s", locator.http_url)
            yield locator
        finally:
            await http.close()
    finally:
        await locator.stop()


async def run_locator(config: LocatorConfig, on_ready: Callable[[Locator], None]) -> None:
    """Run a locator until SIGTERM or SIGINT, or until an operator shuts it down. `on_ready` is called once it answers.

    One that has to wait for the site's other locators answers that it does, and `on_ready` is called again when it is
    of use. Raises UsageError or UnavailableError when it can't be started, and whatever made it stop by itself.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, asked.set)
    locator = Locator(config)
    locator.process.on_shut_down = asked.set
    ends = {asyncio.create_task(asked.wait()), asyncio.create_task(_serve(locator, on_ready))}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        await asyncio.wait(ends)
        for task in ends:
            if not task.cancelled():
                task.result()
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signum)


async def _serve(locator: Locator, on_ready: Callable[[Locator], None]) -> None:
    """Run a locator until cancelled, or until it stops by itself."""
    locator.on_waiting = lambda: on_ready(locator)
    async with running(locator):
        on_ready(locator)
        await locator.wait_stopped()
