"""The routes of the admin API about regions and their entries."""

from __future__ import annotations

from litestar import Controller, delete, get, patch, post, put
from litestar.params import FromPath, FromQuery, JSONBody

from heliograph.admin.answers import OK, Answer, Flag, Names, Site, Whole, answer, targets
from heliograph.locator.requests import EntryValue, RegionAlteration
from heliograph.locator.site_queries import LIMIT_DEFAULT
from heliograph.model.attributes import RegionAttributes


class RegionRoutes(Controller):
    """Regions and their entries."""

    path = "/regions"
    tags = ("regions",)

    @get("/", status_code=OK)
    async def list_regions(self, site: Site, member: Names = "", group: Names = "") -> Answer:
        """List the regions."""
        return answer(await site.regions.list(targets(member, group)))

    @post("/", status_code=OK)
    async def create_region(self, site: Site, data: JSONBody[RegionAttributes], if_not_exists: Flag = False) -> Answer:
        """Create a region on every server."""
        return answer(await site.regions.create(data, if_not_exists=if_not_exists))

    @get("/{name:str}", status_code=OK)
    async def describe_region(self, site: Site, name: FromPath[str]) -> Answer:
        """Show one region."""
        return answer(await site.regions.describe(name))

    @patch("/{name:str}", status_code=OK)
    async def alter_region(self, site: Site, name: FromPath[str], data: JSONBody[RegionAlteration]) -> Answer:
        """Change a region's gateway senders and expiration."""
        return answer(await site.regions.alter(name, data))

    @delete("/{name:str}", status_code=OK)
    async def destroy_region(self, site: Site, name: FromPath[str], if_exists: Flag = False) -> Answer:
        """Destroy a region with its data."""
        return answer(await site.regions.destroy(name, if_exists=if_exists))

    @get("/{name:str}/entry", status_code=OK)
    async def get_entry(
        self, site: Site, name: FromPath[str], key: FromQuery[str], key_class: FromQuery[str] = ""
    ) -> Answer:
        """Show the value of a key."""
        return answer(await site.entries.get(name, key, key_class))

    @put("/{name:str}/entry", status_code=OK)
    async def put_entry(
        self,
        site: Site,
        name: FromPath[str],
        key: FromQuery[str],
        data: JSONBody[EntryValue],
        if_not_exists: Flag = False,
        key_class: FromQuery[str] = "",
    ) -> Answer:
        """Put an entry."""
        return answer(await site.entries.put(name, key, data.value, if_not_exists=if_not_exists, key_class=key_class))

    @delete("/{name:str}/entry", status_code=OK)
    async def remove_entry(
        self, site: Site, name: FromPath[str], key: FromQuery[str], key_class: FromQuery[str] = ""
    ) -> Answer:
        """Remove an entry."""
        return answer(await site.entries.remove(name, key, key_class))

    @get("/{name:str}/entry/locations", status_code=OK)
    async def locate_entry(
        self, site: Site, name: FromPath[str], key: FromQuery[str], key_class: FromQuery[str] = ""
    ) -> Answer:
        """Show which servers have an entry."""
        return answer(await site.locations.locate(name, key, key_class))

    @get("/{name:str}/query", status_code=OK)
    async def query(self, site: Site, name: FromPath[str], q: FromQuery[str], limit: Whole = LIMIT_DEFAULT) -> Answer:
        """Select entries of a region."""
        return answer(await site.queries.select(name, q, limit))

    @delete("/{name:str}/entries", status_code=OK)
    async def clear_region(self, site: Site, name: FromPath[str]) -> Answer:
        """Remove every entry of a region, at this site only."""
        return answer(await site.entries.clear(name))
