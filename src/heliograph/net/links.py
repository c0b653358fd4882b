"""Links that a process opens when it first needs them and keeps: one for each address.

links = Links(network, hello)   -> await links.call(address, message, Reply, timeout_s=5), await links.close("done")
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from heliograph.errors import PeerError, UnavailableError, UnreachableError
from heliograph.link.hello import Hello
from heliograph.link.messages import Request
from heliograph.model.ids import Address
from heliograph.net.identity import UNKNOWN, Introduction
from heliograph.net.link import KEEP_ALIVE, BaseHandler, KeepAlive, Link, connect_link
from heliograph.net.seam import Network
from heliograph.net.shared import SharedTasks

CONNECT_S = 2.0

T = TypeVar("T")


class Links:
    """Open links by address. A link that closed, say because its other end was started again, is opened anew.

    hello: what this end says, asked anew for every link when callable. introduction: gives its credentials.
    """

    def __init__(
        self,
        network: Network,
        hello: Hello | Callable[[], Hello],
        *,
        keep_alive: KeepAlive = KEEP_ALIVE,
        introduction: Introduction = UNKNOWN,
    ) -> None:
        self._network = network
        self._hello = hello if callable(hello) else (lambda: hello)
        self._keep_alive = keep_alive
        self._introduction = introduction
        self._links: dict[Address, Link] = {}
        self._made: list[Link] = []
        """Those that are not gone: also links that closed and have still something to send."""
        self._opening = SharedTasks[Link]()

    def get(self, address: Address) -> Link | None:
        """Return the link if it is open already."""
        link = self._links.get(address)
        return link if link is not None and not link.closed else None

    def check_open(self) -> None:
        """Raise UsageError once closed."""
        self._opening.check_open()

    async def open(self, address: Address) -> Link:
        """Open a link, once for all who want it at the same time.

        Raises UnreachableError when nobody answers there, PeerError when it is no heliograph or refuses us, UsageError
        once closed.
        """
        return self.get(address) or await self._opening.run(address, lambda: self._open(address))

    async def call(self, address: Address, message: Request, kind: type[T], *, timeout_s: float) -> T:
        """Ask the process at `address` and return its answer of that kind.

        `timeout_s` bounds the wait for the answer, `CONNECT_S` the opening before it. Raises as `open` when there is no
        link; UnavailableError when the answer does not come, so the outcome is unknown; PeerError when it is of another
        kind; else the error that was answered.
        """
        link = await self.open(address)
        reply = await link.call(message, timeout_s=timeout_s)
        if not isinstance(reply, kind):
            raise PeerError(f"{address} answered {type(reply).__name__} to {type(message).__name__}")
        return reply

    async def close(self, reason: str) -> None:
        """Close every link and wait until they are gone; what waits for an answer fails with UnavailableError."""
        await self._opening.close(reason)
        self._links.clear()
        for link in self._made:
            link.close(reason)
        await asyncio.gather(*(link.wait_closed() for link in self._made))

    async def _open(self, address: Address) -> Link:
        try:
            link = await connect_link(
                self._network,
                address,
                self._hello(),
                BaseHandler(),
                timeout_s=CONNECT_S,
                keep_alive=self._keep_alive,
                introduction=self._introduction,
            )
        except UnavailableError as exc:
            raise UnreachableError(f"{address} can't be reached: {exc}") from exc
        self._links = {known: old for known, old in self._links.items() if not old.closed} | {address: link}
        self._made = [old for old in self._made if not old.gone] + [link]
        return link
