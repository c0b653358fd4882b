"""The site's conflict resolver, and `list conflicts`: what the members remember of conflicts between sites."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from heliograph.errors import HeliographError, UsageError
from heliograph.link.messages import ConflictQuery, Conflicts
from heliograph.locator.cluster import Cluster, Row
from heliograph.model.attributes import GatewayConflictResolverAttributes
from heliograph.model.definitions import subject_of
from heliograph.model.ids import check_region_name
from heliograph.model.registry import CONFIG_RESOLVER, decode_entry
from heliograph.model.results import Result, Table

LIMIT_MAX = 1000
NEWEST = ("Region", "Key", "Outcome", "Entry Written", "By Site", "Event Written", "At Site", "Judged", "Member")


class ConflictAdmin:
    """Conflict commands of one site. They raise UsageError, ConflictError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(self, resolver: GatewayConflictResolverAttributes) -> Result:
        """Have a resolver decide on conflicts, on every server."""
        async with self._cluster.changing:
            return await self._cluster.create(resolver)

    async def destroy(self, *, if_exists: bool = False) -> Result:
        """Have the rule of versions decide again."""
        async with self._cluster.changing:
            item = await self._cluster.registry.get(CONFIG_RESOLVER)
            if item is not None:
                resolver = decode_entry(item.value, GatewayConflictResolverAttributes)
                return await self._cluster.destroy(item, subject_of(resolver))
        if if_exists:
            return Result(info=["Skipping: there is no gateway conflict resolver."])
        raise UsageError("there is no gateway conflict resolver")

    async def list(self, region: str = "", key: str | None = None, limit: int = 100) -> Result:
        """Show how many conflicts ended how, and the newest of them, of a region ("" for all) and a key."""
        if not 1 <= limit <= LIMIT_MAX:
            raise UsageError(f"limit {limit}: use 1 to {LIMIT_MAX}")
        query = ConflictQuery(region and check_region_name(region), key, limit)
        counts: Counter[tuple[str, str]] = Counter()
        newest: list[tuple[int, Row]] = []
        silent: list[Row] = []
        for name, answer in await self._cluster.query(await self._cluster.servers(), query, Conflicts):
            if isinstance(answer, HeliographError):
                silent.append((name, str(answer)))
                continue
            if answer.problem:
                silent.append((name, answer.problem))
            counts.update({(of, how): count for of, counted in answer.counts.items() for how, count in counted.items()})
            newest += [
                (
                    each.at_ms,
                    (
                        each.region, each.key, each.outcome, _shown(each.old_ms), str(each.old_site),
                        _shown(each.new_ms), str(each.new_site), _shown(each.at_ms), name,
                    ),
                )
                for each in answer.newest
            ]  # fmt: skip
        tables = []
        if counts:
            rows: list[Row] = [(of, how, str(count)) for (of, how), count in sorted(counts.items())]
            tables.append(Table(("Region", "Outcome", "Conflicts"), rows, "Conflicts Since The Members Started"))
        if newest:
            shown = [row for _, row in sorted(newest, reverse=True)[:limit]]
            tables.append(Table(NEWEST, shown, "Newest Conflicts"))
        if silent:
            tables.append(Table(("Member", "Error"), silent))
        return Result(tables=tables, info=[] if counts else ["No Conflicts Found"])


def _shown(at_ms: int) -> str:
    """Return a time as text, in UTC with milliseconds."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")
    except (OverflowError, ValueError):  # of a clock that is centuries ahead
        return f"{at_ms} ms"
