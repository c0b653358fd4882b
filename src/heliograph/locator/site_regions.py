"""Region commands: create, alter, destroy, list, describe (gfsh.md §4.1 to §4.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from heliograph.engine.seam import Item
from heliograph.errors import RegionNotFoundError, UsageError
from heliograph.locator.cluster import EVERYONE, Cluster, Row, Targets
from heliograph.locator.requests import RegionAlteration
from heliograph.model.attributes import (
    DEFAULT_STORE,
    EXPIRATION_OPTIONS,
    TOTAL_NUM_BUCKETS_DEFAULT,
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
        """Show a region's attributes that differ from the defaults, and the members that host it."""
        region = (await self._read(name))[1].attributes
        placement = await self._cluster.placement(region.name)
        hosts = _hosts(placement) if placement is not None else []
        rows: list[Row] = [("Region", "type", region.type)]
        if region.groups:
            rows.append(("Region", "groups", ",".join(region.groups)))
        if region.gateway_sender_ids:
            rows.append(("Region", "gateway-sender-id", ",".join(region.gateway_sender_ids)))
        if region.async_event_queue_ids:
            rows.append(("Region", "async-event-queue-id", ",".join(region.async_event_queue_ids)))
        if region.disk_store != DEFAULT_STORE:
            rows.append(("Region", "disk-store", region.disk_store))
        if region.copies:
            rows.append(("Partition", "redundant-copies", str(region.copies)))
        if region.colocated_with:
            rows.append(("Partition", "colocated-with", region.colocated_with))
        if region.partition_resolver:
            rows.append(("Partition", "partition-resolver", region.partition_resolver))
        for field in EXPIRATION_OPTIONS:
            if getattr(region, field):
                name = field.replace("_", "-")
                rows.append(("Region", name, str(getattr(region, field))))
                rows.append(("Region", f"{name}-action", getattr(region, f"{field}_action")))
        if region.total_num_buckets != TOTAL_NUM_BUCKETS_DEFAULT:
            rows.append(("Partition", "total-num-buckets", str(region.total_num_buckets)))
        return Result(
            data={
                "Name": region.name,
                "Data Policy": region.data_policy,
                "Hosting Members": ", ".join(hosts),
            },
            tables=[Table(("Type", "Name", "Value"), rows, "Non-Default Attributes Shared By Hosting Members")],
        )

    async def _read(self, name: str) -> tuple[Item, RegionEntry]:
        item = await self._cluster.registry.get(region_key(check_region_name(name)))
        if item is None:
            raise RegionNotFoundError(f"region {name!r} does not exist at this site")
        return item, decode_entry(item.value, RegionEntry)


def _hosts(placement: RegionPlacement) -> list[str]:
    holders = {name for bucket in placement.buckets for name in (bucket.primary, *bucket.secondaries)}
    return sorted(holders - {""})
