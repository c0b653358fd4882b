"""export data (gfsh.md §4.7): servers write a region to files, and are asked how far they are.

One server writes all of a region; with `parallel` each writes what it is primary of, so that no bucket is left out and
none is written twice. The server that the command names sees to buckets that have no primary now, which it finds in the
engine.
"""

from __future__ import annotations

from heliograph.link.messages import Export
from heliograph.locator.cluster import Cluster
from heliograph.locator.requests import ExportRequest
from heliograph.locator.runs import shares_of
from heliograph.locator.transfers import TransferAdmin, path_of
from heliograph.model.members import MemberInfo
from heliograph.model.results import Result

EXPORTED = "Exported"
"""Name of how many entries are written, in the data of what a start and a look return."""


class ExportAdmin(TransferAdmin):
    """Exports of one site."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, "export", EXPORTED)

    async def start(self, name: str, request: ExportRequest) -> Result:
        """Have a server, or all, begin to write a region; returns how it is with each, as `look` does."""
        region, named = await self._meant(name, request)
        run, known_as = self._new_run()
        if not request.parallel:
            whole = list(range(region.total_num_buckets))
            return await self._command.begin(
                run, [(named, Export(known_as, region.name, path_of(request, region.name), whole))]
            )
        servers = await self._cluster.servers()
        shares = await shares_of(self._cluster, region.name, servers, named)
        writers = [server for server in servers if shares.get(server.name)]
        requests: list[tuple[MemberInfo, Export]] = []
        for part, server in enumerate(writers):
            path = path_of(request, f"{region.name}-{server.name}")
            share = Export(known_as, region.name, path, shares[server.name], part, len(writers))
            requests.append((server, share))
        return await self._command.begin(run, requests)
