"""Region commands: create, alter, destroy, list, describe (gfsh.md §4.1 to §4.3)."""

from __future__ import annotations

import msgspec

from heliograph.engine.seam import Item
from heliograph.errors import RegionNotFoundError
from heliograph.locator.cluster import Cluster, Row
from heliograph.locator.requests import RegionAlteration
from heliograph.model.attributes import (
    REGION_TYPES,
    TOTAL_NUM_BUCKETS_DEFAULT,
    RegionAttributes,
    check_region_senders,
)
from heliograph.model.ids import check_region_name
from heliograph.model.members import RegionPlacement
from heliograph.model.registry import decode_entry, generation_key, placement_key, region_key
from heliograph.model.results import Result, Table


class RegionAdmin:
    """Region commands of one site. They raise UsageError, RegionNotFoundError, ConflictError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(self, region: RegionAttributes, *, if_not_exists: bool = False) -> Result:
        """Create a region on every server. An existing one is refused, or left as it is with `if_not_exists`."""
        region = msgspec.structs.replace(region, name=check_region_name(region.name))
        async with self._cluster.changing:
            if if_not_exists and region.name in await self._cluster.regions():
                return Result(info=[f"Skipping: region {region.name} exists already."])
            check_region_senders(region, await self._cluster.senders())
            return await self._cluster.create(region_key(region.name), region, f"region {region.name}")

    async def alter(self, name: str, alteration: RegionAlteration) -> Result:
        """Replace the list of gateway senders of a region; a queue of a removed one is dropped."""
        async with self._cluster.changing:
            item, region = await self._read(name)
            altered = msgspec.structs.replace(region, gateway_sender_ids=alteration.gateway_sender_ids)
            check_region_senders(altered, await self._cluster.senders())
            result = await self._cluster.alter(item, altered, f"region {region.name}")
            for sender in sorted({*region.gateway_sender_ids} - {*altered.gateway_sender_ids}):
                await self._cluster.forget_cursors(sender, region.name)
            return result

    async def destroy(self, name: str, *, if_exists: bool = False) -> Result:
        """Destroy a region and its data on every server. A missing one is refused, or skipped with `if_exists`."""
        async with self._cluster.changing:
            try:
                item, region = await self._read(name)
            except RegionNotFoundError:
                if not if_exists:
                    raise
                return Result(info=[f"Skipping: region {name} does not exist."])
            await self._next_generation(region.name)
            result = await self._cluster.destroy(item, f"region {region.name}")
            for sender in region.gateway_sender_ids:
                await self._cluster.forget_cursors(sender, region.name)
            return result

    async def list(self) -> Result:
        """List the regions."""
        names = sorted(await self._cluster.regions())
        if not names:
            return Result(info=["No Regions Found"])
        return Result(tables=[Table(("List of regions",), [(name,) for name in names])])

    async def describe(self, name: str) -> Result:
        """Show a region's attributes that differ from the defaults, and the members that host it."""
        _, region = await self._read(name)
        placed = await self._cluster.registry.get(placement_key(region.name))
        hosts = _hosts(decode_entry(placed.value, RegionPlacement)) if placed is not None else []
        policy, _, persistent = REGION_TYPES[region.type]
        rows: list[Row] = [("Region", "type", region.type)]
        if region.gateway_sender_ids:
            rows.append(("Region", "gateway-sender-id", ",".join(region.gateway_sender_ids)))
        if region.copies:
            rows.append(("Partition", "redundant-copies", str(region.copies)))
        if region.total_num_buckets != TOTAL_NUM_BUCKETS_DEFAULT:
            rows.append(("Partition", "total-num-buckets", str(region.total_num_buckets)))
        return Result(
            data={
                "Name": region.name,
                "Data Policy": f"persistent {policy.lower()}" if persistent else policy.lower(),
                "Hosting Members": ", ".join(hosts),
            },
            tables=[Table(("Type", "Name", "Value"), rows, "Non-Default Attributes Shared By Hosting Members")],
        )

    async def _read(self, name: str) -> tuple[Item, RegionAttributes]:
        item = await self._cluster.registry.get(region_key(check_region_name(name)))
        if item is None:
            raise RegionNotFoundError(f"region {name!r} does not exist at this site")
        return item, decode_entry(item.value, RegionAttributes)

    async def _next_generation(self, name: str) -> None:
        """Count the destroyed region first: whatever fails after that, its data never comes back."""
        key = generation_key(name)
        item = await self._cluster.registry.get(key)
        if item is None:
            await self._cluster.registry.create(key, b"1")
        else:
            await self._cluster.registry.update(key, b"%d" % (int(item.value) + 1), revision=item.revision)


def _hosts(placement: RegionPlacement) -> list[str]:
    holders = {name for bucket in placement.buckets for name in (bucket.primary, *bucket.secondaries)}
    return sorted(holders - {""})
