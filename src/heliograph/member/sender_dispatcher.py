"""A dispatcher: one lane's connection to a gateway receiver, opened again whenever it is lost.

    looking for a receiver ──connect_link──> linked ──(closed)──> everything unacknowledged is unsent again, look anew

It sends whenever its lane has a batch and the link takes it; the lane (`gateway.lanes`) decides everything else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from heliograph.errors import HeliographError, UsageError
from heliograph.gateway.filters import PluginFailedError
from heliograph.gateway.lanes import NOTHING_PARKED, Lane, Outgoing
from heliograph.gateway.queue import BucketQueue
from heliograph.gateway.retry import Backoff
from heliograph.gateway.transport import TransportFilters
from heliograph.link.hello import Hello
from heliograph.link.messages import Rejected, encode
from heliograph.member.receiver_finder import ReceiverFinder
from heliograph.member.sender_host import SenderHost, monotonic_ms
from heliograph.model.ids import Address
from heliograph.net.link import BaseHandler, Link

RECONNECT_FIRST_MS, RECONNECT_LIMIT_MS = 100, 2_000

_log = logging.getLogger(__name__)


class DispatcherOwner(Protocol):
    """The gateway sender of a dispatcher."""

    @property
    def sending(self) -> bool:
        """Say whether batches may be sent now: the sender runs and is not paused."""
        ...

    def on_progress(self, *, reread: bool) -> None:
        """Queues moved, so memory may be free; `reread` says that some may have to be read from the log again."""
        ...

    def park(self, dispatcher: Dispatcher, batch_id: int, rejected: Sequence[Rejected]) -> None:
        """Keep events of a batch in flight, then have the dispatcher go on with it: `on_parked` or `on_not_parked`.

        Raises PeerError when the batch never had such events.
        """
        ...


class Dispatcher(BaseHandler):
    """See the module.

    number: of its lane, by which `finder` knows it.
    """

    def __init__(
        self,
        number: int,
        lane: Lane,
        *,
        host: SenderHost,
        hello: Hello,
        finder: ReceiverFinder,
        owner: DispatcherOwner,
        transport: TransportFilters,
    ) -> None:
        self.lane = lane
        self._host = host
        self._hello = hello
        self._finder = finder
        self._owner = owner
        self._transport = transport
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._receiver: Address | None = None
        self._connect_error = ""
        self._wanted = asyncio.Event()
        self._backoff = Backoff(RECONNECT_FIRST_MS, RECONNECT_LIMIT_MS)
        self._pump_due = False
        self._left_ms: dict[int, int] = {}
        """When the batches left that are in flight."""
        self._timer: asyncio.TimerHandle | None = None

    # --- what the sender calls

    @property
    def receiver(self) -> Address | None:
        """The receiver that is linked now."""
        return self._receiver if self._link is not None else None

    @property
    def error(self) -> str:
        """Why nothing, or a region, does not move; empty when all is well."""
        return self._connect_error or self.lane.error

    def add(self, queue: BucketQueue) -> None:
        """Ship a queue."""
        self.lane.add(queue)
        self._wanted.set()
        self.pump_soon()

    def remove(self, queue: BucketQueue) -> None:
        """Ship a queue no longer; without any, the link is closed."""
        self.lane.remove(queue)
        if self.lane.idle:
            self._wanted.clear()
            self.disconnect("nothing to ship")

    def on_offered(self, queue: BucketQueue) -> None:
        """A queue has something new to send."""
        self.lane.on_offered(queue)
        if self._link is not None and not self._pump_due:
            self.pump_soon()

    def pump_soon(self) -> None:
        """Send what may be sent, once for all that happens in this turn of the loop."""
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def disconnect(self, reason: str) -> None:
        """Close the link; unless the lane is idle a new one is opened."""
        if self._link is not None:
            self._link.close(reason)

    async def run(self) -> None:
        """Keep the lane linked while it has buckets; cancelled to stop."""
        try:
            while True:
                await self._wanted.wait()
                link = await self._connect()
                if link is not None:
                    await link.wait_closed()
                    self._finder.left(self._number)
                await asyncio.sleep(self._backoff.next_ms(self._host.rng.random()) / 1000)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            link = self._link
            if link is not None:
                link.close("the gateway sender stops")
                await link.wait_closed()
            self._finder.left(self._number)

    async def _connect(self) -> Link | None:
        """Open a link to the next receiver; None when that failed, which `error` then tells."""
        try:
            link, address = await self._finder.link(self._number, self._hello, self)
        except HeliographError as exc:
            if str(exc) != self._connect_error:
                _log.warning("not linked sender=%s reason=%s", self._hello.name, exc)
            self._connect_error = str(exc)
            return None
        if self.lane.idle:
            link.close("nothing to ship")
        if link.closed:
            return link
        _log.info("linked sender=%s receiver=%s member=%s", self._hello.name, address, link.peer.name)
        self._link = link
        self._receiver = address
        self._connect_error = ""
        self.pump_soon()
        return link

    # --- the hot path

    def _pump(self) -> None:
        self._pump_due = False
        link = self._link
        if link is None or not self._owner.sending:
            return
        now_ms = monotonic_ms()
        while link.writable and not link.closed:
            outgoing = self.lane.next_batch(now_ms)
            if outgoing is None:
                self._pump_later(now_ms)
                return
            error = outgoing.error or self._send(link, outgoing)
            if error:
                self._held_back(self.lane.hold_back(outgoing.batch_id, error, now_ms, self._draw()))

    def _send(self, link: Link, outgoing: Outgoing) -> str:
        """Ship a batch; returns why that can't be, of a transport filter that fails or makes it too large."""
        try:
            link.send_batch(outgoing.batch_id, self._transport.encode(encode(outgoing.batch)))
            self._left_ms[outgoing.batch_id] = monotonic_ms()
        except (PluginFailedError, UsageError) as exc:
            return str(exc)
        return ""

    def _pump_later(self, now_ms: int) -> None:
        """Come back when a batch becomes due by time alone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_ms = self.lane.wake_ms()
        if wake_ms is not None and wake_ms > now_ms:
            self._timer = self._loop.call_later((wake_ms - now_ms) / 1000, self.pump_soon)

    # --- what the link tells

    def on_ack(self, link: Link, batch_id: int) -> None:
        """A batch is in the remote log."""
        if link is self._link:
            self.on_parked(batch_id, NOTHING_PARKED)

    def on_acked_in_part(self, link: Link, batch_id: int, rejected: Sequence[Rejected]) -> None:
        """A batch is in the remote log, but for events that have to be kept before it counts."""
        if link is self._link:
            self._owner.park(self, batch_id, rejected)
            self.lane.note_rejected(batch_id, rejected)

    def on_parked(self, batch_id: int, parked: Mapping[int, int]) -> None:
        """So many events of each bucket are kept, the others of the batch are in the remote log."""
        self._time(batch_id)
        reopened = self.lane.on_ack(batch_id, parked)
        self._backoff.reset()
        self._owner.on_progress(reread=reopened)
        self.pump_soon()

    def on_refused(self, link: Link, batch_id: int, error: str, message: str) -> None:
        """A batch was turned down: its region waits."""
        if link is self._link:
            self.on_not_parked(batch_id, error, message)

    def on_not_parked(self, batch_id: int, error: str, message: str) -> None:
        """Events of a batch are neither there nor can they be kept: its region waits."""
        self._left_ms.pop(batch_id, None)
        self._held_back(self.lane.on_refused(batch_id, f"{error}: {message}", monotonic_ms(), self._draw()))
        self.pump_soon()

    def _time(self, batch_id: int) -> None:
        left_ms = self._left_ms.pop(batch_id, None)
        if left_ms is not None:
            self.lane.counters.time(monotonic_ms() - left_ms)

    def _held_back(self, region: str) -> None:
        """A region waits, and is named when that is news."""
        if region:
            _log.warning("held back sender=%s region=%s error=%s", self._hello.name, region, self.lane.error)
        self._owner.on_progress(reread=True)

    def _draw(self) -> float:
        return self._host.rng.random()

    def on_writable(self, link: Link) -> None:  # noqa: ARG002  (a dispatcher has one link)
        """The receiver reads again."""
        self.pump_soon()

    def on_closed(self, link: Link, reason: str) -> None:
        """Whatever was in flight is unsent again. A link may end before it was ever used: that is told, too."""
        if not self.lane.idle:
            self._connect_error = reason or f"{link.peer_address} closed the link"
        if link is self._link:
            self._link = None
            self._left_ms.clear()
            repeated = self.lane.on_link_lost()
            _log.info("unlinked sender=%s reason=%s batches=%d", self._hello.name, reason, repeated)
