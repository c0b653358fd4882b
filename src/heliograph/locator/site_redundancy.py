"""status redundancy: how many copies of their buckets regions have, and should have (gfsh.md §4.8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from heliograph.errors import UsageError
from heliograph.locator.cluster import Cluster, Row
from heliograph.locator.site_copies import ask_copies, of_region
from heliograph.model.ids import check_region_name
from heliograph.model.results import Result, Table
from heliograph.placement.figures import Redundancy, RegionFigures, figures

COLUMNS = ("Region", "Status", "Desired Redundancy", "Actual Redundancy", "Buckets With Fewer", "Without Primary")
_NUMBERS: dict[str, Redundancy] = {
    "Number of regions with zero redundancy": "NO_REDUNDANT_COPIES",
    "Number of regions with partial redundancy": "NOT_SATISFIED",
    "Number of regions with full redundancy": "SATISFIED",
}


class RedundancyAdmin:
    """The redundancy of one site's regions. Raises UsageError when there is no such region, UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def status(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Result:
        """Show the redundant copies that each region should have, and has of every bucket at least."""
        regions = await self._cluster.regions()
        names = _chosen(set(regions), set(map(check_region_name, include)), set(map(check_region_name, exclude)))
        if not names:
            return Result(info=["No Regions Found"])
        servers = await self._cluster.servers()
        told, silent = await ask_copies(self._cluster, servers, names)
        found = {name: figures(regions[name], servers, of_region(told, name)) for name in names}
        counts = Counter(each.redundancy for each in found.values())
        return Result(
            data={said: str(counts[status]) for said, status in _NUMBERS.items()},
            tables=[Table(COLUMNS, [_row(name, each) for name, each in found.items()])],
            info=silent,
        )


def _chosen(known: Collection[str], include: set[str], exclude: set[str]) -> list[str]:
    unknown = sorted((include | exclude) - set(known))
    if unknown:
        raise UsageError(f"region {', '.join(unknown)} does not exist at this site")
    return sorted((include or set(known)) - exclude)


def _row(name: str, found: RegionFigures) -> Row:
    numbers = (found.wanted, found.actual, found.under, found.without_primary)
    return (name, found.redundancy, *map(str, numbers))
