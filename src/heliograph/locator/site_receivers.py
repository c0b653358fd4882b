"""Gateway receiver commands, and `list gateways` (gfsh.md §6.7 to §6.9). A server has one receiver."""

from __future__ import annotations

from heliograph.errors import HeliographError, UsageError
from heliograph.link.messages import GatewayQuery, Gateways, ReceiverAction, ReceiverCommand, ReceiverStatus
from heliograph.locator.cluster import EVERYONE, Cluster, Row, Targets
from heliograph.locator.site_senders import queued_text, statistics, status_text
from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.model.definitions import check_gateway_at_site, subject_of
from heliograph.model.registry import CONFIG_RECEIVER, decode_entry
from heliograph.model.results import Result, Table

SENDER_COLUMNS = (
    "GatewaySender Id",
    "Member",
    "Remote Cluster Id",
    "Type",
    "Status",
    "Queued Events",
    "Receiver Location",
)
RECEIVER_COLUMNS = ("Member", "Port", "Sender Count", "Senders Connected", "Events Received")


class ReceiverAdmin:
    """Gateway receiver commands of one site. They raise UsageError, ConflictError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(self, receiver: GatewayReceiverAttributes, *, if_not_exists: bool = False) -> Result:
        """Create a gateway receiver on every server; it starts at once unless `manual_start`."""
        check_gateway_at_site(receiver, self._cluster.dsid)
        async with self._cluster.changing:
            if if_not_exists and await self._cluster.registry.get(CONFIG_RECEIVER) is not None:
                return Result(info=["Skipping: the gateway receiver exists already."])
            return await self._cluster.create(receiver)

    async def destroy(self, *, if_exists: bool = False) -> Result:
        """Stop and destroy every server's gateway receiver."""
        async with self._cluster.changing:
            item = await self._cluster.registry.get(CONFIG_RECEIVER)
            if item is not None:
                receiver = decode_entry(item.value, GatewayReceiverAttributes)
                return await self._cluster.destroy(item, subject_of(receiver))
        if if_exists:
            return Result(info=["Skipping: there is no gateway receiver."])
        raise UsageError("there is no gateway receiver")

    async def act(self, action: ReceiverAction, targets: Targets = EVERYONE) -> Result:
        """Start or stop gateway receivers; failures are rows of an OK result."""
        return await self._cluster.act(targets, ReceiverCommand(action))

    async def status(self, targets: Targets = EVERYONE) -> Result:
        """Show the state of every gateway receiver and what it has counted; always OK."""
        found: list[Row] = []
        states: list[ReceiverStatus] = []
        missing: list[Row] = []
        servers = await self._cluster.servers(targets)
        for name, answer in await self._cluster.query(servers, GatewayQuery(), Gateways):
            if isinstance(answer, HeliographError):
                missing.append((name, str(answer)))
            elif answer.receiver is None:
                missing.append((name, f"the gateway receiver is not available on member {name}"))
            else:
                found.append((name, str(answer.receiver.port), answer.receiver.status))
                states.append(answer.receiver)
        tables = []
        if found:
            tables.append(Table(("Member", "Port", "Status"), found, "Available GatewayReceiver Section"))
            tables.append(statistics(states))
        if missing:
            tables.append(Table(("Member", "Error"), missing, "Not Available GatewayReceiver Section"))
        return Result(tables=tables)

    async def list_gateways(
        self, targets: Targets = EVERYONE, *, senders_only: bool = False, receivers_only: bool = False
    ) -> Result:
        """List every instance of gateway senders and receivers."""
        if senders_only and receivers_only:
            raise UsageError("senders-only and receivers-only exclude each other: give one of them")
        senders: list[Row] = []
        receivers: list[Row] = []
        refusing: list[Row] = []
        silent: list[Row] = []
        for name, answer in await self._cluster.query(await self._cluster.servers(targets), GatewayQuery(), Gateways):
            if isinstance(answer, HeliographError):
                silent.append((name, str(answer)))
                continue
            senders.extend(
                (
                    state.id,
                    name,
                    str(state.remote_dsid),
                    f"{state.type} {state.policy}".rstrip(),
                    status_text(state),
                    queued_text(state),
                    state.receiver,
                )
                for state in answer.senders
            )
            if (receiver := answer.receiver) is not None:
                connected = receiver.senders
                events = str(receiver.counters.get("eventsReceived", 0))
                receivers.append((name, str(receiver.port), str(len(connected)), ", ".join(connected), events))
                refusing += [(name, each) for each in receiver.refusing]
        tables = []
        if senders and not receivers_only:
            tables.append(Table(SENDER_COLUMNS, sorted(senders), "GatewaySender Section"))
        if receivers and not senders_only:
            tables.append(Table(RECEIVER_COLUMNS, receivers, "GatewayReceiver Section"))
        if refusing and not senders_only:
            tables.append(Table(("Member", "Refuses"), refusing, "Refused Batches Section"))
        if silent:
            tables.append(Table(("Member", "Error"), silent, "Not Available Section"))
        return Result(tables=tables, info=[] if tables else ["GatewaySenders or GatewayReceivers are not available."])
