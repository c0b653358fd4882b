"""import data (gfsh.md §4.7): servers put what stands in files into a region, and are asked how far they are.

The files of a parallel export may be on any machines, whatever the servers there were called then: every server says
what it sees in the directory, and each file is read by one of those that see it, the one that the command names first.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.errors import HeliographError, UsageError
from heliograph.link.messages import ExportedFile, Files, FilesQuery, Import
from heliograph.locator.cluster import COMMAND_S, Cluster
from heliograph.locator.requests import ImportRequest
from heliograph.locator.transfers import TransferAdmin, path_of
from heliograph.model.members import MemberInfo
from heliograph.model.results import Result

IMPORTED = "Imported"
"""Name of how many entries are put, in the data of what a start and a look return."""


class ImportAdmin(TransferAdmin):
    """Imports of one site."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, "import", IMPORTED)

    async def start(self, name: str, request: ImportRequest) -> Result:
        """Have a server, or all that have files, begin to put what stands in them; returns what `look` does."""
        region, named = await self._meant(name, request)
        shares = {named.name: [path_of(request, region.name)]}
        servers = [named]
        if request.parallel:
            servers += [server for server in await self._cluster.servers() if server.name != named.name]
            shares = share_out(await self._seen(servers, region.name, request.dir))
        run, known_as = self._new_run()
        return await self._command.begin(
            run,
            [
                (server, Import(known_as, region.name, shares[server.name], request.invoke_callbacks))
                for server in servers
                if server.name in shares
            ],
        )

    async def _seen(
        self, servers: Sequence[MemberInfo], region: str, directory: str
    ) -> list[tuple[str, list[ExportedFile]]]:
        answers = await self._cluster.query(servers, FilesQuery(region, directory), Files, timeout_s=COMMAND_S)
        seen = []
        for name, answer in answers:
            if isinstance(answer, HeliographError):
                raise type(answer)(f"nothing was imported: {name} does not say which files it has: {answer}")
            seen.append((name, answer.files))
        return seen


def share_out(seen: Sequence[tuple[str, Sequence[ExportedFile]]]) -> dict[str, list[str]]:
    """Return which server reads which files: of each part one, by the server that has fewest to read so far.

    seen: what each server sees. Raises UsageError when they are not all the parts of one export.
    """
    runs = {file.run: file for _, files in seen for file in files}
    if not runs:
        raise UsageError("no server has a file of a parallel export of that region there")
    if len(runs) > 1:
        names = " and ".join(sorted(file.path for file in runs.values())[:2])
        raise UsageError(f"there are files of {len(runs)} exports, {names}: have those of one in the directory")
    [file] = runs.values()
    shares: dict[str, list[str]] = {name: [] for name, _ in seen}
    for part in range(file.parts):
        readers = [(name, each.path) for name, files in seen for each in files if each.part == part]
        if not readers:
            raise UsageError(f"part {part + 1} of the {file.parts} of the export is missing: no server has it there")
        name, path = min(readers, key=lambda reader: len(shares[reader[0]]))
        shares[name].append(path)
    return {name: paths for name, paths in shares.items() if paths}
