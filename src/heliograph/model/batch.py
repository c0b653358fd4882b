"""Event batches as columns, and the records that a bucket's log is made of.

A *record* is one message of a bucket's log: the event batches that the primary accepted together. Batches that were
born at different sites, or travelled different ways, stay apart in it as *parts*, because loop prevention and birth
are properties of a part, not of an event (architecture §3, §5). A part's columns are bytes that are never re-encoded
on their way: the bytes that the first primary appended are the bytes that every other site appends.

    Record(epoch, parts | primary)  -->  Part(origin, recipients, birth, count, columns)  -->  Columns(ops, keys, ...)

What a site takes away by itself is no event: a record holds it as *removals*, which no other site ever hears of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph.errors import PeerError, UsageError
from heliograph.model.attributes import TOTAL_NUM_BUCKETS_MAX
from heliograph.model.clock import version_of
from heliograph.model.decoding import decode
from heliograph.model.ids import SITE_ID_MAX
from heliograph.model.keys import ARGUMENT_BYTES_MAX, INT_MAX, KEY_BYTES_MAX, KEY_TYPES, VALUE_BYTES_MAX, check_keys
from heliograph.model.requests import Requests

# The operations of a batch, one byte an event; the numbers are GemFire's (semantics.md §1).
CREATE, UPDATE, DESTROY = 0, 1, 2
_HAS_VALUE = bytes(op != DESTROY for op in range(256))

# The kinds of a removal.
EXPIRED, INVALIDATED, CLEARED, COLLECTED = 0, 1, 2, 3
_SITES = frozenset(range(SITE_ID_MAX + 1))

COPIED_BYTES_MIN = 768
"""Encoded columns from this size on are copied, see `encode_columns`."""

Stamps = int | list[int]
"""The one stamp that all events share, whose keys then differ, or every event's own."""


class Columns(msgspec.Struct, array_like=True, frozen=True):
    """The events of a part, column by column; all columns have one length.

    Keys are str, int or bytes, a union that msgspec has no type for; `decode_columns` checks them.
    `values[i]` is the msgpack encoding of the value, or empty for a destroy.
    """

    ops: bytes
    keys: list[Any]
    values: list[bytes]
    stamps: Stamps

    def versions(self, origin: int) -> list[int]:
        """Return the version of every event."""
        if isinstance(self.stamps, int):
            return [version_of(self.stamps, origin)] * len(self.keys)
        return [version_of(stamp, origin) for stamp in self.stamps]

    def newest(self, origin: int) -> dict[Any, int]:
        """Return every key's version after these events. Raises PeerError when a key stands twice under one stamp."""
        if not isinstance(self.stamps, int):
            return dict(zip(self.keys, self.versions(origin), strict=True))
        newest: dict[Any, int] = dict.fromkeys(self.keys, version_of(self.stamps, origin))
        if len(newest) < len(self.keys):
            raise PeerError("malformed event columns: a key stands twice under one stamp")
        return newest

    def stamp_max(self) -> int:
        """Return the newest stamp (0 without events)."""
        return self.stamps if isinstance(self.stamps, int) else max(self.stamps, default=0)

    def take(self, positions: Sequence[int]) -> Columns:
        """Return the events at `positions`, in that order."""
        stamps = self.stamps
        return Columns(
            bytes(self.ops[i] for i in positions),
            [self.keys[i] for i in positions],
            [self.values[i] for i in positions],
            stamps if isinstance(stamps, int) else [stamps[i] for i in positions],
        )


class Part(msgspec.Struct, array_like=True, frozen=True):
    """Events of one birth and one way.

    origin: dsid of the site of birth.
    recipients: dsids the events were already sent to when they came here; empty for events born here.
    birth_bucket, birth_seq: where the site of birth appended them first; `birth_seq` 0 means in this very record.
    count: number of events, so that queues count without decoding.
    columns: the encoded `Columns`.
    argument: the encoded callback argument of all its events, empty without one.
    resolved: a conflict resolver decided on its events: no other one is asked about them.
    silent: nobody is told of its events, which no site but this one ever hears of: neither gateway senders, async event
    queues nor listeners.
    """

    origin: int
    recipients: tuple[int, ...]
    birth_bucket: int
    birth_seq: int
    count: int
    columns: bytes
    argument: bytes = b""
    resolved: bool = False
    silent: bool = False

    @property
    def size(self) -> int:
        """Bytes, beyond a few."""
        return len(self.columns) + len(self.argument)


class Removal(msgspec.Struct, array_like=True, frozen=True):
    """What the primary takes away of its bucket without an event (architecture §3, semantics.md §1).

    It has no version: an entry that goes keeps its own, as a tombstone, so that what is older than the entry, or its
    duplicate, does not bring it back.

    kind: EXPIRED = the `keys` go; INVALIDATED = the `keys` lose their values and stay; CLEARED = every entry goes;
    COLLECTED = the tombstones go.
    number: of CLEARED the life of the region that begins with it, 0 when the same one goes on; of COLLECTED the
    sequence up to which tombstones were left by the log.
    fence: of COLLECTED the newest stamp of the tombstones that went though an older event may still come; 0 for none.
    """

    kind: int
    keys: list[Any] = []
    number: int = 0
    fence: int = 0


class Record(msgspec.Struct, array_like=True, frozen=True):
    """One message of a bucket's log.

    epoch: of the primary that appended it.
    parts: the accepted batches, in the order in which they are applied; none in a control record.
    primary: the name of the member that became primary with this record; empty in an event record.
    removals: what the primary took away, before the parts.
    requests: which writes that carry an id were decided with this record; None when there is none.
    marks: (site, bucket, sequence) of birth of events that a conflict resolver was asked about, and that are not all
        here, with the stamp of the newest one.
    """

    epoch: int
    parts: tuple[Part, ...]
    primary: str = ""
    removals: tuple[Removal, ...] = ()
    requests: Requests | None = None
    marks: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def count(self) -> int:
        """Number of events."""
        return sum(part.count for part in self.parts)


_encode = msgspec.msgpack.Encoder().encode
_decode_columns = msgspec.msgpack.Decoder(Columns).decode
_decode_record = msgspec.msgpack.Decoder(Record).decode


def encode_columns(columns: Columns) -> bytes:
    """Encode columns as they travel and are logged.

    What is large is copied: a queue may hold it for long, and of many buffers that were grown in steps and then cut to
    their lengths each leaves a hole in the heap, a third of all of it with records of some kB.
    """
    encoded = _encode(columns)
    return encoded if len(encoded) < COPIED_BYTES_MIN else bytes(memoryview(encoded))


def decode_columns(data: bytes) -> Columns:
    """Decode and validate columns from the network or the log. Raises PeerError when they are malformed."""
    columns = decode(_decode_columns, data, "event columns")
    count = len(columns.keys)
    lengths = {len(columns.ops), len(columns.values), count}
    if not isinstance(columns.stamps, int):
        lengths.add(len(columns.stamps))
    if len(lengths) != 1 or (count and max(columns.ops) > DESTROY):
        raise PeerError("malformed event columns: lengths differ or an operation is unknown")
    if not KEY_TYPES.issuperset(map(type, columns.keys)):
        raise PeerError("malformed event columns: a key is no str, int or bytes")
    return columns


def operations_of(part: Part) -> bytes:
    """Return the operations of a part without decoding it whole; empty when it is malformed.

    They are the first of four columns: after the array's head a `bin` of one to four bytes of length.
    """
    columns = part.columns
    width = _LENGTH_WIDTHS.get(columns[:2], 0)
    begin = 2 + width
    size = int.from_bytes(columns[2:begin], "big")
    return columns[begin : begin + size] if width and len(columns) >= begin + size else b""


_LENGTH_WIDTHS = {b"\x94\xc4": 1, b"\x94\xc5": 2, b"\x94\xc6": 4}


def encode_record(record: Record) -> bytes:
    """Encode a record as it is appended to the log."""
    return _encode(record)


def decode_record(data: bytes) -> Record:
    """Decode a record of the log. Raises PeerError when it is malformed."""
    record = decode(_decode_record, data, "log record")
    for removal in record.removals:
        if not EXPIRED <= removal.kind <= COLLECTED or not KEY_TYPES.issuperset(map(type, removal.keys)):
            raise PeerError("malformed log record: a removal is of no known kind, or a key no str, int or bytes")
    return record


def check_head(part: Part) -> None:
    """Check what another site says of a part's events. Raises PeerError.

    A site beyond `SITE_ID_MAX` would not only be unknown: it would reach into the stamp of a version.
    """
    fits = (
        part.origin in _SITES
        and len(part.recipients) <= len(_SITES)
        and _SITES.issuperset(part.recipients)
        and 0 <= part.birth_bucket < TOTAL_NUM_BUCKETS_MAX
        and 1 <= part.birth_seq <= INT_MAX
        and part.count >= 1
        and not part.silent
    )
    if not fits:
        raise PeerError(
            f"malformed part of site {part.origin}: a site, bucket, sequence or count is out of range, or it is silent"
        )
    if len(part.argument) > ARGUMENT_BYTES_MAX:
        size = len(part.argument)
        raise PeerError(f"malformed part of site {part.origin}: its callback argument has {size} bytes")


def check_part(part: Part, columns: Columns) -> None:
    """Check a part from another site and its decoded columns for what this site asks of its own writers.

    Whether the keys belong to the bucket is not checked: it takes 0.2 us an event, a fifth of what drafting it does,
    and the site of birth has sorted them by the same rule. Raises PeerError naming the site.
    """
    check_head(part)
    count = len(columns.keys)
    site = part.origin
    if part.count != count:
        raise PeerError(f"malformed part of site {site}: it counts {part.count} events and has {count}")
    stamps = (columns.stamps,) if isinstance(columns.stamps, int) else columns.stamps
    if min(stamps) < 0 or columns.stamp_max() > INT_MAX:
        raise PeerError(f"malformed part of site {site}: a stamp is out of range")
    some_empty = b"" in columns.values or DESTROY in columns.ops
    if some_empty and bytes(map(bool, columns.values)) != columns.ops.translate(_HAS_VALUE):
        raise PeerError(f"malformed part of site {site}: a put comes without a value, or a destroy with one")
    if len(part.columns) > VALUE_BYTES_MAX and max(map(len, columns.values)) > VALUE_BYTES_MAX:
        raise PeerError(f"malformed part of site {site}: a value is larger than {VALUE_BYTES_MAX} bytes")
    if len(part.columns) <= KEY_BYTES_MAX and int not in map(type, columns.keys):
        return  # no key can be too large
    try:
        check_keys(columns.keys)
    except UsageError as exc:
        raise PeerError(f"malformed part of site {site}: {exc}") from exc
