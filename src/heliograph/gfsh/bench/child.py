"""The benchmark's own processes: started, talked to line by line, and ended with the context that started them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import TracebackType

import msgspec

from heliograph.errors import UnavailableError

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


class Child:
    """A module of ours that runs as a process. It reads its configuration, says `ready`, and ends with its input.

    It has a session of its own, so that a Ctrl-C reaches only the benchmark, which ends it in order.
    """

    def __init__(self, module: str, config: msgspec.Struct) -> None:
        self._module = module
        self._process = subprocess.Popen(  # noqa: S603  (a module of ours)
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._tell(msgspec.json.encode(config))

    @property
    def pid(self) -> int:
        """The process's pid."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it says that it is ready. Raises UnavailableError."""
        line = await self.line(timeout_s=START_TIMEOUT_S)
        if line != b"ready":
            raise UnavailableError(f"{self._module} said {line!r} when it should be ready")

    def go(self) -> None:
        """Tell it to begin."""
        self._tell(b"go")

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  (a pipe was asked for)
        self._process.stdin.write(line + b"\n")

    async def line(self, *, timeout_s: float) -> bytes:
        """Return the next line that it says. Raises UnavailableError when it says none or ends."""
        output = self._process.stdout
        assert output is not None  # noqa: S101  (a pipe was asked for)
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(output.fileno(), readable.set)
        try:
            async with asyncio.timeout(timeout_s):
                await readable.wait()
        except TimeoutError:
            raise UnavailableError(f"{self._module} has said nothing for {timeout_s:g} s") from None
        finally:
            loop.remove_reader(output.fileno())
        line = output.readline()
        if not line:
            raise UnavailableError(f"{self._module} has ended: its error output says why")
        return line.rstrip(b"\n")

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            self._process.terminate()
        try:
            self._process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
