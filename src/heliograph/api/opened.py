"""What the awaited client and the awaited cache share: they are open inside `async with`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Opened(ABC):
    """Something to open before it is used, and to close afterwards."""

    @abstractmethod
    async def open(self) -> None:
        """Make it usable."""

    @abstractmethod
    async def close(self) -> None:
        """End it. A second call does nothing."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
