"""Work that many callers want at the same time and that is done once for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from heliograph.errors import UsageError

T = TypeVar("T")

_log = logging.getLogger(__name__)


class SharedTasks(Generic[T]):
    """At most one task for a key; who asks meanwhile waits for the same one. A cancelled caller leaves it running."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}
        self._closed_because = ""

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the running task for `key`, or a new one that does `work`, returns or raises.

        Raises UsageError once closed, and when `close` ended the task.
        """
        task = self.begin(key, work)
        await asyncio.wait([task])
        if task.cancelled():
            raise UsageError(self._closed_because)
        return task.result()

    def check_open(self) -> None:
        """Raise UsageError once closed."""
        if self._closed_because:
            raise UsageError(self._closed_because)

    def begin(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Have the work done without waiting for it, unless it is under way. Raises UsageError once closed."""
        self.check_open()
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(work())
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: Hashable, task: asyncio.Task[T]) -> None:
        del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.debug("shared task failed key=%s error=%s", key, error)

    async def close(self, reason: str) -> None:
        """Cancel what runs and wait for it; `reason` is what callers are told from now on."""
        self._closed_because = reason
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
