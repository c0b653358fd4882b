"""The same as `heliograph`, awaited.

async with heliograph.aio.connect("127.0.0.1[10334]") as client:
    await client.region("customer").put("42", {"name": "Ada"})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliograph.api.client import TIMEOUT_S, Client
from heliograph.api.events import Events
from heliograph.api.options import Addresses
from heliograph.api.region import Region
from heliograph.config.reading import Source

if TYPE_CHECKING:
    from heliograph.api.cache import Cache

__all__ = ["Cache", "Client", "Events", "Region", "connect"]


def connect(
    locators: Addresses | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    properties_file: Source | None = None,
    security_properties_file: Source | None = None,
    user: str = "",
    password: str = "",
) -> Client:
    """Return a client of a site, to be opened by `async with` (or `await client.open()` and `await client.close()`).

    locators: of one site: `host[port]`, or several separated by commas, or a list, or `cache.locators`.
    timeout_s: how long an operation may take, with everything that is tried again meanwhile; see also `region`.
    properties_file, security_properties_file: files of properties, or mappings (docs/commands.md): `locators`, unless
    they are given, how to reach the site by TLS, and who this client is.
    user, password: who this client is, where the site wants to know; they win over the files.
    Opening raises UnavailableError when no locator answers, AuthenticationError when it does not know
    this user, PeerError or UsageError when what answers is no locator.
    """
    return Client(
        locators,
        timeout_s=timeout_s,
        properties_file=properties_file,
        security_properties_file=security_properties_file,
        user=user,
        password=password,
    )


def __getattr__(name: str) -> Any:
    """Load the member only for who becomes one: a client needs neither engine nor HTTP server."""
    if name != "Cache":
        raise AttributeError(f"module 'heliograph.aio' has no attribute {name!r}")
    from heliograph.api.cache import Cache

    globals()[name] = Cache
    return Cache
