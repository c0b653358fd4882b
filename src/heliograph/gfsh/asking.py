"""One question to one process over its link port, from a command."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from heliograph.errors import PeerError, UnavailableError
from heliograph.guard.security import Security
from heliograph.link.hello import Hello
from heliograph.link.messages import Reply, Request
from heliograph.model.ids import Address
from heliograph.model.tls import NO_TLS, Port, TlsProperties
from heliograph.net.link import call_once
from heliograph.net.real import RealNetwork
from heliograph.security.properties import NO_SECURITY_PROPERTIES, SecurityProperties

ASK_TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)
T = TypeVar("T", bound=Reply)


def ask(
    address: Address,
    message: Request,
    kind: type[T],
    *,
    tls: TlsProperties = NO_TLS,
    port: Port = "locator",
    identity: SecurityProperties = NO_SECURITY_PROPERTIES,
) -> T:
    """Ask and return the answer of that kind. port: whose it is, a locator's or a member's. identity: who asks.

    Raises UnavailableError when nobody answers within `ASK_TIMEOUT_S`, PeerError when it is no heliograph process,
    AuthenticationError or NotAuthorizedError when it does not let us.
    """
    hello = Hello(role="operator", name=f"gfsh-{os.getpid()}")
    introduction = Security(identity).to_others
    asking = call_once(
        RealNetwork(tls).to(port), address, hello, message, timeout_s=ASK_TIMEOUT_S, introduction=introduction
    )
    reply = asyncio.run(asking)
    if not isinstance(reply, kind):
        raise PeerError(f"{address} answered {type(reply).__name__} to {type(message).__name__}")
    return reply


def authorization_for(identity: SecurityProperties, url: str) -> str:
    """Return the `Authorization` header for an admin API. Raises AuthenticationError, UsageError."""
    from heliograph.admin.guarding import authorization

    if not identity.client_auth_init:
        return authorization(identity.given)
    parts = urlsplit(url)
    hello = Hello(role="operator", name=f"gfsh-{os.getpid()}")
    address = Address(parts.hostname or "localhost", parts.port or 0)
    said = asyncio.run(Security(identity).to_others.introduce(hello, address))
    return authorization(said.credentials or {})


def ask_any(
    addresses: Sequence[Address],
    message: Request,
    kind: type[T],
    *,
    tls: TlsProperties = NO_TLS,
    identity: SecurityProperties = NO_SECURITY_PROPERTIES,
) -> T:
    """Ask locators in turn until one answers. Raises what the last one failed with."""
    for address in addresses[:-1]:
        try:
            return ask(address, message, kind, tls=tls, identity=identity)
        except (UnavailableError, PeerError) as exc:
            _log.debug("not answered address=%s error=%s", address, exc)
    return ask(addresses[-1], message, kind, tls=tls, identity=identity)
