"""What a member has taken and the engine has not answered yet: bounded, over all of its buckets.

Beyond the bound a write is refused (`OverloadedError`: it was not done). Who has time waits for room and tries again:
the member's own callers here (`room`), thin clients and other members by asking again. So memory stays bounded however
long the engine stands still, and reads, which need no engine, go on.
"""

from __future__ import annotations

import asyncio
from collections import deque

from heliograph.errors import OverloadedError

BACKLOG_BYTES_MAX = 64 * 1024 * 1024
"""Keys and values. While a record is under way it exists several times over (columns, payload, socket buffers)."""

WAKE_MAX = 64
"""So many of those who wait for room try again when some comes, and all when everything was answered."""


class Backlog:
    """Of one member. used_bytes: of what is pending and in flight."""

    def __init__(self, limit_bytes: int = BACKLOG_BYTES_MAX) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def full(self) -> bool:
        """Say whether nothing more is taken."""
        return self.used_bytes >= self.limit_bytes

    def check(self) -> None:
        """Raise OverloadedError when nothing more is taken."""
        if self.used_bytes >= self.limit_bytes:
            raise OverloadedError(
                f"{self.used_bytes} bytes of writes wait for the engine (limit {self.limit_bytes}): the write was not "
                "done, try again later"
            )

    def give_back(self, size: int) -> None:
        """So much waits no more. Whoever waits for room tries again, the first comer first."""
        self.used_bytes -= size
        if self._waiting and not self.full:
            for _ in range(min(len(self._waiting), WAKE_MAX if self.used_bytes else len(self._waiting))):
                waiter = self._waiting.popleft()
                if not waiter.done():
                    waiter.set_result(None)

    async def room(self) -> None:
        """Wait until something more is taken."""
        while self.full:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
