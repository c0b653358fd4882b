"""A gateway receiver: takes batches from other sites' gateway senders and has this site's buckets append them.

    link ──batch──> verdict ──parts──> each bucket's primary (host.apply_parts) ──all in the log──> acknowledgement
                       │                        └─turned down for an event─> isolating ──the others in the log──┘
                       └──────────────────────────────────────────────────────any other failure──> refusal

A batch is acknowledged when every part of it is in this site's log or was judged by it, never before. A refused batch
stays in the sender's queue. Parts of one link and bucket are handed over in the order in which they came; of ordered
batches also those of different buckets, each when the one before it is in the log (`gateway.in_order`).

What is turned down because of an event that this site can never take is isolated: all but that event gets into the log,
and the acknowledgement names it. What came after it may be in the log before the rest of its batch then, save of
ordered batches.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from heliograph.errors import HeliographError, PeerError, UnavailableError, UsageError
from heliograph.gateway.in_order import InOrder
from heliograph.gateway.isolation import in_order, is_to_blame
from heliograph.gateway.verdict import open_batch, parts_by_bucket, parts_in_order, runs
from heliograph.link.failures import failure_of
from heliograph.link.hello import PARKING, Hello
from heliograph.link.messages import IN_ORDER_ANEW, Done, ReceiverAction, ReceiverStatus, Rejected, WanBatch
from heliograph.member.gateway_plugins import PluginFailures, Plugins
from heliograph.member.isolating import isolate
from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.model.batch import CREATE, DESTROY, UPDATE, Part, operations_of
from heliograph.model.ids import EVERY_INTERFACE, Address
from heliograph.model.members import ReceiverInfo
from heliograph.model.routing import Routing
from heliograph.net.connection import keep_alive_of
from heliograph.net.link import BaseHandler, Gate, Link, LinkHandler, LinkServer, serve_links
from heliograph.net.seam import Network

WORK_BYTES_MAX = 16 * 1024 * 1024
"""Of batches of one link that are being appended; above it nothing more is read from the link."""
ALL_BYTES_MAX = 32 * 1024 * 1024
"""Of all links together; above it nothing more is read from a link that has just brought some."""
WORK_BATCHES_MAX = 2048
UNREADABLE = WanBatch("", 1, [])
"""Stands for a batch of which nothing can be told."""

_log = logging.getLogger(__name__)


class ReceiverHost(Protocol):
    """A member, as its gateway receiver sees it.

    hostname: by which other machines reach the member. gate: lets senders in. record_bytes_max: what it hands to a
    bucket at once.
    """

    name: str
    dsid: int
    hostname: str
    network: Network
    gate: Gate | None
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

    rejected: what is found not to be takable. order: in which it waits for its turn, None when it is not ordered.
    """

    link: Link
    batch_id: int
    body: WanBatch
    size: int
    began_s: float
    answers: int = 0
    failure: BaseException | None = None
    rejected: list[Rejected] = field(default_factory=list)
    order: InOrder[_Run] | None = None


@dataclass(slots=True)
class _Run:
    """What one bucket appends of a batch; or why that can't be told.

    place: of the run in the batch, see `isolation.Runs`; None for the batch as a whole.
    """

    batch: _Batch
    place: int | None
    bucket: int = 0
    parts: tuple[Part, ...] = ()
    error: HeliographError | None = None


@dataclass(slots=True)
class _Work:
    """What one link has under way."""

    batches: int = 0
    size: int = 0
    refusal: str = ""
    refusing: dict[str, str] = field(default_factory=dict)
    """Region -> why its newest batch was refused."""
    order: InOrder[_Run] = field(default_factory=InOrder)


@dataclass(slots=True)
class _Counters:
    batches: int = 0
    events: int = 0
    operations: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Creates, updates and destroys."""
    acknowledged: int = 0
    refused: int = 0
    rejected: int = 0
    bytes_received: int = 0
    busy_s: float = 0.0
    """From a batch's arrival to its answer, summed over all batches."""
    timed_out: int = 0
    failed_connections: int = 0


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
        self._applying: set[asyncio.Task[Any]] = set()
        self._counters = _Counters()
        self._failures = PluginFailures("receiver")
        self._plugins = Plugins(attributes, self._failures)
        self._loop = asyncio.get_running_loop()

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
        return await serve_links(
            self._host.network,
            self.attributes.bind_address,
            port,
            Hello("receiver", self._host.name, self._host.dsid, filters=self._plugins.transport.names),
            self._accept,
            keep_alive=keep_alive_of(self.attributes.maximum_time_between_pings),
            buffer_bytes=self.attributes.socket_buffer_size,
            gate=self._host.gate,
        )

    async def stop(self) -> None:
        """Close the port and every link; does nothing when it is stopped. What is not acknowledged comes again."""
        server, self._server = self._server, None
        if server is None:
            return
        await server.close(f"the gateway receiver of {self._host.name} stops")
        self._counters.failed_connections += server.failed
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
                raise UsageError(f"the gateway receiver is already started on member {self._host.name}")
            await self.start()
        else:
            if not self.running:
                raise UsageError(f"the gateway receiver is not running on member {self._host.name}")
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
            batch = open_batch(body)
        except HeliographError as exc:
            self._refuse_in_turn(link, batch_id, work, exc)  # whether it is ordered can't be told
            return
        under_way = _Batch(link, batch_id, batch, len(body), self._loop.time())
        self._take_up(under_way, work, received)
        runs_of_it = self._runs(under_way)
        under_way.answers = len(runs_of_it)
        if batch.ordered:
            self._apply_in_order(under_way, work.order, runs_of_it, anew=batch.ordered == IN_ORDER_ANEW)
        else:
            for run in runs_of_it:
                self._apply(run)
        if not runs_of_it:
            self._finish(under_way)
        too_much = work.size > WORK_BYTES_MAX or work.batches > WORK_BATCHES_MAX or self._size > ALL_BYTES_MAX
        if too_much and work.batches and link not in self._held:
            self._held[link] = work
            link.pause_reading()

    def _take_up(self, batch: _Batch, work: _Work, received: int) -> None:
        counters = self._counters
        counters.batches += 1
        counters.bytes_received += received
        for _, part in batch.body.items:
            counters.events += part.count
            operations = operations_of(part)
            for operation in (CREATE, UPDATE, DESTROY):
                counters.operations[operation] += operations.count(operation)
        work.batches += 1
        work.size += batch.size
        self._size += batch.size

    def _runs(self, batch: _Batch) -> list[_Run]:
        """Return what goes to which bucket, in pieces that a record can hold; or one run that says why not."""
        body, size_max = batch.body, self._host.record_bytes_max
        try:
            routing = self._host.routing(body.region)
        except HeliographError as exc:
            batch.failure = exc
            return [_Run(batch, None, error=exc)]
        try:
            if body.ordered:
                placed = [(place, *each) for place, each in enumerate(parts_in_order(body, routing))]
            else:
                placed = [(bucket, bucket, parts) for bucket, parts in parts_by_bucket(body, routing).items()]
            if batch.size <= size_max:
                return [_Run(batch, place, bucket, tuple(parts)) for place, bucket, parts in placed]
            return [_Run(batch, place, bucket, run) for place, bucket, parts in placed for run in runs(parts, size_max)]
        except HeliographError as exc:
            return [_Run(batch, None, error=exc)]

    def _apply(self, run: _Run) -> None:
        if run.error is not None:
            self._answered(run, run.error)
            return
        try:
            future = asyncio.ensure_future(self._host.apply_parts(run.batch.body.region, run.bucket, run.parts))
        except HeliographError as exc:
            self._answered(run, exc)
            return
        if isinstance(future, asyncio.Task):
            self._applying.add(future)
            future.add_done_callback(self._applying.discard)

        def done(answer: asyncio.Future[Done]) -> None:
            if answer.cancelled():
                self._answered(run, UnavailableError("the gateway receiver stops"))
            else:
                self._answered(run, answer.exception())

        future.add_done_callback(done)

    def _answered(self, run: _Run, failure: BaseException | None) -> None:
        if failure is not None and self._may_isolate(run, failure):
            task = asyncio.create_task(self._isolate(run))
            self._applying.add(task)
            task.add_done_callback(self._applying.discard)
        else:
            self._ended(run.batch, failure)

    def _may_isolate(self, run: _Run, failure: BaseException) -> bool:
        if run.batch.failure is not None or PARKING not in run.batch.link.features:
            return False
        return run.place is None or is_to_blame(failure)

    async def _isolate(self, run: _Run) -> None:
        """Get all of a run into the log that can be; an ordered batch's next one waits for that."""
        failure: BaseException | None = None
        try:
            run.batch.rejected += await isolate(self._host, run.batch.body, run.place)
        except asyncio.CancelledError:
            self._ended(run.batch, UnavailableError("the gateway receiver stops"))
            raise
        except Exception as exc:
            failure = exc
        self._ended(run.batch, failure)

    def _ended(self, batch: _Batch, failure: BaseException | None) -> None:
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
        """A batch that can't be applied is refused when its turn comes, so that none after it is applied."""
        batch.order = order
        if order.take(given, anew=anew):
            self._apply_next(order)
        else:
            for run in given:
                self._count_answer(batch, run.error or _overtaking())

    def _apply_next(self, order: InOrder[_Run]) -> None:
        run = order.next()
        if run is not None:
            self._apply(run)

    def _refuse_in_turn(self, link: Link, batch_id: int, work: _Work, error: HeliographError) -> None:
        """Refuse a batch that can't be read when its turn comes, so that no ordered one after it is applied."""
        work.batches += 1
        under_way = _Batch(link, batch_id, UNREADABLE, 0, self._loop.time(), answers=1, failure=error)
        self._apply_in_order(under_way, work.order, [_Run(under_way, None, error=error)], anew=False)

    def _finish(self, batch: _Batch) -> None:
        """Every bucket has answered."""
        link = batch.link
        self._counters.busy_s += self._loop.time() - batch.began_s
        if batch.failure is None:
            rejected = in_order(batch.rejected)
            link.send_ack(batch.batch_id, rejected)
            self._counters.acknowledged += 1
            if rejected:
                self._count_rejected(batch, rejected)
        else:
            self._refuse(link, batch.batch_id, batch.failure)
        self._size -= batch.size
        work = self._works.get(link)
        if work is not None:  # else the link is gone
            work.batches -= 1
            work.size -= batch.size
            if batch.failure is not None:
                work.refusing[batch.body.region] = str(batch.failure)
            elif work.refusing:
                work.refusing.pop(batch.body.region, None)
        if self._held:
            self._read_again()

    def _count_rejected(self, batch: _Batch, rejected: Sequence[Rejected]) -> None:
        items = batch.body.items
        events = sum([len(each.positions) or items[each.item][1].count for each in rejected])
        self._counters.rejected += events
        work = self._works.get(batch.link)
        if work is not None and work.refusal != rejected[0].error:
            work.refusal = rejected[0].error
            where = (batch.link.peer.name, batch.body.region, events, rejected[0].error)
            _log.warning("events rejected peer=%s region=%s events=%d error=%s", *where)

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
        self._counters.timed_out += link.timed_out
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
            links=sum(link.opened for link in self._server.links),
        )

    def status(self) -> ReceiverStatus:
        """Return the receiver's state, with its statistics."""
        links = self._server.links if self._server is not None else {}
        senders = tuple(sorted({link.peer.name for link in links if link.opened}))
        return ReceiverStatus(
            member=self._host.name,
            port=self._server.port if self._server is not None else 0,
            status="Running" if self._server is not None else "Not Running",
            senders=senders,
            counters=self._counted(len(links), len(senders)),
            refusing=tuple(self._refusing()),
        )

    def _refusing(self) -> Iterator[str]:
        """Say whose batches are refused now, and why; once for all links of a sender."""
        told = {
            (link.peer.name, region, why) for link, work in self._works.items() for region, why in work.refusing.items()
        }
        yield from (f"{region} of {sender}: {why}" for sender, region, why in sorted(told))

    def _counted(self, links: int, senders: int) -> dict[str, int]:
        """Return the statistics under the names of statistics.md §2 and §3.2, and one that only heliograph has."""
        counters = self._counters
        creates, updates, destroys = counters.operations
        failed = counters.failed_connections + (self._server.failed if self._server is not None else 0)
        answered = counters.acknowledged + counters.refused
        return {
            "eventsReceived": counters.events,
            "createRequests": creates,
            "updateRequest": updates,
            "destroyRequest": destroys,
            "exceptionsOccurred": counters.rejected,
            "processBatchRequests": counters.batches,
            "processBatchResponses": answered,
            "batchesRefused": counters.refused,
            "pluginFailures": self._failures.count,
            "processBatchTime": int(counters.busy_s * 1e9),
            "averageBatchProcessingTime": int(counters.busy_s * 1000 / answered) if answered else 0,
            "receivedBytes": counters.bytes_received,
            "currentClients": senders,
            "currentClientConnections": links,
            "connectionsTimedOut": counters.timed_out,
            "failedConnectionAttempts": failed,
        }
