"""The background event loop of a sync client or cache: one thread, which callers of any thread hand coroutines to."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from heliograph.errors import UsageError

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own. `name` appears in errors and as the thread's name.

    The thread is a daemon: a program that forgets `close` can still end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._closed = False
        self._pid = os.getpid()
        self._guard = threading.Lock()  # no call is handed over once `close` has begun
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._loop = self._runner.get_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name=f"heliograph {name}", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Say whether `close` has begun."""
        return self._closed

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for its result in the calling thread.

        An interrupted wait (KeyboardInterrupt) cancels the coroutine. Raises UsageError after `close`, when `close`
        cut the call short, when called from the loop's own thread, which would wait for itself, and in a forked
        process, which has no such thread.
        """
        try:
            self._check_thread()  # before the guard, which a fork may have copied while it was held
        except UsageError:
            coroutine.close()
            raise
        with self._guard:
            if self._closed:
                coroutine.close()
                raise UsageError(f"{self._name} is closed")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise UsageError(f"{self._name} was closed while a call was under way: its outcome is unknown") from None
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a last coroutine, cancel what still runs, and end the thread. A second close does nothing.

        Raises UsageError when called from the loop's own thread, and in a forked process.
        """
        self._check_thread()
        with self._guard:
            if self._closed:
                return
            self._closed = True
            future = asyncio.run_coroutine_threadsafe(last(), self._loop)
        try:
            future.result()
        finally:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

    def _check_thread(self) -> None:
        if os.getpid() != self._pid:
            raise UsageError(f"{self._name} was opened by process {self._pid}: open one of your own after the fork")
        if threading.current_thread() is self._thread:
            raise UsageError(
                f"{self._name}: a blocking call in its own event loop waits for itself: use heliograph.aio"
            )

    def _main(self) -> None:
        with self._runner:
            self._runner.run(self._wait())

    async def _wait(self) -> None:
        await self._end.wait()
