"""`query`: what a query selects, from all servers (gfsh.md §4.4).

Every bucket is asked of the one server that the placement says is its primary. A server answers which of them it went
through; the others, which move, or whose server died, are asked again of whoever is primary then. So each is counted
once, and none is missed: as long as one is, there is no answer.
"""

from __future__ import annotations

import asyncio

from heliograph.engine.patience import patiently
from heliograph.errors import HeliographError, UnavailableError, UsageError
from heliograph.link.messages import Select, Selected
from heliograph.locator.cluster import Cluster
from heliograph.locator.site_data import ENTRY_S
from heliograph.model.ids import check_region_name
from heliograph.model.keys import encode_value
from heliograph.model.registry import RegionEntry
from heliograph.model.results import Result
from heliograph.placement.holders import unheld
from heliograph.query.parser import parse_query
from heliograph.query.selection import UNLIMITED, Row, Rows, limit_of
from heliograph.query.table import table_of
from heliograph.query.tree import Query

LIMIT_DEFAULT = 100
SELECT_S, EVALUATION_S = 60.0, 40.0
"""How long a query may take, and how long a server may for its share at a time."""
RETRY_S = 0.1
ANSWER_S = 2.0
"""How much longer than a server may take its answer may be on its way."""


class QueryAdmin:
    """Queries over one site. Raises UnavailableError, and UsageError when no server runs."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def select(self, region: str, text: str, limit: int = LIMIT_DEFAULT) -> Result:
        """Show what a query over a region selects. limit: of rows, where the query has none.

        What is wrong with the query shows inside an OK result (gfsh.md §4.6).
        """
        servers = await self._cluster.servers()
        try:
            query = parse_query(text)
            if query.region != check_region_name(region):
                raise UsageError(f"the query is over region {query.region}, and was asked of {region}")
            entry = await patiently(lambda: self._cluster.region_entry(region), ENTRY_S)
            if reason := unheld(entry.attributes, servers):
                raise UnavailableError(reason)
            gathering = _Gathering(self._cluster, entry, query, text, limit)
            await gathering.run()
            return gathering.result()
        except UsageError as exc:
            return Result(data={"Result": "false", "Message": str(exc)})


class _Gathering:
    """One query under way: what servers selected so far, and the buckets that are left."""

    def __init__(self, cluster: Cluster, entry: RegionEntry, query: Query, text: str, limit: int) -> None:
        self._cluster = cluster
        self._region = entry.attributes.name
        self._generation = entry.generation
        self._query = query
        self._text = text
        self._default = limit
        self._limit = limit_of(query, limit)
        self._rows = Rows(query, self._limit)
        self._count = 0
        self._left = set(range(entry.attributes.total_num_buckets))

    async def run(self) -> None:
        """Ask until every bucket was gone through, or no other can matter.

        Raises UsageError, and UnavailableError after `SELECT_S`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SELECT_S
        while True:
            try:
                error = await self._ask(min(deadline - loop.time(), EVALUATION_S))
            except UnavailableError as exc:
                error = exc
            if self._done:
                return
            if loop.time() + RETRY_S > deadline:
                reason = error or "no server that runs is their primary"
                raise UnavailableError(f"{len(self._left)} buckets of {self._region} can't be read: {reason}")
            await asyncio.sleep(RETRY_S)

    def result(self) -> Result:
        """Return what was selected. Raises TooLargeError."""
        limit = {} if self._limit == UNLIMITED else {"Limit": str(self._limit)}
        if self._query.counting:
            count = min(self._count, self._limit) if limit else self._count
            rows = [Row(encode_value(count))]
        else:
            rows = self._rows.first()
        data = {"Result": "true", **limit, "Rows": str(len(rows))}
        return Result(data=data, tables=[table_of(self._query, rows)] if rows else [])

    @property
    def _done(self) -> bool:
        if self._query.counting:
            return not self._left or (self._limit != UNLIMITED and self._count >= self._limit)
        return not self._left or self._rows.full

    async def _ask(self, timeout_s: float) -> HeliographError | None:
        """Ask the primaries of the buckets that are left, at the same time; return why one of them gave no answer."""
        if (await self._cluster.region_entry(self._region)).generation != self._generation:
            raise UsageError(f"region {self._region} was created anew meanwhile: ask again")
        servers = {server.name: server for server in await self._cluster.servers()}
        answers = await asyncio.gather(
            *(
                self._cluster.query(
                    [servers[name]], self._request(buckets, timeout_s), Selected, timeout_s=timeout_s + ANSWER_S
                )
                for name, buckets in (await self._shares()).items()
                if name in servers
            )
        )
        error: HeliographError | None = None
        for ((_, answer),) in answers:
            if isinstance(answer, UsageError):
                raise answer
            if isinstance(answer, HeliographError):
                error = answer
            else:
                self._take(answer)
        return error

    def _request(self, buckets: list[int], timeout_s: float) -> Select:
        timeout_ms = int(timeout_s * 1000)
        return Select(self._region, self._generation, self._text, self._default, buckets, timeout_ms)

    async def _shares(self) -> dict[str, list[int]]:
        """Return the buckets that are left by their primaries."""
        placement = await self._cluster.placement(self._region)
        shares: dict[str, list[int]] = {}
        if placement is None:
            return shares
        for bucket in sorted(self._left):
            shares.setdefault(placement.buckets[bucket].primary, []).append(bucket)
        return shares

    def _take(self, answer: Selected) -> None:
        self._left.difference_update(answer.buckets)
        self._count += answer.count
        for row in answer.rows:
            self._rows.add(row)
