"""One connection to one of the engine's servers, from the handshake to its loss."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from typing import Protocol, cast
from urllib.parse import unquote, urlsplit

from heliograph.engine.nats import protocol
from heliograph.engine.nats.protocol import Control, Identity, Message, ServerInfo
from heliograph.engine.nats.tls import Contexts, why_not_trusted
from heliograph.errors import HeliographError, PeerError, UnavailableError, UsageError

PORT_DEFAULT = 4222

_log = logging.getLogger(__name__)


class Handler(Protocol):
    """Who takes a subscription's messages."""

    def on_message(self, message: Message) -> None:
        """Take a message."""
        ...

    def on_lost(self) -> None:
        """Take notice that the connection was lost, and everything with it that was not delivered yet."""
        ...


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and how to present oneself to it.

    tls: it must be TLS, whatever the server says. tls_name: whose certificate it must have; empty means the host's.
    """

    host: str
    port: int
    identity: Identity
    tls: bool = False
    tls_name: str = ""

    def __str__(self) -> str:
        return f"{self.host}[{self.port}]"

    @property
    def netloc(self) -> str:
        """The server in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_servers(url: str, client: str) -> list[Server]:
    """Read `nats://[user:password@|token@]host[:port]`, several separated by commas; `tls://` where it must be TLS.

    What follows the first url may leave out the scheme and the credentials: they are the first one's then. Raises
    UsageError.
    """
    servers: list[Server] = []
    for part in filter(None, map(str.strip, url.split(","))):
        scheme = "tls" if servers and servers[0].tls else "nats"
        try:
            parts = urlsplit(part if "://" in part else f"{scheme}://{part}")
            host, port = parts.hostname, parts.port or PORT_DEFAULT
        except ValueError as exc:
            raise UsageError(f"the engine URL has no valid host and port: {exc}") from exc
        if parts.scheme not in ("nats", "tls") or not host:
            raise UsageError(
                f"the engine URL of {host or 'an unnamed host'} is not of the form nats://host:port or tls://host:port"
            )
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.username is None and servers:
            identity = servers[0].identity
        elif parts.password is None:
            identity = Identity(client, token=user)
        else:
            identity = Identity(client, user=user, password=password)
        servers.append(Server(host, port, identity, parts.scheme == "tls"))
    if not servers:
        raise UsageError("the engine URL is empty: write nats://host:port")
    return servers


async def open_session(
    server: Server, handlers: dict[int, Handler], *, timeout_s: float, tls: Contexts = ssl.create_default_context
) -> Session:
    """Connect to a server. tls: for servers that require it.

    Raises UnavailableError, or UsageError when it refuses us, or we its certificate.
    """
    loop = asyncio.get_running_loop()
    session: Session | None = None
    try:
        async with asyncio.timeout(timeout_s):
            transport, session = await loop.create_connection(
                lambda: Session(server, handlers), server.host, server.port
            )
            await session.greeted
            if session.info.tls_required or server.tls:
                await session.secure(transport, tls())
            session.introduce()
            await session.ready
    except BaseException as exc:
        if session is not None:
            session.give_up()
        if isinstance(exc, ssl.SSLCertVerificationError):
            raise why_not_trusted(server, exc) from exc
        if isinstance(exc, OSError | TimeoutError | PeerError):
            raise UnavailableError(f"the engine at {server} can't be reached: {str(exc) or 'no answer'}") from exc
        raise
    return session


class Session(asyncio.Protocol):
    """`handlers` (by subscription number) belongs to the caller and outlives the session.

    greeted: done when the server has said what it is. ready: done after the handshake. Both may fail with UsageError,
    PeerError or UnavailableError.
    lost: done when the connection is gone; its result says why.
    """

    def __init__(self, server: Server, handlers: dict[int, Handler]) -> None:
        self._loop = asyncio.get_running_loop()
        self.server = server
        self._handlers = handlers
        self._parser = protocol.Parser()
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._reason = "closed by the engine"
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.info = ServerInfo(version="", max_payload=0)
        self.answered_ping = True

    def neighbours(self) -> tuple[Server, ...]:
        """Return the servers of the cluster, as this one told last."""
        told = []
        for url in self.info.connect_urls:
            parts = urlsplit(f"nats://{url}")
            if parts.hostname and parts.port:
                named = self.server.tls_name or self.server.host
                told.append(Server(parts.hostname, parts.port, self.server.identity, self.server.tls, named))
        return tuple(told)

    async def secure(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        """Go on under TLS. Raises UsageError when the server offers none, OSError when the two don't come together."""
        server = self.server
        if not self.info.tls_required:
            raise UsageError(f"the engine at {server} does not require TLS, and its URL says tls://: nothing was sent")
        name = server.tls_name or server.host
        secured = await self._loop.start_tls(transport, self, context, server_hostname=name)
        if secured is None:
            raise UnavailableError(f"the engine at {server} can't be reached: it hung up")
        self._transport = secured

    def introduce(self) -> None:
        """Say who we are."""
        self.send(protocol.connect(self.server.identity))

    def send(self, data: bytes) -> None:
        """Send `data`; everything of one turn of the event loop goes out in one write."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(data)

    def ping(self) -> None:
        """Ask for a sign of life; `answered_ping` says whether it came."""
        self.answered_ping = False
        self.send(protocol.PING)

    def give_up(self) -> None:
        """Drop the connection: nobody waits for it any more."""
        for step in (self.greeted, self.ready):
            if not step.cancel() and not step.cancelled():
                step.exception()  # seen
        self.abort("given up")

    def abort(self, reason: str) -> None:
        """Drop the connection now."""
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        try:
            frames = self._parser.feed(data)
            for frame in frames:
                if type(frame) is Message:
                    handler = self._handlers.get(frame.sid)
                    if handler is not None:  # else it was unsubscribed meanwhile
                        handler.on_message(frame)
                else:
                    self._on_control(cast("Control", frame))
        except PeerError as exc:
            self._fail(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        self._outgoing.clear()
        reason = str(exc) if exc is not None else self._reason
        self._break_off(PeerError(reason))
        if not self.lost.done():
            self.lost.set_result(reason)

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing:
            self._transport.write(self._outgoing[0] if len(self._outgoing) == 1 else b"".join(self._outgoing))
        self._outgoing.clear()

    def _on_control(self, control: Control) -> None:
        if control.verb == b"PING":
            self.send(protocol.PONG)
        elif control.verb == b"PONG":
            self.answered_ping = True
            if not self.ready.done():
                self.ready.set_result(None)
        elif control.verb == b"INFO":
            self._on_info(protocol.parse_info(control.argument))
        elif control.verb == b"-ERR":
            self._on_error(control.argument.decode(errors="replace").strip("'"))
        elif control.verb != b"+OK":
            raise PeerError(f"{self.server} is no NATS server: it says {control.verb[:40]!r}")

    def _on_info(self, info: ServerInfo) -> None:
        first, self.info = not self.info.version, info
        if not first:
            return  # the server tells about changes of its cluster
        if not info.headers:
            self._fail(UsageError(f"the engine at {self.server} (version {info.version}) has no message headers"))
        else:
            self.greeted.set_result(None)

    def _on_error(self, error: str) -> None:
        _log.warning("engine_error server=%s error=%s", self.server, error)
        self._reason = error
        if "authorization" in error.lower() or "authentication" in error.lower():
            self._fail(UsageError(f"the engine at {self.server} refuses the credentials of its URL: {error}"))

    def _fail(self, error: HeliographError) -> None:
        self._break_off(error)
        self.abort(str(error))

    def _break_off(self, error: HeliographError) -> None:
        """End the handshake, if it goes on; who waits for it hears of the error at the step where it waits."""
        if not self.greeted.done():
            self.greeted.set_exception(error)
        elif not self.ready.done():
            self.ready.set_exception(error)
