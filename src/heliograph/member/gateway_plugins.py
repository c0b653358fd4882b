"""The plug-ins of one gateway at this member: loaded when it is made or altered, closed when it goes.

What they raise is counted, and logged no more often than every `WARNING_INTERVAL_S` with the first traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from heliograph.gateway.filters import EventFilters
from heliograph.gateway.transport import TransportFilters
from heliograph.member.sender_host import monotonic_ms
from heliograph.model.attributes import GatewayReceiverAttributes, GatewaySenderAttributes
from heliograph.model.plugins import load_plugin, read_plugin
from heliograph.model.queues import QueueAttributes

WARNING_INTERVAL_S = 10.0

_log = logging.getLogger(__name__)

Named = tuple[str, Any]
"""A plug-in's `module:object`, and the plug-in."""


class PluginFailures:
    """What the plug-ins of a gateway raised, over its starts and stops. gateway: what messages call it."""

    def __init__(self, gateway: str) -> None:
        self.count = 0
        self._gateway = gateway
        self._untold = 0
        self._told_ms: int | None = None

    def on_failure(self, name: str, method: str, error: Exception) -> None:
        """Count a failure; log it unless that was done a moment ago."""
        self.count += 1
        self._untold += 1
        now_ms = monotonic_ms()
        if self._told_ms is not None and now_ms - self._told_ms < WARNING_INTERVAL_S * 1000:
            return
        _log.warning(
            "plug-in failed %s plugin=%s method=%s failures=%d",
            self._gateway,
            name,
            method,
            self._untold,
            exc_info=error,
        )
        self._untold, self._told_ms = 0, now_ms


class Plugins:
    """See the module. Raises UsageError when one can't be loaded here: those that were are closed again."""

    def __init__(
        self, attributes: GatewaySenderAttributes | GatewayReceiverAttributes, failures: PluginFailures
    ) -> None:
        self.filters: EventFilters | None = None
        self.transport = TransportFilters()
        self.listener: Named | None = None
        self._loaded: list[Any] = []
        try:
            if isinstance(attributes, GatewaySenderAttributes):
                self._load_filters(attributes, failures)
            if isinstance(attributes, QueueAttributes):
                self.listener = self._make("listener", attributes.listener, ("process_events",))
            self._load_transport(attributes.gateway_transport_filters, failures)
        except BaseException:
            self.close()
            raise

    def _load_transport(self, names: Sequence[str], failures: PluginFailures) -> None:
        named = [self._make("gateway-transport-filter", name, ("encode", "decode")) for name in names]
        self.transport = TransportFilters(named, failures.on_failure)

    def _load_filters(self, attributes: GatewaySenderAttributes, failures: PluginFailures) -> None:
        hooks = ("before_enqueue", "before_transmit", "after_acknowledgement")
        named = [
            self._make("gateway-event-filter", name, hooks, any_of_them=True)
            for name in attributes.gateway_event_filters
        ]
        substitution = None
        if attributes.gateway_event_substitution_filter:
            option = "gateway-event-substitution-filter"
            substitution = self._make(option, attributes.gateway_event_substitution_filter, ("get_substitute_value",))
        if named or substitution is not None:
            self.filters = EventFilters(named, substitution, failures.on_failure)

    def _make(self, option: str, name: str, methods: Sequence[str], *, any_of_them: bool = False) -> Named:
        plugin = load_plugin(option, name, methods, any_of_them=any_of_them)
        self._loaded.append(plugin)
        return read_plugin(option, name).target, plugin

    def close(self) -> None:
        """Tell those that want to know that they are not used any more."""
        for plugin in self._loaded:
            close = getattr(plugin, "close", None)
            if callable(close):
                with suppress(Exception):  # of users' own code, which nothing depends on any more
                    close()
        self._loaded = []


def same_plugins(one: GatewaySenderAttributes, other: GatewaySenderAttributes) -> bool:
    """Say whether two definitions of a sender use the same plug-ins with the same parameters."""
    return all(
        getattr(one, field) == getattr(other, field)
        for field in ("gateway_event_filters", "gateway_event_substitution_filter", "gateway_transport_filters")
    )
