"""show metrics: what the members of a site measure (gfsh.md §6.11)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from heliograph.errors import RegionNotFoundError, UnavailableError, UsageError
from heliograph.link.messages import Copies, CopiesQuery, GatewayQuery, Gateways, Reply, Request, Status, StatusQuery
from heliograph.locator.cluster import QUERY_S, Cluster, Row
from heliograph.locator.metrics import MEASURED, Scope, Seen, Source, choose
from heliograph.locator.site_copies import SIZES_S
from heliograph.locator.site_stores import StoreAdmin
from heliograph.model.ids import check_region_name
from heliograph.model.members import MemberInfo
from heliograph.model.results import Result, Table

COLUMNS = ("Category", "Metric", "Value")
WAIT_S: dict[Source, float] = {"status": QUERY_S, "copies": SIZES_S, "gateways": QUERY_S}
"""How long a member may take to answer."""
OF_A_LOCATOR = ("member", "communication")
_TITLES: dict[Scope, str] = {
    "cluster": "Cluster-wide Metrics",
    "region": "Cluster-wide Metrics Of Region {region}",
    "member": "Metrics Of Member {member}",
    "member and region": "Metrics Of Region {region} On Member {member}",
}

R = TypeVar("R", bound=Reply)


class MetricsAdmin:
    """The metrics of one site. Raises RegionNotFoundError, UsageError for what is not measured, UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stores = StoreAdmin(cluster)

    async def show(self, member: str = "", region: str = "", categories: Sequence[str] = ()) -> Result:
        """Show the numbers of the site, a region, a member, or of a region at a member."""
        members = await self._cluster.members()
        regions = await self._cluster.regions()
        only = await self._cluster.member(member) if member else None
        name = check_region_name(region) if region else ""
        categories = [category.lower() for category in categories]
        if name and name not in regions:
            raise RegionNotFoundError(f"region {region!r} does not exist at this site")
        scope = _scope(member, region)
        chosen = _of_member(only, scope, choose(scope, categories), categories)
        asked = members if only is None else [only]
        seen, silent = await self._look(Seen(members, regions, region=name), scope, chosen, asked)
        if only is not None and silent:
            raise UnavailableError(silent[0])
        rows: list[Row] = [
            (category, metric, str(value))
            for category in chosen
            for metric, value in MEASURED[scope][category].numbers(seen).items()
        ]
        title = _TITLES[scope].format(region=name, member=only.name if only is not None else "")
        return Result(tables=[Table(COLUMNS, rows, title)], info=silent)

    async def _look(
        self, seen: Seen, scope: Scope, chosen: Sequence[str], asked: Sequence[MemberInfo]
    ) -> tuple[Seen, list[str]]:
        """Ask members for what some categories need; the lines name those that do not answer."""
        sources = {MEASURED[scope][category].source for category in chosen}
        servers = [member for member in asked if member.kind == "server"]
        regions = (seen.region,) if seen.region else tuple(seen.regions)
        silent: dict[str, str] = {}

        async def ask(source: Source, of: Sequence[MemberInfo], query: Request, kind: type[R]) -> dict[str, R]:
            told: dict[str, R] = {}
            answers = await self._cluster.query(of, query, kind, timeout_s=WAIT_S[source]) if source in sources else []
            for name, each in answers:
                if isinstance(each, kind):
                    told[name] = each
                else:
                    silent[name] = f"{name} does not answer: {each}"
            return told

        statuses, copies, gateways = await asyncio.gather(
            ask("status", asked, StatusQuery(), Status),
            ask("copies", servers, CopiesQuery(regions, sizes=True), Copies),
            ask("gateways", servers, GatewayQuery(), Gateways),
        )
        stores = await self._stores.usage() if "stores" in sources else {}
        seen = replace(seen, statuses=statuses, copies=copies, gateways=gateways, stores=stores)
        return seen, [silent[name] for name in sorted(silent)]


def _scope(member: str, region: str) -> Scope:
    if member:
        return "member and region" if region else "member"
    return "region" if region else "cluster"


def _of_member(only: MemberInfo | None, scope: Scope, chosen: list[str], categories: Sequence[str]) -> list[str]:
    """Leave out what a locator does not have. Raises UsageError when it is asked for that."""
    if only is None or only.kind == "server":
        return chosen
    if scope != "member" or not {*categories} <= {*OF_A_LOCATOR}:
        raise UsageError(
            f"{only.name} is a locator, which has no regions and gateways: ask for {', '.join(OF_A_LOCATOR)}"
        )
    return [category for category in chosen if category in OF_A_LOCATOR]
