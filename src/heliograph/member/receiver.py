"""A gateway receiver: takes batches from other sites' gateway senders and has this site's buckets append them.

    link ──batch──> verdict ──parts──> each bucket's primary (host.apply_parts) ──all in the log──> acknowledgement
                       └──────────────────────────────────────────────────────any one failed──> refusal

A batch is acknowledged when every part of it is in this site's log or was judged by it, never before. A refused batch
stays in the sender's queue. Parts of one link and bucket are handed over in the order in which they came; of ordered
batches also those of different buckets, each when the one before it is in the log (`gateway.in_order`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Protocol

from heliograph.errors import HeliographError, PeerError, UnavailableError, UsageError
from heliograph.gateway.in_order import InOrder
from heliograph.gateway.verdict import open_batch, parts_by_bucket, parts_in_order, runs
from heliograph.link.failures import failure_of
from heliograph.link.hello import Hello
from heliograph.link.messages import IN_ORDER_ANEW, Done, ReceiverAction, ReceiverStatus, WanBatch
from heliograph.member.gateway_plugins import PluginFailures, Plugins
from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.model.batch import Part
from heliograph.model.ids import EVERY_INTERFACE, Address
from heliograph.model.members import ReceiverInfo
from heliograph.model.routing import Routing
from heliograph.net.connection import PING_INTERVAL_S, KeepAlive
from heliograph.net.link import BaseHandler, Link, LinkHandler, LinkServer, serve_links
from heliograph.net.seam import Network

WORK_BYTES_MAX = 16 * 1024 * 1024
"""Of batches of one link that are being appended; above it nothing more is read from the link."""
ALL_BYTES_MAX = 32 * 1024 * 1024
"""Of all links together; above it nothing more is read from a link that has just brought some."""
WORK_BATCHES_MAX = 2048

_log = logging.getLogger(__name__)


class ReceiverHost(Protocol):
    """A member, as its gateway receiver sees it.

    hostname: by which other machines reach the member. record_bytes_max: what it hands to a bucket at once.
    """

    name: str
    dsid: int
    hostname: str
    network: Network
    rng: random.Random
    record_bytes_max: int

    def routing(self, region: str) -> Routing:
        """Return how a region's keys find their buckets. Raises RegionNotFoundError."""
        ...

    def apply_parts(self, region: str, bucket: int, parts: tuple[Part, ...], /) -> Awaitable[Done]:
        """Have a bucket's primary judge and append parts; done when they are in the log.

        Order is that of the calls. Fails with ClockSkewError, PeerError, UnavailableError or NotPrimaryError.
        """
        ...


@dataclass(slots=True)
class _Batch:
    """A batch under way: how many answers of buckets there still have to be, and the first failure.

    order: in which it waits for its turn, None when it is not ordered.
    """

    link: Link
    batch_id: int
    size: int
    answers: int
    failure: BaseException | None = None
    order: InOrder[_Run] | None = None


@dataclass(slots=True)
class _Run:
    """What one bucket appends of an ordered batch; or why the batch can't be applied."""

    batch: _Batch
    region: str = ""
    bucket: int = 0
    parts: tuple[Part, ...] = ()
    error: HeliographError | None = None


@dataclass(slots=True)
class _Work:
    """What one link has under way."""

    batches: int = 0
    size: int = 0
    refusal: str = ""
    order: InOrder[_Run] = field(default_factory=InOrder)


@dataclass(slots=True)
class _Counters:
    batches: int = 0
    events: int = 0
    refused: int = 0
    bytes_received: int = 0


def _overtaking() -> UnavailableError:
    return UnavailableError("a batch before it was refused, and in this order none may overtake another")


class GatewayReceiver(BaseHandler):
    """See the module. `host` is the member; nothing listens before `start`.

    Raises UsageError for plug-ins that can't be loaded here.
    """

    def __init__(self, attributes: GatewayReceiverAttributes, host: ReceiverHost) -> None:
        self.attributes = attributes
        self._host = host
        self._server: LinkServer | None = None
        self._works: dict[Link, _Work] = {}
        self._held: dict[Link, _Work] = {}
        """Links that are not read from for now."""
        self._size = 0
        """Of the batches under way on all links, also on those that are gone."""
        self._applying: set[asyncio.Task[Done]] = set()
        self._counters = _Counters()
        self._failures = PluginFailures("receiver")
        self._plugins = Plugins(attributes, self._failures)

    # --- life cycle

    @property
    def running(self) -> bool:
        """Say whether senders can connect."""
        return self._server is not None

    async def start(self) -> None:
        """Listen on a free port of the range; does nothing when it runs.

        A random position in the range is tried first, then upward with wrap (configuration.md §2). Raises UsageError
        when none is free.
        """
        if self._server is not None:
            return
        first, count = self.attributes.start_port, self.attributes.end_port - self.attributes.start_port + 1
        position = self._host.rng.randrange(count)
        for step in range(count):
            try:
                self._server = await self._listen(first + (position + step) % count)
            except UnavailableError as exc:
                error = exc
            else:
                _log.info("gateway receiver started port=%d", self._server.port)
                return
        raise UsageError(f"no port of {first} to {first + count - 1} can be listened on (last: {error})")

    async def _listen(self, port: int) -> LinkServer:
        silence_s = self.attributes.maximum_time_between_pings / 1000
        return await serve_links(
            self._host.network,
            self.attributes.bind_address,
            port,
            Hello("receiver", self._host.name, self._host.dsid, filters=self._plugins.transport.names),
            self._accept,
            keep_alive=KeepAlive(min(PING_INTERVAL_S, silence_s / 3), silence_s),
        )

    async def stop(self) -> None:
        """Close the port and every link; does nothing when it is stopped. What is not acknowledged comes again."""
        server, self._server = self._server, None
        if server is None:
            return
        await server.close(f"the gateway receiver of {self._host.name} stops")
        for task in self._applying:
            task.cancel()
        if self._applying:
            await asyncio.wait(self._applying)
        _log.info("gateway receiver stopped")

    async def close(self) -> None:
        """Stop for good."""
        await self.stop()
        self._plugins.close()

    async def command(self, action: ReceiverAction) -> None:
        """Do an operator's command. Raises UsageError when it does not fit the state (gfsh.md §6.8)."""
        if action == "start":
            if self.running:
                raise UsageError(f"the gateway receiver is already started on {self._host.name}")
            await self.start()
        else:
            if not self.running:
                raise UsageError(f"the gateway receiver is not running on {self._host.name}")
            await self.stop()

    def _accept(self, peer: Hello) -> LinkHandler:
        if peer.role != "sender":
            raise PeerError(f"this is a gateway receiver: a {peer.role} has nothing to do here")
        return self

    # --- the hot path

    def on_batch(self, link: Link, batch_id: int, body: bytes) -> None:
        """Hand a batch's parts to their buckets."""
        work = self._works.get(link)
        if work is None:
            work = self._works[link] = _Work()
        received = len(body)
        try:
            body = self._plugins.transport.decode(body)
        except HeliographError as exc:
            self._refuse_in_turn(link, batch_id, work, exc, anew=False)  # whether it is ordered can't be told
            return
        batch: WanBatch | None = None
        try:
            batch = open_batch(body)
            routing = self._host.routing(batch.region)
            in_order = parts_in_order(batch, routing) if batch.ordered else None
            parts = in_order if in_order is not None else list(parts_by_bucket(batch, routing).items())
            size_max = self._host.record_bytes_max
            if len(body) > size_max:
                parts = [(bucket, [*run]) for bucket, some in parts for run in runs(some, size_max)]
        except HeliographError as exc:
            if batch is not None and batch.ordered:
                self._refuse_in_turn(link, batch_id, work, exc, anew=batch.ordered == IN_ORDER_ANEW)
            else:
                self._refuse(link, batch_id, exc)
            return
        counters = self._counters
        counters.batches += 1
        counters.bytes_received += received
        counters.events += sum([part.count for _, part in batch.items])
        work.batches += 1
        work.size += len(body)
        self._size += len(body)
        under_way = _Batch(link, batch_id, len(body), len(parts))
        if batch.ordered:
            given = [_Run(under_way, batch.region, bucket, tuple(some)) for bucket, some in parts]
            self._apply_in_order(under_way, work.order, given, anew=batch.ordered == IN_ORDER_ANEW)
        else:
            for bucket, bucket_parts in parts:
                self._apply(under_way, batch.region, bucket, tuple(bucket_parts))
        if not parts:
            self._finish(under_way)
        too_much = work.size > WORK_BYTES_MAX or work.batches > WORK_BATCHES_MAX or self._size > ALL_BYTES_MAX
        if too_much and parts and link not in self._held:
            self._held[link] = work
            link.pause_reading()

    def _apply(self, batch: _Batch, region: str, bucket: int, parts: tuple[Part, ...]) -> None:
        try:
            future = asyncio.ensure_future(self._host.apply_parts(region, bucket, parts))
        except HeliographError as exc:
            self._answered(batch, exc)
            return
        if isinstance(future, asyncio.Task):
            self._applying.add(future)
            future.add_done_callback(self._applying.discard)

        def done(answer: asyncio.Future[Done]) -> None:
            if answer.cancelled():
                self._answered(batch, UnavailableError("the gateway receiver stops"))
            else:
                self._answered(batch, answer.exception())

        future.add_done_callback(done)

    def _answered(self, batch: _Batch, failure: BaseException | None) -> None:
        self._count_answer(batch, failure)
        order = batch.order
        if order is not None:
            for run in order.on_ended(failed=failure is not None):
                self._count_answer(run.batch, _overtaking())
            self._apply_next(order)

    def _count_answer(self, batch: _Batch, failure: BaseException | None) -> None:
        batch.answers -= 1
        if failure is not None and batch.failure is None:
            batch.failure = failure
        if not batch.answers:
            self._finish(batch)

    def _apply_in_order(self, batch: _Batch, order: InOrder[_Run], given: list[_Run], *, anew: bool) -> None:
        batch.order = order
        if order.take(given, anew=anew):
            self._apply_next(order)
        else:
            for run in given:
                self._count_answer(batch, run.error or _overtaking())

    def _apply_next(self, order: InOrder[_Run]) -> None:
        run = order.next()
        if run is None:
            return
        if run.error is not None:
            self._answered(run.batch, run.error)
        else:
            self._apply(run.batch, run.region, run.bucket, run.parts)

    def _refuse_in_turn(self, link: Link, batch_id: int, work: _Work, error: HeliographError, *, anew: bool) -> None:
        """Refuse an ordered batch when its turn comes, so that none after it is applied."""
        work.batches += 1
        under_way = _Batch(link, batch_id, 0, 1)
        self._apply_in_order(under_way, work.order, [_Run(under_way, error=error)], anew=anew)

    def _finish(self, batch: _Batch) -> None:
        """Every bucket has answered."""
        link = batch.link
        if batch.failure is None:
            link.send_ack(batch.batch_id)
        else:
            self._refuse(link, batch.batch_id, batch.failure)
        self._size -= batch.size
        work = self._works.get(link)
        if work is not None:  # else the link is gone
            work.batches -= 1
            work.size -= batch.size
        if self._held:
            self._read_again()

    def _read_again(self) -> None:
        """Read from links again of which, and of all of which together, little is under way."""
        if self._size > ALL_BYTES_MAX // 2:
            return
        for link, work in list(self._held.items()):
            if work.size <= WORK_BYTES_MAX // 2 and work.batches <= WORK_BATCHES_MAX // 2:
                del self._held[link]
                link.resume_reading()

    def _refuse(self, link: Link, batch_id: int, failure: BaseException) -> None:
        told = failure_of(failure)
        self._counters.refused += 1
        work = self._works.get(link)
        if work is not None and work.refusal != told.message:
            work.refusal = told.message
            unexpected = None if isinstance(failure, HeliographError) else failure
            _log.warning("batch refused peer=%s reason=%s", link.peer.name, told.message, exc_info=unexpected)
        link.send_refusal(batch_id, told.error, told.message)

    def on_closed(self, link: Link, reason: str) -> None:
        """Forget a link; what it had under way is appended all the same, but what waits for that in order is not."""
        work = self._works.pop(link, None)
        for run in work.order.close() if work is not None else ():
            self._count_answer(run.batch, UnavailableError("the link was closed"))
        self._held.pop(link, None)
        _log.info("sender gone peer=%s reason=%s", link.peer.name, reason)

    # --- what others are told

    def info(self) -> ReceiverInfo | None:
        """Return what locators advertise to other sites; None when the receiver is stopped."""
        if self._server is None:
            return None
        attributes = self.attributes
        bound = attributes.bind_address if attributes.bind_address not in EVERY_INTERFACE else ""
        return ReceiverInfo(
            member=self._host.name,
            address=Address(attributes.hostname_for_senders or bound or self._host.hostname, self._server.port),
            port=self._server.port,
            bind_address=attributes.bind_address,
        )

    def status(self) -> ReceiverStatus:
        """Return the receiver's state, with counters under the names of statistics.md §2 where they have one."""
        counters = self._counters
        links = self._server.links if self._server is not None else set()
        return ReceiverStatus(
            member=self._host.name,
            port=self._server.port if self._server is not None else 0,
            status="Running" if self._server is not None else "Not Running",
            senders=tuple(sorted({link.peer.name for link in links if link.opened})),
            counters={
                "eventsReceived": counters.events,
                "processBatchRequests": counters.batches,
                "receivedBytes": counters.bytes_received,
                "batchesRefused": counters.refused,
                "pluginFailures": self._failures.count,
                "currentClientConnections": len(links),
            },
        )
