"""What programs write plug-ins with (docs/plugins.md)."""

from __future__ import annotations

from heliograph.gateway.plugins import (
    AsyncEventListener,
    GatewayEvent,
    GatewayEventFilter,
    GatewayEventSubstitutionFilter,
    GatewayTransportFilter,
)

__all__ = [
    "AsyncEventListener",
    "GatewayEvent",
    "GatewayEventFilter",
    "GatewayEventSubstitutionFilter",
    "GatewayTransportFilter",
]
