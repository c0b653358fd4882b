"""A deterministic event loop on virtual time, for simulations.

When nothing is ready, time jumps to the next timer: a simulated hour takes as long as its work does. There are no
sockets, threads or processes in such a loop. The same program with the same seed runs in the same order, as long as
it draws its randomness from the seed and iterates over sets in sorted order.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

LIMIT_S_DEFAULT = 24 * 3600.0


class StalledError(Exception):
    """Nothing is ready and no timer is set: the simulation waits for something that can never happen."""


class _NoInput(selectors.BaseSelector):
    """A selector that nothing ever arrives at; asked to wait, it moves the loop's clock instead."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._keys[fileobj] = selectors.SelectorKey(fileobj, descriptor, events, data)
        return self._keys[fileobj]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StalledError("the simulation waits for something that can never happen")
        self.now_s += max(timeout, 0.0)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0 and moves only when nothing is ready."""

    def __init__(self) -> None:
        self._input = _NoInput()
        super().__init__(self._input)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._input.now_s

    def run_in_executor(  # type: ignore[override]  # as loose as that of the loops in use
        self,
        executor: Any,  # noqa: ARG002
        function: Callable[..., T],
        *args: Any,
    ) -> asyncio.Future[T]:
        """Call a function at once, here: what takes real time takes none of the virtual one."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(function(*args))
        except Exception as exc:
            future.set_exception(exc)
        return future


def run(main: Callable[[random.Random], Coroutine[Any, Any, T]], *, seed: int, limit_s: float = LIMIT_S_DEFAULT) -> T:
    """Run `main(Random(seed))` on virtual time and return its result; the seed is in the message of what it raises.

    Raises StalledError, or TimeoutError when `limit_s` virtual seconds pass.
    """

    async def limited() -> T:
        async with asyncio.timeout(limit_s):
            return await main(random.Random(seed))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            return runner.run(limited())
        except BaseException as exc:
            exc.add_note(f"simulation seed {seed}")
            raise
