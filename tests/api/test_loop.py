from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from heliograph.api.loop import LoopThread
from heliograph.errors import UsageError


async def nothing() -> None:
    pass


async def name_of_thread() -> str:
    return threading.current_thread().name


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("client of x")
    yield thread
    thread.close(nothing)


def test_coroutines_run_in_one_thread_for_all_callers(loop: LoopThread) -> None:
    with ThreadPoolExecutor(8) as threads:
        names = set(threads.map(lambda _: loop.run(name_of_thread()), range(100)))
    assert names == {"heliograph client of x"}


def test_an_exception_reaches_the_caller(loop: LoopThread) -> None:
    async def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError, match="k"):
        loop.run(fail())


def test_a_running_event_loop_of_the_callers_own_is_no_obstacle(loop: LoopThread) -> None:
    async def main() -> str:
        return loop.run(name_of_thread())

    assert asyncio.run(main()) == "heliograph client of x"


def test_a_forked_process_is_told_to_open_its_own(loop: LoopThread) -> None:
    """Of all threads only the one that forks goes on in the child: a call would wait for ever."""
    loop.run(nothing())
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a fork beside threads is the point
        child = os.fork()
    if not child:
        try:
            for call in (lambda: loop.run(nothing()), lambda: loop.close(nothing)):
                try:
                    call()
                except UsageError as exc:
                    os.write(writing, f"{exc}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        assert told.read().count("open one of your own after the fork") == 2
    assert os.waitpid(child, 0) == (child, 0)
    loop.run(nothing())


def test_a_call_that_would_wait_for_itself_is_refused(loop: LoopThread) -> None:
    async def inside() -> None:
        loop.run(nothing())

    async def closing() -> None:
        loop.close(nothing)

    for coroutine in (inside(), closing()):
        with pytest.raises(UsageError, match=r"waits for itself: use heliograph\.aio"):
            loop.run(coroutine)


def test_an_interrupted_wait_cancels_the_coroutine(loop: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupt(future: concurrent.futures.Future[None], timeout: float | None = None) -> None:
        assert started.wait(10)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(concurrent.futures.Future, "result", interrupt)
        with pytest.raises(KeyboardInterrupt):
            loop.run(wait())
    assert cancelled.wait(10)


def test_close_runs_the_last_coroutine_cuts_calls_short_and_refuses_new_ones() -> None:
    loop = LoopThread("cache closing")
    started = threading.Event()
    last: list[str] = []

    async def wait() -> None:
        started.set()
        await asyncio.sleep(60)

    async def close() -> None:
        last.append(threading.current_thread().name)

    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(loop.run, wait())
        assert started.wait(10)
        loop.close(close)
        with pytest.raises(UsageError, match="cache closing was closed while a call was under way"):
            call.result(10)
    assert last == ["heliograph cache closing"]
    loop.close(close)
    assert len(last) == 1
    with pytest.raises(UsageError, match="cache closing is closed"):
        loop.run(nothing())
    assert "heliograph cache closing" not in {thread.name for thread in threading.enumerate()}


def test_the_thread_ends_also_when_the_last_coroutine_fails() -> None:
    loop = LoopThread("failing")

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        loop.close(fail)
    assert "heliograph failing" not in {thread.name for thread in threading.enumerate()}
