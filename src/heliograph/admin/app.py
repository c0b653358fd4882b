"""The HTTP admin API as an ASGI application over a `SiteAdmin`; its routes are listed in the package's docstring."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping
from typing import Any

from litestar import Controller, Litestar, Request, Router, delete, get, patch, post, put
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.params import FromPath, FromQuery, JSONBody

from heliograph import __version__
from heliograph.admin import BASE
from heliograph.admin.answers import OK, Answer, Flag, Names, Site, answer, names, respond, targets
from heliograph.admin.guarding import CHALLENGE, AdminGuard
from heliograph.admin.http_protocol import BODY_BYTES_MAX
from heliograph.admin.page import SchemaPage
from heliograph.admin.process_routes import ProcessRoutes
from heliograph.admin.transfer_routes import ExportRoutes, ImportRoutes
from heliograph.errors import (
    AuthenticationError,
    ConflictError,
    HeliographError,
    NotAuthorizedError,
    RegionNotFoundError,
    UsageError,
)
from heliograph.guard.gatekeeper import Gatekeeper
from heliograph.link.messages import ReceiverAction, SenderAction
from heliograph.locator.requests import (
    EntryValue,
    ParkedChoice,
    QueueAction,
    QueueAlteration,
    RebalanceRequest,
    RegionAlteration,
    SenderAlteration,
    StoreAlteration,
    WanCopyRequest,
)
from heliograph.locator.site import SiteAdmin
from heliograph.locator.site_queries import LIMIT_DEFAULT
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.results import Result, failed

LATER, INTERNAL = 503, 500
STATUS_OF: tuple[tuple[type[HeliographError], int], ...] = (
    (RegionNotFoundError, 404),
    (UsageError, 400),
    (ConflictError, 409),
    (AuthenticationError, 401),
    (NotAuthorizedError, 403),
)
"""The first class that an error belongs to gives its status; any other one that may pass by itself is `LATER`."""

_log = logging.getLogger(__name__)


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
    async def query(
        self, site: Site, name: FromPath[str], q: FromQuery[str], limit: FromQuery[int] = LIMIT_DEFAULT
    ) -> Answer:
        """Select entries of a region."""
        return answer(await site.queries.select(name, q, limit))

    @delete("/{name:str}/entries", status_code=OK)
    async def clear_region(self, site: Site, name: FromPath[str]) -> Answer:
        """Remove every entry of a region, at this site only."""
        return answer(await site.entries.clear(name))


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


class SenderRoutes(Controller):
    """Gateway senders."""

    path = "/gateway-senders"
    tags = ("gateways",)

    @post("/", status_code=OK)
    async def create_sender(self, site: Site, data: JSONBody[GatewaySenderAttributes]) -> Answer:
        """Create a gateway sender on every server."""
        return answer(await site.senders.create(data))

    @get("/{sender:str}", status_code=OK)
    async def sender_status(self, site: Site, sender: FromPath[str], member: Names = "", group: Names = "") -> Answer:
        """Show the state of a gateway sender's instances."""
        return answer(await site.senders.status(sender, targets(member, group)))

    @patch("/{sender:str}", status_code=OK)
    async def alter_sender(self, site: Site, sender: FromPath[str], data: JSONBody[SenderAlteration]) -> Answer:
        """Change how a gateway sender makes batches."""
        return answer(await site.senders.alter(sender, data))

    @delete("/{sender:str}", status_code=OK)
    async def destroy_sender(
        self, site: Site, sender: FromPath[str], if_exists: Flag = False, member: Names = "", group: Names = ""
    ) -> Answer:
        """Destroy a gateway sender with its queue, or instances of a serial one."""
        return answer(await site.senders.destroy(sender, targets(member, group), if_exists=if_exists))

    @post("/{sender:str}/actions/{action:str}", status_code=OK)
    async def act_on_sender(
        self,
        site: Site,
        sender: FromPath[str],
        action: FromPath[SenderAction],
        member: Names = "",
        group: Names = "",
        clean_queues: Flag = False,
    ) -> Answer:
        """Start, stop, pause, resume or load-balance a gateway sender's instances."""
        return answer(await site.senders.act(sender, action, targets(member, group), clean_queues=clean_queues))


class QueueRoutes(Controller):
    """Async event queues."""

    path = "/async-event-queues"
    tags = ("async event queues",)

    @get("/", status_code=OK)
    async def list_queues(self, site: Site) -> Answer:
        """List every instance of async event queues."""
        return answer(await site.queues.list())

    @post("/", status_code=OK)
    async def create_queue(self, site: Site, data: JSONBody[AsyncEventQueueAttributes]) -> Answer:
        """Create an async event queue on every server."""
        return answer(await site.queues.create(data))

    @get("/{queue:str}", status_code=OK)
    async def queue_status(self, site: Site, queue: FromPath[str], member: Names = "", group: Names = "") -> Answer:
        """Show the state of an async event queue's instances."""
        return answer(await site.queues.status(queue, targets(member, group)))

    @patch("/{queue:str}", status_code=OK)
    async def alter_queue(
        self, site: Site, queue: FromPath[str], data: JSONBody[QueueAlteration], if_exists: Flag = False
    ) -> Answer:
        """Change how an async event queue makes batches."""
        return answer(await site.queues.alter(queue, data, if_exists=if_exists))

    @delete("/{queue:str}", status_code=OK)
    async def destroy_queue(self, site: Site, queue: FromPath[str], if_exists: Flag = False) -> Answer:
        """Destroy an async event queue with what it holds."""
        return answer(await site.queues.destroy(queue, if_exists=if_exists))

    @post("/{queue:str}/actions/{action:str}", status_code=OK)
    async def act_on_queue(
        self, site: Site, queue: FromPath[str], action: FromPath[QueueAction], member: Names = "", group: Names = ""
    ) -> Answer:
        """Pause or resume an async event queue's instances."""
        return answer(await site.queues.act(queue, action, targets(member, group)))


class ParkedRoutes(Controller):
    """Events that gateway senders keep because their remote site can never take them."""

    tags = ("gateways",)

    @get("/parked-events", status_code=OK)
    async def list_all_parked(self, site: Site) -> Answer:
        """List the parked events of every gateway sender."""
        return answer(await site.parked.list())

    @get("/gateway-senders/{sender:str}/parked-events", status_code=OK)
    async def list_parked(self, site: Site, sender: FromPath[str]) -> Answer:
        """List the parked events of a gateway sender."""
        return answer(await site.parked.list(sender))

    @post("/gateway-senders/{sender:str}/parked-events/redrive", status_code=OK)
    async def redrive_parked(self, site: Site, sender: FromPath[str], event: Names = "", all: Flag = False) -> Answer:  # noqa: A002
        """Send parked events again."""
        return answer(await site.parked.redrive(sender, ParkedChoice(event=names(event), all=all)))

    @delete("/gateway-senders/{sender:str}/parked-events", status_code=OK)
    async def drop_parked(self, site: Site, sender: FromPath[str], event: Names = "", all: Flag = False) -> Answer:  # noqa: A002
        """Forget parked events."""
        return answer(await site.parked.drop(sender, ParkedChoice(event=names(event), all=all)))


class ReceiverRoutes(Controller):
    """Gateway receivers, and the list of all gateways."""

    tags = ("gateways",)

    @post("/gateway-receivers", status_code=OK)
    async def create_receiver(
        self,
        site: Site,
        data: JSONBody[GatewayReceiverAttributes],
        if_not_exists: Flag = False,
        member: Names = "",
        group: Names = "",
    ) -> Answer:
        """Create a gateway receiver on every server, or some."""
        return answer(await site.receivers.create(data, targets(member, group), if_not_exists=if_not_exists))

    @get("/gateway-receivers", status_code=OK)
    async def receiver_status(self, site: Site, member: Names = "", group: Names = "") -> Answer:
        """Show the state of every gateway receiver."""
        return answer(await site.receivers.status(targets(member, group)))

    @delete("/gateway-receivers", status_code=OK)
    async def destroy_receiver(
        self, site: Site, if_exists: Flag = False, member: Names = "", group: Names = ""
    ) -> Answer:
        """Destroy every gateway receiver, or those of some servers."""
        return answer(await site.receivers.destroy(targets(member, group), if_exists=if_exists))

    @post("/gateway-receivers/actions/{action:str}", status_code=OK)
    async def act_on_receiver(
        self, site: Site, action: FromPath[ReceiverAction], member: Names = "", group: Names = ""
    ) -> Answer:
        """Start or stop gateway receivers."""
        return answer(await site.receivers.act(action, targets(member, group)))

    @get("/gateways", status_code=OK)
    async def list_gateways(
        self,
        site: Site,
        senders_only: Flag = False,
        receivers_only: Flag = False,
        member: Names = "",
        group: Names = "",
    ) -> Answer:
        """List every instance of gateway senders and receivers."""
        return answer(
            await site.receivers.list_gateways(
                targets(member, group), senders_only=senders_only, receivers_only=receivers_only
            )
        )


class WanCopyRoutes(Controller):
    """Copying what a region holds to another site."""

    path = "/wan-copies"
    tags = ("gateways",)

    @post("/", status_code=OK)
    async def copy(self, site: Site, data: JSONBody[WanCopyRequest]) -> Answer:
        """Begin to copy a region."""
        return answer(await site.wan_copies.start(data))

    @get("/{run:str}", status_code=OK)
    async def look_at_copy(self, site: Site, run: FromPath[str], member: Names = "") -> Answer:
        """Show how far a copy is."""
        return answer(await site.wan_copies.look(run, names(member)))

    @delete("/", status_code=OK)
    async def cancel_copy(self, site: Site, region: FromQuery[str], sender_id: FromQuery[str]) -> Answer:
        """Cancel the copy of a region, or all copies."""
        return answer(await site.wan_copies.cancel(region, sender_id))


class ConflictRoutes(Controller):
    """Conflicts between sites."""

    tags = ("gateways",)

    @post("/gateway-conflict-resolver", status_code=OK)
    async def create_resolver(self, site: Site, data: JSONBody[GatewayConflictResolverAttributes]) -> Answer:
        """Have a resolver decide on conflicts."""
        return answer(await site.conflicts.create(data))

    @delete("/gateway-conflict-resolver", status_code=OK)
    async def destroy_resolver(self, site: Site, if_exists: Flag = False) -> Answer:
        """Have the newer version win again."""
        return answer(await site.conflicts.destroy(if_exists=if_exists))

    @get("/conflicts", status_code=OK)
    async def list_conflicts(
        self, site: Site, region: Names = "", key: FromQuery[str | None] = None, limit: FromQuery[int] = 100
    ) -> Answer:
        """Show how conflicts ended, and the newest ones."""
        return answer(await site.conflicts.list(region, key, limit))


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


def make_app(site: SiteAdmin, gatekeeper: Gatekeeper | None = None) -> Litestar:
    """Return the application that administers `site`. gatekeeper: None lets everybody do everything."""
    routes = [
        SiteRoutes,
        ProcessRoutes,
        RebalanceRoutes,
        RedundancyRoutes,
        RegionRoutes,
        ExportRoutes,
        ImportRoutes,
        StoreRoutes,
        SenderRoutes,
        QueueRoutes,
        ParkedRoutes,
        WanCopyRoutes,
        ReceiverRoutes,
        ConflictRoutes,
        ConfigurationRoutes,
    ]
    return Litestar(
        [Router(BASE, route_handlers=routes, guards=[refuse_unknown_query])],
        dependencies={"site": Provide(lambda: site, sync_to_thread=False)},
        exception_handlers={HTTPException: _on_http_error, HeliographError: _on_error, Exception: _on_bug},
        openapi_config=OpenAPIConfig(
            "heliograph admin API",
            __version__,
            use_handler_docstrings=True,
            render_plugins=[SchemaPage(), JsonRenderPlugin(), YamlRenderPlugin()],
        ),
        guards=[] if gatekeeper is None else [AdminGuard(gatekeeper)],
        logging_config=None,
        request_max_body_size=BODY_BYTES_MAX,
    )


def refuse_unknown_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raise UsageError for a query parameter that the route does not have: a misspelt one must not be ignored."""
    known = handler.parsed_fn_signature.parameters.keys() - connection.path_params.keys() - {"site", "data", "self"}
    unknown = sorted(connection.query_params.keys() - known)
    if unknown:
        allowed = f"this route has {', '.join(sorted(known))}" if known else "this route has none"
        raise UsageError(f"query parameter {', '.join(unknown)} is not known: {allowed}")


def _on_error(_: Request[Any, Any, Any], error: HeliographError) -> Answer:
    otherwise = LATER if error.retriable else INTERNAL
    status = next((status for kind, status in STATUS_OF if isinstance(error, kind)), otherwise)
    return respond(failed(str(error)), status, CHALLENGE if isinstance(error, AuthenticationError) else None)


def _on_http_error(_: Request[Any, Any, Any], error: HTTPException) -> Answer:
    problems = [error.detail]
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        problems = [_problem(each) for each in error.extra]
    return respond(Result(status="ERROR", info=problems), error.status_code)


def _problem(extra: Mapping[str, Any]) -> str:
    key = extra.get("key")
    return f"{key}: {extra['message']}" if key else str(extra["message"])


def _on_bug(request: Request[Any, Any, Any], error: Exception) -> Answer:
    _log.error("admin request failed path=%s", request.url.path, exc_info=error)
    return respond(failed(f"internal error: {type(error).__name__}: {error}"), INTERNAL)
