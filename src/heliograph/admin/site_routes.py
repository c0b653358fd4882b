"""The routes of the admin API about a site, its members, disk stores and configuration."""

from __future__ import annotations

import platform

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from heliograph import __version__
from heliograph.admin.answers import OK, Answer, Flag, Names, Site, answer, names
from heliograph.locator.requests import RebalanceRequest, StoreAlteration
from heliograph.model.attributes import DiskStoreAttributes
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.results import Result


class SiteRoutes(Controller):
    """The process and its members."""

    tags = ("members",)

    @get("/ping", status_code=OK)
    async def ping(self) -> Answer:
        """Say that the API is served."""
        return answer(Result(info=["pong"]))

    @get("/version", status_code=OK)
    async def version(self) -> Answer:
        """Say what runs here."""
        return answer(Result(data={"heliograph": __version__, "Python": platform.python_version()}))

    @get("/members", status_code=OK)
    async def list_members(self, site: Site, group: Names = "") -> Answer:
        """List the live members."""
        return answer(await site.members.list(names(group)))

    @get("/members/{name:str}", status_code=OK)
    async def describe_member(self, site: Site, name: FromPath[str]) -> Answer:
        """Show one member."""
        return answer(await site.members.describe(name))

    @get("/metrics", status_code=OK)
    async def show_metrics(
        self, site: Site, member: FromQuery[str] = "", region: FromQuery[str] = "", categories: Names = ""
    ) -> Answer:
        """Show what the members measure."""
        return answer(await site.metrics.show(member, region, names(categories)))


class RebalanceRoutes(Controller):
    """Giving every server its share of the buckets."""

    path = "/rebalance"
    tags = ("members",)

    @post("/", status_code=OK)
    async def rebalance(self, site: Site, data: JSONBody[RebalanceRequest]) -> Answer:
        """Begin to rebalance, or show what that would move."""
        return answer(await site.rebalancing.start(data))

    @get("/", status_code=OK)
    async def look_at_rebalance(self, site: Site) -> Answer:
        """Show how many steps are still to be taken."""
        return answer(await site.rebalancing.look())

    @delete("/", status_code=OK)
    async def cancel_rebalance(self, site: Site) -> Answer:
        """Leave the buckets where they are by now."""
        return answer(await site.rebalancing.cancel())


class RedundancyRoutes(Controller):
    """Copies of buckets."""

    path = "/redundancy"
    tags = ("members",)

    @get("/", status_code=OK)
    async def show_redundancy(self, site: Site, include_region: Names = "", exclude_region: Names = "") -> Answer:
        """Show how many copies there should be, and are."""
        return answer(await site.redundancy.status(names(include_region), names(exclude_region)))


class StoreRoutes(Controller):
    """Disk stores."""

    path = "/disk-stores"
    tags = ("disk stores",)

    @get("/", status_code=OK)
    async def list_stores(self, site: Site) -> Answer:
        """List the disk stores."""
        return answer(await site.stores.list())

    @post("/", status_code=OK)
    async def create_store(self, site: Site, data: JSONBody[DiskStoreAttributes]) -> Answer:
        """Create a disk store."""
        return answer(await site.stores.create(data))

    @get("/{name:str}", status_code=OK)
    async def describe_store(self, site: Site, name: FromPath[str]) -> Answer:
        """Show one disk store."""
        return answer(await site.stores.describe(name))

    @patch("/{name:str}", status_code=OK)
    async def alter_store(self, site: Site, name: FromPath[str], data: JSONBody[StoreAlteration]) -> Answer:
        """Change a disk store's limit."""
        return answer(await site.stores.alter(name, data))

    @delete("/{name:str}", status_code=OK)
    async def destroy_store(self, site: Site, name: FromPath[str], if_exists: Flag = False) -> Answer:
        """Destroy a disk store that no region uses."""
        return answer(await site.stores.destroy(name, if_exists=if_exists))


class ConfigurationRoutes(Controller):
    """The cluster configuration as a whole."""

    path = "/cluster-configuration"
    tags = ("cluster configuration",)

    @get("/", status_code=OK)
    async def export_configuration(self, site: Site) -> Answer:
        """Return everything that is defined."""
        return answer(await site.configuration.export())

    @get("/service", status_code=OK)
    async def configuration_service(self, site: Site) -> Answer:
        """Show which locators serve the cluster configuration."""
        return answer(await site.configuration.service())

    @post("/", status_code=OK)
    async def apply_configuration(
        self, site: Site, data: JSONBody[ClusterConfiguration], prune: Flag = False, plan: Flag = False
    ) -> Answer:
        """Bring the site to what is defined, or show what that would change."""
        if plan:
            return answer(await site.configuration.plan(data, prune=prune))
        return answer(await site.configuration.apply(data, prune=prune))
