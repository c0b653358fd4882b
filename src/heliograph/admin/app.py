"""The HTTP admin API as an ASGI application over a `SiteAdmin`; its routes are listed in the package's docstring."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from litestar import Litestar, Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin

from heliograph import __version__
from heliograph.admin import BASE
from heliograph.admin.answers import Answer, respond
from heliograph.admin.gateway_routes import (
    ConflictRoutes,
    ParkedRoutes,
    QueueRoutes,
    ReceiverRoutes,
    SenderRoutes,
    WanCopyRoutes,
)
from heliograph.admin.guarding import CHALLENGE, AdminGuard
from heliograph.admin.http_protocol import BODY_BYTES_MAX
from heliograph.admin.page import SchemaPage
from heliograph.admin.process_routes import ProcessRoutes
from heliograph.admin.region_routes import RegionRoutes
from heliograph.admin.site_routes import ConfigurationRoutes, RebalanceRoutes, RedundancyRoutes, SiteRoutes, StoreRoutes
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
from heliograph.locator.site import SiteAdmin
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
