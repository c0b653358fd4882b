"""The tasks a member owns: none is forgotten, none outlives its owner, none fails unseen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Tasks:
    """A set of running tasks with one end.

    on_failed: told of every task that an exception ends. Whoever spawns tasks that nobody waits for gives it: without
    them the owner is not what it shows itself to be.
    """

    def __init__(self, on_failed: Callable[[BaseException], None] | None = None) -> None:
        self._on_failed = on_failed
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as a task of this owner; after `close` it is cancelled before it begins."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if self._closed:
            task.cancel()
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("task failed task=%s", task.get_coro(), exc_info=error)
            if self._on_failed is not None:
                self._on_failed(error)

    async def close(self) -> None:
        """Cancel every task, also what they spawn on their way out, and wait until all have ended."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
