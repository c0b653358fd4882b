"""Gateway sender commands (gfsh.md §6.1 to §6.6).

Whether a sender runs, is paused or stopped is state of its instance at each member, which keeps it over restarts
(`member.sender_commands`); a member where nothing was commanded runs every sender that has no `manual-start`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from heliograph.engine.parked import forget_parked
from heliograph.engine.queues import empty_queue
from heliograph.engine.seam import Item
from heliograph.errors import HeliographError, UsageError
from heliograph.link.messages import (
    GatewayQuery,
    Gateways,
    ReceiverStatus,
    SenderAction,
    SenderCommand,
    SenderStatus,
)
from heliograph.locator.cluster import EVERYONE, Cluster, Row, Targets
from heliograph.locator.requests import SenderAlteration
from heliograph.model.attributes import (
    GatewaySenderAttributes,
    check_sender_store,
)
from heliograph.model.definitions import check_gateway_at_site, subject_of
from heliograph.model.ids import check_name
from heliograph.model.registry import decode_entry, sender_key
from heliograph.model.results import Result, Table
from heliograph.placement.senders import check_sender_servers, hosts


class SenderAdmin:
    """Gateway sender commands of one site. They raise UsageError, ConflictError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(self, sender: GatewaySenderAttributes) -> Result:
        """Create a gateway sender on every server, or those it names; it starts at once unless `manual_start`."""
        check_gateway_at_site(sender, self._cluster.dsid)
        async with self._cluster.changing:
            check_sender_servers(sender, await self._cluster.members())
            concerned = partial(hosts, sender)
            try:
                check_sender_store(sender, await self._cluster.stores())
            except UsageError as exc:
                return await self._cluster.refused(exc, concerned=concerned)
            result = await self._cluster.create(sender, concerned=concerned)
        if sender.read_timeout_ms != sender.socket_read_timeout:
            result.info.append(
                f"socket-read-timeout {sender.socket_read_timeout} is too short: {sender.read_timeout_ms} ms are used."
            )
        return result

    async def alter(self, sender: str, alteration: SenderAlteration) -> Result:
        """Change how a gateway sender makes batches, or its event filters, while it runs.

        Where a server can't load a filter, its sender goes on as before; when none can, the change is taken back.
        """
        async with self._cluster.changing:
            item = await self._read(sender)
            if item is None:
                raise UsageError(_unknown(sender))
            attributes = decode_entry(item.value, GatewaySenderAttributes)
            altered = msgspec.structs.replace(attributes, **alteration.changes)
            result = await self._cluster.alter(item, altered, subject_of(altered), concerned=partial(hosts, altered))
            if result.status == "ERROR" and (item := await self._read(sender)) is not None:
                await self._cluster.alter(item, attributes, subject_of(attributes))
            return result

    async def destroy(self, sender: str, targets: Targets = EVERYONE, *, if_exists: bool = False) -> Result:
        """Destroy a gateway sender with its queue. Refused while a region uses it; a missing one unless `if_exists`.

        targets: of a serial one that was created on some servers, only the instances there, as long as others are left.
        """
        async with self._cluster.changing:
            item = await self._read(sender)
            if item is None:
                if if_exists:
                    return Result(info=[f"Skipping: {_unknown(sender)}."])
                raise UsageError(_unknown(sender))
            attributes = decode_entry(item.value, GatewaySenderAttributes)
            if targets != EVERYONE and (left := _without(attributes, targets)) is not None:
                return await self._cluster.alter(
                    item,
                    left,
                    subject_of(left),
                    change="destroyed",
                    concerned=lambda server: hosts(attributes, server) and not hosts(left, server),
                )
            regions = await self._cluster.regions()
            users = sorted(region.name for region in regions.values() if sender in region.gateway_sender_ids)
            if users:
                raise UsageError(
                    f"gateway sender {sender} is used by {', '.join(users)}: take it off there first (alter region)"
                )
            result = await self._cluster.destroy(item, subject_of(attributes), concerned=partial(hosts, attributes))
            await self._cluster.forget_cursors(sender)
            await self._cluster.forget_commands(sender)
            parked = await forget_parked(self._cluster.registry, sender)
            if parked:
                result.info.append(f"{parked} parked events were dropped.")
            return result

    async def act(
        self, sender: str, action: SenderAction, targets: Targets = EVERYONE, *, clean_queues: bool = False
    ) -> Result:
        """Start, stop, pause, resume or load-balance a sender's instances; failures are rows of an OK result.

        targets: none given means the servers that have the sender.
        clean_queues: of `start`, drops what is queued first; refused with an ERROR result that says why.
        """
        if not clean_queues:
            concerned = await self._concerned(sender.strip(), targets)
            return await self._cluster.act(concerned, SenderCommand(sender.strip(), action))
        if action != "start":
            raise UsageError(f"clean-queues is an option of start, not of {action}")
        async with self._cluster.changing:
            return await self._start_clean(sender.strip(), targets)

    async def _start_clean(self, sender: str, targets: Targets) -> Result:
        """Set every cursor to the end of its bucket's log, then start everywhere.

        When it ends in the middle some buckets' queues are empty and nothing runs; the command given again does it all.
        A server that starts the sender meanwhile shows as a failed row, and what it held already may still be sent.
        """
        item = await self._read(sender)
        if item is None:
            raise UsageError(_unknown(sender))
        attributes = decode_entry(item.value, GatewaySenderAttributes)
        await self._cluster.servers(targets)
        reasons = await self._against_cleaning(attributes, targets)
        if reasons:
            table = Table(("Member", "Reason"), reasons, "Reasons command is rejected")
            return Result(status="ERROR", tables=[table])
        entries = await self._cluster.region_entries()
        using = [entry for entry in entries.values() if sender in entry.attributes.gateway_sender_ids]
        ends = [await self._cluster.log_ends(entry.attributes.name) for entry in using]
        for entry, seqs in zip(using, ends, strict=True):
            await empty_queue(self._cluster.registry, sender, entry.attributes.name, entry.generation, seqs)
        started = await self._cluster.act(_hosts_of(attributes), SenderCommand(sender, "start"))
        return Result(tables=started.tables, info=[f"The queue of {sender} was emptied. What it held was not counted."])

    async def _against_cleaning(self, attributes: GatewaySenderAttributes, targets: Targets) -> list[Row]:
        """Return why the queue can't be emptied, by server: all must be targeted, and none may run the sender."""
        sender = attributes.id
        reasons: list[Row] = []
        servers = await self._cluster.servers()
        answers = await self._cluster.query(servers, GatewayQuery(), Gateways)
        for server, (name, answer) in zip(servers, answers, strict=True):
            if not hosts(attributes, server):
                continue
            if not targets.includes(server):
                reasons.append((name, f"hosts gateway sender {sender} and is not targeted: leave --member and --group"))
            elif isinstance(answer, HeliographError):
                reasons.append((name, f"does not say whether it runs gateway sender {sender}: {answer}"))
            elif any(state.id == sender and state.status != "Not Running" for state in answer.senders):
                reasons.append((name, f"runs gateway sender {sender}: stop it first"))
        return reasons

    async def status(self, sender: str, targets: Targets = EVERYONE) -> Result:
        """Show the state of a sender's instances and what they have counted; always OK. targets: as `act`."""
        servers = await self._cluster.servers(await self._concerned(sender.strip(), targets))
        found: list[SenderStatus] = []
        missing: list[Row] = []
        for name, answer in await self._cluster.query(servers, GatewayQuery(), Gateways):
            if isinstance(answer, HeliographError):
                missing.append((name, str(answer)))
                continue
            states = [state for state in answer.senders if state.id == sender.strip()]
            found.extend(states)
            if not states:
                missing.append((name, f"gateway sender {sender} is not available on member {name}"))
        tables = []
        if found:
            columns = ("Member", "Type", "Runtime Policy", "Status")
            rows: list[Row] = [(state.member, state.type, state.policy, status_text(state)) for state in found]
            tables.append(Table(columns, rows, "Available GatewaySender Section"))
            tables.append(statistics(found))
        if missing:
            tables.append(Table(("Member", "Error"), missing, "Not Available GatewaySender Section"))
        return Result(tables=tables)

    async def _concerned(self, sender: str, targets: Targets) -> Targets:
        """Return the targets of a command; where none are given those that have the sender, or all if nobody has."""
        item = await self._read(sender) if targets == EVERYONE else None
        return targets if item is None else _hosts_of(decode_entry(item.value, GatewaySenderAttributes))

    async def _read(self, sender: str) -> Item | None:
        return await self._cluster.registry.get(sender_key(check_name("gateway sender", sender)))


def _hosts_of(sender: GatewaySenderAttributes) -> Targets:
    """Return the servers that have the sender, as its definition says."""
    return Targets(sender.members, sender.groups)


def status_text(state: SenderStatus) -> str:
    """Return a sender's status, with what holds it up."""
    return f"{state.status} ({state.error})" if state.error else state.status


def queued_text(state: SenderStatus) -> str:
    """Return how many events a sender has queued, as far as it knows."""
    if state.status == "Not Running":
        return "not counted"
    if state.uncounted_buckets:
        return f"{state.queued} ({state.uncounted_buckets} buckets being counted)"
    return str(state.queued)


def _without(sender: GatewaySenderAttributes, targets: Targets) -> GatewaySenderAttributes | None:
    """Return a definition without the servers that are targeted, None when none is left.

    Raises UsageError when they are not among those it was created on.
    """
    if sender.parallel:
        raise UsageError(
            f"gateway sender {sender.id} is parallel, so every server ships the buckets whose primary it has: "
            "leave --member and --group, or stop it there"
        )
    kind, had, gone = (
        ("member", sender.members, targets.members) if targets.members else ("group", sender.groups, targets.groups)
    )
    if not had:
        raise UsageError(
            f"gateway sender {sender.id} was not created by --{kind}: stop it there (stop gateway-sender), or leave "
            "--member and --group and destroy it everywhere"
        )
    lowered = {name.lower() for name in gone}
    unknown = lowered - {name.lower() for name in had}
    if unknown:
        raise UsageError(f"gateway sender {sender.id} is not on {kind} {', '.join(sorted(unknown))}")
    left = tuple(name for name in had if name.lower() not in lowered)
    return msgspec.structs.replace(sender, **{f"{kind}s": left}) if left else None


def statistics(states: Sequence[SenderStatus | ReceiverStatus]) -> Table:
    """Return all statistics, a column a member."""
    names = dict.fromkeys(name for state in states for name in state.counters)
    rows = [(name, *(str(state.counters.get(name, 0)) for state in states)) for name in names]
    return Table(("Statistic", *(state.member for state in states)), rows, "Statistics Section")


def _unknown(sender: str) -> str:
    return f"gateway sender {sender!r} does not exist"
