"""What programs write plug-ins with (docs/plugins.md)."""

from __future__ import annotations

from heliograph.gateway.plugins import (
    GatewayEvent,
    GatewayEventFilter,
    GatewayEventSubstitutionFilter,
    GatewayTransportFilter,
)

__all__ = ["GatewayEvent", "GatewayEventFilter", "GatewayEventSubstitutionFilter", "GatewayTransportFilter"]
