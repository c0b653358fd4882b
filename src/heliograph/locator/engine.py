"""The site's engine as its locator has it: a private one that it runs, or an existing one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from heliograph.engine.nats.conf import EngineOptions
from heliograph.engine.nats.engine import connect_engine
from heliograph.engine.nats.server import PrivateEngine
from heliograph.engine.seam import Engine
from heliograph.locator.config import LocatorConfig
from heliograph.model.ids import LOOPBACK

EVERY_IPV4 = "0.0.0.0"  # noqa: S104  (members on other machines must reach the engine)


@dataclass(frozen=True)
class SiteEngine:
    """A connection to the engine, and the url (with credentials) by which the site's members connect to it too."""

    engine: Engine
    url: str
    private: PrivateEngine | None = None

    async def close(self) -> None:
        """Close the connection, and stop the engine if it is private."""
        await self.engine.close()
        if self.private is not None:
            await self.private.stop()


OpenEngine = Callable[[LocatorConfig], Awaitable[SiteEngine]]


async def open_site_engine(config: LocatorConfig) -> SiteEngine:
    """Start the private engine, or connect to the one at `config.engine`. Raises UsageError and UnavailableError.

    A private engine listens where members expect it: see `engine_host`.
    """
    if config.engine is not None:
        return SiteEngine(await connect_engine(config.engine), config.engine)
    options = EngineOptions(engine_host(config), disk_synchronous=config.disk_synchronous)
    private = PrivateEngine(config.engine_directory, options)
    await private.start()
    try:
        engine = await connect_engine(private.url)
    except BaseException:
        await private.stop()
        raise
    return SiteEngine(engine, url_at(private.url, config.advertised_host), private)


def engine_host(config: LocatorConfig) -> str:
    """Return where the private engine listens: the bind address; without one, loopback, which is what is told then,
    or every interface when a host name is told.
    """
    return config.bind_address or (EVERY_IPV4 if config.hostname_for_clients else LOOPBACK)


def url_at(url: str, host: str) -> str:
    """Return an engine's url with another host: the one by which others reach it."""
    parts = urlsplit(url)
    shown = f"[{host}]" if ":" in host else host
    return parts._replace(netloc=f"{parts.username}:{parts.password}@{shown}:{parts.port}").geturl()
