"""What a listener is given: one event of one entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import msgspec

from heliograph.link.messages import Told
from heliograph.model.batch import CLEARED, COLLECTED, CREATE, DESTROY, EXPIRED, Part, Removal, decode_columns
from heliograph.model.clock import SITE_BITS, ms_of_stamp
from heliograph.model.keys import NO_VALUE, Key, decode_value

Operation: TypeAlias = Literal["create", "update", "destroy", "expire", "invalidate", "clear"]


class EntryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one entry, as this site's log holds it.

    operation: "create", "update" or "destroy": what was written, here or at another site, did to the entry here; where
    the old value is not known, what it did at the site of birth. "expire" and "invalidate": the site took the entry,
    or its value, away by itself; no other site hears of it. "clear": likewise every entry of the bucket at once, those
    whose own events show the same `bucket`; it has no key.
    origin: distributed-system-id of the site of birth. remote: that is another site.
    bucket, sequence: of the record in this site's log.
    version: greater in every later event of a key; 0 for what the site took away, which leaves versions as they are.

    Values and the callback argument are decoded whenever they are asked for.
    """

    region: str
    key: Key | None
    operation: Operation
    origin: int
    remote: bool
    bucket: int
    sequence: int
    version: int = 0
    encoded_old_value: bytes | None = None
    encoded_new_value: bytes = b""
    encoded_callback_argument: bytes = b""

    @property
    def old_value(self) -> Any:
        """The value before; None when there was no entry or no value, or when `old_value_known` is False."""
        return decode_value(self.encoded_old_value) if self.encoded_old_value else None

    @property
    def old_value_known(self) -> bool:
        """False when the listener was so far behind that the event was read from the log again, and for a clear."""
        return self.encoded_old_value is not None

    @property
    def new_value(self) -> Any:
        """The value after; None when the entry, or its value, went."""
        return decode_value(self.encoded_new_value) if self.encoded_new_value else None

    @property
    def callback_argument(self) -> Any:
        """What the writer gave as `callback_argument`, at whatever site; None without one."""
        return decode_value(self.encoded_callback_argument) if self.encoded_callback_argument else None

    @property
    def timestamp_ms(self) -> int:
        """Milliseconds since the Unix epoch of the event's birth, by the clock of its site or ahead of it; 0 for what
        the site took away.
        """
        return ms_of_stamp(self.version >> SITE_BITS)


def events_of(region: str, dsid: int, told: Told) -> Iterator[EntryEvent]:
    """Yield the events of a record, in order. Raises PeerError when it is malformed."""
    replaced = iter(told.replaced)
    for removal, before in zip(told.removals, replaced, strict=False):
        yield from _removed(region, dsid, told, removal, before)
    for part, before in zip(told.parts, replaced, strict=True):
        yield from _written(region, dsid, told, part, before)


def _written(region: str, dsid: int, told: Told, part: Part, before: list[bytes | None]) -> Iterator[EntryEvent]:
    columns = decode_columns(part.columns)
    versions = columns.versions(part.origin)
    for op, key, value, version, old in zip(columns.ops, columns.keys, columns.values, versions, before, strict=True):
        yield EntryEvent(
            region=region,
            key=key,
            operation=_operation(op, old),
            origin=part.origin,
            remote=part.origin != dsid,
            bucket=told.bucket,
            sequence=told.seq,
            version=version,
            encoded_old_value=old,
            encoded_new_value=value,
            encoded_callback_argument=part.argument,
        )


def _operation(op: int, old: bytes | None) -> Operation:
    if op == DESTROY:
        return "destroy"
    if old is None:
        return "create" if op == CREATE else "update"
    return "update" if old else "create"


def _removed(region: str, dsid: int, told: Told, removal: Removal, before: list[bytes | None]) -> Iterator[EntryEvent]:
    def event(key: Key | None, operation: Operation, old: bytes | None, new: bytes = b"") -> EntryEvent:
        return EntryEvent(
            region=region,
            key=key,
            operation=operation,
            origin=dsid,
            remote=False,
            bucket=told.bucket,
            sequence=told.seq,
            encoded_old_value=old,
            encoded_new_value=new,
        )

    if removal.kind == CLEARED:
        yield event(None, "clear", None)
    elif removal.kind != COLLECTED:
        expired = removal.kind == EXPIRED
        for key, old in zip(removal.keys, before, strict=True):
            if old != b"":  # else there was nothing to take away
                yield event(key, "expire", old) if expired else event(key, "invalidate", old, NO_VALUE)
