"""The logs of a site's processes, told in parts: export logs, show log (gfsh.md §3.4)."""

from __future__ import annotations

from heliograph.link.messages import LogPart, LogQuery, LogTail
from heliograph.locator.cluster import Cluster
from heliograph.model.log_levels import LEVELS, check_log_level
from heliograph.model.results import Result

LOG_S = 30.0
"""How long a process may take to read a part of its log."""
TEXT, OFFSET, SIZE, WANTED = "Text", "Offset", "Size", "Wanted"
"""Names of the answer's parts: as of `LogPart`."""


class LogAdmin:
    """Logs of one site. Operations raise UsageError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def part(self, name: str, level: str, query: LogQuery) -> Result:
        """Return the next part of a process's log. level: by name, or "" for every one."""
        number = LEVELS[check_log_level(level)] if level else 0
        member = await self._cluster.member(name)
        asked = LogQuery(query.offset, number, query.only, query.start_ms, query.end_ms, query.wanted)
        part = await self._cluster.call(member, asked, LogPart, timeout_s=LOG_S)
        return Result(
            data={
                TEXT: part.text.decode(errors="replace"),
                OFFSET: str(part.offset),
                SIZE: str(part.size),
                WANTED: str(part.wanted).lower(),
            }
        )

    async def tail(self, name: str, lines: int) -> Result:
        """Return the last lines of a process's log."""
        member = await self._cluster.member(name)
        part = await self._cluster.call(member, LogTail(lines), LogPart, timeout_s=LOG_S)
        return Result(info=part.text.decode(errors="replace").splitlines())
