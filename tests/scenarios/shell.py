"""The program at a simulated site: what a command asks of the admin API, the site's locator is asked."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import httpx
import msgspec
from litestar import Litestar

from heliograph.admin import BASE
from heliograph.admin.app import make_app
from heliograph.admin.client import read_result
from heliograph.locator.site import SiteAdmin
from heliograph.model.results import Result
from tests.gfsh.support import FakeAdmin, Program, Ran
from tests.scenarios.sites import Site

URL = "http://site"


class Shown(NamedTuple):
    """What the program printed and how it ended; and what the site answered, an empty result when it was not asked."""

    ran: Ran
    result: Result
    asked: bool

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The rows of the first table."""
        return [*self.result.tables[0].rows] if self.result.tables else []

    @property
    def section(self) -> dict[str, list[tuple[str, ...]]]:
        """Title of a table -> its rows."""
        return {table.title: [*table.rows] for table in self.result.tables}


class Shell:
    """Runs lines as `helio -e`.

    The program waits for its answers and would hold up the simulation. So it runs twice: to see what it asks, and when
    that is answered, to see what it makes of the answer.
    """

    def __init__(self, program: Program, admin: FakeAdmin) -> None:
        self._program = program
        self._admin = admin
        self._apps: dict[SiteAdmin, Litestar] = {}

    async def __call__(self, site: Site, line: str) -> Shown:
        """Run one command at a site, whether it succeeds or not."""
        self._admin.answers.clear()
        self._admin.calls.clear()
        ran = self.run(line)
        _, *calls = self._admin.calls  # that of `connect`
        if not calls:
            return Shown(ran, Result(), asked=False)
        [(method, path, body, query)] = calls
        result = await site.inside(site.locator, self._ask(site, method, path, body, query))
        self._admin.answers[method, path] = result
        return Shown(self.run(line), result, asked=True)

    async def ok(self, site: Site, line: str) -> Shown:
        """Run one command that succeeds, at every member."""
        shown = await self(site, line)
        assert (shown.ran.status, shown.ran.err) == (0, ""), shown
        assert not [row for row in shown.rows if row[1].lower() == "error"], shown
        return shown

    async def refused(self, site: Site, line: str) -> str:
        """Run one command that the program refuses without asking the site; returns why."""
        shown = await self(site, line)
        assert (shown.ran.status, shown.asked) == (1, False), shown
        return shown.ran.err

    def run(self, line: str) -> Ran:
        """Run the program, at what answers for the site as it stands."""
        return self._program("-e", f"connect --url={URL}", "-e", line)

    async def _ask(self, site: Site, method: str, path: str, body: object, query: dict[str, str | bool]) -> Result:
        admin = site.locator.locator.site
        if admin not in self._apps:
            self._apps[admin] = make_app(admin)
        transport = httpx.ASGITransport(cast(Any, self._apps[admin]))
        async with httpx.AsyncClient(transport=transport, base_url=URL + BASE) as client:
            content = None if body is None else msgspec.json.encode(body)
            headers = {"Content-Type": "application/json"}
            response = await client.request(method, path, content=content, params=query, headers=headers)
        return read_result(response.content)
