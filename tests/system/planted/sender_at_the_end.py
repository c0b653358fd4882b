"""A gateway sender begins at the end of the log, wherever its cursor stands."""

from __future__ import annotations

from heliograph.engine.seam import Log
from heliograph.gfsh.daemon import main
from heliograph.member.sender_buckets import BucketKey, Shipped, ShippedBuckets
from heliograph.member.sender_cursors import StoredCursor
from heliograph.model.ids import NO_SEQ, Seq

open_bucket = ShippedBuckets._open
begin = ShippedBuckets._begin


async def open_at_the_end(buckets: ShippedBuckets, key: BucketKey, *rest) -> None:
    last = await buckets._host.log_of(key[0]).last(buckets._host.subject(*key))
    ends[key] = last.seq if last is not None else NO_SEQ
    await open_bucket(buckets, key, *rest)


def begin_at_the_end(buckets: ShippedBuckets, key: BucketKey, log: Log, subject: str, cursor: StoredCursor) -> Shipped:
    cursor.seq = max(cursor.seq, ends[key])
    return begin(buckets, key, log, subject, cursor)


ends: dict[BucketKey, Seq] = {}
ShippedBuckets._open = open_at_the_end  # type: ignore[method-assign, assignment]
ShippedBuckets._begin = begin_at_the_end  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    main()
