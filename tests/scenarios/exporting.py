"""Files of regions, as tests speak of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from heliograph.locator.requests import ExportRequest, ImportRequest
from heliograph.locator.runs import MEMBERS, RUN, RUNNING
from heliograph.model.keys import Key, decode_value
from heliograph.model.region_file import FileHead, FileParser
from heliograph.model.results import Result
from tests.scenarios.sites import Site, until


class Transfer:
    """An export or import that was begun."""

    def __init__(self, site: Site, admin: Any, region: str, begun: Result) -> None:
        self.begun = begun
        self._site = site
        self._admin = admin
        self._region = region
        self._run = begun.data[RUN]
        self._members = begun.data[MEMBERS].split(",")

    async def look(self) -> Result:
        return await self._site.inside(self._site.locator, self._admin.look(self._region, self._run, self._members))

    async def cancel(self) -> Result:
        return await self._site.inside(self._site.locator, self._admin.cancel(self._region, self._run, self._members))

    async def end(self) -> Result:
        """Wait until no server works any more."""

        async def ended() -> bool:
            return (await self.look()).data[RUNNING] == "0"

        await until(ended)
        return await self.look()


async def begin_export(site: Site, at: str = "a", region: str = "r", **options: Any) -> Transfer:
    admin = site.locator.locator.site.exports
    request = ExportRequest(member=site[at].name, **options)
    return Transfer(site, admin, region, await site.inside(site.locator, admin.start(region, request)))


async def begin_import(site: Site, at: str = "a", region: str = "r", **options: Any) -> Transfer:
    admin = site.locator.locator.site.imports
    request = ImportRequest(member=site[at].name, **options)
    return Transfer(site, admin, region, await site.inside(site.locator, admin.start(region, request)))


async def import_data(site: Site, at: str = "a", region: str = "r", **options: Any) -> Result:
    """Import, and see that it succeeded."""
    result = await (await begin_import(site, at, region, **options)).end()
    assert result.status == "OK", result
    return result


async def export(site: Site, at: str = "a", region: str = "r", **options: Any) -> Result:
    """Export, and see that it succeeded."""
    result = await (await begin_export(site, at, region, **options)).end()
    assert result.status == "OK", result
    return result


def read_file(path: Path) -> tuple[FileHead, dict[Key, Any]]:
    """Return what a file is of, and what it holds; see that every key stands in it once."""
    parser = FileParser()
    found = [
        (key, decode_value(value))
        for entries in parser.receive(path.read_bytes())
        for key, value in zip(entries.keys, entries.values, strict=True)
    ]
    assert parser.end() == len(found) == len(dict(found))
    assert parser.head is not None
    return parser.head, dict(found)


def messages(result: Result) -> list[str]:
    """Return what the servers say, in order."""
    return sorted(row[2] for row in result.tables[0].rows)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def write(path: Path, data: bytes = b"") -> None:
    path.write_bytes(data)


def read(path: Path) -> bytes:
    return path.read_bytes()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)
