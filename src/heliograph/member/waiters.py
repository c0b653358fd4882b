"""Who waits for a write: one write's caller, or the caller of a put_all that spans many buckets.

A put_all waits with one future for all its buckets, because a future for each would cost more than the writing.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from heliograph.bucket.primary import PutRequest, Request
from heliograph.link.messages import Changed, Done


class Waiter(Protocol):
    """The `waiter` of every request that a bucket's copy submits."""

    def resolve(self, answer: Done | Changed) -> None:
        """The request is done."""
        ...

    def reject(self, request: Request, error: Exception) -> None:
        """The request failed."""
        ...


class OneWrite:
    """Waits for one request: `future` gives its answer, or raises its error."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Done | Changed] = loop.create_future()

    def resolve(self, answer: Done | Changed) -> None:
        """Give the answer, unless the caller has given up."""
        if not self.future.done():
            self.future.set_result(answer)

    def reject(self, request: Request, error: Exception) -> None:  # noqa: ARG002  (there is only one)
        """Raise the error at the caller, unless it has given up."""
        if not self.future.done():
            self.future.set_exception(error)


class Chore:
    """Nobody waits: it is the primary's own work, of which one is under way at a time."""

    __slots__ = ("under_way",)

    def __init__(self) -> None:
        self.under_way = True

    def resolve(self, answer: Done | Changed) -> None:  # noqa: ARG002
        """It is done."""
        self.under_way = False

    def reject(self, request: Request, error: Exception) -> None:  # noqa: ARG002  (it is tried again)
        """It was not done."""
        self.under_way = False


class ManyWrites:
    """Waits for several puts: `future` is done when all have ended; `failed` tells which of them failed, and why.

    expected: how many there are in all.
    """

    __slots__ = ("_open", "expected", "failed", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[None] = loop.create_future()
        self.failed: list[tuple[PutRequest, Exception]] = []
        self.expected = 0
        self._open = 0

    @property
    def empty(self) -> bool:
        """Say whether there is nothing to wait for."""
        return not self._open

    def expect(self) -> None:
        """Wait for one more."""
        self.expected += 1
        self._open += 1

    def resolve(self, answer: Done | Changed | None) -> None:  # noqa: ARG002  (that it has ended is all)
        """One of them has ended."""
        self._open -= 1
        if not self._open and not self.future.done():
            self.future.set_result(None)

    def reject(self, request: Request, error: Exception) -> None:
        """One of them failed."""
        if isinstance(request, PutRequest):
            self.failed.append((request, error))
        self.resolve(None)
