"""The two engines that the conformance suite runs on, each with the same faults."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from heliograph.engine.nats.engine import connect_engine
from heliograph.engine.nats.server import PrivateEngine
from heliograph.engine.seam import Engine
from heliograph.engine.sim import engine as sim
from heliograph.engine.sim.faults import Fault
from heliograph.engine.sim.loop import run as run_virtually
from heliograph.engine.sim.server import SimEngine
from tests.engine.proxy import Proxy

T = TypeVar("T")

EVENTUALLY_S = 20.0
DOWN_S = 0.3


class World(Protocol):
    """One engine, and what may go wrong with it."""

    async def client(self, *, exposed: bool = False) -> Engine:
        """Return a new client, closed at the end; `lose_answers` and `lose_requests` act on exposed ones."""
        ...

    def lose_answers(self, count: int) -> None:
        """Have the connection break after the next appends are written, before they are answered."""
        ...

    def lose_requests(self, count: int) -> None:
        """Have the connection break before the next appends reach the engine."""
        ...

    async def kill(self) -> None:
        """Kill the engine as `kill -9` does; it comes back by itself."""
        ...

    async def stop(self) -> None:
        """Stop the engine for good."""
        ...


class NatsWorld:
    def __init__(self, engine: PrivateEngine, proxy: Proxy) -> None:
        self.engine = engine
        self.proxy = proxy
        self.clients: list[Engine] = []

    async def client(self, *, exposed: bool = False) -> Engine:
        url = self.engine.url
        if exposed:
            url = url.replace(f":{self.engine.port}", f":{self.proxy.port}")
        client = await connect_engine(url)
        self.clients.append(client)
        return client

    def lose_answers(self, count: int) -> None:
        self.proxy.lose_answers += count

    def lose_requests(self, count: int) -> None:
        self.proxy.lose_requests += count

    async def kill(self) -> None:
        os.kill(self.engine.pid, signal.SIGKILL)

    async def stop(self) -> None:
        await self.engine.stop()


@asynccontextmanager
async def nats_world(directory: Path) -> AsyncGenerator[NatsWorld, None]:
    engine = PrivateEngine(directory)
    await engine.start()
    proxy = Proxy(engine.port)
    await proxy.start()
    world = NatsWorld(engine, proxy)
    try:
        yield world
    finally:
        for client in world.clients:
            await client.close()
        await proxy.stop()
        await engine.stop()


class SimWorld:
    def __init__(self, rng: random.Random) -> None:
        self.engine = SimEngine(rng)

    async def client(self, *, exposed: bool = False) -> Engine:
        return sim.connect_engine(self.engine)

    def lose_answers(self, count: int) -> None:
        self.engine.faults.plan(*[Fault.ANSWER_LOST] * count)

    def lose_requests(self, count: int) -> None:
        self.engine.faults.plan(*[Fault.REQUEST_LOST] * count)

    async def kill(self) -> None:
        self.engine.stop()
        asyncio.get_running_loop().call_later(DOWN_S, self.engine.start)

    async def stop(self) -> None:
        self.engine.stop()


Scenario = Callable[[World], Coroutine[object, object, None]]


def play_on_nats(
    scenario: Scenario, directory: Path, *, run: Callable[[Coroutine[object, object, None]], None] = asyncio.run
) -> None:
    async def main() -> None:
        async with nats_world(directory) as world:
            await scenario(world)

    run(main())


def play_on_sim(scenario: Scenario, directory: Path) -> None:
    async def main(rng: random.Random) -> None:
        await scenario(SimWorld(rng))

    run_virtually(main, seed=1)


async def eventually(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Wait until `condition` holds."""
    try:
        async with asyncio.timeout(EVENTUALLY_S):
            while not condition():  # noqa: ASYNC110  (any condition, of any process)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what} never came true") from None


async def collect(lists: AsyncGenerator[list[T], None], into: list[T]) -> None:
    """Gather what an endless generator yields, until cancelled."""
    try:
        async for items in lists:
            into.extend(items)
    finally:
        await lists.aclose()


@asynccontextmanager
async def background(*work: Awaitable[None]) -> AsyncGenerator[None, None]:
    """Run tasks beside the body; their failure fails the test."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
        for task in tasks:
            assert not task.done(), task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
