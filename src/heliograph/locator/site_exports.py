"""export data (gfsh.md §4.7): servers write a region to files, and are asked how far they are.

One server writes all of a region; with `parallel` each writes what it is primary of, so that no bucket is left out and
none is written twice. The server that the command names sees to buckets that have no primary now, which it finds in the
engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from heliograph.errors import RegionNotFoundError, UsageError
from heliograph.link.messages import Export, TransferCancel, TransferQuery
from heliograph.locator.cluster import COMMAND_S, Cluster, Row, Targets
from heliograph.locator.requests import REGION_FILE, ExportRequest
from heliograph.locator.runs import LongCommand, new_run, shares_of
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import check_region_name
from heliograph.model.members import MemberInfo
from heliograph.model.results import Result, Table

EXPORTED = "Exported"
"""Name of how many entries are written, in the data of what a start and a look return."""


class ExportAdmin:
    """Exports of one site. Its commands raise UsageError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._command = LongCommand(cluster, EXPORTED, "give the command again")

    async def start(self, name: str, request: ExportRequest) -> Result:
        """Have a server, or all, begin to write a region; returns how it is with each, as `look` does."""
        region = await self._region(name, parallel=request.parallel)
        [named, *_] = await self._cluster.servers(Targets((request.member,)))
        run = new_run()
        if not request.parallel:
            path = request.file or str(PurePath(request.dir, f"{region.name}{REGION_FILE}"))
            whole = Export(run, region.name, path, list(range(region.total_num_buckets)))
            return await self._command.begin(run, [(named, whole)])
        servers = await self._cluster.servers()
        shares = await shares_of(self._cluster, region.name, servers, named)
        writers = [server for server in servers if shares.get(server.name)]
        requests: list[tuple[MemberInfo, Export]] = []
        for part, server in enumerate(writers):
            path = str(PurePath(request.dir, f"{region.name}-{server.name}{REGION_FILE}"))
            requests.append((server, Export(run, region.name, path, shares[server.name], part, len(writers))))
        return await self._command.begin(run, requests)

    async def look(self, name: str, run: str, members: Sequence[str]) -> Result:
        """Say how an export is at the servers that began it; ERROR once it has ended and failed at one of them."""
        return await self._command.look(TransferQuery(run, check_region_name(name)), members)

    async def cancel(self, name: str, run: str, members: Sequence[str]) -> Result:
        """Cancel an export; ERROR when it was not under way at any of these servers."""
        servers = await self._cluster.servers(Targets(tuple(members)))
        request = TransferCancel(run, check_region_name(name))
        outcomes = await self._cluster.ask(servers, request, timeout_s=COMMAND_S)
        rows: list[Row] = [(name, "OK" if outcome.ok else "ERROR", outcome.message) for name, outcome in outcomes]
        done = any(outcome.ok for _, outcome in outcomes)
        return Result(status="OK" if done else "ERROR", tables=[Table(("Member", "Status", "Message"), rows)])

    async def _region(self, name: str, *, parallel: bool) -> RegionAttributes:
        region = (await self._cluster.regions()).get(check_region_name(name))
        if region is None:
            raise RegionNotFoundError(f"region {name!r} does not exist at this site")
        if parallel and region.replicated:
            raise UsageError(f"region {region.name} is replicated: parallel is for partitioned regions, leave it out")
        return region
