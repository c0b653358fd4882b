"""The gateway senders and the gateway receiver of this member: made, ended and fed as the cluster configuration says.

A record that a copy here appends or applies is offered at once to the region's senders. Which sender ships which
bucket follows from who is primary: of the bucket for a parallel sender, of the sender for a serial one.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from typing import Any, Literal

from heliograph.engine.seam import Log, Registry
from heliograph.errors import HeliographError, UsageError
from heliograph.link import messages
from heliograph.link.messages import Done, Outcome
from heliograph.member.receiver import GatewayReceiver
from heliograph.member.region import HostedRegion
from heliograph.member.sender import GatewaySender
from heliograph.member.sender_host import SerialBucket
from heliograph.member.state import SiteState
from heliograph.member.tasks import Tasks
from heliograph.member.wan_copy import WanCopies
from heliograph.model.attributes import (
    QUEUE_PREFIX,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    known_as,
)
from heliograph.model.batch import Part, Record
from heliograph.model.ids import Seq
from heliograph.model.members import MemberInfo, ReceiverInfo
from heliograph.model.queues import QueueAttributes
from heliograph.model.routing import Routing
from heliograph.net.identity import Introduction
from heliograph.net.link import Gate
from heliograph.net.seam import Clock, Network
from heliograph.placement.buckets import oldest_running
from heliograph.placement.receivers import Defined, receiver_of
from heliograph.placement.senders import leads_out

_DONE: dict[messages.SenderAction | messages.ReceiverAction | Literal["destroy"], str] = {
    "start": "started",
    "stop": "stopped",
    "pause": "paused",
    "resume": "resumed",
    "load-balance": "rebalanced",
    "destroy": "destroyed",
}
"""Action -> what a gateway is when it was done."""
_log = logging.getLogger(__name__)


class GatewayHost:
    """What gateway senders and the receiver see of their member."""

    def __init__(
        self,
        name: str,
        dsid: int,
        *,
        hostname: str,
        network: Network,
        introduction: Introduction,
        gate: Gate | None,
        clock: Clock,
        rng: random.Random,
        record_bytes_max: int,
        registry: Registry,
        regions: dict[str, HostedRegion],
        state: Callable[[], SiteState],
        members: Callable[[], Collection[MemberInfo]],
        apply_parts: Callable[[str, int, tuple[Part, ...]], Awaitable[Done]],
        region: Callable[[str], HostedRegion],
        find_receivers: Callable[[int], Awaitable[messages.Receivers]],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.name = name
        self.dsid = dsid
        self.hostname = hostname
        self.network = network
        self.introduction = introduction
        self.gate = gate
        self.clock = clock
        self.rng = rng
        self.record_bytes_max = record_bytes_max
        self.registry = registry
        self.apply_parts = apply_parts
        self.find_receivers = find_receivers
        self.fail = fail
        self._regions = regions
        self._region = region
        self._state = state
        self._members = members

    def log_of(self, region: str) -> Log:
        """Return the log that a region's buckets are in."""
        return self._region(region).store.log

    def subject(self, region: str, bucket: int) -> str:
        """Return the subject of a bucket's log."""
        return self._region(region).subject(bucket)

    def generation(self, region: str) -> int:
        """Return how many regions of that name were destroyed before."""
        return self._region(region).generation

    def routing(self, region: str) -> Routing:
        """Return how a region's keys find their buckets. Raises RegionNotFoundError."""
        return self._region(region).routing

    def remote_dsids(self, region: str) -> frozenset[int]:
        """Return the sites that the region's gateway senders feed."""
        senders = self._state().senders
        listed = self._region(region).attributes.gateway_sender_ids
        return frozenset(senders[name].remote_distributed_system_id for name in listed if name in senders)

    def recipients(self, region: str, *, parallel: bool) -> frozenset[int]:
        """Return the sites that a region's events leave for now, by senders that run; see `SenderHost.recipients`."""
        senders = self._state().senders
        listed = [senders[name] for name in self._region(region).attributes.gateway_sender_ids if name in senders]
        members, at = self._members(), self.name if parallel else ""
        return frozenset(each.remote_distributed_system_id for each in listed if leads_out(each, members, at))

    def serial_buckets(self, sender: str) -> list[SerialBucket]:
        """Return all that a serial sender ships."""
        return [
            SerialBucket(region.name, bucket, bucket in region.copies)
            for region in self._regions.values()
            if sender in region.attributes.sender_ids
            for bucket in range(region.attributes.total_num_buckets)
        ]


class Gateways:
    """All gateways of one member."""

    def __init__(self, host: GatewayHost, regions: dict[str, HostedRegion], on_change: Callable[[], None]) -> None:
        self.receiver: GatewayReceiver | None = None
        self.receiver_problem = ""
        self.sender_problems: dict[str, str] = {}
        """Why senders could not be taken up, or altered."""
        self._host = host
        self._regions = regions
        self._on_change = on_change
        self._senders: dict[str, GatewaySender] = {}
        self.copies = WanCopies(host, regions, self._senders)
        self._offered: dict[str, list[GatewaySender]] = {}
        self._active: set[tuple[str, str, int]] = set()
        """(sender, region, bucket) of what parallel senders ship from here."""
        self._commands = Tasks()
        self._changing_receiver = asyncio.Lock()
        self._defined: list[Defined] = []
        self._destroyed = 0
        """Revision up to which definitions of receivers do not count here."""

    # --- the hot path

    def on_record(self, region: str, bucket: int, seq: Seq, previous: Seq, record: Record) -> None:
        """Offer a record to the region's senders."""
        for sender in self._offered.get(region, ()):
            sender.offer(region, bucket, seq, previous, record)
        if record.primary:
            self._on_change()

    def on_restored(self, region: str, bucket: int, seq: Seq) -> None:
        """A copy here started from a snapshot: what the log holds up to `seq` was not and will not be offered."""
        for sender in self._offered.get(region, ()):
            sender.learn_last(region, bucket, seq)

    # --- following the cluster configuration

    async def arrange(self, state: SiteState, members: Iterable[MemberInfo]) -> None:
        """Take up the configuration and the primaries as they are now."""
        everyone = list(members)
        groups = next((member.groups for member in everyone if member.name == self._host.name), ())
        await self._arrange_senders(
            {name: each for name, each in state.senders.items() if each.runs_on(self._host.name, groups)}
        )
        async with self._changing_receiver:
            self._defined = list(state.receivers)
            await self._arrange_receiver(
                receiver_of(self._defined, self._host.name, groups, newer_than=self._destroyed)
            )
        self._offered = {
            name: [self._senders[sender] for sender in region.attributes.sender_ids if sender in self._senders]
            for name, region in self._regions.items()
        }
        self._arrange_buckets()
        for name, sender in self._senders.items():
            if not sender.attributes.parallel:
                sender.may_hold(oldest_running(everyone, name) == self._host.name)

    async def _arrange_senders(self, wanted: dict[str, GatewaySenderAttributes]) -> None:
        for name in list(self._senders):
            sender = self._senders[name]
            # One that was destroyed and created anew at once may be seen as another definition only.
            if name not in wanted or not sender.attributes.becomes(wanted[name]):
                del self._senders[name]
                self._forget(name)
                await sender.close()
        for name in self.sender_problems.keys() - wanted.keys():
            del self.sender_problems[name]
        for name, attributes in wanted.items():
            try:
                await self._arrange_sender(attributes)
            except UsageError as exc:
                if self.sender_problems.get(name) != str(exc):
                    _log.error("not taken up sender=%s reason=%s", name, exc)
                self.sender_problems[name] = str(exc)
            else:
                self.sender_problems.pop(name, None)

    async def _arrange_sender(self, wanted: GatewaySenderAttributes) -> None:
        """Make or alter a sender. Raises UsageError when its plug-ins can't be loaded: then it is as it was."""
        sender = self._senders.get(wanted.id)
        if sender is None:
            sender = GatewaySender(wanted, self._host)
            try:
                await sender.take_up()
            except HeliographError:
                await sender.close()  # it is made anew, and its plug-ins are loaded again
                raise
            self._senders[wanted.id] = sender
        elif sender.attributes != wanted:
            await sender.alter(wanted)

    def _on_receiver_problem(self, error: UsageError) -> None:
        if self.receiver_problem != str(error):
            _log.error("gateway receiver not started reason=%s", error)
        self.receiver_problem = str(error)

    def problem(self, kind: str, name: str) -> str:
        """Return why a gateway could not be taken up, "" when it was; kind: as `model.definitions.subject_of` says."""
        if kind == "gateway-receiver":
            return self.receiver_problem
        return self.sender_problems.get(QUEUE_PREFIX + name if kind == "async-event-queue" else name, "")

    async def _arrange_receiver(self, wanted: GatewayReceiverAttributes | None) -> None:
        if self.receiver is not None and (wanted is None or self.receiver.attributes != wanted):
            await self.receiver.close()
            self.receiver = None
        if wanted is None:
            self.receiver_problem = ""
        if wanted is None or self.receiver is not None:
            return
        try:
            receiver = GatewayReceiver(wanted, self._host)
        except UsageError as exc:
            self._on_receiver_problem(exc)
            return
        try:
            if not wanted.manual_start:
                await receiver.start()
        except UsageError as exc:
            self._on_receiver_problem(exc)
            await receiver.close()
            return
        self.receiver_problem = ""
        self.receiver = receiver

    def _arrange_buckets(self) -> None:
        """Have parallel senders ship exactly the buckets whose primary is here."""
        wanted = {
            (sender, region.name, copy.bucket): copy.epoch
            for region in self._regions.values()
            for copy in region.accepting()
            for sender in region.attributes.sender_ids
            if sender in self._senders and self._senders[sender].attributes.parallel
        }
        for sender, region_name, bucket in sorted(self._active - wanted.keys()):
            self._senders[sender].deactivate(region_name, bucket)
        for (sender, region_name, bucket), epoch in wanted.items():
            # Again each time: a sender that had to let go of a bucket tries it anew, for others nothing changes.
            self._senders[sender].activate(region_name, bucket, epoch)
        self._active = set(wanted)

    def _forget(self, sender: str) -> None:
        self._active = {key for key in self._active if key[0] != sender}

    # --- commands

    async def command(self, request: messages.SenderCommand) -> Outcome:
        """Do a gateway sender command at this member (gfsh.md §6.4, §6.6)."""
        return await self._complete(self._command(request))

    async def redrive(self, request: messages.Redrive) -> messages.Redriven:
        """Send parked events of a gateway sender again. Raises UsageError, UnavailableError, PeerError."""
        sender = self._senders.get(request.id)
        if sender is None:
            raise UsageError(f"gateway sender {request.id} is not available on member {self._host.name}")
        return await sender.redrive(request.events)

    async def command_receiver(self, request: messages.ReceiverCommand) -> Outcome:
        """Start, stop or destroy the gateway receiver (gfsh.md §6.8)."""
        return await self._complete(self._command_receiver(request))

    async def _complete(self, command: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Do a command to its end, even if whoever asked hangs up, which cancels what waits for the outcome here."""
        return await asyncio.shield(self._commands.spawn(command))

    async def _command(self, request: messages.SenderCommand) -> Outcome:
        sender = self._senders.get(request.id)
        if sender is None:
            problem = self.sender_problems.get(request.id)
            because = f": {problem}" if problem else ""
            return Outcome(False, f"{known_as(request.id)} is not available on member {self._host.name}{because}")
        try:
            await sender.command(request.action)
        except HeliographError as exc:
            self._on_change()
            return Outcome(False, str(exc))
        self._on_change()
        return Outcome(True, f"{known_as(request.id)} is {_DONE[request.action]} on member {self._host.name}")

    async def _command_receiver(self, request: messages.ReceiverCommand) -> Outcome:
        try:
            async with self._changing_receiver:
                if self.receiver is None:
                    return Outcome(False, f"the gateway receiver is not available on member {self._host.name}")
                if request.action == "destroy":
                    self._destroyed = max((revision for _, revision in self._defined), default=0)
                    await self._arrange_receiver(None)
                else:
                    await self.receiver.command(request.action)
        except HeliographError as exc:
            return Outcome(False, str(exc))
        self._on_change()
        return Outcome(True, f"the gateway receiver is {_DONE[request.action]} on member {self._host.name}")

    # --- what others are told

    def status(self) -> messages.Gateways:
        """Return the state of every gateway here."""
        receiver = self.receiver.status() if self.receiver is not None else None
        senders = [sender for _, sender in sorted(self._senders.items())]
        return messages.Gateways(
            [sender.status() for sender in senders if not isinstance(sender.attributes, QueueAttributes)],
            receiver,
            [sender.status() for sender in senders if isinstance(sender.attributes, QueueAttributes)],
        )

    def receiver_info(self) -> ReceiverInfo | None:
        """Return what locators advertise of the running receiver."""
        return self.receiver.info() if self.receiver is not None and self.receiver.running else None

    @property
    def port(self) -> int:
        """The port the receiver listens on, 0 when it does not."""
        info = self.receiver_info()
        return info.port if info is not None else 0

    def running_senders(self) -> tuple[str, ...]:
        """Return the ids of the senders that run here."""
        return tuple(sorted(name for name, sender in self._senders.items() if sender.running))

    async def close(self) -> None:
        """Stop everything; cursors are stored. A command under way is cut short."""
        await self._commands.close()
        await self.copies.close()
        if self.receiver is not None:
            await self.receiver.close()
        for sender in self._senders.values():
            await sender.close()
