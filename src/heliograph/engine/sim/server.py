"""The simulated engine itself, and the connections to it.

What a client has sent arrives in order, and arrives even if the connection breaks meanwhile, unless the engine is down
then; an answer arrives only through the connection that asked.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar

from heliograph.engine.sim.faults import Fault, Faults
from heliograph.engine.sim.store import LogStore, RegistryStore
from heliograph.errors import HeliographError, UnavailableError

T = TypeVar("T")

ANSWER_TIMEOUT_S = 5.0
ARRIVAL_GAP_S = 1e-6


class SimEngine:
    """One site's engine; `rng` decides latencies and chances, so that a seed decides a run."""

    def __init__(self, rng: random.Random, faults: Faults | None = None) -> None:
        self.rng = rng
        self.faults = Faults() if faults is None else faults
        self.running = True
        self.logs: dict[str, LogStore] = {}
        self.registries: dict[str, RegistryStore] = {}
        self.blobs: dict[str, dict[str, bytes]] = {}
        self._connections: list[SimConnection] = []
        self._waiting: dict[asyncio.Future[None], tuple[object, Callable[[str], bool]]] = {}

    def connect(self) -> SimConnection:
        """Return a new connection."""
        connection = SimConnection(self)
        self._connections.append(connection)
        return connection

    def forget(self, connection: SimConnection) -> None:
        """Take notice that a connection was closed for good."""
        self._connections.remove(connection)

    def stop(self) -> None:
        """Take the engine down as `kill -9` does: what is stored stays, what is under way is lost."""
        self.running = False
        for connection in self._connections:
            connection.lose("the engine is down")

    def start(self) -> None:
        """Bring the engine back."""
        self.running = True
        self.tell()

    def tell(self, store: object = None, name: str = "") -> None:
        """Wake who waits for news of `name` in a store; without a store everyone, for connections have changed."""
        for waiting, (of, concerns) in self._waiting.items():
            if (store is None or (store is of and concerns(name))) and not waiting.done():
                waiting.set_result(None)

    async def news(self, store: object, concerns: Callable[[str], bool]) -> None:
        """Wait until a subject or key of a store has changed that `concerns` the caller, or a connection has."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiting] = (store, concerns)
        try:
            await waiting
        finally:
            del self._waiting[waiting]


class SimConnection:
    """What stands between one client and the engine.

    lost_count: how often the connection was lost so far; who follows something notices a loss by it.
    """

    def __init__(self, engine: SimEngine) -> None:
        self.engine = engine
        self.lost_count = 0
        self._loop = asyncio.get_running_loop()
        self._broken = ""  # why this client can't reach the engine, even if others can
        self._arrival_s = 0.0
        self._pending: dict[asyncio.Future[Any], None] = {}  # a set that keeps its order, so that runs repeat

    @property
    def connected(self) -> bool:
        """Say whether a request can leave now."""
        return self.engine.running and not self._broken

    def cut(self, reason: str = "the network is cut") -> None:
        """Cut this client off, others are not affected."""
        self._broken = reason
        self.lose(reason)

    def heal(self) -> None:
        """End a `cut`."""
        self._broken = ""
        self.engine.tell()

    def close(self) -> None:
        """Close for good."""
        self.cut("the connection is closed")
        self.engine.forget(self)

    def lose(self, reason: str) -> None:
        """Fail what is under way."""
        self.lost_count += 1
        pending, self._pending = self._pending, {}
        for future in pending:
            if not future.done():
                future.set_exception(UnavailableError(f"the connection to the engine was lost: {reason}"))
        self.engine.tell()

    def send(self, action: Callable[[], T], fault: Fault = Fault.NONE) -> asyncio.Future[T]:
        """Have the engine run `action`; the future gives its result or its heliograph error, or UnavailableError."""
        engine, now = self.engine, self._loop.time()
        future: asyncio.Future[T] = self._loop.create_future()
        if not self.connected:
            future.set_exception(UnavailableError(f"no connection to the engine: {self._broken or 'it is down'}"))
            return future
        self._pending[future] = None
        future.add_done_callback(lambda _: self._pending.pop(future, None))
        if fault is not Fault.NONE:  # without one the answer comes, or the connection is lost
            self._loop.call_later(ANSWER_TIMEOUT_S, self._give_up, future)
        if fault is Fault.DELAYED:
            self._loop.call_later(engine.faults.delay_s, self._arrive, future, action, fault)
        elif fault is not Fault.REQUEST_LOST:
            self._arrival_s = max(self._arrival_s + ARRIVAL_GAP_S, now + engine.faults.latency(engine.rng))
            self._loop.call_at(self._arrival_s, self._arrive, future, action, fault)
        return future

    async def travel(self) -> bool:
        """Wait as long as a delivery takes; says whether it arrived, that is, the connection was not lost meanwhile."""
        lost_count = self.lost_count
        await asyncio.sleep(self.engine.faults.latency(self.engine.rng))
        return self.connected and self.lost_count == lost_count

    def _arrive(self, future: asyncio.Future[T], action: Callable[[], T], fault: Fault) -> None:
        if not self.engine.running:
            return
        engine = self.engine
        answer: T | HeliographError
        try:
            answer = action()
        except HeliographError as exc:
            answer = exc
        if fault is not Fault.ANSWER_LOST:
            delay_s = engine.faults.delay_s if fault is Fault.DELAYED else engine.faults.latency(engine.rng)
            self._loop.call_later(delay_s, self._settle, future, answer)

    def _settle(self, future: asyncio.Future[T], answer: T | HeliographError) -> None:
        if future.done():
            return
        if isinstance(answer, HeliographError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _give_up(self, future: asyncio.Future[T]) -> None:
        self._settle(future, UnavailableError(f"the engine gave no answer within {ANSWER_TIMEOUT_S:g} s"))
