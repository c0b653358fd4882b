"""The routes of the admin API that write regions to files of servers, and read them."""

from __future__ import annotations

from litestar import Controller, delete, get, post
from litestar.params import FromPath, JSONBody

from heliograph.admin.answers import OK, Answer, Names, Site, answer, names
from heliograph.locator.requests import ExportRequest, ImportRequest


class ExportRoutes(Controller):
    """Writing regions to files."""

    path = "/regions/{name:str}/exports"
    tags = ("regions",)

    @post("/", status_code=OK)
    async def begin_export(self, site: Site, name: FromPath[str], data: JSONBody[ExportRequest]) -> Answer:
        """Begin to write a region's entries to files of servers."""
        return answer(await site.exports.start(name, data))

    @get("/{run:str}", status_code=OK)
    async def look_at_export(self, site: Site, name: FromPath[str], run: FromPath[str], member: Names = "") -> Answer:
        """Show how far an export is."""
        return answer(await site.exports.look(name, run, names(member)))

    @delete("/{run:str}", status_code=OK)
    async def cancel_export(self, site: Site, name: FromPath[str], run: FromPath[str], member: Names = "") -> Answer:
        """Cancel an export."""
        return answer(await site.exports.cancel(name, run, names(member)))


class ImportRoutes(Controller):
    """Putting what stands in files into regions."""

    path = "/regions/{name:str}/imports"
    tags = ("regions",)

    @post("/", status_code=OK)
    async def begin_import(self, site: Site, name: FromPath[str], data: JSONBody[ImportRequest]) -> Answer:
        """Begin to put what stands in files of servers into a region."""
        return answer(await site.imports.start(name, data))

    @get("/{run:str}", status_code=OK)
    async def look_at_import(self, site: Site, name: FromPath[str], run: FromPath[str], member: Names = "") -> Answer:
        """Show how far an import is."""
        return answer(await site.imports.look(name, run, names(member)))

    @delete("/{run:str}", status_code=OK)
    async def cancel_import(self, site: Site, name: FromPath[str], run: FromPath[str], member: Names = "") -> Answer:
        """Cancel an import."""
        return answer(await site.imports.cancel(name, run, names(member)))
