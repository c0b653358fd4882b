"""What is changed of running processes: change loglevel, alter runtime, describe config (gfsh.md §3.4)."""

from __future__ import annotations

from heliograph.errors import UsageError
from heliograph.link.messages import LogLevelCommand, Outcome, ProcessSettings, SettingsQuery
from heliograph.locator.cluster import EVERYONE, QUERY_S, STORED, Cluster, Row, Targets, member_status
from heliograph.locator.requests import LogLevelChange
from heliograph.model.registry import CONFIG_RUNTIME, encode_entry
from heliograph.model.results import Result, Table
from heliograph.model.runtime import RuntimeProperties
from heliograph.process.settings import DEFAULTS

NOT_STORED = "Not kept in the cluster configuration, because the command names members or groups."


class RuntimeAdmin:
    """Running processes of one site. Operations raise UsageError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def change_log_level(self, change: LogLevelChange, targets: Targets) -> Result:
        """Change the log level of named members or groups, locators too, until they are started again."""
        if targets == EVERYONE:
            raise UsageError("change loglevel needs --members or --groups: say whose level is changed")
        outcomes = await self._tell(change.log_level, targets, locators=True)
        rows: list[Row] = [(name, str(outcome.ok).lower(), outcome.message) for name, outcome in outcomes]
        done = any(outcome.ok for _, outcome in outcomes)
        table = Table(("Member", "Changed log-level", "Message"), rows)
        return Result(status="OK" if done else "ERROR", tables=[table])

    async def alter(self, properties: RuntimeProperties, targets: Targets) -> Result:
        """Change properties of running servers; without targets also of all that are started later."""
        async with self._cluster.changing:
            outcomes = await self._tell(properties.log_level, targets, locators=False)
            result = member_status(outcomes)
            if result.status == "OK":
                if targets == EVERYONE:
                    await self._cluster.registry.put(CONFIG_RUNTIME, encode_entry(properties))
                result.info.append(STORED if targets == EVERYONE else NOT_STORED)
            return result

    async def settings(self, name: str, *, hide_defaults: bool = True) -> Result:
        """Show what a member, or locator, was started with, and what was changed since."""
        member = await self._cluster.member(name)
        answer = await self._cluster.call(member, SettingsQuery(), ProcessSettings)
        tables = [
            Table(("Name", "Value"), sorted(values.items()), title)
            for title, values in answer.sections
            if not (hide_defaults and title == DEFAULTS)
        ]
        return Result(info=[f"Configuration of member : {member.name!r}"], tables=tables)

    async def _tell(self, level: str, targets: Targets, *, locators: bool) -> list[tuple[str, Outcome]]:
        members = await self._cluster.targeted(targets) if locators else await self._cluster.servers(targets)
        return await self._cluster.ask(members, LogLevelCommand(level), timeout_s=QUERY_S)
