"""Core: which events of a batch are to be parked, each under a name of its own, and how many a sender may keep.

The name follows from what the event is: region, key and version, which no other event has. So an event that is
sent, turned down and parked again (because the sender was killed before its cursor moved) is parked once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from heliograph.errors import ParkingFullError, PeerError
from heliograph.link.messages import Rejected, WanBatch
from heliograph.model.batch import Columns, Part, decode_columns, encode_columns
from heliograph.model.parked import OPERATIONS, ParkedEvent, ParkedInfo, ToPark

PARKED_EVENTS_MAX = 10_000
PARKED_BYTES_MAX = 64 * 1024 * 1024
"""Of one gateway sender. Beyond either it parks nothing: the region waits, as when the remote site refuses it."""
KEY_TEXT_MAX = 200
ENTRY_BYTES = 256
"""What an event takes beside its columns, near enough."""


class Attempt(NamedTuple):
    """Of parking: by which member, when, and a name that no other attempt has."""

    member: str
    now_ms: int
    copy: str


def events_to_park(batch: WanBatch, rejected: Iterable[Rejected], attempt: Attempt) -> list[ToPark]:
    """Return what a batch that was sent has lost, event by event. Raises PeerError when it never had that."""
    found: list[ToPark] = []
    for each in rejected:
        if not 0 <= each.item < len(batch.items):
            raise PeerError(f"an acknowledgement rejects item {each.item} of {len(batch.items)}")
        bucket, part = batch.items[each.item]
        columns = _columns(part)
        whole = not each.positions
        if columns is None and not whole:
            raise PeerError(f"an acknowledgement rejects some events of item {each.item}, which can't be read")
        if any(not 0 <= position < part.count for position in each.positions):
            raise PeerError(f"an acknowledgement rejects event {max(each.positions)} of {part.count}")
        if columns is None:
            found.append(_to_park(batch, bucket, part, None, each.error, attempt))
            continue
        for position in range(part.count) if whole else each.positions:
            one = columns.take((position,))
            alone = part if part.count == 1 else msgspec.structs.replace(part, count=1, columns=encode_columns(one))
            found.append(_to_park(batch, bucket, alone, one, each.error, attempt))
    return found


def parked_by_bucket(batch: WanBatch, rejected: Iterable[Rejected]) -> dict[int, int]:
    """Return how many events of a batch are rejected, by bucket; the same as `events_to_park` was given."""
    counts: dict[int, int] = {}
    for each in rejected:
        bucket, part = batch.items[each.item]
        counts[bucket] = counts.get(bucket, 0) + (len(each.positions) or part.count)
    return counts


def others(items: Sequence[tuple[int, Part]], rejected: Iterable[Rejected]) -> list[tuple[int, Part]]:
    """Return the items of a batch without what is rejected of them; the same as `events_to_park` was given."""
    gone: dict[int, set[int]] = {}
    for each in rejected:
        gone.setdefault(each.item, set()).update(each.positions or range(items[each.item][1].count))
    left: list[tuple[int, Part]] = []
    for item, (bucket, part) in enumerate(items):
        if item not in gone:
            left.append((bucket, part))
        elif len(gone[item]) < part.count:
            columns = decode_columns(part.columns)
            taken = columns.take([position for position in range(part.count) if position not in gone[item]])
            left.append((bucket, msgspec.structs.replace(part, count=len(taken.keys), columns=encode_columns(taken))))
    return left


def check_room(parked: Sequence[ParkedInfo], more: Sequence[ToPark]) -> None:
    """Raise ParkingFullError unless there is room for `more` besides what is parked."""
    if not more:
        return
    events = sum(info.events for info in parked) + sum(each.info.events for each in more)
    size = sum(info.size for info in parked) + sum(each.info.size for each in more)
    if events > PARKED_EVENTS_MAX or size > PARKED_BYTES_MAX:
        raise ParkingFullError(
            f"{len(parked)} events are parked; {PARKED_EVENTS_MAX}, or {PARKED_BYTES_MAX} bytes, are the most: redrive "
            f"or drop some (the next one's error: {more[0].info.error})"
        )


def _columns(part: Part) -> Columns | None:
    try:
        columns = decode_columns(part.columns)
    except PeerError:
        return None
    return columns if len(columns.keys) == part.count else None


def _to_park(batch: WanBatch, bucket: int, part: Part, one: Columns | None, error: str, attempt: Attempt) -> ToPark:
    if one is None:
        key = operation = ""
        name: tuple[object, ...] = (batch.region, part.origin, part.birth_bucket, part.birth_seq, part.columns)
    else:
        key, operation = repr(one.keys[0]), OPERATIONS[one.ops[0]]
        name = (batch.region, part.origin, one.keys[0], one.stamp_max())
    size = part.size + ENTRY_BYTES
    shown = key if len(key) <= KEY_TEXT_MAX else f"{key[: KEY_TEXT_MAX - 1]}…"
    return ToPark(
        blake2b(_encode(name), digest_size=8).hexdigest(),
        ParkedInfo(
            region=batch.region,
            key=shown,
            operation=operation,
            error=error,
            parked_ms=attempt.now_ms,
            member=attempt.member,
            size=size,
            copy=attempt.copy,
            events=part.count,
        ),
        ParkedEvent(batch.region, batch.buckets, batch.resolver, bucket, part),
    )


_encode = msgspec.msgpack.Encoder().encode
