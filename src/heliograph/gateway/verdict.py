"""What a gateway receiver makes of a batch from another site: which parts go to which of this site's buckets.

Whether an event is applied is decided later, by the bucket's primary (`bucket.primary`); here it is only brought there.
Where both sites have the same number of buckets and the same partition resolver (or none), a part keeps its bucket and
its bytes; otherwise its events are sorted into this site's buckets by key, and each piece keeps the birth of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from heliograph.errors import PeerError
from heliograph.link.messages import WanBatch, decode_wan_batch
from heliograph.model.attributes import TOTAL_NUM_BUCKETS_MAX
from heliograph.model.batch import Columns, Part, check_head, check_part, decode_columns, encode_columns
from heliograph.model.decoding import decode
from heliograph.model.keys import key_bytes
from heliograph.model.routing import Routing

EVENT_HEAD_BYTES = 32
"""What an event adds to its key and value, at most."""


def open_batch(body: bytes) -> WanBatch:
    """Decode a batch from another site, but for its columns. Raises PeerError when it is malformed as a whole."""
    batch = decode(decode_wan_batch, body, "batch of events")
    if not 1 <= batch.buckets <= TOTAL_NUM_BUCKETS_MAX:
        raise PeerError(f"malformed batch of events: {batch.buckets} buckets")
    return batch


def parts_by_bucket(batch: WanBatch, routing: Routing) -> dict[int, list[Part]]:
    """Return the parts for each bucket of this site's region, which has that routing, in the order they came.

    Raises PeerError when an item is malformed, or events are that have to be sorted, and UsageError when the partition
    resolver fails.
    """
    _check_items(batch)
    sorted_parts: dict[int, list[Part]] = {}
    if (batch.buckets, batch.resolver) == (routing.total, routing.resolver):
        for bucket, part in batch.items:
            sorted_parts.setdefault(bucket, []).append(part)
        return sorted_parts
    for _, part in batch.items:
        for bucket, piece in _split(part, routing):
            sorted_parts.setdefault(bucket, []).append(piece)
    return sorted_parts


def parts_in_order(batch: WanBatch, routing: Routing) -> list[tuple[int, list[Part]]]:
    """Return the runs of a batch that is to be applied in order: parts that follow each other, for one bucket here.

    The events of one part were put at the same time, so its pieces for several buckets have no order. Raises as
    `parts_by_bucket`.
    """
    _check_items(batch)
    same = (batch.buckets, batch.resolver) == (routing.total, routing.resolver)
    order: list[tuple[int, list[Part]]] = []
    for bucket, part in batch.items:
        for here, piece in [(bucket, part)] if same else _split(part, routing):
            if order and order[-1][0] == here:
                order[-1][1].append(piece)
            else:
                order.append((here, [piece]))
    return order


def _check_items(batch: WanBatch) -> None:
    for bucket, part in batch.items:
        if not 0 <= bucket < batch.buckets:
            raise PeerError(f"malformed batch of events: bucket {bucket} of {batch.buckets}")
        check_head(part)


def _split(part: Part, routing: Routing) -> list[tuple[int, Part]]:
    columns = decode_columns(part.columns)
    check_part(part, columns)
    groups = routing.positions_by_bucket(columns.keys)
    if len(groups) == 1:
        return [(bucket, part) for bucket in groups]
    return [(bucket, _piece(part, columns, positions)) for bucket, positions in groups.items()]


def runs(parts: Sequence[Part], size_max: int) -> Iterator[tuple[Part, ...]]:
    """Yield a bucket's parts, in order, in runs of at most `size_max` bytes of columns; a larger part is cut.

    So that what another site's engine took in one append gets into the log of a site whose engine takes less. An event
    is never cut, and may be too large. Raises PeerError when a part that is to be cut is malformed.
    """
    run: list[Part] = []
    size = 0
    for part in parts:
        for piece in (part,) if len(part.columns) <= size_max else _cut(part, size_max):
            if run and size + len(piece.columns) > size_max:
                yield tuple(run)
                run, size = [], 0
            run.append(piece)
            size += len(piece.columns)
    if run:
        yield tuple(run)


def _cut(part: Part, size_max: int) -> Iterator[Part]:
    """Cut a part into pieces of at most `size_max` bytes, or one event; each keeps the birth of the whole."""
    columns = decode_columns(part.columns)
    check_part(part, columns)
    start = size = 0
    for position, (key, value) in enumerate(zip(columns.keys, columns.values, strict=True)):
        more = key_bytes([key]) + len(value) + EVENT_HEAD_BYTES
        if size + more > size_max and position > start:
            yield _piece(part, columns, range(start, position))
            start, size = position, 0
        size += more
    yield _piece(part, columns, range(start, len(columns.keys)))


def _piece(part: Part, columns: Columns, positions: Sequence[int]) -> Part:
    return msgspec.structs.replace(part, count=len(positions), columns=encode_columns(columns.take(positions)))
