"""What exporting and importing regions have in common: the region, the server that is named, looks and cancelling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from heliograph.errors import RegionNotFoundError, UsageError
from heliograph.link.messages import TransferCancel, TransferQuery
from heliograph.locator.cluster import COMMAND_S, Cluster, Targets, member_status
from heliograph.locator.requests import ExportRequest
from heliograph.locator.runs import LongCommand, new_run
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import check_region_name
from heliograph.model.members import MemberInfo
from heliograph.model.region_file import SUFFIX
from heliograph.model.results import Result


class TransferAdmin:
    """Runs of one kind ("export"), done: the name of how many entries are done. Raises UsageError, UnavailableError."""

    def __init__(self, cluster: Cluster, kind: str, done: str) -> None:
        self._cluster = cluster
        self._kind = kind
        self._command = LongCommand(cluster, done, "give the command again")

    def _new_run(self) -> tuple[str, str]:
        """Return the name of a new run, and the one by which servers know it: who may export cancels no import."""
        run = new_run()
        return run, self._kind + run

    async def look(self, name: str, run: str, members: Sequence[str]) -> Result:
        """Say how a run is at the servers that began it; ERROR once it has ended and failed at one of them."""
        return await self._command.look(TransferQuery(self._kind + run, check_region_name(name)), members)

    async def cancel(self, name: str, run: str, members: Sequence[str]) -> Result:
        """Cancel a run; ERROR when it was not under way at any of these servers."""
        servers = await self._cluster.servers(Targets(tuple(members)))
        request = TransferCancel(self._kind + run, check_region_name(name))
        return member_status(await self._cluster.ask(servers, request, timeout_s=COMMAND_S))

    async def _meant(self, name: str, request: ExportRequest) -> tuple[RegionAttributes, MemberInfo]:
        """Return the region, and the server that is named."""
        region = (await self._cluster.regions()).get(check_region_name(name))
        if region is None:
            raise RegionNotFoundError(f"region {name!r} does not exist at this site")
        if request.parallel and region.replicated:
            raise UsageError(f"region {region.name} is replicated: parallel is for partitioned regions, leave it out")
        return region, (await self._cluster.servers(Targets((request.member,))))[0]


def path_of(request: ExportRequest, stem: str) -> str:
    """Return the path of the file: the one that is named, or the one for `stem` in the directory."""
    return request.file or str(PurePath(request.dir, f"{stem}{SUFFIX}"))
