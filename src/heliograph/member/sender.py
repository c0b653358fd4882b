"""A gateway sender at one member: what operators start, stop, pause and look at (architecture §4).

    records appended or applied here ──offer──> queues (sender_buckets) ──> lanes ──> links (sender_dispatcher)
                                                  ▲ the log (sender_feed)

A parallel sender ships the buckets that the member activates; a serial one ships everything while it holds the lease
(`lease`). Stopping keeps the queue: it is the cursor, in the registry, and what the log holds after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from heliograph.errors import HeliographError, RegionNotFoundError, UnavailableError, UsageError
from heliograph.gateway.lanes import Lane, LaneCounters, Route
from heliograph.gateway.memory import Memory
from heliograph.gateway.ordered_lane import OrderedLane
from heliograph.gateway.parking import events_to_park, parked_by_bucket
from heliograph.gateway.queue import QueueCounters
from heliograph.link.hello import Hello
from heliograph.link.messages import Redriven, Rejected, SenderAction, SenderStatus
from heliograph.member.gateway_plugins import PluginFailures, Plugins, same_plugins
from heliograph.member.lease import LeaseKeeper
from heliograph.member.listener_dispatcher import ListenerDispatcher
from heliograph.member.receiver_finder import ReceiverFinder
from heliograph.member.sender_alarms import SenderAlarms
from heliograph.member.sender_buckets import Assignment, BucketKey, ShippedBuckets
from heliograph.member.sender_commands import commanded, keep_command
from heliograph.member.sender_dispatcher import Dispatcher
from heliograph.member.sender_host import SenderHost
from heliograph.member.sender_ordered import OrderedBuckets
from heliograph.member.sender_parking import SenderParking
from heliograph.member.sender_rates import SenderRates
from heliograph.member.tasks import Tasks
from heliograph.member.wan_courier import FarEnd
from heliograph.model.attributes import QUEUE_PREFIX, GatewaySenderAttributes
from heliograph.model.batch import Record
from heliograph.model.ids import Seq
from heliograph.model.parked import ToPark
from heliograph.model.queues import QueueAttributes
from heliograph.model.registry import SenderState
from heliograph.net.connection import KEEP_ALIVE, keep_alive_of

STOP_S = 5.0
"""How long storing the cursors may take when the sender stops."""

_log = logging.getLogger(__name__)


class GatewaySender:
    """See the module. `host` is the member; nothing runs before `start`. Raises UsageError for plug-ins that can't be
    loaded here.
    """

    def __init__(self, attributes: GatewaySenderAttributes, host: SenderHost) -> None:
        self.attributes = attributes
        self.running = False
        self.paused = False
        self._host = host
        self._finder = _finder_of(attributes, host)
        self._counters = QueueCounters()
        self._alarms = SenderAlarms(attributes.id, host.clock)
        self._failures = PluginFailures(f"sender={attributes.id}")
        self._plugins = Plugins(attributes, self._failures)
        self._parking = SenderParking(attributes.id, host)
        self._lane_totals = LaneCounters()
        self._rates = SenderRates(self._counters, self._lane_counters)
        self._activated: dict[BucketKey, Assignment] = {}
        self._routes: dict[str, Route] = {}
        self._may_hold = False
        self._tasks = Tasks(host.fail)
        self._dispatchers: list[Dispatcher] | list[ListenerDispatcher] = []
        self._buckets: ShippedBuckets | None = None
        self._lease: LeaseKeeper | None = None
        self._epoch = 0
        self._changing = asyncio.Lock()

    # --- life cycle: one change at a time; one that was cut short is completed by the next

    async def start(self) -> None:
        """Begin to ship, at the cursors; does nothing when it runs. The remote site may be out of reach."""
        async with self._changing:
            await self._start()

    async def take_up(self) -> None:
        """Be as an operator left it at this member, else as the definition says. Raises UnavailableError."""
        async with self._changing:
            state = await commanded(self._host.registry, self.attributes.id, self._host.name)
            if state is None:
                state = _state_at_first(self.attributes)
            if state != "stopped":
                await self._start()
                self.paused = state == "paused"

    async def stop(self) -> None:
        """Ship no more: store the cursors, give the lease back, close the links. Does nothing when it is stopped."""
        async with self._changing:
            await self._stop()

    async def alter(self, attributes: GatewaySenderAttributes) -> None:
        """Go on with other attributes; a stopped sender stays stopped, a paused one paused.

        Raises UsageError, and goes on as it was, when there are plug-ins that can't be loaded here.
        """
        async with self._changing:
            plugins = self._plugins
            if not same_plugins(self.attributes, attributes):
                plugins = Plugins(attributes, self._failures)
            running, paused = self.running, self.paused
            await self._stop()
            if plugins is not self._plugins:
                self._plugins.close()
            self.attributes, self._plugins = attributes, plugins
            if running:
                await self._start()
                self.paused = paused

    async def close(self) -> None:
        """Stop for good."""
        await self.stop()
        self._plugins.close()

    async def _start(self) -> None:
        if self.running:
            return
        await self._stop()  # the rest of a stop that was cut short
        attributes, host = self.attributes, self._host
        self.running, self.paused = True, False
        self._tasks = Tasks(host.fail)
        self._alarms.set_alert_threshold(attributes.alert_threshold)
        self._dispatchers = self._make_dispatchers()
        self._buckets = (OrderedBuckets if attributes.keeps_threads_order else ShippedBuckets)(
            host,
            attributes.id,
            attributes.remote_distributed_system_id,
            memory=Memory.of_mb(attributes.maximum_queue_memory),
            counters=self._counters,
            conflates=attributes.enable_batch_conflation,
            dispatchers=self._dispatchers,
            tasks=self._tasks,
            filters=self._plugins.filters,
        )
        self._buckets.start()
        self._tasks.spawn(self._alarms.watch(self._buckets))
        self._tasks.spawn(self._rates.watch())
        for dispatcher in self._dispatchers:
            self._tasks.spawn(dispatcher.run())
        if attributes.parallel:
            self._buckets.assign(self._activated)
        else:
            self._lease = self._make_lease()
            self._tasks.spawn(self._lease.run())
        _log.info("gateway sender started id=%s", attributes.id)

    async def _stop(self) -> None:
        if not self._dispatchers:  # they are there from the start until nothing else is left
            return
        self.running = self.paused = False
        if self._buckets is not None:
            await self._store_cursors(self._buckets)
        buckets, self._buckets = self._buckets, None
        await self._tasks.close()
        if buckets is not None:
            buckets.close()
        if self._lease is not None:
            await self._lease.close()
            self._lease = None
        for dispatcher in self._dispatchers:
            self._lane_totals.add(dispatcher.lane.counters)
        self._dispatchers = []
        _log.info("gateway sender stopped id=%s", self.attributes.id)

    async def _store_cursors(self, buckets: ShippedBuckets) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await buckets.store_all()
        except TimeoutError:
            _log.warning("cursors not stored in time id=%s (what they are behind is sent again)", self.attributes.id)

    def pause(self) -> None:
        """Send nothing until `resume`; records go on being queued."""
        self.paused = True

    def resume(self) -> None:
        """Send again."""
        self.paused = False
        for dispatcher in self._dispatchers:
            dispatcher.pump_soon()

    async def rebalance(self) -> None:
        """Open links anew that are not spread well over the receivers that there are now. Raises UnavailableError."""
        if isinstance(self.attributes, QueueAttributes):
            return  # its far end is here
        for lane in await self._finder.moves():
            self._dispatchers[lane].disconnect("load balancing")

    async def command(self, action: SenderAction) -> None:
        """Do an operator's command and keep it over restarts. Raises UsageError when it does not fit the state
        (gfsh.md §6.4), UnavailableError when it was done and could not be kept.
        """
        async with self._changing:
            await self._command(action)
            try:
                await keep_command(self._host.registry, self.attributes.id, self._host.name, action)
            except UnavailableError as exc:
                raise UnavailableError(
                    f"{action} done, but {self._host.name} forgets it when restarted: {exc}"
                ) from exc

    async def _command(self, action: SenderAction) -> None:
        name = self.attributes.known_as
        if action == "start":
            if self.running:
                raise UsageError(f"{name} is already started on member {self._host.name}")
            await self._start()
            return
        if not self.running:
            raise UsageError(f"{name} is not running on member {self._host.name}")
        if action == "stop":
            await self._stop()
        elif action == "pause":
            if self.paused:
                raise UsageError(f"{name} is already paused on member {self._host.name}")
            self.pause()
        elif action == "resume":
            if not self.paused:
                raise UsageError(f"{name} is not paused on member {self._host.name}")
            self.resume()
        else:
            await self.rebalance()

    def _make_dispatchers(self) -> list[Dispatcher] | list[ListenerDispatcher]:
        lanes = self._make_lanes()
        plugins, host = self._plugins, self._host
        if plugins.listener is not None:
            return [
                ListenerDispatcher(
                    lane,
                    host=host,
                    owner=self,
                    listener=plugins.listener,
                    failures=self._failures,
                    batch_events=self.attributes.batch_size,
                )
                for lane in lanes
            ]
        timeout_ms = self.attributes.read_timeout_ms
        if timeout_ms != self.attributes.socket_read_timeout:
            raised = (self.attributes.id, self.attributes.socket_read_timeout, timeout_ms)
            _log.warning("socket-read-timeout raised sender=%s given_ms=%d used_ms=%d", *raised)
        return [
            Dispatcher(
                number,
                lane,
                host=host,
                hello=self._hello(),
                finder=self._finder,
                owner=self,
                transport=plugins.transport,
            )
            for number, lane in enumerate(lanes)
        ]

    def _hello(self) -> Hello:
        filters = self._plugins.transport.names
        return Hello("sender", f"{self.attributes.id}@{self._host.name}", self._host.dsid, filters=filters)

    def _make_lanes(self) -> list[Lane]:
        attributes = self.attributes
        lane, lanes = (OrderedLane, 1) if attributes.keeps_threads_order else (Lane, attributes.dispatcher_threads)
        return [
            lane(
                attributes.batch_size,
                attributes.batch_time_interval,
                self._route,
                self._alarms.on_acknowledged if attributes.alert_threshold else None,
                self._plugins.filters,
            )
            for _ in range(lanes)
        ]

    # --- which buckets: parallel

    def activate(self, region: str, bucket: int, epoch: int) -> None:
        """Ship a bucket as its primary of `epoch`; without a cursor yet, its queue begins with its log.

        A stopped sender remembers it for its next start. Again for a bucket that is shipped, it changes nothing; one
        that was let go of is opened anew. Raises RegionNotFoundError.
        """
        if region not in self._routes:
            self._route(region)
        generation = self._host.generation(region)
        assignment = self._activated[region, bucket] = Assignment(generation, epoch, hosted=True)
        if self._buckets is not None:
            self._buckets.add((region, bucket), assignment)

    def deactivate(self, region: str, bucket: int) -> None:
        """Ship a bucket no longer."""
        self._activated.pop((region, bucket), None)
        if self._buckets is not None:
            self._buckets.remove((region, bucket))

    # --- which buckets: serial

    def may_hold(self, wanted: bool) -> None:
        """Say whether this member should run the serial sender; called again when regions or copies change."""
        self._may_hold = wanted
        if self._lease is not None:
            self._lease.may_hold(wanted)
            if self._lease.held:
                self._assign_serial()

    def _make_lease(self) -> LeaseKeeper:
        lease = LeaseKeeper(
            self._host.registry,
            self.attributes.id,
            member=self._host.name,
            incarnation=f"{self._host.rng.getrandbits(64):016x}",
            on_won=self._on_lease_won,
            on_lost=self._on_lease_lost,
        )
        lease.may_hold(self._may_hold)
        return lease

    def _on_lease_won(self, epoch: int) -> None:
        self._epoch = epoch
        self._assign_serial()

    def _on_lease_lost(self) -> None:
        self._epoch = 0
        if self._buckets is not None:
            self._buckets.assign({})

    def _assign_serial(self) -> None:
        if self._buckets is None:
            return
        buckets = self._host.serial_buckets(self.attributes.id)
        for region in {each.region for each in buckets} - self._routes.keys():
            self._route(region)
        self._buckets.assign(
            {
                (each.region, each.bucket): Assignment(self._host.generation(each.region), self._epoch, each.hosted)
                for each in buckets
            }
        )

    # --- the hot path

    def offer(self, region: str, bucket: int, seq: Seq, previous: Seq, record: Record) -> None:
        """Queue a record that a copy here appended or applied; ignored when the bucket is not shipped from here."""
        if self._buckets is not None:
            self._buckets.offer(region, bucket, seq, previous, record)

    def learn_last(self, region: str, bucket: int, seq: Seq) -> None:
        """The bucket's log reaches to `seq`, and what lies before it is not going to be offered."""
        if self._buckets is not None:
            self._buckets.learn_last(region, bucket, seq)

    @property
    def sending(self) -> bool:
        """Say whether batches may be sent now."""
        return self.running and not self.paused

    def on_progress(self, *, reread: bool) -> None:
        """Acknowledgements came in, or a batch was refused."""
        if self._buckets is not None:
            self._buckets.on_progress(reread=reread)

    def park(self, dispatcher: Dispatcher, batch_id: int, rejected: Sequence[Rejected]) -> None:
        """See `DispatcherOwner.park`."""
        batch = dispatcher.lane.in_flight(batch_id)
        if batch is not None:
            events = events_to_park(batch, rejected, self._parking.attempt())
            self._tasks.spawn(self._park(dispatcher, batch_id, events, parked_by_bucket(batch, rejected)))

    async def _park(
        self, dispatcher: Dispatcher, batch_id: int, events: Sequence[ToPark], parked: Mapping[int, int]
    ) -> None:
        try:
            done = await self._parking.park(events, lambda: dispatcher.lane.in_flight(batch_id) is not None)
        except HeliographError as exc:
            dispatcher.on_not_parked(batch_id, type(exc).__name__, str(exc))
        else:
            if done:
                dispatcher.on_parked(batch_id, parked)

    async def redrive(self, events: Sequence[str]) -> Redriven:
        """Send parked events again, all of them when none is named. Raises UsageError, UnavailableError, PeerError."""
        if not self.running:
            raise UsageError(f"gateway sender {self.attributes.id} is not running on member {self._host.name}")
        hello = self._hello()
        return await self._parking.redrive(
            events, lambda handler: self._finder.link_any(hello, handler), self._plugins.transport
        )

    def far_end(self) -> FarEnd:
        """Return how links beside the queue reach the remote site."""
        return FarEnd(self._finder, self._hello(), self._plugins.transport)

    def _route(self, region: str) -> Route:
        """Look up what batches of a region say; every region was looked up before its first bucket is shipped."""
        try:
            recipients = tuple(sorted(self._host.recipients(region, parallel=self.attributes.parallel)))
            routing = self._host.routing(region)
            route = Route(routing.total, recipients, routing.resolver)
        except RegionNotFoundError:
            if region not in self._routes:
                raise
            # It is being destroyed, and its buckets will be deactivated: what is queued leaves as before.
            return self._routes[region]
        self._routes[region] = route
        return route

    # --- what operators see

    def status(self) -> SenderStatus:
        """Return this member's part of the sender's state."""
        attributes = self.attributes
        receivers = sorted({str(d.receiver) for d in self._dispatchers if d.receiver is not None})
        return SenderStatus(
            id=attributes.id.removeprefix(QUEUE_PREFIX),
            member=self._host.name,
            remote_dsid=attributes.remote_distributed_system_id,
            type="Parallel" if attributes.parallel else "Serial",
            policy=self._policy(),
            status=self._state(connected=bool(receivers)),
            queued=self._buckets.queued_events if self._buckets is not None else 0,
            uncounted_buckets=self._buckets.uncounted_buckets if self._buckets is not None else 0,
            receiver=",".join(receivers),
            error=self._error(connected=bool(receivers)),
            counters=self._counted(),
        )

    def _state(
        self, *, connected: bool
    ) -> Literal["Not Running", "Paused", "Running", "Running and Connected", "Running, not Connected"]:
        if not self.running:
            return "Not Running"
        if self.paused:
            return "Paused"
        if isinstance(self.attributes, QueueAttributes):
            return "Running"
        return "Running and Connected" if connected else "Running, not Connected"

    def _error(self, *, connected: bool) -> str:
        """Say what keeps events from moving, or why nothing is connected; empty when all is well."""
        error = next((each.error for each in (*self._dispatchers, self._parking) if each.error), "")
        if error or connected or not self.running or self._policy() == "Secondary":
            return error
        if isinstance(self.attributes, QueueAttributes):
            return ""
        if self._buckets is None or self._buckets.empty:
            return (
                f"nothing to ship from {self._host.name}: no region names it, or others ship its buckets "
                f"(create or alter region with --gateway-sender-id={self.attributes.id})"
            )
        return f"connecting to site {self.attributes.remote_distributed_system_id}"

    @property
    def primary(self) -> bool:
        """Say whether a serial sender ships from here."""
        return self._policy() == "Primary"

    def _policy(self) -> Literal["Primary", "Secondary", ""]:
        if self.attributes.parallel:
            return ""
        return "Primary" if self._lease is not None and self._lease.held else "Secondary"

    def _counted(self) -> dict[str, int]:
        """Return the statistics under the names of statistics.md §1 and §3.1, and some that only heliograph has."""
        lanes = self._lane_counters()
        queues, buckets = self._counters, self._buckets
        return {
            "eventQueueSize": buckets.queued_events if buckets is not None else 0,
            "entriesOverflowedToDisk": buckets.overflowed_events if buckets is not None else 0,
            "totalQueueSizeBytesInUse": buckets.held_bytes if buckets is not None else 0,
            "eventsReceived": queues.received,
            "eventsQueued": queues.queued,
            "eventsFiltered": queues.filtered,
            "eventsNotQueuedConflated": queues.conflated,
            "conflationIndexesSize": buckets.conflation_indexes_size if buckets is not None else 0,
            "eventsSkippedByLoopRule": queues.skipped,
            "eventsDistributed": lanes.events,
            "eventsAcknowledged": queues.acked,
            "eventsParked": queues.parked,
            "eventsRedriven": self._parking.redriven,
            "eventsSentAgain": queues.repeated,
            "batchesDistributed": lanes.batches,
            "batchesRedistributed": lanes.redistributed,
            "batchesRefused": lanes.refused,
            "eventsExceedingAlertThreshold": self._alarms.exceeding,
            "pluginFailures": self._failures.count,
            "logTruncatedTooEarly": queues.lost_runs,
            **self._rates.shown(),
        }

    def _lane_counters(self) -> LaneCounters:
        """Return what all dispatchers counted, those of earlier starts too."""
        lanes = LaneCounters()
        lanes.add(self._lane_totals)
        for dispatcher in self._dispatchers:
            lanes.add(dispatcher.lane.counters)
        return lanes


def _finder_of(attributes: GatewaySenderAttributes, host: SenderHost) -> ReceiverFinder:
    """Return how a sender comes to its remote site, by lanes and beside them."""
    timeout_ms = attributes.read_timeout_ms
    return ReceiverFinder(
        host,
        attributes.remote_distributed_system_id,
        together=not attributes.parallel,
        keep_alive=keep_alive_of(timeout_ms) if timeout_ms else KEEP_ALIVE,
        buffer_bytes=attributes.socket_buffer_size,
    )


def _state_at_first(attributes: GatewaySenderAttributes) -> SenderState:
    """Return how a sender is where nothing was ever commanded of it."""
    if isinstance(attributes, QueueAttributes) and attributes.paused:
        return "paused"
    return "stopped" if attributes.manual_start else "running"
