"""What clients do: puts, conditional operations and reads on few hot keys, and puts of keys that are written once.

A hot key has conflicts of every kind. A key that is written once can't be superseded, so its loss is always seen.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

from heliograph.errors import HeliographError, NotPrimaryError, UsageError
from heliograph.link.messages import Changed, Condition
from heliograph.model.keys import Key, encode_value
from tests.sim.observed import Observed, Operation, Outcome
from tests.sim.plan import REGION
from tests.sim.world import MemberSlot

HOT_KEYS = tuple(f"hot-{number}" for number in range(5))
PAUSE_S = 0.4
ANSWER_S = 50.0
"""Longer than any operation may take by itself."""
CONDITIONS: tuple[Condition, ...] = ("put_if_absent", "replace", "replace_if", "remove", "remove_if")

T = TypeVar("T")


class Client:
    """One client of one member; it does one operation after the other."""

    def __init__(self, name: str, slot: MemberSlot, rng: random.Random, observed: Observed) -> None:
        self.name = name
        self._slot = slot
        self._rng = rng
        self._observed = observed
        self._numbers = count(1)
        self._read: dict[Key, bytes] = {}

    async def run(self, until_s: float) -> None:
        """Work until a time."""
        loop = asyncio.get_running_loop()
        while loop.time() < until_s:
            await asyncio.sleep(self._rng.expovariate(1 / PAUSE_S))
            if self._slot.ready:
                await self._any_operation()

    async def put(self, keys: list[Key], *, quiet: bool = False) -> Operation:
        """Put a new value under each key."""
        written = {key: self._value() for key in keys}
        work = self._slot.member.put_all(REGION, list(written), list(written.values()))
        operation = await self._do("put", written, work, quiet=quiet)
        if operation.outcome == "ok":
            await self._look_at(operation)
        return operation

    async def _look_at(self, operation: Operation) -> None:
        """See whether the member shows what it has just acknowledged."""
        if self._slot.ready:
            keys = list(operation.written)
            outcome, values, _ = await self._in_process(self._slot.member.get_all(REGION, keys))
            if outcome == "ok" and values is not None:
                operation.shown = dict(zip(keys, values, strict=True))

    async def change(self, op: Condition, key: Key, *, quiet: bool = False) -> Operation:
        """Do a conditional operation."""
        value = self._value() if op in ("put_if_absent", "replace", "replace_if") else b""
        expected = self._read.get(key, b"") if op in ("replace_if", "remove_if") else b""
        work = self._slot.member.change(REGION, op, key, value, expected)
        return await self._do(op, {key: value}, work, quiet=quiet)

    async def _any_operation(self) -> None:
        draw, rng = self._rng.random(), self._rng
        if draw < 0.2:
            await self.put([f"{self.name}-{next(self._numbers)}" for _ in range(rng.randint(1, 3))])
        elif draw < 0.4:
            await self.put(rng.sample(HOT_KEYS, rng.randint(1, 3)))
        elif draw < 0.93:
            await self.change(rng.choice(CONDITIONS), rng.choice(HOT_KEYS))
        else:
            await self._read_hot()

    async def _read_hot(self) -> None:
        """Learn what the conditions that expect a value can ask for."""
        outcome, values, _ = await self._in_process(self._slot.member.get_all(REGION, list(HOT_KEYS)))
        if outcome == "ok" and values is not None:
            self._read = dict(zip(HOT_KEYS, values, strict=True))

    def _value(self) -> bytes:
        return encode_value(f"{self.name}.{next(self._numbers)}")

    async def _do(
        self, kind: str, written: dict[Key, bytes], work: Coroutine[Any, Any, Changed | None], *, quiet: bool
    ) -> Operation:
        """Do an operation and write down how it ended."""
        loop, slot = asyncio.get_running_loop(), self._slot
        operation = Operation(slot.site.plan.dsid, slot.name, kind, written, loop.time(), quiet=quiet)
        self._observed.operations.append(operation)
        operation.outcome, answer, operation.error = await self._in_process(work)
        operation.ended_s = loop.time()
        if operation.outcome == "ok":
            operation.done = answer is None or answer.done
            if answer is not None:
                operation.old, operation.seq = answer.old, answer.seq
        return operation

    async def _in_process(self, work: Coroutine[Any, Any, T]) -> tuple[Outcome, T | None, str]:
        """Do some work in the member's process; returns how it ended, what came of it, and what went wrong."""
        process = self._slot.process
        assert process is not None
        task = process.run(work)
        await asyncio.wait({task}, timeout=ANSWER_S)
        if not task.done():
            task.cancel()
            self._observed.errors.append(f"{self._slot.name} did not answer within {ANSWER_S:g} s")
            return "info", None, "no answer"
        if task.cancelled():
            return "info", None, "the member was killed"
        error = task.exception()
        if error is None:
            return "ok", task.result(), ""
        if not isinstance(error, HeliographError):
            self._observed.errors.append(f"{self._slot.name} failed an operation with {error!r}")
        return ("fail" if isinstance(error, NotPrimaryError | UsageError) else "info"), None, repr(error)
