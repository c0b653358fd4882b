"""What every admin operation rests on: the site's registry, its live servers, and asking them.

A change of cluster configuration is one compare-and-set in the registry, followed by `Apply` to every live server; the
outcomes are the rows of its member-status table (gfsh.md §1.4). Changes run one at a time (gfsh.md §1.5).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec

from heliograph.engine.definitions import create_definition, definition_key, read_definition
from heliograph.engine.seam import Item, Registry
from heliograph.errors import (
    ConflictError,
    HeliographError,
    NotPrimaryError,
    RegionNotFoundError,
    UnavailableError,
    UnreachableError,
    UsageError,
)
from heliograph.link.messages import Apply, LogEnds, LogEndsQuery, Outcome, Reply, Request
from heliograph.locator.view import decoded
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
    leader_of,
)
from heliograph.model.definitions import Attributes, exists_already, subject_of
from heliograph.model.groups import in_any
from heliograph.model.ids import Address, check_region_name
from heliograph.model.members import MemberInfo, RegionPlacement
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.registry import (
    COMMANDED,
    CONFIG_QUEUES,
    CONFIG_REGIONS,
    CONFIG_SENDERS,
    CONFIG_STORES,
    CURSORS,
    MEMBERS,
    RegionEntry,
    decode_entry,
    encode_entry,
    placement_key,
    region_key,
)
from heliograph.model.results import Result, Table
from heliograph.placement.buckets import servers_by_age

APPLY_S = 65.0
"""How long a member may take to take up a change: longer than it gives itself (`member.READY_S`)."""
COMMAND_S = 30.0
"""How long a member may take for a gateway command."""
ENDS_S = 20.0
"""How long a server may take to look where the logs of a region's buckets end."""
QUERY_S = 5.0
"""How long a member may take to say how it is."""
STATUS_COLUMNS = ("Member", "Status", "Message")
"""Of a member-status result (gfsh.md §1.4)."""
STORED = "Cluster configuration for group 'cluster' is updated."
NO_SERVERS = "no members found: no server of this site has given a sign of life lately; start one first"

_log = logging.getLogger(__name__)
R = TypeVar("R", bound=Reply)
Row = tuple[str, ...]


class Targets(msgspec.Struct, frozen=True):
    """The members that a command is for, by name, id or group; none given means all. Raises UsageError for both."""

    members: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.members and self.groups:
            raise UsageError("member and group exclude each other: give one of them")

    def includes(self, member: MemberInfo) -> bool:
        """Say whether the command is for this member; case does not matter (gfsh.md §1.4)."""
        if self.members:
            return not {member.name.lower(), member.id.lower()}.isdisjoint(map(str.lower, self.members))
        return in_any(self.groups, member.groups)


EVERYONE = Targets()
Choice = Callable[[MemberInfo], bool]


def everyone(_: MemberInfo) -> bool:
    """Choose every server."""
    return True


class Caller(Protocol):
    """What the admin operations need of `net.links.Links`."""

    async def call(self, address: Address, message: Request, kind: type[R], *, timeout_s: float) -> R:
        """Ask the member at `address`; see `Links.call`."""
        ...


class Cluster:
    """A site's registry and servers. dsid: the site's, `NO_SITE_ID` when it was given none.

    caller: reaches servers; to_locators: reaches locators, whose ports may speak TLS where those of servers do not.
    name: of the locator that asks. known: the members that it saw last, while the registry can't be read.
    """

    def __init__(
        self,
        registry: Registry,
        caller: Caller,
        dsid: int,
        to_locators: Caller | None = None,
        *,
        name: str = "",
        known: Callable[[], Iterable[MemberInfo]] = tuple,
    ) -> None:
        self.registry = registry
        self.caller = caller
        self._to_locators = to_locators or caller
        self.name = name
        self.known = known
        self.dsid = dsid
        self.changing = asyncio.Lock()
        """Held by whoever changes the cluster configuration."""

    # --- what there is

    async def members(self) -> list[MemberInfo]:
        """Return every live member, locators too, the oldest first. Raises UnavailableError."""
        members = decoded(await self.registry.items(MEMBERS), MEMBERS, MemberInfo)
        return sorted(members.values(), key=lambda member: member.age)

    async def member(self, name: str) -> MemberInfo:
        """Return the live member of a name or id. Raises UsageError when there is none."""
        for member in await self.members():
            if name.lower() in (member.name.lower(), member.id.lower()):
                return member
        raise UsageError(f"member {name!r} does not exist at this site")

    async def targeted(self, targets: Targets = EVERYONE) -> list[MemberInfo]:
        """Return the live members that a command is for, locators too. Raises UsageError when there is none."""
        members = [member for member in await self.members() if targets.includes(member)]
        if not members:
            raise UsageError("no members found: no member of this site matches")
        return members

    async def servers(self, targets: Targets = EVERYONE) -> list[MemberInfo]:
        """Return the live servers that a command is for, the oldest first. Raises UsageError when there is none."""
        servers = [server for server in servers_by_age(await self.members()) if targets.includes(server)]
        if not servers:
            raise UsageError("no members found: no server of this site matches" if targets != EVERYONE else NO_SERVERS)
        return servers

    async def regions(self) -> dict[str, RegionAttributes]:
        """Return the regions by name. Raises UnavailableError."""
        return {name: entry.attributes for name, entry in (await self.region_entries()).items()}

    async def region_entries(self) -> dict[str, RegionEntry]:
        """Return the regions with their generations, by name. Raises UnavailableError."""
        return decoded(await self.registry.items(CONFIG_REGIONS), CONFIG_REGIONS, RegionEntry)

    async def region_entry(self, name: str) -> RegionEntry:
        """Return a region with its generation. Raises RegionNotFoundError, UnavailableError."""
        item = await self.registry.get(region_key(check_region_name(name)))
        if item is None:
            raise RegionNotFoundError(f"region {name!r} does not exist at this site")
        return decode_entry(item.value, RegionEntry)

    async def placement(self, region: str) -> RegionPlacement | None:
        """Return where a region's buckets are, None before they are placed. Raises UnavailableError."""
        parents = {name: each.colocated_with for name, each in (await self.regions()).items()}
        item = await self.registry.get(placement_key(leader_of(region, parents)))
        return None if item is None else decode_entry(item.value, RegionPlacement)

    async def stores(self) -> dict[str, DiskStoreAttributes]:
        """Return the disk stores that are defined, by name. Raises UnavailableError."""
        return decoded(await self.registry.items(CONFIG_STORES), CONFIG_STORES, DiskStoreAttributes)

    async def senders(self) -> dict[str, GatewaySenderAttributes]:
        """Return the gateway senders by id, async event queues among them. Raises UnavailableError."""
        senders = decoded(await self.registry.items(CONFIG_SENDERS), CONFIG_SENDERS, GatewaySenderAttributes)
        queues = [queue.as_sender() for queue in (await self.queues()).values()]
        return senders | {queue.id: queue for queue in queues}

    async def queues(self) -> dict[str, AsyncEventQueueAttributes]:
        """Return the async event queues by id. Raises UnavailableError."""
        return decoded(await self.registry.items(CONFIG_QUEUES), CONFIG_QUEUES, AsyncEventQueueAttributes)

    # --- changing it; the caller holds `changing`

    async def create(self, attributes: Attributes, *, concerned: Choice = everyone) -> Result:
        """Write a new definition and have every server take it up; it is taken back when all of them fail.

        concerned: the servers that are told of, and that may fail, here and below. Raises UsageError when it exists or
        there is no server.
        """
        servers = await self.servers()
        try:
            revision = await create_definition(self.registry, attributes)
        except ConflictError as exc:
            raise exists_already(await read_definition(self.registry, attributes), attributes) from exc
        result = await self.apply(servers, Apply(subject_of(attributes), revision, "created"), concerned)
        if result.status == "ERROR":
            await self.registry.delete(definition_key(attributes), revision=revision)
            _log.warning("creation taken back subject=%r", subject_of(attributes))
        return result

    async def refused(self, reason: UsageError, *, concerned: Choice = everyone) -> Result:
        """Return the member-status table of a change that no server could take up, and that is not made."""
        servers = filter(concerned, await self.servers())
        return member_status([(server.name, Outcome(False, str(reason))) for server in servers])

    async def alter(
        self,
        item: Item,
        value: object,
        subject: str,
        *,
        change: Literal["changed", "destroyed"] = "changed",
        concerned: Choice = everyone,
    ) -> Result:
        """Replace the entry that was read as `item`. Raises ConflictError when it was changed since.

        change: what that does at the servers which are concerned.
        """
        servers = await self.servers()
        revision = await self.registry.update(item.key, encode_entry(value), revision=item.revision)
        return await self.apply(servers, Apply(subject, revision, change), concerned)

    async def destroy(self, item: Item, subject: str, *, concerned: Choice = everyone) -> Result:
        """Delete the entry that was read as `item`; done without a server too. Raises ConflictError as `alter`."""
        await self.registry.delete(item.key, revision=item.revision)
        servers = servers_by_age(await self.members())
        if not servers:
            return Result(info=[f"{subject} destroyed; no server runs.", STORED])
        return await self.apply(servers, Apply(subject, item.revision, "destroyed"), concerned)

    async def forget_cursors(self, sender: str, region: str | None = None) -> None:
        """Delete a gateway sender's cursors, so that it begins anew when its id or the region's name comes back."""
        prefix = f"{CURSORS}.{sender}" if region is None else f"{CURSORS}.{sender}.{region}"
        for key in await self.registry.items(prefix):
            await self.registry.delete(key)

    async def forget_commands(self, sender: str) -> None:
        """Delete what was commanded of a gateway sender, so that one created later is as its definition says."""
        for key in await self.registry.items(f"{COMMANDED}.{sender}"):
            await self.registry.delete(key)

    async def log_ends(self, region: str) -> list[int]:
        """Ask a server where the logs of a region's buckets end. Raises UsageError, UnavailableError."""
        return (await self.ask_any(LogEndsQuery(region), LogEnds, timeout_s=ENDS_S)).seqs

    async def apply(self, servers: Sequence[MemberInfo], change: Apply, concerned: Choice = everyone) -> Result:
        """Have servers take up the configuration and return the member-status table of those that are concerned."""
        outcomes = await self.ask(servers, change, timeout_s=APPLY_S)
        result = member_status(
            [outcome for server, outcome in zip(servers, outcomes, strict=True) if concerned(server)]
        )
        if result.status == "OK":
            result.info.append(STORED)
        return result

    # --- asking

    async def call(self, member: MemberInfo, message: Request, kind: type[R], *, timeout_s: float = QUERY_S) -> R:
        """Ask a server or locator. Raises as `Links.call`."""
        caller = self._to_locators if member.kind == "locator" else self.caller
        return await caller.call(member.address, message, kind, timeout_s=timeout_s)

    async def act(self, targets: Targets, command: Request) -> Result:
        """Have servers act on their gateways; the result is OK, and shows in its rows who failed (gfsh.md §1.4)."""
        outcomes = await self.ask(await self.servers(targets), command, timeout_s=COMMAND_S)
        rows: list[Row] = [(name, "OK" if outcome.ok else "Error", outcome.message) for name, outcome in outcomes]
        return Result(tables=[Table(("Member", "Result", "Message"), rows)])

    async def ask(
        self, servers: Sequence[MemberInfo], message: Request, *, timeout_s: float
    ) -> list[tuple[str, Outcome]]:
        """Ask servers at the same time; whatever goes wrong at one of them is its failed outcome."""
        answers = await self.query(servers, message, Outcome, timeout_s=timeout_s)
        return [
            (name, Outcome(False, str(answer)) if isinstance(answer, HeliographError) else answer)
            for name, answer in answers
        ]

    async def ask_any(self, message: Request, kind: type[R], *, timeout_s: float, repeatable: bool = True) -> R:
        """Ask a server, and the next one when that certainly did nothing, or asking twice does no harm (repeatable).

        Raises UsageError when there is no server, UnavailableError when none does it or it is unknown whether one did.
        """
        error: HeliographError | None = None
        for server in await self.servers():
            try:
                return await self.caller.call(server.address, message, kind, timeout_s=timeout_s)
            except (UnreachableError, NotPrimaryError) as exc:
                error = exc
            except UnavailableError as exc:
                if not repeatable:
                    raise UnavailableError(
                        f"it is unknown whether the write was done: {exc}; read the entry before you repeat it"
                    ) from exc
                error = exc
        raise UnavailableError(f"no server does it: {error}") from error

    async def query(
        self, servers: Sequence[MemberInfo], message: Request, kind: type[R], *, timeout_s: float = QUERY_S
    ) -> list[tuple[str, R | HeliographError]]:
        """Ask servers at the same time; return each one's answer, or why there is none, in the order asked."""

        async def one(server: MemberInfo) -> R | HeliographError:
            try:
                return await self.call(server, message, kind, timeout_s=timeout_s)
            except HeliographError as exc:
                _log.info("member failed name=%s request=%s error=%s", server.name, type(message).__name__, exc)
                return exc

        answers = await asyncio.gather(*map(one, servers))
        return list(zip((server.name for server in servers), answers, strict=True))


def member_status(outcomes: Sequence[tuple[str, Outcome]]) -> Result:
    """Return the member-status table (gfsh.md §1.4): OK when it went well at one member, or nobody is concerned."""
    rows: list[Row] = [(name, "OK" if outcome.ok else "ERROR", outcome.message) for name, outcome in outcomes]
    done = not rows or any(outcome.ok for _, outcome in outcomes)
    return Result(status="OK" if done else "ERROR", tables=[Table(STATUS_COLUMNS, rows)] if rows else [])
