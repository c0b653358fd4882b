"""A TCP proxy that delays what it passes on, as a long line does, without narrowing it.

Every piece of data leaves `delay` after it came, in order, whatever comes meanwhile. Run as a process of its own so
that its work is not that of the sites: `python -m heliograph.gfsh.bench.proxy` reads a `ProxyConfig` as one line of
JSON from its standard input, answers `ready` when it listens, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from functools import partial
from typing import cast

import msgspec
import uvloop

from heliograph.errors import UnavailableError
from heliograph.model.ids import Address
from heliograph.net.real import RealNetwork
from heliograph.net.seam import Network, Server

HELD_BYTES_MAX = 256 * 1024 * 1024
"""On the line in one direction; a gigabyte a second at a quarter of a second. Above it the source has to wait."""
CONNECT_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)


class Route(msgspec.Struct, frozen=True):
    """Where to listen, and where to pass on to."""

    listen: Address
    target: Address


class ProxyConfig(msgspec.Struct, frozen=True):
    """delay_ms: of each direction, half of the round trip."""

    routes: tuple[Route, ...]
    delay_ms: float


class DelayLine:
    """One direction: holds pieces until they are due. The end is a piece too, so that it overtakes nothing."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._scheduled = False
        self._paused = False
        self._source: asyncio.Transport | None = None
        self._sink: asyncio.Transport | None = None

    def connect(self, source: asyncio.Transport, sink: asyncio.Transport) -> None:
        """Begin to pass on; what came before is held until now."""
        self._source, self._sink = source, sink
        self._deliver()

    def push(self, data: bytes) -> None:
        """Take a piece; an empty one means that the source has ended."""
        self._held.append((self._loop.time() + self._delay_s, data))
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES_MAX and self._source is not None and not self._paused:
            self._paused = True
            self._source.pause_reading()
        if self._sink is not None and not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_at(self._held[0][0], self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        now = self._loop.time()
        source, sink = self._source, self._sink
        if source is None or sink is None:
            return
        while self._held and self._held[0][0] <= now:
            data = self._held.popleft()[1]
            self._held_bytes -= len(data)
            if not data:
                sink.close()
            elif not sink.is_closing():
                sink.write(data)
        if self._paused and self._held_bytes <= HELD_BYTES_MAX and not source.is_closing():
            self._paused = False
            source.resume_reading()
        if self._held:
            self._schedule()


class _End(asyncio.Protocol):
    """One end of a proxied connection; what it reads goes into `line`. Its loss is the line's last piece."""

    def __init__(self, line: DelayLine, ends: set[_End]) -> None:
        self.line = line
        self.transport: asyncio.Transport | None = None
        self._ends = ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._ends.add(self)

    def data_received(self, data: bytes) -> None:
        self.line.push(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._ends.discard(self)
        self.line.push(b"")


class DelayProxy:
    """Listens on every route's address until it is closed."""

    def __init__(self, config: ProxyConfig, network: Network) -> None:
        self._config = config
        self._network = network
        self._servers: list[Server] = []
        self._ends: set[_End] = set()
        self._opening: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises UnavailableError when an address can't be listened on."""
        for route in self._config.routes:
            listen, target = route.listen, route.target
            accept = partial(self._accept, target)
            self._servers.append(await self._network.listen(listen.host, listen.port, accept))

    @property
    def ports(self) -> list[int]:
        """The ports that are listened on, route by route."""
        return [server.port for server in self._servers]

    def _new_end(self) -> _End:
        return _End(DelayLine(self._config.delay_ms / 1000), self._ends)

    def _accept(self, target: Address) -> _End:
        near = self._new_end()
        task = asyncio.get_running_loop().create_task(self._open(near, target))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return near

    async def _open(self, near: _End, target: Address) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                transport, far = await self._network.open(target.host, target.port, self._new_end)
        except (UnavailableError, TimeoutError) as exc:
            _log.warning("target unreachable target=%s error=%s", target, exc)
            if near.transport is not None:
                near.transport.close()
            return
        if near.transport is None or near.transport.is_closing():
            transport.close()
            return
        near.line.connect(near.transport, transport)
        far.line.connect(transport, near.transport)

    async def close(self) -> None:
        """Stop listening and drop every connection with what is on the line."""
        for server in self._servers:
            server.close()
        for task in self._opening:
            task.cancel()
        if self._opening:
            await asyncio.wait(self._opening)
        for end in self._ends:
            if end.transport is not None:
                end.transport.abort()


async def serve(config: ProxyConfig) -> None:
    """Run the proxy until standard input ends."""
    proxy = DelayProxy(config, RealNetwork())
    try:
        await proxy.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        await proxy.close()


if __name__ == "__main__":
    uvloop.run(serve(msgspec.json.decode(sys.stdin.readline(), type=ProxyConfig)))
