"""The rebalance command: what the oldest server would move, has moved, has still to move (gfsh.md §4.8)."""

from __future__ import annotations

import asyncio
from typing import Literal

from heliograph.errors import HeliographError, NotPrimaryError, UnavailableError
from heliograph.link.messages import Moves, Rebalance, Rebalanced
from heliograph.locator.cluster import Cluster, Row
from heliograph.locator.requests import REMAINING, RebalanceRequest
from heliograph.locator.view import decoded
from heliograph.model.members import RegionPlacement
from heliograph.model.registry import PLACEMENT
from heliograph.model.results import Result, Table
from heliograph.placement.rebalance import remaining

REBALANCE_S = 20.0
OLDEST_S = 5.0
"""How long it may take until the servers agree on who is the oldest."""
RETRY_S = 0.2


class RebalanceAdmin:
    """Rebalancing of one site. Raises UsageError when there is no server or no such region, UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def start(self, request: RebalanceRequest) -> Result:
        """Begin to give every server its share, or only say what that would move; returns what is to be moved."""
        action: Literal["simulate", "start"] = "simulate" if request.simulate else "start"
        told = await self._ask(Rebalance(action, request.include_region, request.exclude_region))
        title = "Would be rebalanced" if request.simulate else "Rebalanced"
        return Result(tables=[_table(title, moves, told.servers) for moves in told.regions])

    async def cancel(self) -> Result:
        """Leave the buckets of all regions where they are by now."""
        await self._ask(Rebalance("cancel"))
        return Result(info=["Buckets stay where they are by now."])

    async def look(self) -> Result:
        """Say how many steps are still to be taken: copies to be loaded or given up, primaries to be moved."""
        placements = decoded(await self._cluster.registry.items(PLACEMENT), PLACEMENT, RegionPlacement)
        left = {name: remaining(placement) for name, placement in sorted(placements.items())}
        under_way = {name: str(steps) for name, steps in left.items() if steps}
        return Result(data={REMAINING: str(sum(left.values())), **under_way})

    async def _ask(self, request: Rebalance) -> Rebalanced:
        deadline = asyncio.get_running_loop().time() + OLDEST_S
        while True:
            oldest = (await self._cluster.servers())[0]
            try:
                return await self._cluster.caller.call(oldest.address, request, Rebalanced, timeout_s=REBALANCE_S)
            except NotPrimaryError as exc:
                error: HeliographError = exc
            if asyncio.get_running_loop().time() > deadline:
                raise UnavailableError(f"nothing was rebalanced: {error}") from error
            await asyncio.sleep(RETRY_S)


def _table(title: str, moves: Moves, servers: int) -> Table:
    rows: list[Row] = [
        ("Total bytes in all redundant bucket copies created during this rebalance", str(moves.created_bytes)),
        ("Total number of redundant copies created during this rebalance", str(moves.created)),
        ("Total bytes in buckets moved during this rebalance", str(moves.moved_bytes)),
        ("Total number of buckets moved during this rebalance", str(moves.moved)),
        ("Total number of primaries transferred during this rebalance", str(moves.primaries)),
        ("Total number of members in the system on which rebalance is executed", str(servers)),
    ]
    return Table(("Rebalanced Stats", "Value"), rows, f"{title}: {moves.region}")
