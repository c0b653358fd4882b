"""Data consistent across sites: regions, gateway senders and receivers, in the manner of GemFire.

    with heliograph.connect("127.0.0.1[10334]") as client:
        client.region("customer")["42"] = {"name": "Ada"}

`heliograph.aio` has the same, awaited. What stands here is loaded when it is first used, so that a command or a daemon
loads only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from heliograph import aio, errors
    from heliograph.api.entry_event import EntryEvent
    from heliograph.api.listener import Listener
    from heliograph.api.plugins import (
        AsyncEventListener,
        GatewayConflictEvent,
        GatewayConflictHelper,
        GatewayConflictResolver,
        GatewayEvent,
        GatewayEventFilter,
        GatewayEventSubstitutionFilter,
        GatewayTransportFilter,
    )
    from heliograph.api.sync import Client, connect
    from heliograph.api.sync_cache import Cache
    from heliograph.api.sync_region import Region

__all__ = [
    "AsyncEventListener",
    "Cache",
    "Client",
    "EntryEvent",
    "GatewayConflictEvent",
    "GatewayConflictHelper",
    "GatewayConflictResolver",
    "GatewayEvent",
    "GatewayEventFilter",
    "GatewayEventSubstitutionFilter",
    "GatewayTransportFilter",
    "Listener",
    "Region",
    "__version__",
    "aio",
    "connect",
    "errors",
]

_HOMES = {
    "AsyncEventListener": "heliograph.api.plugins",
    "Cache": "heliograph.api.sync_cache",
    "Client": "heliograph.api.sync",
    "EntryEvent": "heliograph.api.entry_event",
    "GatewayConflictEvent": "heliograph.api.plugins",
    "GatewayConflictHelper": "heliograph.api.plugins",
    "GatewayConflictResolver": "heliograph.api.plugins",
    "GatewayEvent": "heliograph.api.plugins",
    "GatewayEventFilter": "heliograph.api.plugins",
    "GatewayEventSubstitutionFilter": "heliograph.api.plugins",
    "GatewayTransportFilter": "heliograph.api.plugins",
    "Listener": "heliograph.api.listener",
    "Region": "heliograph.api.sync_region",
    "connect": "heliograph.api.sync",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in {"aio", "errors"}:
        value = import_module(f"heliograph.{name}")
    else:
        raise AttributeError(f"module 'heliograph' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
