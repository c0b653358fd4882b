"""A TCP proxy in front of several targets, one after the other, as load balancers and address translators are."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast

from heliograph.errors import UnavailableError
from heliograph.model.ids import Address
from heliograph.net.seam import Network, Server


class Balancer:
    """Passes on what comes to a port; a target that does not answer is passed over. passed: connections by target."""

    def __init__(self, network: Network, *targets: Address) -> None:
        self.targets = list(targets)
        self.passed: Counter[Address] = Counter()
        self._network = network
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[_End] = set()
        self._server: Server

    async def start(self, host: str, port: int) -> None:
        self._server = await self._network.listen(host, port, self._accept)

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._server.close()
        for end in self._ends:
            end.transport.abort()

    def _accept(self) -> _End:
        near = _End(self._ends)
        task = asyncio.get_running_loop().create_task(self._pass_on(near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return near

    async def _pass_on(self, near: _End) -> None:
        for _ in range(len(self.targets)):
            target = self.targets[self._turn % len(self.targets)]
            self._turn += 1
            try:
                _, far = await self._network.open(target.host, target.port, lambda: _End(self._ends))
            except UnavailableError:
                continue
            self.passed[target] += 1
            near.join(far)
            far.join(near)
            return
        near.transport.close()


class _End(asyncio.Protocol):
    """One end; what it reads is kept until the other one is there."""

    transport: asyncio.Transport

    def __init__(self, ends: set[_End]) -> None:
        self._ends = ends
        self._other: _End | None = None
        self._kept: list[bytes] = []
        self._lost = False

    def join(self, other: _End) -> None:
        self._other = other
        for data in self._kept:
            other.transport.write(data)
        if self._lost:
            other.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._ends.add(self)

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._kept.append(data)
        else:
            self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lost = True
        self._ends.discard(self)
        if self._other is not None:
            self._other.transport.close()
