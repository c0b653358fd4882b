"""Region commands: create, alter, destroy, list, describe (gfsh.md §4.1 to §4.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from heliograph.engine.seam import Item
from heliograph.errors import RegionNotFoundError, UsageError
from heliograph.locator.cluster import EVERYONE, Cluster, Row, Targets
from heliograph.locator.requests import RegionAlteration
from heliograph.locator.site_copies import ask_copies, of_region
from heliograph.model.attributes import (
    RegionAttributes,
    check_colocation,
    check_no_colocated,
    check_region_senders,
    check_region_store,
)
from heliograph.model.definitions import subject_of
from heliograph.model.ids import check_region_name
from heliograph.model.members import RegionPlacement
from heliograph.model.registry import (
    Cursor,
    RegionEntry,
    cursor_key,
    decode_entry,
    encode_entry,
    region_key,
)
from heliograph.model.results import Result, Table
from heliograph.placement.buckets import servers_by_age
from heliograph.placement.figures import figures
from heliograph.placement.holders import check_region_servers, holders_of

CURSORS_AT_ONCE = 64


class RegionAdmin:
    """Region commands of one site. They raise UsageError, RegionNotFoundError, ConflictError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(self, region: RegionAttributes, *, if_not_exists: bool = False) -> Result:
        """Create a region on every server.

        An existing one is refused; with `if_not_exists`, one of the same kind is left as it is (gfsh.md §4.1).
        """
        region = msgspec.structs.replace(
            region,
            name=check_region_name(region.name),
            colocated_with=region.colocated_with and check_region_name(region.colocated_with),
        )
        async with self._cluster.changing:
            existing = (await self._cluster.regions()).get(region.name) if if_not_exists else None
            if existing is not None:
                if existing.data_policy != region.data_policy:
                    raise UsageError(
                        f"region {region.name} exists already and is another kind of region: "
                        f"{existing.data_policy} there, {region.data_policy} here"
                    )
                return Result(info=[f"Skipping: region {region.name} exists already."])
            check_region_servers(region, await self._cluster.members())
            check_region_store(region, await self._cluster.stores())
            check_region_senders(region, await self._cluster.senders())
            check_colocation(region, await self._cluster.regions())
            return await self._cluster.create(region)

    async def alter(self, name: str, alteration: RegionAlteration) -> Result:
        """Change what a region's attributes may become.

        A queue of a gateway sender that is removed is dropped; that of an added one begins where the logs end now.
        """
        async with self._cluster.changing:
            item, entry = await self._read(name)
            region = entry.attributes
            altered = msgspec.structs.replace(region, **alteration.changes)
            check_region_senders(altered, await self._cluster.senders())
            value = msgspec.structs.replace(entry, attributes=altered)
            added = sorted({*altered.sender_ids} - {*region.sender_ids})
            await self._begin_queues(entry, added)
            result = await self._cluster.alter(item, value, subject_of(region))
            for sender in sorted({*region.sender_ids} - {*altered.sender_ids}):
                await self._cluster.forget_cursors(sender, region.name)
            return result

    async def _begin_queues(self, entry: RegionEntry, senders: Sequence[str]) -> None:
        """Write the cursors of gateway senders that are to be added, before any member knows of them.

        Nobody owns them yet, so they belong to no epoch. Should the alteration fail they are written anew by the next.
        Until members know of the senders they may cut logs beyond these cursors. That loses nothing that was to be sent
        (it was written before the command was done), but a sender counts it as a log that was truncated too early.
        """
        if not senders:
            return
        region = entry.attributes.name
        ends = await self._cluster.log_ends(region)
        cursors = {
            cursor_key(sender, region, entry.generation, bucket): encode_entry(Cursor(seq, 0))
            for sender in senders
            for bucket, seq in enumerate(ends)
        }
        keys = list(cursors)
        for start in range(0, len(keys), CURSORS_AT_ONCE):
            some = keys[start : start + CURSORS_AT_ONCE]
            await asyncio.gather(*(self._cluster.registry.put(key, cursors[key]) for key in some))

    async def destroy(self, name: str, *, if_exists: bool = False) -> Result:
        """Destroy a region and its data on every server. A missing one is refused, or skipped with `if_exists`."""
        async with self._cluster.changing:
            try:
                item, entry = await self._read(name)
            except RegionNotFoundError:
                if not if_exists:
                    raise
                return Result(info=[f"Skipping: region {name} does not exist."])
            region = entry.attributes
            check_no_colocated(region.name, await self._cluster.regions())
            result = await self._cluster.destroy(item, subject_of(region))
            for sender in region.sender_ids:
                await self._cluster.forget_cursors(sender, region.name)
            return result

    async def list(self, targets: Targets = EVERYONE) -> Result:
        """List the regions, or those that the servers which are meant may hold."""
        regions = await self._cluster.regions()
        names = sorted(regions)
        if targets != EVERYONE:
            chosen = [member for member in await self._cluster.members() if targets.includes(member)]
            if not chosen:
                return Result(info=["No Members Found"])
            names = [name for name in names if holders_of(regions[name], chosen)]
        if not names:
            return Result(info=["No Regions Found"])
        return Result(tables=[Table(("List of regions",), [(name,) for name in names])])

    async def describe(self, name: str) -> Result:
        """Show the members that hold a region's buckets and those that forward, how it is, and its attributes."""
        region = (await self._read(name))[1].attributes
        placement = await self._cluster.placement(region.name)
        hosts = _hosts(placement) if placement is not None else []
        servers = servers_by_age(await self._cluster.members())
        told, silent = await ask_copies(self._cluster, servers, [region.name])
        found = figures(region, servers, of_region(told, region.name))
        return Result(
            data={
                "Name": region.name,
                "Data Policy": region.data_policy,
                "Hosting Members": ", ".join(hosts),
                "Accessor Members": ", ".join(sorted({server.name for server in servers} - {*hosts})),
                "Entries": str(found.entries),
                "Bytes": str(found.bytes),
                "Redundancy": f"{found.redundancy}: {found.actual} of {found.wanted} redundant copies",
                "Buckets With Fewer Copies": str(found.under),
                "Buckets Without Primary": str(found.without_primary),
            },
            tables=[
                Table(("Type", "Name", "Value"), _shown(region), "Non-Default Attributes Shared By Hosting Members")
            ],
            info=[*silent, *([f"{found.uncounted} buckets are not counted."] if found.uncounted else [])],
        )

    async def _read(self, name: str) -> tuple[Item, RegionEntry]:
        item = await self._cluster.registry.get(region_key(check_region_name(name)))
        if item is None:
            raise RegionNotFoundError(f"region {name!r} does not exist at this site")
        return item, decode_entry(item.value, RegionEntry)


def _hosts(placement: RegionPlacement) -> list[str]:
    holders = {name for bucket in placement.buckets for name in (bucket.primary, *bucket.secondaries)}
    return sorted(holders - {""})


_PARTITION = ("redundant_copies", "total_num_buckets", "colocated_with", "partition_resolver")
_OPTIONS = {"gateway_sender_ids": "gateway-sender-id", "async_event_queue_ids": "async-event-queue-id"}


def _shown(region: RegionAttributes) -> list[Row]:
    """Return type, name and value of a region's attributes that are not the defaults."""
    rows: list[Row] = [("Region", "type", region.type)]
    for field in msgspec.structs.fields(RegionAttributes):
        value = region.copies or None if field.name == "redundant_copies" else getattr(region, field.name)
        of_a_time = field.name.endswith("_action") and getattr(region, field.name.removesuffix("_action"))
        if field.name not in ("name", "type") and (value != field.default or of_a_time):
            kind = "Partition" if field.name in _PARTITION else "Region"
            name = _OPTIONS.get(field.name, field.name.replace("_", "-"))
            rows.append((kind, name, ",".join(value) if isinstance(value, tuple) else str(value)))
    return rows
