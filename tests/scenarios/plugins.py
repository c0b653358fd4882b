"""Plug-ins of scenarios. What they were told is in `TOLD`, under the name that they are given."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from heliograph import (
    AsyncEventListener,
    GatewayConflictEvent,
    GatewayConflictHelper,
    GatewayConflictResolver,
    GatewayEvent,
    GatewayEventFilter,
    GatewayEventSubstitutionFilter,
    GatewayTransportFilter,
)

TOLD: dict[str, list[Any]] = defaultdict(list)
CONFLICTS: dict[str, list[GatewayConflictEvent]] = defaultdict(list)
LISTENERS: dict[str, list[Listening]] = defaultdict(list)


def listening(name: str, **parameters: int) -> str:
    """Return the name of a `Listening`, with nothing written down yet."""
    TOLD[name].clear()
    LISTENERS[name].clear()
    return f"{__name__}:Listening{json.dumps({'name': name, **parameters})}"


class ByNumber(GatewayEventFilter):
    """Keys 500 to 599 do not enter the queue, 600 to 699 do not leave it."""

    def before_enqueue(self, event: GatewayEvent) -> bool:
        return not 500 <= int(event.key) < 600

    def before_transmit(self, event: GatewayEvent) -> bool:
        return not 600 <= int(event.key) < 700


class Telling(GatewayEventFilter):
    """Writes down every key that it is asked about or told of, and by which hook."""

    def __init__(self, name: str) -> None:
        self.told = TOLD[name]

    def before_enqueue(self, event: GatewayEvent) -> bool:
        self.told.append(("before_enqueue", event.key))
        return True

    def before_transmit(self, event: GatewayEvent) -> bool:
        self.told.append(("before_transmit", event.key))
        return True

    def after_acknowledgement(self, event: GatewayEvent) -> None:
        self.told.append(("after_acknowledgement", event.key))


class Prefixing(GatewayEventSubstitutionFilter):
    """Ships values with a prefix; writes down the keys."""

    def __init__(self, name: str, prefix: str = "substituted: ") -> None:
        self.told = TOLD[name]
        self.prefix = prefix

    def get_substitute_value(self, event: GatewayEvent) -> Any:
        self.told.append(event.key)
        return f"{self.prefix}{event.value}"


class Listening(AsyncEventListener):
    """Writes down what it is given, and fails as often as it is told to, by exception and False in turn, last by False.

    `LISTENERS` has all that were made under a name, one a member.
    """

    def __init__(self, name: str, failures: int = 0) -> None:
        self.told = TOLD[name]
        self.events: list[GatewayEvent] = []
        self.batches: list[int] = []
        self.failures = failures
        self.closed = False
        LISTENERS[name].append(self)

    def process_events(self, events: Sequence[GatewayEvent]) -> bool:
        self.batches.append(len(events))
        if self.failures:
            self.failures -= 1
            if self.failures % 2:
                raise ValueError("not yet")
            return False
        self.events += events
        self.told += events
        return True

    def close(self) -> None:
        self.closed = True


class Checksum(GatewayTransportFilter):
    """Puts a checksum behind the bytes of a batch."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def encode(self, data: bytes) -> bytes:
        return data + crc32(data, self.start).to_bytes(4, "big")

    def decode(self, data: bytes) -> bytes:
        if crc32(data[:-4], self.start).to_bytes(4, "big") != data[-4:]:
            raise ValueError("wrong checksum")
        return data[:-4]


class Compress(GatewayTransportFilter):
    """Compresses batches; writes down the bytes before and after."""

    def __init__(self, name: str) -> None:
        self.told = TOLD[name]

    def encode(self, data: bytes) -> bytes:
        encoded = zlib.compress(data)
        self.told.append((len(data), len(encoded)))
        return encoded

    def decode(self, data: bytes) -> bytes:
        return zlib.decompress(data)


class Deciding(GatewayConflictResolver):
    """Decides always alike; writes down what it is asked."""

    def __init__(self, how: str, name: str) -> None:
        self.how = how
        self.asked = CONFLICTS[name]

    def on_event(self, event: GatewayConflictEvent, helper: GatewayConflictHelper) -> None:
        self.asked.append(event)
        if self.how == "refuse":
            helper.disallow_event()
        elif self.how == "change":
            helper.change_event_value(f"{event.old_value}+{event.new_value}")
        elif self.how == "raise":
            raise ValueError("undecided")
