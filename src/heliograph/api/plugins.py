"""What programs write plug-ins with (docs/plugins.md)."""

from __future__ import annotations

from heliograph.gateway.conflict_resolver import (
    GatewayConflictEvent,
    GatewayConflictHelper,
    GatewayConflictResolver,
)
from heliograph.gateway.plugins import (
    AsyncEventListener,
    GatewayEvent,
    GatewayEventFilter,
    GatewayEventSubstitutionFilter,
    GatewayTransportFilter,
)

__all__ = [
    "AsyncEventListener",
    "GatewayConflictEvent",
    "GatewayConflictHelper",
    "GatewayConflictResolver",
    "GatewayEvent",
    "GatewayEventFilter",
    "GatewayEventSubstitutionFilter",
    "GatewayTransportFilter",
]
