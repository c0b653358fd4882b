"""Links for everyone: connect one, serve many, or ask a single question.

link = await connect_link(network, address, hello, handler, timeout_s=2)     -> link.call(message, timeout_s=5)
server = await serve_links(network, host, port, hello, accept)               -> server.port, await server.close()
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from heliograph.errors import HeliographError, PeerError, UnavailableError
from heliograph.link import messages
from heliograph.link.hello import NO_SITE, Hello, Side
from heliograph.link.strangers import RefusalLog, Strangers
from heliograph.model.ids import Address
from heliograph.net.connection import KEEP_ALIVE, KeepAlive, Link
from heliograph.net.handler import BaseHandler, LinkHandler
from heliograph.net.identity import UNKNOWN, Introduction
from heliograph.net.seam import Network, Server

__all__ = [
    "KEEP_ALIVE",
    "LINKS_MAX",
    "BaseHandler",
    "KeepAlive",
    "Link",
    "LinkHandler",
    "LinkServer",
    "call_once",
    "connect_link",
    "serve_links",
]

logger = logging.getLogger(__name__)

LINKS_MAX = 4096
"""Links that one server holds at a time; one more is turned away with a reason. Strangers are counted apart."""


class _Opening:
    """Owner of a link that this end opens: its handler was chosen beforehand."""

    def __init__(self, handler: LinkHandler, introduction: Introduction) -> None:
        self._handler = handler
        self._introduction = introduction

    def admit(self, link: Link) -> None:
        self._introduction.check(link)

    def judge(self, link: Link, peer: Hello) -> LinkHandler:  # noqa: ARG002
        return self._handler

    def welcome(self, link: Link) -> None:
        pass  # as wanted

    def refuse(self, link: Link, error: HeliographError) -> None:
        pass  # only of links that are answered

    def release(self, link: Link) -> None:
        pass  # its user keeps it


async def connect_link(
    network: Network,
    address: Address,
    hello: Hello,
    handler: LinkHandler,
    *,
    timeout_s: float,
    keep_alive: KeepAlive = KEEP_ALIVE,
    buffer_bytes: int = 0,
    introduction: Introduction = UNKNOWN,
    name: str = "",
    dsid: int = NO_SITE,
) -> Link:
    """Open a link; returns when both ends have said and accepted their hellos.

    buffer_bytes: see `Link`. introduction: gives the credentials. name, dsid: of whom is connected to, where known.
    Raises UnavailableError when nobody answers there within `timeout_s` or the other end has no room or is stopping,
    and PeerError when it is no heliograph or refuses us (AuthenticationError: for who we are); the message says why.
    Nothing is left of the link then; to get its last bytes out may take `CLOSE_TIMEOUT_S` more.
    """
    link: Link | None = None
    try:
        async with asyncio.timeout(timeout_s):
            said = await introduction.introduce(hello, address, name, dsid)
            link = opening = Link(Side.OPENER, said, _Opening(handler, introduction), keep_alive, buffer_bytes)
            await network.open(address.host, address.port, lambda: opening)
            await link.wait_opened()
    except BaseException as exc:
        if link is not None:
            link.close("the link was given up before it was open")
            await link.wait_closed()
        if isinstance(exc, TimeoutError):
            raise UnavailableError(f"{address} did not answer within {timeout_s:g} s") from exc
        raise
    return link


async def call_once(
    network: Network,
    address: Address,
    hello: Hello,
    message: messages.Request,
    *,
    timeout_s: float,
    introduction: Introduction = UNKNOWN,
) -> messages.Reply:
    """Connect, ask one question, close. `timeout_s` bounds the connecting and the asking, each.

    Raises as `connect_link` and `Link.call` do.
    """
    link = await connect_link(network, address, hello, BaseHandler(), timeout_s=timeout_s, introduction=introduction)
    try:
        return await link.call(message, timeout_s=timeout_s)
    finally:
        link.close()
        await link.wait_closed()


class Gate(Protocol):
    """Finds out who a peer is, and what it may ask."""

    def judge(self, link: Link, peer: Hello, handler: LinkHandler) -> Awaitable[LinkHandler]:
        """Return the handler to have in place of `handler`. Raises AuthenticationError to refuse the peer."""
        ...


class LinkServer:
    """A port that answers links. Made by `serve_links`."""

    def __init__(
        self,
        hello: Callable[[], Hello],
        accept: Callable[[Hello], LinkHandler],
        keep_alive: KeepAlive,
        links_max: int,
        buffer_bytes: int,
        gate: Gate | None,
    ) -> None:
        self.links: dict[Link, None] = {}
        """In the order in which they were made."""
        self.failed = 0
        """Connections that ended before they were links: turned away, refused, or no heliograph."""
        self._peers: set[Link] = set()
        self._hello = hello
        self._accept = accept
        self._keep_alive = keep_alive
        self._links_max = links_max
        self._buffer_bytes = buffer_bytes
        self._gate = gate
        self._strangers = Strangers[Link]()
        self._refusals = RefusalLog()
        self._server: Server
        self._closing = False

    async def start(self, network: Network, host: str, port: int) -> None:
        """Listen. Raises UnavailableError when that isn't possible."""
        self._server = await network.listen(host, port, self._new_link)

    @property
    def busy(self) -> bool:
        """Say whether a request has not been answered yet."""
        return any(link.asked for link in self.links)

    def by_role(self) -> dict[str, int]:
        """Count the links that are open, by the role of the other end."""
        return dict(sorted(Counter(link.peer.role for link in self._peers).items()))

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.port

    async def close(self, reason: str = "") -> None:
        """Stop listening, close every link with `reason`, and wait until they and their tasks are gone."""
        self._closing = True
        self._server.close()
        closing = list(self.links)
        for link in closing:
            link.close(reason or f"{self._hello()} is stopping")
        for link in closing:
            await link.wait_closed()

    def _new_link(self) -> Link:
        return Link(Side.ANSWERER, self._hello(), self, self._keep_alive, self._buffer_bytes)

    def admit(self, link: Link) -> None:
        """Count a new connection, or turn it away with UnavailableError."""
        self._check_room()
        self.links[link] = None
        pushed_out = self._strangers.add(link, link.peer_host)
        if pushed_out is not None:
            pushed_out.close("no hello yet, and too many others came that have not said theirs either")

    def _check_room(self) -> None:
        if self._closing:
            raise UnavailableError(f"{self._hello()} is stopping")
        if len(self._peers) >= self._links_max:
            raise UnavailableError(f"{self._hello()} holds {self._links_max} connections already")

    def judge(self, link: Link, peer: Hello) -> LinkHandler | Awaitable[LinkHandler]:
        """Let the server's owner, and then the gate, decide on a peer."""
        handler = self._accept(peer)
        logger.debug("link accepted peer=%s address=%s", peer, link.peer_address)
        return handler if self._gate is None else self._gate.judge(link, peer, handler)

    def welcome(self, link: Link) -> None:
        """Count a stranger as a peer. Raises UnavailableError when there is no room any more."""
        self._check_room()
        self._strangers.remove(link, link.peer_host)
        self._peers.add(link)

    def refuse(self, link: Link, error: HeliographError) -> None:
        """Log that a connection was refused, unless many were."""
        self._strangers.remove(link, link.peer_host)
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        unlogged = self._refusals.note(link.peer_host, now_ms)
        if unlogged is not None:
            more = f" unlogged={unlogged}" if unlogged else ""
            level = logging.WARNING if isinstance(error, PeerError) else logging.INFO
            logger.log(level, "connection refused link=%r reason=%r%s", link, str(error), more)

    def release(self, link: Link) -> None:
        """Forget a link that is gone."""
        self.links.pop(link, None)
        self._peers.discard(link)
        self.failed += not link.opened


async def serve_links(
    network: Network,
    host: str,
    port: int,
    hello: Hello | Callable[[], Hello],
    accept: Callable[[Hello], LinkHandler],
    *,
    keep_alive: KeepAlive = KEEP_ALIVE,
    links_max: int = LINKS_MAX,
    buffer_bytes: int = 0,
    gate: Gate | None = None,
) -> LinkServer:
    """Answer links on a port (0: any free one).

    hello: what this end says, asked anew for every connection when callable. accept: returns the handler for a peer, or
    raises PeerError, UsageError or UnavailableError to refuse it with that reason. buffer_bytes: see `Link`.
    gate: None lets everybody in, without a look at credentials.
    Raises UnavailableError when the port can't be listened on.
    """
    said = hello if callable(hello) else (lambda: hello)
    server = LinkServer(said, accept, keep_alive, links_max, buffer_bytes, gate)
    await server.start(network, host, port)
    return server
