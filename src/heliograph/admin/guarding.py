"""Who may use the admin API: HTTP basic authentication or a bearer token, judged by the process's gatekeeper."""

from __future__ import annotations

import logging
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from heliograph.admin import BASE
from heliograph.errors import AuthenticationError, HeliographError, NotAuthorizedError, UsageError
from heliograph.guard.gatekeeper import Gatekeeper
from heliograph.model.ids import LOOPBACK
from heliograph.security.commands import needed_by
from heliograph.security.users import PASSWORD, TOKEN, USERNAME

HEADER = "Authorization"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="heliograph", charset="UTF-8"'}
_HERE = frozenset({LOOPBACK, "::1", "localhost"})

_log = logging.getLogger(__name__)


class AdminGuard:
    """A guard of every route: who asks, and may that be? The page of the API itself is for everyone who is known."""

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper
        self._warned = False

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        """Raise AuthenticationError or NotAuthorizedError unless the request may be answered."""
        try:
            await self._check(connection)
        except HeliographError as exc:
            address = connection.client.host if connection.client is not None else ""
            _log.warning("admin request refused address=%s path=%s reason=%s", address, connection.url.path, exc)
            raise

    async def _check(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        credentials = read_authorization(connection.headers.get(HEADER, ""))
        if credentials:
            self._warn(connection)
        principal = await self._gatekeeper.authenticate(credentials)
        route = connection.scope["path_template"]
        if not route.startswith(f"{BASE}/"):
            return
        repeated = [name for name in connection.query_params if len(connection.query_params.getall(name)) > 1]
        if repeated:  # which one counts must not be a matter of who looks
            raise UsageError(f"query parameter {', '.join(sorted(set(repeated)))} is given more than once")
        values = {**connection.query_params, **connection.path_params}
        method = str(connection.scope.get("method", ""))
        needed = needed_by(method, route.removeprefix(BASE).rstrip("/"), values)
        if needed is None:
            raise NotAuthorizedError(f"user {principal} is not authorized: nobody may use this route")
        access = self._gatekeeper.access(principal)
        for permission in needed:
            access.demand(permission)

    def _warn(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Say once that what somebody is known by was sent unencrypted."""
        client = connection.client
        if self._warned or connection.url.scheme == "https" or (client is not None and client.host in _HERE):
            return
        self._warned = True
        _log.warning("credentials received unencrypted address=%s advice=serve the admin API by TLS", client)


def read_authorization(header: str) -> dict[str, str]:
    """Return the credentials of a request; none where there is no header. Raises AuthenticationError."""
    kind, _, rest = header.strip().partition(" ")
    if not kind:
        return {}
    if kind.lower() == "bearer":
        return {TOKEN: rest.strip()}
    if kind.lower() != "basic":
        raise AuthenticationError("the Authorization header is neither Basic nor Bearer")
    try:
        name, colon, password = b64decode(rest.strip(), validate=True).decode().partition(":")
    except ValueError:
        raise AuthenticationError("the Authorization header holds no name and password") from None
    if not colon:
        raise AuthenticationError("the Authorization header holds no name and password")
    return {USERNAME: name, PASSWORD: password}


def authorization(credentials: Mapping[str, str]) -> str:
    """Return the header's value for credentials, "" for none. Raises UsageError for a name that it can't hold."""
    if TOKEN in credentials:
        return f"Bearer {credentials[TOKEN]}"
    name = credentials.get(USERNAME, "")
    if not name:
        return ""
    if ":" in name:
        raise UsageError(f"user {name!r}: a name with a colon can't be said over HTTP")
    return "Basic " + b64encode(f"{name}:{credentials.get(PASSWORD, '')}".encode()).decode()
