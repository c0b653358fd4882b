"""Async event queue commands (gfsh.md §7)."""

from __future__ import annotations

import msgspec

from heliograph.engine.seam import Item
from heliograph.errors import HeliographError, UsageError
from heliograph.link.messages import GatewayQuery, Gateways, SenderCommand, SenderStatus
from heliograph.locator.cluster import EVERYONE, Cluster, Row, Targets
from heliograph.locator.requests import QueueAction, QueueAlteration
from heliograph.locator.site_senders import statistics, status_text
from heliograph.model.attributes import QUEUE_PREFIX, check_sender_store
from heliograph.model.definitions import subject_of
from heliograph.model.ids import check_name
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.registry import decode_entry, queue_key
from heliograph.model.results import Result, Table
from heliograph.placement.senders import check_sender_servers

COLUMNS = (
    "Member",
    "ID",
    "Batch Size",
    "Persistent",
    "Disk Store",
    "Max Memory",
    "Listener",
    "Created with paused event processing",
    "Currently Paused",
)


class QueueAdmin:
    """Async event queue commands of one site. They raise UsageError, ConflictError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(self, queue: AsyncEventQueueAttributes) -> Result:
        """Create an async event queue on every server, or those of its groups."""
        async with self._cluster.changing:
            check_sender_store(queue.as_sender(), await self._cluster.stores())
            check_sender_servers(queue.as_sender(), await self._cluster.members())
            return await self._cluster.create(queue)

    async def alter(self, queue: str, alteration: QueueAlteration, *, if_exists: bool = False) -> Result:
        """Change how a queue makes batches, while it works, and how it begins where no command was given yet."""
        async with self._cluster.changing:
            item = await self._read(queue)
            if item is None:
                return _missing(queue, if_exists=if_exists)
            altered = msgspec.structs.replace(decode_entry(item.value, AsyncEventQueueAttributes), **alteration.changes)
            return await self._cluster.alter(item, altered, subject_of(altered))

    async def destroy(self, queue: str, *, if_exists: bool = False) -> Result:
        """Destroy a queue with what it holds. Refused while a region uses it; a missing one unless `if_exists`."""
        async with self._cluster.changing:
            item = await self._read(queue)
            if item is None:
                return _missing(queue, if_exists=if_exists)
            regions = await self._cluster.regions()
            users = sorted(region.name for region in regions.values() if queue in region.async_event_queue_ids)
            if users:
                raise UsageError(
                    f"async event queue {queue} is used by {', '.join(users)}: take it off there first (alter region)"
                )
            result = await self._cluster.destroy(item, subject_of(decode_entry(item.value, AsyncEventQueueAttributes)))
            await self._cluster.forget_cursors(QUEUE_PREFIX + queue)
            await self._cluster.forget_commands(QUEUE_PREFIX + queue)
            return result

    async def act(self, queue: str, action: QueueAction, targets: Targets = EVERYONE) -> Result:
        """Pause or resume a queue's instances; failures are rows of an OK result."""
        sender = QUEUE_PREFIX + check_name("async event queue", queue.strip())
        return await self._cluster.act(targets, SenderCommand(sender, action))

    async def list(self) -> Result:
        """List every instance of the async event queues."""
        queues = await self._cluster.queues()
        rows: list[Row] = []
        silent: list[Row] = []
        for name, answer in await self._cluster.query(await self._cluster.servers(), GatewayQuery(), Gateways):
            if isinstance(answer, HeliographError):
                silent.append((name, str(answer)))
                continue
            rows += [_listed(queues[state.id], state) for state in answer.queues if state.id in queues]
        tables = []
        if rows:
            tables.append(Table(COLUMNS, sorted(rows)))
        if silent:
            tables.append(Table(("Member", "Error"), silent))
        return Result(tables=tables, info=[] if tables else ["No Async Event Queues Found"])

    async def status(self, queue: str, targets: Targets = EVERYONE) -> Result:
        """Show the state of a queue's instances and what they have counted; always OK."""
        found: list[SenderStatus] = []
        missing: list[Row] = []
        servers = await self._cluster.servers(targets)
        for name, answer in await self._cluster.query(servers, GatewayQuery(), Gateways):
            if isinstance(answer, HeliographError):
                missing.append((name, str(answer)))
                continue
            states = [state for state in answer.queues if state.id == queue.strip()]
            found += states
            if not states:
                missing.append((name, f"async event queue {queue} is not available on member {name}"))
        tables = []
        if found:
            rows: list[Row] = [(state.member, state.type, state.policy, status_text(state)) for state in found]
            tables.append(
                Table(("Member", "Type", "Runtime Policy", "Status"), rows, "Available AsyncEventQueue Section")
            )
            tables.append(statistics(found))
        if missing:
            tables.append(Table(("Member", "Error"), missing, "Not Available AsyncEventQueue Section"))
        return Result(tables=tables)

    async def _read(self, queue: str) -> Item | None:
        return await self._cluster.registry.get(queue_key(check_name("async event queue", queue)))


def _listed(queue: AsyncEventQueueAttributes, state: SenderStatus) -> Row:
    return (
        state.member,
        queue.id,
        str(queue.batch_size),
        str(queue.persistent).lower(),
        queue.disk_store,
        str(queue.max_queue_memory),
        queue.listener,
        str(queue.pause_event_processing).lower(),
        str(state.status == "Paused").lower(),
    )


def _missing(queue: str, *, if_exists: bool) -> Result:
    """Return the result of a command that lets a queue be missing. Raises UsageError for one that does not."""
    message = f"async event queue {queue!r} does not exist"
    if not if_exists:
        raise UsageError(message)
    return Result(info=[f"Skipping: {message}."])
