"""The locator as a daemon's body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from heliograph.admin.locator_process import run_locator
from heliograph.locator.config import LocatorConfig
from heliograph.locator.locator import Locator
from heliograph.model.ids import Address

if TYPE_CHECKING:
    from heliograph.gfsh.daemon import OnReady


async def run(options: dict[str, Any], on_ready: OnReady) -> None:
    """Run a locator until a signal ends it. Raises UsageError or UnavailableError when it can't be started."""
    config = msgspec.convert(options, LocatorConfig)

    def tell(locator: Locator) -> None:
        on_ready(Address(config.bind_address or "127.0.0.1", locator.address.port), locator.http_url)

    await run_locator(config, tell)
