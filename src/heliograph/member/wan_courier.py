"""Brings single batches to a receiver of another site, beside a gateway sender's queue, each however often it takes.

deliver ──> link of its own, opened when it is needed ──> acknowledged, but for what can never be taken
               ├─ lost, or refused for now ──> again, after a while
               └─ refused for good, or nothing moved for `PATIENCE_S` ──> raised
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from heliograph.errors import HeliographError, UnavailableError
from heliograph.gateway.retry import Backoff
from heliograph.gateway.transport import TransportFilters
from heliograph.link.failures import error_of
from heliograph.link.hello import Hello
from heliograph.link.messages import Failure, Rejected, WanBatch, encode
from heliograph.member.receiver_finder import ReceiverFinder
from heliograph.member.sender_host import SenderHost
from heliograph.net.link import BaseHandler, Link

RETRY_FIRST_MS, RETRY_LIMIT_MS = 100, 2_000
PATIENCE_S = 20.0


class FarEnd(NamedTuple):
    """How a gateway sender reaches its remote site."""

    finder: ReceiverFinder
    hello: Hello
    transport: TransportFilters


class Courier(BaseHandler):
    """See the module."""

    def __init__(self, host: SenderHost, end: FarEnd) -> None:
        self._host = host
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._linking = asyncio.Lock()
        self._sent = 0
        self._waiting: dict[int, asyncio.Future[Sequence[Rejected]]] = {}
        self._moved_at = 0.0

    async def deliver(self, batch: WanBatch) -> Sequence[Rejected]:
        """Have the remote site append a batch; returns what it can never take of it.

        Raises what it refuses the batch with, what a transport filter fails with, and UnavailableError.
        """
        body = self._end.transport.encode(encode(batch))
        backoff = Backoff(RETRY_FIRST_MS, RETRY_LIMIT_MS)
        began_at = self._loop.time()
        while True:
            try:
                rejected = await self._attempt(body)
            except HeliographError as exc:
                since = max(began_at, self._moved_at)
                if not exc.retriable or self._loop.time() - since > PATIENCE_S:
                    raise
            else:
                self._moved_at = self._loop.time()
                return rejected
            await asyncio.sleep(backoff.next_ms(self._host.rng.random()) / 1000)

    async def _attempt(self, body: bytes) -> Sequence[Rejected]:
        link = await self._linked()
        self._sent += 1
        number = self._sent
        answer: asyncio.Future[Sequence[Rejected]] = self._loop.create_future()
        self._waiting[number] = answer
        try:
            link.send_batch(number, body)
            return await answer
        finally:
            del self._waiting[number]

    async def _linked(self) -> Link:
        async with self._linking:
            if self._link is not None and not self._link.closed:
                return self._link
            link = self._link = await self._end.finder.link_any(self._end.hello, self)
        if link.closed:
            raise UnavailableError(f"{link.peer} closed the link")
        return link

    async def close(self) -> None:
        """Close the link; whatever is not answered may be done or not."""
        if self._link is not None:
            self._link.close("nothing more to bring")
            await self._link.wait_closed()

    # --- what the link tells

    def on_ack(self, link: Link, batch_id: int) -> None:
        """A batch is in the remote log."""
        self.on_acked_in_part(link, batch_id, ())

    def on_acked_in_part(self, link: Link, batch_id: int, rejected: Sequence[Rejected]) -> None:  # noqa: ARG002
        """A batch is in the remote log, but for some events."""
        answer = self._waiting.get(batch_id)
        if answer is not None and not answer.done():
            answer.set_result(rejected)

    def on_refused(self, link: Link, batch_id: int, error: str, message: str) -> None:  # noqa: ARG002
        """A batch was turned down."""
        answer = self._waiting.get(batch_id)
        if answer is not None and not answer.done():
            answer.set_exception(error_of(Failure(error, message)))

    def on_closed(self, link: Link, reason: str) -> None:
        """Nothing that is under way will be answered."""
        if link is self._link:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(UnavailableError(f"the link was lost: {reason}"))
