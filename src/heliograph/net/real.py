"""The real network and clock of this machine.

TCP_NODELAY is set by both asyncio and uvloop on every TCP transport (tests/net/test_real.py holds them to it).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from copy import copy
from typing import cast

from heliograph.errors import PeerError, UnavailableError, invariant
from heliograph.link.session import farewell
from heliograph.model.tls import NO_TLS, Port, TlsProperties
from heliograph.net.listening import ANY, ANY_IPV4, listening_socket, resolve
from heliograph.net.seam import P
from heliograph.net.tls import TlsContext, TlsContexts
from heliograph.net.tls_layer import Handshakes, TlsLayer

BACKLOG = 1024
"""Connections that may wait to be accepted."""


class RealServer:
    """A listening TCP port."""

    def __init__(self, server: asyncio.Server, port: int) -> None:
        self._server = server
        self._port = port

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._port

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


class RealNetwork:
    """TCP over IPv4 and IPv6, with TLS where the properties say so.

    Raises UsageError, naming the property, for files and names of TLS that can't be used.
    """

    def __init__(self, tls: TlsProperties = NO_TLS) -> None:
        self._contexts = TlsContexts(tls)
        self._port: Port | None = None

    def to(self, port: Port) -> RealNetwork:
        """Return the same network for ports of one kind."""
        other = copy(self)
        other._port = port
        return other

    async def listen(self, host: str, port: int, factory: Callable[[], asyncio.Protocol]) -> RealServer:
        """Listen where `net.listening` says."""
        loop = asyncio.get_running_loop()
        if self._context(listening=True) is not None:
            factory = self._secured(factory)
        try:
            if host == ANY:
                listening = listening_socket(host, port, BACKLOG)
                server = await loop.create_server(factory, sock=listening, backlog=BACKLOG)
            else:
                family, address = await loop.run_in_executor(None, resolve, host)
                server = await loop.create_server(factory, address, port, family=family, backlog=BACKLOG)
        except OSError as exc:
            raise UnavailableError(f"can't listen on {host or ANY_IPV4}[{port}]: {_reason(exc)}") from exc
        return RealServer(server, server.sockets[0].getsockname()[1])

    async def open(self, host: str, port: int, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Connect to the first of the host's addresses that answers."""
        context = self._context(listening=False)
        if context is None:
            return await _connect(factory, host, port)
        _, layer = await _connect(lambda: TlsLayer(context, factory, host=host), host, port)
        try:
            transport, above = await layer.ready
        except PeerError as exc:
            raise PeerError(f"{host}[{port}]: {exc}") from exc
        except asyncio.CancelledError:
            layer.give_up()
            raise
        return transport, cast("P", above)

    def _context(self, *, listening: bool) -> TlsContext | None:
        """Return the TLS of the kind of ports that this network is for, by the files as they are now."""
        if self._port is None:
            return None
        return self._contexts.listening(self._port) if listening else self._contexts.connecting(self._port)

    def _secured(self, factory: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        handshakes = Handshakes()

        def secured() -> asyncio.Protocol:
            context = self._context(listening=True)
            invariant(context is not None, "a port that spoke TLS does not any more", self._port)
            return TlsLayer(
                cast("TlsContext", context), factory, refuse_plain=self._refusal_of_plain, handshakes=handshakes
            )

        return secured

    def _refusal_of_plain(self) -> bytes:
        """Return what a peer of the link protocol understands."""
        component = self._contexts.properties.component_of(self._port) if self._port is not None else None
        return farewell(PeerError(f"this port speaks TLS, and you don't: enable {component} in ssl-enabled-components"))


async def _connect(factory: Callable[[], P], host: str, port: int) -> tuple[asyncio.Transport, P]:
    """Make a TCP connection. Raises UnavailableError. When it is cancelled, the protocol learns that it is over.

    uvloop closes the transport then without a word to a protocol whose `connection_made` it may have called already;
    asyncio calls `connection_lost` later, so that a protocol may hear of it twice.
    """
    protocol = factory()
    try:
        return await asyncio.get_running_loop().create_connection(lambda: protocol, host, port)
    except OSError as exc:
        raise UnavailableError(f"can't connect to {host}[{port}]: {_reason(exc)}") from exc
    except asyncio.CancelledError:
        protocol.connection_lost(None)
        raise


class SystemClock:
    """The machine's wall clock."""

    def now_ms(self) -> int:
        """Return the milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000


def _reason(exc: OSError) -> str:
    return exc.strerror or str(exc) or type(exc).__name__
