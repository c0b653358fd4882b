"""A client's way to its site's locators: it asks them in turn, and keeps what the last one answered."""

from __future__ import annotations

import asyncio
import logging

from heliograph.api.routes import Routes
from heliograph.errors import AuthenticationError, HeliographError, PeerError, UnavailableError, UsageError
from heliograph.link.hello import Hello
from heliograph.link.messages import SiteQuery, SiteView
from heliograph.model.ids import Address
from heliograph.net.identity import UNKNOWN, Introduction
from heliograph.net.link import call_once
from heliograph.net.seam import Network
from heliograph.net.shared import SharedTasks

LOCATOR_TIMEOUT_S = 2.0
"""How long one locator may take to be reached, and again to answer, before the next one is asked."""
REFRESH_S = 60.0
"""What is known of the site is learnt anew, beside the calls, by the first one after so long."""

_log = logging.getLogger(__name__)


class Locators:
    """The locators of one site: those that were given, and those that the site has besides.

    The one that answered last is asked first, so one that is dead holds up no more than the first question.
    """

    def __init__(
        self,
        network: Network,
        addresses: tuple[Address, ...],
        hello: Hello,
        introduction: Introduction = UNKNOWN,
    ) -> None:
        self._network = network
        self._introduction = introduction
        self._addresses = list(addresses)
        self._hello = hello
        self._routes: Routes | None = None
        self._heard_at = 0.0
        self._asking = SharedTasks[Routes]()

    async def routes(self) -> Routes:
        """Return the newest view of the site that there is, waiting only for the first one. Raises as `renew`."""
        if self._routes is None:
            return await self.renew(None)
        if asyncio.get_running_loop().time() - self._heard_at > REFRESH_S:
            self._asking.begin("routes", self._ask)
        return self._routes

    def now_ms(self) -> int:
        """Return the site's time: a locator's clock when it answered last, and what has passed since."""
        if self._routes is None:
            return 0
        return self._routes.now_ms + int((asyncio.get_running_loop().time() - self._heard_at) * 1000)

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
                view = await call_once(
                    self._network,
                    address,
                    self._hello,
                    SiteQuery(),
                    timeout_s=LOCATOR_TIMEOUT_S,
                    introduction=self._introduction,
                )
            except HeliographError as exc:
                _log.debug("locator failed address=%s error=%s", address, exc)
                failures.append((address, exc))
                continue
            if not isinstance(view, SiteView):
                failures.append((address, PeerError(f"it answered {type(view).__name__} to SiteQuery")))
                continue
            self._routes = Routes(view)
            self._heard_at = asyncio.get_running_loop().time()
            failed = [each for each, _ in failures]
            known = (*self._addresses, *self._routes.locators)
            self._addresses = list(dict.fromkeys((address, *(each for each in known if each not in failed), *failed)))
            return self._routes
        raise verdict(failures)


def verdict(failures: list[tuple[Address, HeliographError]]) -> HeliographError:
    """Say what to do when no locator answered; a mistake in the address, unless another one may come up later."""
    where = ", ".join(str(address) for address, _ in failures)
    refused = next(((at, error) for at, error in failures if isinstance(error, AuthenticationError)), None)
    if refused is not None:
        return AuthenticationError(f"{refused[0]}: {refused[1]}")
    why = "; ".join(f"{address}: {error}" for address, error in failures)
    if any(error.retriable for _, error in failures):
        return UnavailableError(
            f"no locator answers at {where}: check that it is started (`helio start locator`) and the address ({why})"
        )
    kind = PeerError if all(isinstance(error, PeerError) for _, error in failures) else UsageError
    return kind(f"there is no heliograph locator at {where}: check the address ({why})")
