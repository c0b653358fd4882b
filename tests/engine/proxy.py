"""A TCP proxy before a NATS server that breaks a connection at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast


class Proxy:
    """Forward connections to `127.0.0.1:port`; `lose_answers` and `lose_requests` count down appends to spoil."""

    def __init__(self, port: int) -> None:
        self.lose_answers = 0
        self.lose_requests = 0
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        self._ends.append(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._ends.append(up_writer)
            await asyncio.gather(
                self._pump(reader, up_writer, self._spoil_request), self._pump(up_reader, writer, self._spoil_answer)
            )
        except OSError:
            writer.transport.abort()  # the server is down
        finally:
            self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spoil: Callable[[bytes], bool]
    ) -> None:
        """Forward until an end closes or a message is to be spoiled; then both ends close."""
        try:
            while (data := await reader.read(1 << 16)) and not spoil(data):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return  # the other direction sees it too, and closes its end
        finally:
            writer.transport.abort()

    def _spoil_request(self, data: bytes) -> bool:
        if self.lose_requests and b"HPUB log." in data:
            self.lose_requests -= 1
            return True
        return False

    def _spoil_answer(self, data: bytes) -> bool:
        if self.lose_answers and b'{"stream":"LOG_' in data:
            self.lose_answers -= 1
            return True
        return False
