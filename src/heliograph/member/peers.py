"""Links from this member to the site's other members and to its locators, opened when first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from heliograph.errors import NotPrimaryError, UnavailableError
from heliograph.link.hello import Hello
from heliograph.link.messages import Reply, Request
from heliograph.model.ids import Address
from heliograph.net.link import BaseHandler, Link, connect_link
from heliograph.net.seam import Network

CONNECT_S = 2.0

T = TypeVar("T")


class Peers:
    """One link for each address asked."""

    def __init__(self, network: Network, hello: Callable[[], Hello]) -> None:
        self._network = network
        self._hello = hello
        self._links: dict[Address, Link] = {}
        self._opening: dict[Address, asyncio.Lock] = {}

    async def call(self, address: Address, message: Request, kind: type[T], *, timeout_s: float) -> T:
        """Ask a process of this site and return its answer.

        Raises NotPrimaryError when it can't be reached, so the request did certainly not happen; UnavailableError when
        the answer did not come, so the outcome is unknown; else the error that it answered.
        """
        try:
            link = await self._link(address)
        except UnavailableError as exc:
            raise NotPrimaryError(f"{address} can't be reached: {exc}") from exc
        reply: Reply = await link.call(message, timeout_s=timeout_s)
        if not isinstance(reply, kind):
            raise UnavailableError(f"{address} answered {type(reply).__name__} to {type(message).__name__}")
        return reply

    async def _link(self, address: Address) -> Link:
        async with self._opening.setdefault(address, asyncio.Lock()):
            link = self._links.get(address)
            if link is None or link.closed:
                link = await connect_link(self._network, address, self._hello(), BaseHandler(), timeout_s=CONNECT_S)
                self._links[address] = link
            return link

    async def close(self) -> None:
        """Close every link."""
        for link in self._links.values():
            link.close("this member stops")
        for link in self._links.values():
            await link.wait_closed()
        self._links.clear()
