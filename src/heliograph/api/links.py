"""A client's links to members: one each, opened when first needed."""

from __future__ import annotations

import asyncio

from heliograph.api.shared import SharedTasks
from heliograph.errors import UsageError
from heliograph.link.hello import Hello
from heliograph.model.ids import Address
from heliograph.net.link import BaseHandler, KeepAlive, Link, connect_link
from heliograph.net.seam import Network

CONNECT_TIMEOUT_S = 2.0
KEEP_ALIVE = KeepAlive(interval_s=2.0, silence_s=6.0)
"""A member that hangs is given up early enough for a call to be sent again to the next primary in time."""


class MemberLinks:
    """Open links by address; a member that was started again elsewhere is another address."""

    def __init__(self, network: Network, hello: Hello) -> None:
        self._network = network
        self._hello = hello
        self._links: dict[Address, Link] = {}
        self._opening = SharedTasks[Link]()
        self._closed = False

    def get(self, address: Address) -> Link | None:
        """Return the link if it is open already."""
        link = self._links.get(address)
        return link if link is not None and not link.closed else None

    async def open(self, address: Address) -> Link:
        """Open a link. Raises UnavailableError or PeerError as `connect_link`, UsageError once closed."""
        if self._closed:
            raise UsageError("the client is closed")
        return await self._opening.run(address, lambda: self._open(address))

    async def _open(self, address: Address) -> Link:
        link = await connect_link(
            self._network,
            address,
            self._hello,
            BaseHandler(),
            timeout_s=CONNECT_TIMEOUT_S,
            keep_alive=KEEP_ALIVE,
        )
        self._links = {known: old for known, old in self._links.items() if not old.closed} | {address: link}
        return link

    async def close(self) -> None:
        """Close every link; what waits for an answer fails with UnavailableError."""
        self._closed = True
        await self._opening.close()
        links = list(self._links.values())
        self._links.clear()
        for link in links:
            link.close("the client is closed")
        await asyncio.gather(*(link.wait_closed() for link in links))
