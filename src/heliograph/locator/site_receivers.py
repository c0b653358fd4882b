"""Gateway receiver commands, and `list gateways` (gfsh.md §6.7 to §6.9). A server has one receiver."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from heliograph.engine.definitions import create_definition, definition_key, receivers
from heliograph.errors import HeliographError, UsageError
from heliograph.link.messages import Apply, GatewayQuery, Gateways, ReceiverAction, ReceiverCommand, ReceiverStatus
from heliograph.locator.cluster import COMMAND_S, EVERYONE, STATUS_COLUMNS, Cluster, Row, Targets
from heliograph.locator.site_senders import queued_text, statistics, status_text
from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.model.definitions import check_gateway_at_site, exists_already, subject_of
from heliograph.model.members import MemberInfo
from heliograph.model.registry import CONFIG_RECEIVER, decode_entry
from heliograph.model.results import Result, Table
from heliograph.placement.buckets import servers_by_age
from heliograph.placement.receivers import Defined, receiver_of

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

NO_RECEIVER = "Gateway receiver not found."


class ReceiverAdmin:
    """Gateway receiver commands of one site. They raise UsageError, ConflictError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(
        self, receiver: GatewayReceiverAttributes, targets: Targets = EVERYONE, *, if_not_exists: bool = False
    ) -> Result:
        """Create a gateway receiver on every server, or those that are targeted; it starts unless `manual_start`.

        targets: members and groups, each of which gets a definition of its own. A server that has a receiver keeps it:
        its row is an ERROR, or skipped with `if_not_exists` (gfsh.md §6.7), and a group's definition is not written
        that would go before what it has.
        """
        definitions = _of(receiver, targets)
        check_gateway_at_site(receiver, self._cluster.dsid)
        async with self._cluster.changing:
            having = await self._having(targets)
            rows: list[Row] = [
                (name, "OK" if if_not_exists else "ERROR", _exists(name, skip=if_not_exists)) for name in having
            ]
            kept = Result(status="OK" if if_not_exists else "ERROR", tables=[Table(STATUS_COLUMNS, rows)])
            results = [kept] if rows else []
            for definition in definitions:
                concerned = await self._cluster.servers(_targets_of(definition))
                free = [server for server in concerned if server.name not in having]
                losing = _losing(await self._defined(), definition, concerned, having)
                if free and losing:
                    results.append(_not_created(free, losing))
                elif free:
                    results.append(await self._define(definition, free))
            return _joined(results)

    async def define(self, receiver: GatewayReceiverAttributes) -> Result:
        """Add a definition, as `create`, where a server may have the receiver of another one that goes before it."""
        check_gateway_at_site(receiver, self._cluster.dsid)
        async with self._cluster.changing:
            defined = await self._defined()
            if definition_key(receiver) in defined:
                raise exists_already(defined[definition_key(receiver)][0], receiver)
            now = [*defined.values(), (receiver, sys.maxsize)]
            servers = await self._cluster.servers()
            free = [server for server in servers if receiver_of(now, server.name, server.groups) == receiver]
            return await self._define(receiver, free)

    async def _define(self, receiver: GatewayReceiverAttributes, servers: Sequence[MemberInfo]) -> Result:
        """Write a definition and have servers take it up, if there are any; it is taken back when all of them fail.

        One that is there already is written once more, so that it holds again for servers where it was destroyed.
        """
        registry, key = self._cluster.registry, definition_key(receiver)
        item = await registry.get(key)
        if item is None:
            revision = await create_definition(registry, receiver)
        else:
            existing = decode_entry(item.value, GatewayReceiverAttributes)
            if existing != receiver:
                raise exists_already(existing, receiver)
            revision = await registry.update(key, item.value, revision=item.revision)
        if not servers:
            return Result(info=[_stored(receiver)])
        result = await self._cluster.apply(servers, Apply(subject_of(receiver), revision, "created"))
        if result.status == "ERROR" and item is None:
            await registry.delete(key, revision=revision)
        elif result.status == "OK":
            result.info[:] = [_stored(receiver)]
        return result

    async def destroy(self, targets: Targets = EVERYONE, *, if_exists: bool = False) -> Result:
        """Stop and destroy the gateway receivers of all servers, or those that are targeted.

        The definitions of the targeted members and groups go, without targets all; they stay when no server had a
        receiver, unless `if_exists`. A definition that stays is told: its receiver is there again after a restart.
        """
        async with self._cluster.changing:
            defined = await self._defined()
            scopes = {definition.scope for definition in _of(GatewayReceiverAttributes(), targets)}
            gone = {key: each for key, each in defined.items() if targets == EVERYONE or each[0].scope in scopes}
            servers = [each for each in servers_by_age(await self._cluster.members()) if targets.includes(each)]
            if not (servers or gone):
                await self._cluster.servers(targets)
            rows = await self._destroy_at(servers, if_exists=if_exists)
            if servers and not if_exists and not any(status == "OK" for _, status, _ in rows):
                return Result(status="ERROR", info=[NO_RECEIVER], tables=[Table(STATUS_COLUMNS, rows)])
            for key, (_, revision) in gone.items():
                await self._cluster.registry.delete(key, revision=revision)
            left = [each for key, each in defined.items() if key not in gone]
            done = {name for name, status, _ in rows if status == "OK"}
            kept = [each.name for each in servers if each.name in done and receiver_of(left, each.name, each.groups)]
            info = [_stored(receiver) for receiver, _ in gone.values()]
            if kept:
                info.append(
                    f"Not stored for {', '.join(kept)}: what is defined for others, too, stays, and the receiver is "
                    "there again after a restart or when it is created there."
                )
            return Result(info=info, tables=[Table(STATUS_COLUMNS, rows)] if rows else [])

    async def forget(self, receiver: GatewayReceiverAttributes) -> Result:
        """Take a definition back; servers that had its receiver get what else is defined for them."""
        async with self._cluster.changing:
            item = await self._cluster.registry.get(definition_key(receiver))
            if item is None:
                raise UsageError(f"there is no {subject_of(receiver)}")
            return await self._cluster.destroy(item, subject_of(receiver))

    async def _destroy_at(self, servers: Sequence[MemberInfo], *, if_exists: bool) -> list[Row]:
        """Destroy the receivers of servers and return a row for each."""
        answers = await self._cluster.query(servers, GatewayQuery(), Gateways)
        without = {name for name, answer in answers if isinstance(answer, Gateways) and answer.receiver is None}
        having = [server for server in servers if server.name not in without]
        outcomes = dict(await self._cluster.ask(having, ReceiverCommand("destroy"), timeout_s=COMMAND_S))
        rows: list[Row] = []
        for name in (server.name for server in servers):
            if (outcome := outcomes.get(name)) is not None:
                rows.append((name, "OK" if outcome.ok else "ERROR", outcome.message))
            else:
                rows.append((name, "IGNORED" if if_exists else "ERROR", NO_RECEIVER))
        return rows

    async def _defined(self) -> dict[str, Defined]:
        """Return the definitions by their keys."""
        items = await self._cluster.registry.items(CONFIG_RECEIVER)
        return {key: (receiver, items[key].revision) for key, receiver in receivers(items).items()}

    async def _having(self, targets: Targets) -> set[str]:
        """Return the names of the targeted servers that say that they have a receiver."""
        servers = await self._cluster.servers(targets)
        answers = await self._cluster.query(servers, GatewayQuery(), Gateways)
        return {name for name, answer in answers if isinstance(answer, Gateways) and answer.receiver is not None}

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


def _of(receiver: GatewayReceiverAttributes, targets: Targets) -> list[GatewayReceiverAttributes]:
    """Return the definitions that make a receiver one of the targets; the given one when there are none."""
    if targets == EVERYONE:
        return [receiver]
    if receiver.scope:
        raise UsageError(f"the gateway receiver is of {receiver.scope} already: leave the query's member and group out")
    return [
        *(msgspec.structs.replace(receiver, member=name) for name in targets.members),
        *(msgspec.structs.replace(receiver, group=name) for name in targets.groups),
    ]


def _targets_of(receiver: GatewayReceiverAttributes) -> Targets:
    return Targets(
        members=(receiver.member,) if receiver.member else (), groups=(receiver.group,) if receiver.group else ()
    )


def _stored(receiver: GatewayReceiverAttributes) -> str:
    kind, _, name = (receiver.scope or "group cluster").partition(" ")
    return f"Cluster configuration for {kind} '{name}' is updated."


def _exists(name: str, *, skip: bool) -> str:
    return f"{'Skipping: ' * skip}a gateway receiver exists already on {name}"


def _losing(
    defined: dict[str, Defined], definition: GatewayReceiverAttributes, servers: Sequence[MemberInfo], having: set[str]
) -> list[str]:
    """Return which of the servers that have a receiver would get another one by a definition that is written now."""
    after = {**defined, definition_key(definition): (definition, sys.maxsize)}

    def has(there: dict[str, Defined], server: MemberInfo) -> GatewayReceiverAttributes | None:
        return receiver_of(there.values(), server.name, server.groups)

    return [each.name for each in servers if each.name in having and has(defined, each) != has(after, each)]


def _not_created(servers: Sequence[MemberInfo], losing: Sequence[str]) -> Result:
    why = f"not created: {', '.join(losing)} would get it in place of the receiver that is there; name members instead"
    return Result(status="ERROR", tables=[Table(STATUS_COLUMNS, [(each.name, "ERROR", why) for each in servers])])


def _joined(results: Sequence[Result]) -> Result:
    """Return member-status results as one: OK when one of them is, the rows in the order of their servers."""
    rows = sorted(row for result in results for table in result.tables for row in table.rows)
    info = dict.fromkeys(line for result in results for line in result.info)
    done = any(result.status == "OK" for result in results)
    return Result(status="OK" if done else "ERROR", tables=[Table(STATUS_COLUMNS, rows)], info=[*info])
