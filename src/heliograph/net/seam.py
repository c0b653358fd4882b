"""What heliograph asks of the world around it besides its engine: stream connections and the wall clock.

Two implementations: `net.real`, and `net.sim` in memory on the event loop's (virtual) time. Time that only measures
(deadlines, intervals) is the event loop's own, which a simulation replaces as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from heliograph.model.tls import Port

P = TypeVar("P", bound=asyncio.Protocol)


class Server(Protocol):
    """A listening port."""

    @property
    def port(self) -> int:
        """The port that is listened on, also when 0 was asked for."""
        ...

    def close(self) -> None:
        """Stop listening; connections that were accepted stay. A second close does nothing."""
        ...


class Network(Protocol):
    """Stream connections, as a process on one host sees them. Bytes arrive in order or the connection is lost."""

    def to(self, port: Port) -> Network:
        """Return the same network for ports of one kind, whose TLS it takes care of: of those listened on, and of
        those connected to.
        """
        ...

    async def listen(self, host: str, port: int, factory: Callable[[], asyncio.Protocol]) -> Server:
        """Listen on a port of this host; every connection gets a protocol of its own from `factory`.

        host: the address to bind, "" for every IPv4 address of the machine. port: 0 for any free one.
        Raises UnavailableError when the port is taken or the address isn't one of this machine's.
        """
        ...

    async def open(self, host: str, port: int, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Connect to a listening port; the deadline is the caller's.

        Raises UnavailableError when that fails, PeerError when the two ends can't agree on TLS.
        """
        ...


class Clock(Protocol):
    """The wall clock of a host."""

    def now_ms(self) -> int:
        """Return the milliseconds since the Unix epoch."""
        ...
