"""The real network and clock of this machine.

TCP_NODELAY is set by both asyncio and uvloop on every TCP transport (tests/net/test_real.py holds them to it).
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from heliograph.errors import UnavailableError
from heliograph.net.seam import P

BACKLOG = 1024
"""Connections that may wait to be accepted."""
ANY_IPV4 = "0.0.0.0"  # noqa: S104  (what an empty bind address means)


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
    """TCP over IPv4 and IPv6."""

    async def listen(self, host: str, port: int, factory: Callable[[], asyncio.Protocol]) -> RealServer:
        """Listen on one address: a name that has several is bound to its IPv4 address, so that there is one port."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host or ANY_IPV4, port, type=socket.SOCK_STREAM)
            family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
            server = await loop.create_server(factory, str(address[0]), port, family=family, backlog=BACKLOG)
        except OSError as exc:
            raise UnavailableError(f"can't listen on {host or ANY_IPV4}[{port}]: {_reason(exc)}") from exc
        return RealServer(server, server.sockets[0].getsockname()[1])

    async def open(self, host: str, port: int, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Connect to the first of the host's addresses that answers."""
        try:
            return await asyncio.get_running_loop().create_connection(factory, host, port)
        except OSError as exc:
            raise UnavailableError(f"can't connect to {host}[{port}]: {_reason(exc)}") from exc


class SystemClock:
    """The machine's wall clock."""

    def now_ms(self) -> int:
        """Return the milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000


def _reason(exc: OSError) -> str:
    return exc.strerror or str(exc) or type(exc).__name__
