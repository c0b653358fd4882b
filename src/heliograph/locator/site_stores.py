"""Disk store commands: create, alter, destroy, list, describe (gfsh.md §5).

In GemFire a disk store is directories of each member. Here it is a log in the site's engine, with the snapshots of the
buckets in it, so a store is the site's and has no directories.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.errors import UsageError
from heliograph.link.messages import DiskStoreQuery, DiskStores
from heliograph.locator.cluster import Cluster, Row
from heliograph.locator.requests import StoreAlteration
from heliograph.model.attributes import DEFAULT_STORE, MB, DiskStoreAttributes, RegionAttributes
from heliograph.model.definitions import subject_of
from heliograph.model.ids import check_name
from heliograph.model.registry import decode_entry, store_key
from heliograph.model.results import Result, Table
from heliograph.placement.buckets import servers_by_age

UNKNOWN = "unknown"


class StoreAdmin:
    """Disk store commands of one site. They raise UsageError, ConflictError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(self, store: DiskStoreAttributes) -> Result:
        """Create a disk store. DEFAULT exists always."""
        if store.name == DEFAULT_STORE:
            raise UsageError(f"disk store {DEFAULT_STORE} exists always: alter disk-store changes its max-disk")
        async with self._cluster.changing:
            return await self._cluster.create(store)

    async def alter(self, name: str, alteration: StoreAlteration) -> Result:
        """Give a disk store another limit, while it is in use."""
        altered = DiskStoreAttributes(name=name, max_disk=alteration.max_disk)
        async with self._cluster.changing:
            item = await self._cluster.registry.get(store_key(altered.name))
            if item is not None:
                return await self._cluster.alter(item, altered, subject_of(altered))
            if altered.name != DEFAULT_STORE:
                raise UsageError(_unknown(name))
            return await self._cluster.create(altered)

    async def destroy(self, name: str, *, if_exists: bool = False) -> Result:
        """Destroy a disk store that no region uses; a missing one is refused, or skipped with `if_exists`."""
        if check_name("disk store", name) == DEFAULT_STORE:
            raise UsageError(f"disk store {DEFAULT_STORE} can't be destroyed: it is where regions are by default")
        async with self._cluster.changing:
            item = await self._cluster.registry.get(store_key(name))
            if item is None:
                if if_exists:
                    return Result(info=[f"Skipping: {_unknown(name)}."])
                raise UsageError(_unknown(name))
            users = _users(name, await self._cluster.regions())
            if users:
                raise UsageError(f"disk store {name} is used by {', '.join(users)}: destroy these regions first")
            senders = (await self._cluster.senders()).values()
            naming = [each.known_as for each in senders if each.disk_store_name == name]
            if naming:
                raise UsageError(f"disk store {name} is named by {', '.join(naming)}: destroy that first")
            return await self._cluster.destroy(item, subject_of(decode_entry(item.value, DiskStoreAttributes)))

    async def list(self) -> Result:
        """List the disk stores, with their limits and how much of them is used."""
        stores, regions = await self._stores(), await self._cluster.regions()
        used = await self._used(sorted(stores))
        rows: list[Row] = []
        for name, store in sorted(stores.items()):
            size = _megabytes(sum(used[name])) if name in used else UNKNOWN
            rows.append((name, _limit(store), size, str(len(_users(name, regions)))))
        return Result(tables=[Table(("Disk Store Name", "Max Disk (MB)", "Used (MB)", "Regions"), rows)])

    async def describe(self, name: str) -> Result:
        """Show one disk store and the regions in it."""
        store = (await self._stores()).get(check_name("disk store", name))
        if store is None:
            raise UsageError(_unknown(name))
        log, snapshots = (await self._used([name])).get(name, (None, None))
        full = log is not None and snapshots is not None and 0 < store.limit_bytes <= log + snapshots
        data = {
            "Disk Store Name": name,
            "Max Disk (MB)": _limit(store),
            "Log (MB)": UNKNOWN if log is None else _megabytes(log),
            "Snapshots (MB)": UNKNOWN if snapshots is None else _megabytes(snapshots),
            "Writes": UNKNOWN if log is None else "refused" if full else "taken",
        }
        regions = await self._cluster.regions()
        rows: list[Row] = [
            (region, regions[region].data_policy, ",".join(regions[region].gateway_sender_ids))
            for region in _users(name, regions)
        ]
        return Result(data=data, tables=[Table(("Region Name", "Data Policy", "Gateway Senders"), rows, "Regions")])

    async def usage(self) -> dict[str, tuple[int, int]]:
        """Return the bytes of every store's log and snapshots; nothing when no server tells."""
        return await self._used(sorted(await self._stores()))

    async def _stores(self) -> dict[str, DiskStoreAttributes]:
        return {DEFAULT_STORE: DiskStoreAttributes(name=DEFAULT_STORE), **await self._cluster.stores()}

    async def _used(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return the bytes of each store's log and snapshots, as the oldest server hears them from the engine."""
        servers = servers_by_age(await self._cluster.members())
        for _, answer in await self._cluster.query(servers[:1], DiskStoreQuery([*names]), DiskStores):
            if isinstance(answer, DiskStores):
                return dict(zip(names, zip(answer.logs, answer.snapshots, strict=True), strict=True))
        return {}


def _unknown(name: str) -> str:
    return f"disk store {name!r} does not exist"


def _users(name: str, regions: dict[str, RegionAttributes]) -> list[str]:
    return sorted(region.name for region in regions.values() if region.disk_store == name)


def _limit(store: DiskStoreAttributes) -> str:
    return str(store.max_disk) if store.max_disk else "none"


def _megabytes(size: int) -> str:
    return f"{size / MB:.1f}"
