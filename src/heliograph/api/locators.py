"""A client's way to its site's locators: it asks them in turn, and keeps what the last one answered."""

from __future__ import annotations

import logging

from heliograph.api.routes import Routes
from heliograph.errors import HeliographError, PeerError, UnavailableError, UsageError
from heliograph.link.hello import Hello
from heliograph.link.messages import SiteQuery, SiteView
from heliograph.model.ids import Address
from heliograph.net.link import call_once
from heliograph.net.seam import Network
from heliograph.net.shared import SharedTasks

LOCATOR_TIMEOUT_S = 2.0
"""How long one locator may take to be reached, and again to answer, before the next one is asked."""

_log = logging.getLogger(__name__)


class Locators:
    """The locators of one site. The one that answered last is asked first."""

    def __init__(self, network: Network, addresses: tuple[Address, ...], hello: Hello) -> None:
        self._network = network
        self._addresses = list(addresses)
        self._hello = hello
        self._routes: Routes | None = None
        self._asking = SharedTasks[Routes]()

    async def routes(self) -> Routes:
        """Return the newest view of the site that there is, asking only for the first one. Raises as `renew`."""
        return self._routes or await self.renew(None)

    async def renew(self, seen: Routes | None) -> Routes:
        """Return a view of the site that is newer than `seen`, which turned out to be old.

        Raises UnavailableError when no locator answers, and PeerError or UsageError when what answers is no locator.
        """
        if self._routes is not None and self._routes is not seen:
            return self._routes
        return await self._asking.run("routes", self._ask)

    async def close(self, reason: str) -> None:
        """Stop asking; whoever needs an answer is told the reason (UsageError)."""
        await self._asking.close(reason)

    async def _ask(self) -> Routes:
        failures: list[tuple[Address, HeliographError]] = []
        for address in tuple(self._addresses):
            try:
                view = await call_once(self._network, address, self._hello, SiteQuery(), timeout_s=LOCATOR_TIMEOUT_S)
            except HeliographError as exc:
                _log.debug("locator failed address=%s error=%s", address, exc)
                failures.append((address, exc))
                continue
            if not isinstance(view, SiteView):
                failures.append((address, PeerError(f"it answered {type(view).__name__} to SiteQuery")))
                continue
            self._addresses.remove(address)
            self._addresses.insert(0, address)
            self._routes = Routes(view)
            return self._routes
        raise verdict(failures)


def verdict(failures: list[tuple[Address, HeliographError]]) -> HeliographError:
    """Say what to do when no locator answered; a mistake in the address, unless another one may come up later."""
    where = ", ".join(str(address) for address, _ in failures)
    why = "; ".join(f"{address}: {error}" for address, error in failures)
    if any(error.retriable for _, error in failures):
        return UnavailableError(
            f"no locator answers at {where}: check that it is started (`helio start locator`) and the address ({why})"
        )
    kind = PeerError if all(isinstance(error, PeerError) for _, error in failures) else UsageError
    return kind(f"there is no heliograph locator at {where}: check the address ({why})")
