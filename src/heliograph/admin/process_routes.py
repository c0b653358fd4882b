"""The routes about running processes."""

from __future__ import annotations

from litestar import Controller, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from heliograph.admin.answers import OK, Answer, Flag, Names, Site, Whole, answer, targets
from heliograph.link.messages import LogQuery
from heliograph.locator.requests import LogLevelChange
from heliograph.model.runtime import RuntimeProperties


class ProcessRoutes(Controller):
    """What is changed of running processes, and what they say of themselves."""

    tags = ("members",)

    @post("/log-level", status_code=OK)
    async def change_log_level(
        self, site: Site, data: JSONBody[LogLevelChange], member: Names = "", group: Names = ""
    ) -> Answer:
        """Change the log level of members until they are started again."""
        return answer(await site.runtime.change_log_level(data, targets(member, group)))

    @get("/members/{name:str}/settings", status_code=OK)
    async def describe_config(self, site: Site, name: FromPath[str], hide_defaults: Flag = True) -> Answer:
        """Show what a member was started with, and what was changed since."""
        return answer(await site.runtime.settings(name, hide_defaults=hide_defaults))

    @get("/shutdown", status_code=OK)
    async def shutdown_order(self, site: Site, include_locators: Flag = False) -> Answer:
        """List the members to be ended, in that order."""
        return answer(await site.ending.order(include_locators=include_locators))

    @post("/members/{name:str}/shutdown", status_code=OK)
    async def shut_down(self, site: Site, name: FromPath[str], time_out: Whole = 10) -> Answer:
        """Have a process end in order, and wait until it is gone."""
        return answer(await site.ending.end(name, time_out))

    @get("/members/{name:str}/log", status_code=OK)
    async def export_log(
        self,
        site: Site,
        name: FromPath[str],
        offset: Whole = 0,
        level: FromQuery[str] = "",
        only_level: Flag = False,
        start_ms: Whole = 0,
        end_ms: Whole = 0,
        wanted: Flag = True,
    ) -> Answer:
        """Return the next part of a member's log."""
        query = LogQuery(offset, 0, only_level, start_ms, end_ms, wanted)
        return answer(await site.logs.part(name, level, query))

    @get("/members/{name:str}/log/tail", status_code=OK)
    async def show_log(self, site: Site, name: FromPath[str], lines: Whole = 100) -> Answer:
        """Return the last lines of a member's log."""
        return answer(await site.logs.tail(name, lines))

    @patch("/runtime", status_code=OK)
    async def alter_runtime(
        self, site: Site, data: JSONBody[RuntimeProperties], member: Names = "", group: Names = ""
    ) -> Answer:
        """Change properties of running servers; without targets also of those that are started later."""
        return answer(await site.runtime.alter(data, targets(member, group)))
