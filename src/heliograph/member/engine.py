"""A member's way to its site's engine, by TLS where the engine has it."""

from __future__ import annotations

import ssl
from typing import cast

from heliograph.engine.nats.engine import connect_engine
from heliograph.engine.seam import Engine
from heliograph.errors import UsageError
from heliograph.model.engine_tls import EngineTls
from heliograph.model.tls import TlsProperties
from heliograph.net.tls import TlsContexts


async def connect_member(properties: TlsProperties, url: str, tls: EngineTls | None) -> Engine:
    """Connect to the engine that a locator told of. tls: of an engine that is not the site's own.

    Raises UsageError, also when only one of locator and member has TLS for the site's own engine, and UnavailableError.
    """
    if tls is not None:
        return await connect_engine(url, tls)
    contexts = TlsContexts(properties)
    secured = contexts.connecting("engine") is not None
    if secured != url.startswith("tls://"):
        raise UsageError(
            f"ssl-enabled-components: cluster is enabled at {'this member' if secured else 'the locator'} and not at "
            f"{'the locator' if secured else 'this member'}: enable it at both"
        )
    if not secured:
        return await connect_engine(url)
    return await connect_engine(url, contexts=lambda: cast("ssl.SSLContext", contexts.connecting("engine")))
