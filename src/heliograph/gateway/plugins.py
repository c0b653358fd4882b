"""What users write plug-ins for gateway senders with: the event that they are given, and what each of them may do.

A plug-in need not derive from these classes; it needs their methods. It is called in the loop of its server, between
everything else that goes on there, so it has to be quick and wait for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from heliograph.model.batch import Columns, Part
from heliograph.model.clock import ms_of_stamp
from heliograph.model.keys import Key, decode_value

GatewayOperation: TypeAlias = Literal["create", "update", "destroy"]
OPERATIONS: tuple[GatewayOperation, ...] = ("create", "update", "destroy")


class GatewayEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one entry, on its way through a gateway sender.

    operation: what the event did to the entry at its site of birth. origin: distributed-system-id of that site.
    bucket: of this site's region. timestamp_ms: of the birth, since the Unix epoch.
    possible_duplicate: it may have left before, from here or from the server that had the bucket's queue before.

    The value and the callback argument are decoded whenever they are asked for.
    """

    region: str
    bucket: int
    key: Key
    operation: GatewayOperation
    origin: int
    timestamp_ms: int
    possible_duplicate: bool = False
    encoded_value: bytes = b""
    encoded_callback_argument: bytes = b""

    def as_possible_duplicate(self) -> GatewayEvent:
        """Return the event as one that may have left before."""
        return msgspec.structs.replace(self, possible_duplicate=True)

    @property
    def value(self) -> Any:
        """The new value; None when the entry was destroyed."""
        return decode_value(self.encoded_value) if self.encoded_value else None

    @property
    def callback_argument(self) -> Any:
        """What the writer gave as `callback_argument`; None without one."""
        return decode_value(self.encoded_callback_argument) if self.encoded_callback_argument else None


def events_of(
    region: str, bucket: int, part: Part, columns: Columns, *, possible_duplicate: bool = False
) -> Iterator[GatewayEvent]:
    """Yield the events of a part, whose columns were decoded, in order."""
    stamps = columns.stamps
    for position, (op, key, value) in enumerate(zip(columns.ops, columns.keys, columns.values, strict=True)):
        yield GatewayEvent(
            region=region,
            bucket=bucket,
            key=key,
            operation=OPERATIONS[op],
            origin=part.origin,
            timestamp_ms=ms_of_stamp(stamps if isinstance(stamps, int) else stamps[position]),
            possible_duplicate=possible_duplicate,
            encoded_value=value,
            encoded_callback_argument=part.argument,
        )


class GatewayEventFilter:
    """Decides which events a gateway sender ships. What is not overridden lets everything pass.

    An event may be looked at again: when the server that shipped its bucket is gone, when its sender was started or
    altered, when memory was short meanwhile, when a batch is sent again. So a filter should say the same of the same
    event, on every server: otherwise it is open which of its words counts.
    """

    def before_enqueue(self, event: GatewayEvent) -> bool:  # noqa: ARG002
        """Say whether an event enters the queue."""
        return True

    def before_transmit(self, event: GatewayEvent) -> bool:  # noqa: ARG002
        """Say whether an event of the queue leaves with the batch that is being made; else it is done with, unsent."""
        return True

    def after_acknowledgement(self, event: GatewayEvent) -> None:
        """An event that was sent is in the remote site's log."""

    def close(self) -> None:
        """The sender is gone, or has other filters."""


class GatewayTransportFilter:
    """Changes the bytes of batches on their way over a link, say to compress, check or encrypt them.

    Every batch goes through it by itself, over whatever link, and may come again.
    """

    def encode(self, data: bytes) -> bytes:
        """Return what goes over the link in the place of `data`."""
        raise NotImplementedError

    def decode(self, data: bytes) -> bytes:
        """Return what `encode` was given at the other end; raises whatever it likes when that can't be."""
        raise NotImplementedError

    def close(self) -> None:
        """The sender or receiver is gone."""


class AsyncEventListener:
    """Takes the events of an async event queue, in the place of another site."""

    def process_events(self, events: Sequence[GatewayEvent]) -> bool:
        """Process some events of one region, in order; True: they are done with.

        Anything else, or an exception: the same events again, after 50 ms at first and 5 s at most. It may be a
        coroutine function; a plain one is called in a thread of its own, by every dispatcher thread of the queue one
        call at a time.
        """
        raise NotImplementedError

    def close(self) -> None:
        """The queue is gone."""


class GatewayEventSubstitutionFilter:
    """Gives the values that are shipped in the place of the entries' own, which stay as they are at this site."""

    def get_substitute_value(self, event: GatewayEvent) -> Any:
        """Return what is shipped for a create or update that enters the queue; `event.value` to ship that.

        None can't be a value: it is an error, as an exception is.
        """
        raise NotImplementedError

    def close(self) -> None:
        """The sender is gone, or has another filter."""
