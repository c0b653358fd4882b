"""A simulated process: whatever runs in it ends with it, at once and without goodbye.

Tasks, and what they start, belong to the process in whose context they were made; bytes that arrive for a process are
handled in its context. A process that is killed loses its connections, its tasks are cancelled, and what it still tries
on its way out reaches nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Self, TypeVar

from heliograph.engine.sim.engine import SimClient, connect_engine
from heliograph.engine.sim.server import SimEngine
from heliograph.errors import UnavailableError
from heliograph.model.tls import Port
from heliograph.net.seam import P, Server
from heliograph.net.sim import SimNetwork

T = TypeVar("T")

_current: ContextVar[Process | None] = ContextVar("process", default=None)


def own_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have every task made from now on belong to the process that makes it."""

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, *, context: Any = None) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, context=context)
        process = _current.get() if context is None else context.get(_current)
        if process is not None:
            process.adopt(task)
        return task

    loop.set_task_factory(make)


class Process:
    """One run of a locator or a member on a host; also the `Network` that it sees."""

    def __init__(self, network: SimNetwork, host: str, rng: random.Random) -> None:
        self.alive = True
        self.rng = rng
        self.intercept: Callable[[str], bool] | None = None
        """Asked about what another host sends it; True: that is lost, and the connection with it."""
        self._host = network.host(host)
        self._clients: list[SimClient] = []
        self._tasks: dict[asyncio.Task[Any], None] = {}  # a set that keeps its order, so that runs repeat
        self._transports: list[tuple[str, asyncio.Transport]] = []
        self._context = copy_context()
        self._context.run(_current.set, self)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine in this process."""
        return asyncio.get_running_loop().create_task(coroutine, context=self._context.copy())

    def call(self, function: Callable[..., None], *args: object) -> None:
        """Call a function in this process."""
        self._context.copy().run(function, *args)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Let a task end with the process."""
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        if not self.alive:
            task.cancel()

    @property
    def task_count(self) -> int:
        """Tasks that have not ended."""
        return len(self._tasks)

    # --- what it reaches

    def connect_engine(self, engine: SimEngine) -> SimClient:
        """Return a connection to the site's engine."""
        client = connect_engine(engine)
        self._clients.append(client)
        if not self.alive:
            client.connection.cut("the process was killed")
        return client

    def to(self, port: Port) -> Self:
        """As `net.seam.Network.to`."""
        return self

    async def listen(self, host: str, port: int, factory: Callable[[], asyncio.Protocol]) -> Server:
        """As `net.seam.Network.listen`."""
        self._check_alive()
        return await self._host.listen(host, port, lambda: _Inside(self, factory()))

    async def open(self, host: str, port: int, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """As `net.seam.Network.open`."""
        self._check_alive()
        protocol = factory()
        transport, _ = await self._host.open(host, port, lambda: _Inside(self, protocol))
        self._transports = [each for each in self._transports if not each[1].is_closing()] + [(host, transport)]
        return transport, protocol

    def _check_alive(self) -> None:
        if not self.alive:
            raise UnavailableError("the process was killed")

    # --- what befalls it

    def cut_engine(self) -> None:
        """Cut it off from the engine, which others still reach."""
        for client in self._clients:
            client.connection.cut()

    def heal_engine(self) -> None:
        """Undo `cut_engine`."""
        for client in self._clients if self.alive else ():
            client.connection.heal()

    def reset(self, hosts: set[str]) -> None:
        """Break the connections that it opened to some hosts."""
        for host, transport in self._transports:
            if host in hosts:
                transport.abort()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.alive = False
        self.cut_engine()
        self._host.crash()
        for task in list(self._tasks):
            task.cancel()


class _Inside(asyncio.Protocol):
    """A connection's protocol, called in the context of the process that it belongs to."""

    def __init__(self, process: Process, protocol: asyncio.Protocol) -> None:
        self._process = process
        self._protocol = protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._process.call(self._protocol.connection_made, transport)

    def data_received(self, data: bytes) -> None:
        process = self._process
        if process.intercept is not None and process.intercept(self._transport.get_extra_info("peername")[0]):
            self._transport.abort()
        elif process.alive:
            self._process.call(self._protocol.data_received, data)

    def pause_writing(self) -> None:
        self._process.call(self._protocol.pause_writing)

    def resume_writing(self) -> None:
        self._process.call(self._protocol.resume_writing)

    def connection_lost(self, exc: Exception | None) -> None:
        self._process.call(self._protocol.connection_lost, exc)
