"""What clients do, in simulated and in real sites: they put, change and read few hot keys, and put others once.

A hot key has conflicts of every kind. A key that is written once can't be superseded, so its loss is always seen.
Conditions expect what the client knew last, so that they hold now and then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from heliograph.api.backend import Backend
from heliograph.errors import DiskStoreFullError, NotPrimaryError, UnreachableError, UsageError
from heliograph.link.messages import Changed, Condition
from heliograph.model.keys import Key, encode_value
from tests.history.operations import Operation, Outcome

CONDITIONS: tuple[Condition, ...] = ("put_if_absent", "replace", "replace_if", "remove", "remove_if")
TICK_S = 1e-6
"""So that what follows began later, also on a clock that moves only while everybody waits."""
NOT_DONE = (DiskStoreFullError, NotPrimaryError, UnreachableError, UsageError)
"""Errors that say that nothing happened."""

T = TypeVar("T")


class Mix(NamedTuple):
    """How often clients do what (conditions: in the order of CONDITIONS), and how long they pause on average."""

    once: int = 15
    put: int = 20
    change: int = 45
    get: int = 20
    pause_s: float = 0.4
    conditions: tuple[int, ...] = (1, 1, 1, 1, 1)


class Answer(NamedTuple, Generic[T]):
    """How some work ended, what came of it, and what went wrong."""

    outcome: Outcome
    result: T | None = None
    error: BaseException | None = None


class Place(Protocol):
    """Where a client works: at a member, or outside of the site."""

    site: int

    @property
    def ready(self) -> bool:
        """Say whether there is anybody to ask."""
        ...

    def copy_of(self, key: Key) -> str:
        """Return the run of the member whose own copy answers about a key; "" when that is not known."""
        ...

    async def do(self, work: Callable[[Backend], Awaitable[T]]) -> Answer[T]:
        """Do some work on the site's regions."""
        ...


class Client:
    """One client; it does one operation after the other and writes down what became of each."""

    def __init__(
        self,
        name: str,
        place: Place,
        region: str,
        hot_keys: Sequence[Key],
        mix: Mix,
        rng: random.Random,
        history: list[Operation],
    ) -> None:
        self.name = name
        self.site = place.site
        self._place = place
        self.region = region
        self._hot_keys = hot_keys
        self._mix = mix
        self._rng = rng
        self._history = history
        self._numbers = count(1)
        self._known: dict[Key, bytes] = {}

    async def run(self, until_s: float) -> None:
        """Work until a time."""
        loop = asyncio.get_running_loop()
        while loop.time() < until_s:
            await asyncio.sleep(self._rng.expovariate(1 / self._mix.pause_s))
            if self._place.ready:
                await self._any_operation()

    async def _any_operation(self) -> None:
        rng, *weights = self._rng, *self._mix[:4]
        (what,) = rng.choices(("once", "put", "change", "get"), weights)
        if what == "once":
            await self.put([f"{self.name}-{next(self._numbers)}" for _ in range(rng.randint(1, 3))])
        elif what == "put":
            await self.put(rng.sample(self._hot_keys, rng.randint(1, 3)))
        elif what == "change":
            (condition,) = rng.choices(CONDITIONS, self._mix.conditions)
            await self.change(condition, rng.choice(self._hot_keys))
        else:
            await self.get(rng.sample(self._hot_keys, rng.randint(1, 3)))

    async def put(self, keys: Sequence[Key], *, quiet: bool = False) -> None:
        """Put a new value under each key, and see at once whether it is shown."""
        values = {key: self._value() for key in keys}

        async def work(backend: Backend) -> None:
            await backend.put_all(self.region, list(values), list(values.values()))

        operations = [self._begin("put", key, value, quiet=quiet) for key, value in values.items()]
        answer = await self._do(operations, work)
        for operation in operations:
            if answer.outcome == "fail" and len(operations) > 1:
                operation.outcome = "info"  # others of them may have been done
            self._know(operation, operation.value)
        if answer.outcome == "ok" and self._place.ready:
            await asyncio.sleep(TICK_S)
            await self.get(keys)

    async def change(self, op: Condition, key: Key, *, quiet: bool = False) -> None:
        """Do a conditional operation."""
        value = self._value() if op in ("put_if_absent", "replace", "replace_if") else b""
        expected = self._known.get(key, b"") if op in ("replace_if", "remove_if") else b""

        async def work(backend: Backend) -> Changed:
            return await backend.change(self.region, op, key, value, expected)

        operation = self._begin(op, key, value, expected, quiet=quiet)
        answer = await self._do([operation], work)
        if answer.result is not None:
            operation.done, operation.old, operation.seq = answer.result.done, answer.result.old, answer.result.seq
        self._know(operation, value if operation.done else operation.old)

    async def get(self, keys: Sequence[Key], *, quiet: bool = False) -> None:
        """Read some keys."""

        async def work(backend: Backend) -> list[bytes]:
            return await backend.get_all(self.region, list(keys))

        operations = [self._begin("get", key, quiet=quiet) for key in keys]
        answer = await self._do(operations, work)
        for operation, value in zip(operations, answer.result or (), strict=False):
            operation.old = value
            self._know(operation, value)

    # --- writing it down

    def _value(self) -> bytes:
        return encode_value(f"{self.name}.{next(self._numbers)}")

    def _begin(self, kind: Any, key: Key, value: bytes = b"", expected: bytes = b"", *, quiet: bool) -> Operation:
        now_s = asyncio.get_running_loop().time()
        member = self._place.copy_of(key)
        operation = Operation(self.name, self.site, kind, key, value, expected, now_s, member=member, quiet=quiet)
        self._history.append(operation)
        return operation

    async def _do(self, operations: Sequence[Operation], work: Callable[[Backend], Awaitable[T]]) -> Answer[T]:
        answer = await self._place.do(work)
        ended_s = asyncio.get_running_loop().time()
        for operation in operations:
            operation.outcome = answer.outcome
            operation.done = answer.outcome == "ok"
            operation.error = repr(answer.error) if answer.error is not None else ""
            operation.ended_s = ended_s
            if operation.member != self._place.copy_of(operation.key):
                operation.member = ""
        return answer

    def _know(self, operation: Operation, value: bytes) -> None:
        if operation.outcome == "ok":
            self._known[operation.key] = value


def outcome_of(error: BaseException) -> Outcome:
    """Return what an error says of the write that raised it."""
    return "fail" if isinstance(error, NOT_DONE) else "info"
