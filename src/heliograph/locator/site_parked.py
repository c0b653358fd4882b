"""Parked events: what gateway senders keep that their remote site can never take, for an operator to decide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from heliograph.engine.parked import list_parked, remove_parked
from heliograph.errors import HeliographError, UnavailableError, UsageError
from heliograph.link.messages import GatewayQuery, Gateways, Redrive, Redriven, SenderStatus
from heliograph.locator.cluster import COMMAND_S, Cluster, Row
from heliograph.locator.requests import ParkedChoice
from heliograph.model.ids import check_name
from heliograph.model.members import MemberInfo
from heliograph.model.parked import ParkedInfo
from heliograph.model.registry import sender_key
from heliograph.model.results import Result, Table

COLUMNS = ("GatewaySender Id", "Event", "Region", "Key", "Operation", "Error", "Parked", "Member", "Redriven in vain")
UNREADABLE = "can't be read"


class ParkedAdmin:
    """Commands on parked events. They raise UsageError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def list(self, sender: str = "") -> Result:
        """List the parked events of a sender, or of every one."""
        if sender:
            await self._check(sender)
        parked = await list_parked(self._cluster.registry, sender)
        rows = [
            _row(owner, event, info)
            for owner, events in sorted(parked.items())
            for event, info in sorted(events.items(), key=lambda each: (each[1].parked_ms, each[0]))
        ]
        if not rows:
            return Result(info=["No events are parked."])
        return Result(tables=[Table(COLUMNS, rows, "Parked Events Section")])

    async def drop(self, sender: str, choice: ParkedChoice) -> Result:
        """Forget parked events for good."""
        await self._check(sender)
        parked = (await list_parked(self._cluster.registry, sender)).get(sender, {})
        _check_parked(sender, choice.event, parked)
        dropped = await remove_parked(self._cluster.registry, sender, choice.event or parked)
        return Result(info=[f"{dropped} parked events of {sender} were dropped."])

    async def redrive(self, sender: str, choice: ParkedChoice) -> Result:
        """Send parked events again, each with its own version; those that are turned down again stay parked."""
        await self._check(sender)
        parked = (await list_parked(self._cluster.registry, sender)).get(sender, {})
        _check_parked(sender, choice.event, parked)
        if not parked:
            return Result(info=["No events are parked."])
        server = await self._sending(sender)
        done = await self._cluster.caller.call(
            server.address, Redrive(sender, choice.event), Redriven, timeout_s=COMMAND_S
        )
        info = [f"{done.delivered} parked events of {sender} were delivered."]
        if not done.left:
            return Result(info=info)
        rows: list[Row] = [(event, error) for event, error in done.left]
        return Result(
            status="OK" if done.delivered else "ERROR",
            info=info,
            tables=[Table(("Event", "Error"), rows, "Still Parked Section")],
        )

    async def _sending(self, sender: str) -> MemberInfo:
        """Return a server where the sender runs, one that has a link first. Raises UnavailableError."""
        servers = await self._cluster.servers()
        states: list[tuple[MemberInfo, SenderStatus]] = []
        for server, (_, answer) in zip(
            servers, await self._cluster.query(servers, GatewayQuery(), Gateways), strict=True
        ):
            if not isinstance(answer, HeliographError):
                states += [(server, state) for state in answer.senders if state.id == sender]
        running = [(server, state) for server, state in states if state.status != "Not Running"]
        if not running:
            raise UnavailableError(f"gateway sender {sender} runs on no server: start it, then redrive")
        return max(running, key=lambda each: each[1].status == "Running and Connected")[0]

    async def _check(self, sender: str) -> None:
        if await self._cluster.registry.get(sender_key(check_name("gateway sender", sender))) is None:
            raise UsageError(f"gateway sender {sender!r} does not exist")


def _check_parked(sender: str, events: Sequence[str], parked: dict[str, ParkedInfo]) -> None:
    unknown = [event for event in events if event not in parked]
    if unknown:
        raise UsageError(
            f"gateway sender {sender} has no parked event {', '.join(unknown)}: list parked-events shows them"
        )


def _row(sender: str, event: str, info: ParkedInfo) -> Row:
    key = info.key or f"{UNREADABLE} ({info.events} events)"
    when = datetime.fromtimestamp(info.parked_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return (sender, event, info.region, key, info.operation, info.error, when, info.member, str(info.redriven))
