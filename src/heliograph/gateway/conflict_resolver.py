"""What users write a gateway conflict resolver with: the event it is given, and what it may do (semantics.md §7.1)."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from heliograph.bucket.conflicts import REFUSE, Conflict, Resolution, ms_of, site_of
from heliograph.errors import UsageError
from heliograph.gateway.plugins import OPERATIONS, GatewayOperation
from heliograph.model.batch import DESTROY
from heliograph.model.keys import Key, decode_value, encode_value


class GatewayConflictEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of another site that finds an entry which a third site, or this one, wrote last.

    operation: what the event did to the entry at its site of birth. old_..., new_...: of the entry and of the event;
    timestamps in ms since the Unix epoch, sites by their distributed-system-ids.

    Values and the callback argument are decoded whenever they are asked for.
    """

    region: str
    key: Key
    operation: GatewayOperation
    old_timestamp_ms: int
    new_timestamp_ms: int
    old_distributed_system_id: int
    new_distributed_system_id: int
    encoded_old_value: bytes = b""
    encoded_new_value: bytes = b""
    encoded_callback_argument: bytes = b""

    @property
    def old_value(self) -> Any:
        """The entry's value; None when it was destroyed."""
        return decode_value(self.encoded_old_value) if self.encoded_old_value else None

    @property
    def new_value(self) -> Any:
        """The event's value; None when it destroys the entry."""
        return decode_value(self.encoded_new_value) if self.encoded_new_value else None

    @property
    def callback_argument(self) -> Any:
        """What the writer gave as `callback_argument`; None without one."""
        return decode_value(self.encoded_callback_argument) if self.encoded_callback_argument else None


class GatewayConflictHelper:
    """What a resolver may do with the event; when it does nothing, the event is applied."""

    def __init__(self, event: GatewayConflictEvent) -> None:
        self._event = event
        self.resolution: Resolution = event.encoded_new_value

    def disallow_event(self) -> None:
        """Leave the entry as it is."""
        self.resolution = REFUSE

    def change_event_value(self, value: Any) -> None:
        """Apply the event with another value. Raises UsageError for a value that can't be stored, and for a destroy."""
        if self._event.operation == "destroy":
            raise UsageError("a destroy has no value to change: allow it, or disallow it")
        self.resolution = encode_value(value)


class GatewayConflictResolver:
    """Decides on conflicts between sites. What is not overridden allows every event.

    Where it decides otherwise than the newer version would, its site writes that as an event of its own, so that all
    sites come to hold the same. It is called in the loop of its server, between everything else that goes on there, so
    it has to be quick and wait for nothing.
    """

    def on_event(self, event: GatewayConflictEvent, helper: GatewayConflictHelper) -> None:
        """Decide on an event: do nothing to allow it, or use the helper. When it raises, the newer one wins."""


class AnyResolver(Protocol):
    """What is asked of a resolver."""

    def on_event(self, event: GatewayConflictEvent, helper: GatewayConflictHelper) -> object:
        """See `GatewayConflictResolver`."""
        ...


def resolution_of(resolver: AnyResolver, region: str, conflict: Conflict) -> Resolution:
    """Ask a resolver. Raises whatever it raises."""
    event = GatewayConflictEvent(
        region=region,
        key=conflict.key,
        operation=OPERATIONS[conflict.op],
        old_timestamp_ms=ms_of(conflict.old_version),
        new_timestamp_ms=ms_of(conflict.new_version),
        old_distributed_system_id=site_of(conflict.old_version),
        new_distributed_system_id=site_of(conflict.new_version),
        encoded_old_value=conflict.old_value,
        encoded_new_value=b"" if conflict.op == DESTROY else conflict.new_value,
        encoded_callback_argument=conflict.argument,
    )
    helper = GatewayConflictHelper(event)
    resolver.on_event(event, helper)
    return helper.resolution
