"""How a gateway sender comes to a gateway receiver of its remote site: found through this site's locators, told apart
by what it says it is. What answers at an address may be another receiver (behind a proxy), or something else.
"""

from __future__ import annotations

import asyncio

from heliograph.errors import HeliographError, PeerError, UnavailableError
from heliograph.gateway.balance import Balance
from heliograph.link.hello import Hello
from heliograph.link.messages import Receivers
from heliograph.member.sender_host import SenderHost
from heliograph.model.ids import Address
from heliograph.model.members import ReceiverInfo
from heliograph.net.link import KEEP_ALIVE, KeepAlive, Link, LinkHandler, connect_link

CONNECT_S = 3.0
RECEIVERS_FRESH_S = 0.5
"""All who look for a sender share an answer of the locators that is no older."""


class ReceiverFinder:
    """Finds the receivers of a site, one question at a time, and spreads a sender's lanes over them.

    together: all lanes go to one receiver. keep_alive, buffer_bytes: of all links.
    """

    def __init__(
        self,
        host: SenderHost,
        dsid: int,
        *,
        together: bool = False,
        keep_alive: KeepAlive = KEEP_ALIVE,
        buffer_bytes: int = 0,
    ) -> None:
        self._host = host
        self._dsid = dsid
        self._keep_alive = keep_alive
        self._buffer_bytes = buffer_bytes
        self._balance = Balance(together=together, draw=host.rng.random)
        self._answer: Receivers | None = None
        self._answered_at = 0.0
        self._names: dict[Address, str] = {}
        """Which member was last said to have its receiver at an address."""
        self._asking = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    async def find(self) -> list[ReceiverInfo]:
        """Return the receivers, at least one. Raises UnavailableError saying what is missing."""
        answer = await self._ask()
        if answer.receivers:
            self._names = {receiver.address: receiver.member for receiver in answer.receivers}
            return answer.receivers
        if answer.known:
            raise UnavailableError(f"site {self._dsid} has no running gateway receiver")
        raise UnavailableError(
            f"nothing is known of site {self._dsid}: no locator of it has answered (check remote-locators)"
        )

    async def _ask(self) -> Receivers:
        async with self._asking:
            now = self._loop.time()
            if self._answer is None or now - self._answered_at > RECEIVERS_FRESH_S:
                self._answer = await self._host.find_receivers(self._dsid)
                self._answered_at = now
            return self._answer

    async def link(self, lane: int, hello: Hello, handler: LinkHandler) -> tuple[Link, Address]:
        """Link a lane to the receiver that suits the balance, until `left` is called for it.

        Raises as `find`; and as `connect_link` and PeerError when what answers is no receiver of the site: then it is
        another receiver's turn.
        """
        receivers = await self.find()
        address = self._balance.choose(lane, receivers, self._loop.time())
        try:
            return await self._link(address, hello, handler), address
        except HeliographError:
            self._balance.failed(lane, self._loop.time())
            raise
        except BaseException:
            self._balance.left(lane)
            raise

    def left(self, lane: int) -> None:
        """A lane's link is gone."""
        self._balance.left(lane)

    async def moves(self) -> list[int]:
        """Return the lanes that should leave their receivers now for a better balance; none where none is known.

        Raises UnavailableError when no locator answers.
        """
        self._answer = None
        return self._balance.moves((await self._ask()).receivers)

    async def link_any(self, hello: Hello, handler: LinkHandler) -> Link:
        """Link to any receiver, for what is sent beside the lanes. Raises as `link` when there is none to be linked."""
        receivers = await self.find()
        addresses = sorted({receiver.address for receiver in receivers})
        self._host.rng.shuffle(addresses)
        errors: list[HeliographError] = []
        for address in addresses:
            try:
                return await self._link(address, hello, handler)
            except HeliographError as exc:
                errors.append(exc)
        raise next((each for each in errors if each.retriable), errors[0])

    async def _link(self, address: Address, hello: Hello, handler: LinkHandler) -> Link:
        link = await connect_link(
            self._host.network,
            address,
            hello,
            handler,
            timeout_s=CONNECT_S,
            keep_alive=self._keep_alive,
            buffer_bytes=self._buffer_bytes,
            introduction=self._host.introduction,
            name=self._names.get(address, ""),
            dsid=self._dsid,
        )
        peer = link.peer
        if peer.role == "receiver" and peer.dsid == self._dsid:
            return link
        why = (
            f"{peer} answers at {address}, and no gateway receiver of site {self._dsid}: check what site "
            f"{self._dsid} gives to senders (--hostname-for-senders) and what listens there"
        )
        link.close(why)
        raise PeerError(why)
