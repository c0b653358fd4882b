"""A network and clocks in memory, on the event loop's time: on a virtual-time loop whole sites run deterministically.

    network = SimNetwork(latency_s=0.001); a, b = network.host("a"), network.host("b")      # a and b are `Network`s

It behaves as TCP does. Bytes arrive in order, `latency_s` after they were written. Between hosts that are cut off from
each other nothing arrives, the end of a connection included; what was on its way arrives after `heal`. A host that
crashes takes its listening ports and connections with it; the other ends learn it when they can.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from heliograph.errors import UnavailableError
from heliograph.model.tls import Port
from heliograph.net.seam import P

LATENCY_S = 0.0005
WRITE_BYTES_HIGH = 64 * 1024
FIRST_FREE_PORT = 49152


class SimNetwork:
    """All hosts and the ways between them. A host exists from the first time it is named."""

    def __init__(self, *, latency_s: float = LATENCY_S) -> None:
        self._latency_s = latency_s
        self._hosts: dict[str, SimHost] = {}
        self._aliases: dict[str, str] = {}
        self._latencies: dict[frozenset[str], float] = {}
        self._cuts: set[frozenset[str]] = set()
        self._held: list[tuple[frozenset[str], Callable[[], None]]] = []

    def host(self, name: str) -> SimHost:
        """Return a host: the network as processes on it see it."""
        if name not in self._hosts:
            self._hosts[name] = SimHost(self, name)
        return self._hosts[name]

    def alias(self, name: str, host: str) -> None:
        """Let a host be reached by one more name."""
        self._aliases[name] = host

    def called(self, name: str) -> str:
        """Return the host that is reached by a name."""
        return self._aliases.get(name, name)

    def set_latency(self, one: str, other: str, latency_s: float) -> None:
        """Let bytes take this long between two hosts, one way."""
        self._latencies[frozenset((one, other))] = latency_s

    def latency_s(self, one: str, other: str) -> float:
        """Return how long bytes take between two hosts, one way."""
        return self._latencies.get(frozenset((one, other)), self._latency_s)

    def cut(self, one: str, other: str) -> None:
        """Let nothing through between two hosts; nobody is told."""
        self._cuts.add(frozenset((one, other)))

    def heal(self, one: str, other: str) -> None:
        """Undo `cut`: what was held back arrives now, in the order in which it was sent."""
        way = frozenset((one, other))
        self._cuts.discard(way)
        held, self._held = self._held, []
        for held_way, arrive in held:
            self.arrive(held_way, arrive)

    def arrive(self, way: frozenset[str], action: Callable[[], None]) -> None:
        """Do what an arrival does now, or when the way is healed."""
        if way in self._cuts:
            self._held.append((way, action))
        else:
            action()

    def crash(self, name: str) -> None:
        """Lose every listening port and connection of a host, as when its processes are killed."""
        self.host(name).crash()


class SimHost:
    """A `Network` as seen from one host. Processes that share a host share its ports."""

    def __init__(self, network: SimNetwork, name: str) -> None:
        self.name = name
        self._network = network
        self._servers: dict[int, SimServer] = {}
        self._transports: dict[SimTransport, None] = {}
        self._free_port = FIRST_FREE_PORT

    def to(self, port: Port) -> SimHost:  # noqa: ARG002
        """Return this host: simulated processes speak plainly."""
        return self

    async def listen(self, host: str, port: int, factory: Callable[[], asyncio.Protocol]) -> SimServer:
        """Listen on a port of this host. The address to bind must be "" or the host's own name."""
        if host not in ("", self.name):
            raise UnavailableError(f"can't listen on {host}[{port}]: that is not an address of {self.name}")
        if port in self._servers:
            raise UnavailableError(f"can't listen on {self.name}[{port}]: the port is in use")
        server = SimServer(self, port or self._take_port(), factory)
        self._servers[server.port] = server
        return server

    async def open(self, host: str, port: int, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Connect to a listening port of a host; a host that is cut off answers when it is not any more."""
        loop = asyncio.get_running_loop()
        host = self._network.called(host)
        way = frozenset((self.name, host))
        reached: asyncio.Future[None] = loop.create_future()
        latency_s = self._network.latency_s(self.name, host)
        timer = loop.call_later(latency_s, partial(self._network.arrive, way, partial(_resolve, reached)))
        try:
            await reached
        finally:
            timer.cancel()
        server = self._network.host(host).server(port)
        if server is None:
            raise UnavailableError(f"can't connect to {host}[{port}]: connection refused")
        protocol = factory()
        ours = SimTransport(self._network, self, (self.name, self._take_port()), (host, port), protocol)
        theirs = SimTransport(
            self._network, self._network.host(host), (host, port), (self.name, ours.port), server.factory()
        )
        ours.join(theirs)
        theirs.join(ours)
        theirs.begin()
        ours.begin()
        return ours, protocol

    def server(self, port: int) -> SimServer | None:
        """Return what listens on a port."""
        return self._servers.get(port)

    def crash(self) -> None:
        """Lose everything; see `SimNetwork.crash`."""
        self._servers.clear()
        for transport in list(self._transports):
            transport.abort()

    def forget(self, port: int) -> None:
        """Free a listening port."""
        self._servers.pop(port, None)

    def keep(self, transport: SimTransport) -> None:
        """Count a connection as this host's."""
        self._transports[transport] = None

    def drop(self, transport: SimTransport) -> None:
        """Forget a connection that is gone."""
        self._transports.pop(transport, None)

    def _take_port(self) -> int:
        while self._free_port in self._servers:
            self._free_port += 1
        self._free_port += 1
        return self._free_port - 1


class SimServer:
    """A listening port of a host."""

    def __init__(self, host: SimHost, port: int, factory: Callable[[], asyncio.Protocol]) -> None:
        self.port = port
        self.factory = factory
        self._host = host

    def close(self) -> None:
        """Stop listening."""
        if self._host.server(self.port) is self:
            self._host.forget(self.port)


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(
        self,
        network: SimNetwork,
        host: SimHost,
        address: tuple[str, int],
        peer: tuple[str, int],
        protocol: asyncio.Protocol,
    ) -> None:
        super().__init__({"sockname": address, "peername": peer})
        self.port = address[1]
        self._network = network
        self._host = host
        self._way = frozenset((address[0], peer[0]))
        self._latency_s = network.latency_s(address[0], peer[0])
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._peer: SimTransport
        self._reading = True
        self._closing = False
        self._lost = False
        self._on_way: deque[bytes | None] = deque()  # None: the other end is gone
        self._inbox: deque[bytes | None] = deque()
        self._unread_bytes = 0
        self._writable = True
        self._high, self._low = WRITE_BYTES_HIGH, WRITE_BYTES_HIGH // 4
        host.keep(self)

    def join(self, peer: SimTransport) -> None:
        """Name the other end."""
        self._peer = peer

    def begin(self) -> None:
        """Tell the protocol that it is connected."""
        self._protocol.connection_made(self)

    # --- asyncio.Transport ------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes."""
        if self._closing or not data:
            return
        self._send(bytes(data))
        if self._writable and self.get_write_buffer_size() > self._high:
            self._writable = False
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Send pieces of bytes as one."""
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the other end's protocol has not taken yet."""
        return self._peer.unread_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is paused and resumed."""
        self._high = WRITE_BYTES_HIGH if high is None else high
        self._low = self._high // 4 if low is None else low

    def pause_reading(self) -> None:
        """Keep what arrives."""
        self._reading = False

    def resume_reading(self) -> None:
        """Give the protocol what arrived."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._deliver)

    def is_closing(self) -> bool:
        """Say whether nothing is sent any more."""
        return self._closing

    def close(self) -> None:
        """Close; what was written before still arrives."""
        self._end(None)

    def abort(self) -> None:
        """Close at once."""
        self._end(None)

    # --- arrivals ---------------------------------------------------------------------------------------------------

    @property
    def unread_bytes(self) -> int:
        """Bytes on their way to this end, or kept by it."""
        return self._unread_bytes

    def expect(self, data: bytes | None) -> None:
        """Bytes, or the end of the connection, are sent to this end."""
        self._on_way.append(data)
        self._unread_bytes += len(data or b"")

    def take_next(self) -> None:
        """What was sent first of what is on its way reaches this end."""
        self._inbox.append(self._on_way.popleft())
        self._deliver()

    def relieve(self) -> None:
        """The other end took some of what we sent."""
        if not self._writable and self.get_write_buffer_size() <= self._low:
            self._writable = True
            if not self._lost:
                self._protocol.resume_writing()

    def _send(self, data: bytes | None) -> None:
        """Let data arrive after the latency; in order, whatever the order in which equal timers fire."""
        self._peer.expect(data)
        self._loop.call_later(self._latency_s, self._network.arrive, self._way, self._peer.take_next)

    def _deliver(self) -> None:
        while self._inbox and self._reading and not self._closing:
            data = self._inbox.popleft()
            if data is None:
                self._end(ConnectionResetError("the other end is gone"))
                return
            self._unread_bytes -= len(data)
            self._protocol.data_received(data)
            self._peer.relieve()

    def _end(self, exc: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        if exc is None:
            self._send(None)
        self._loop.call_soon(self._lose, exc)

    def _lose(self, exc: Exception | None) -> None:
        self._lost = True
        self._host.drop(self)
        self._protocol.connection_lost(exc)


class SimClock:
    """A host's wall clock: the loop's time since some day, ahead of the true time by `ahead_ms` (behind: negative)."""

    START_MS = 1_700_000_000_000

    def __init__(self, *, ahead_ms: int = 0) -> None:
        self.ahead_ms = ahead_ms

    def now_ms(self) -> int:
        """Return the milliseconds since the Unix epoch."""
        return self.START_MS + int(asyncio.get_running_loop().time() * 1000) + self.ahead_ms


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
