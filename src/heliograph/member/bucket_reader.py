"""What buckets of a region hold: as this member's copies show them, and of others as the engine has them.

A bucket without a copy here is read from its newest snapshot and the log after it, as a copy is when it is loaded.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from heliograph.bucket.view import BucketView
from heliograph.errors import LogCutError
from heliograph.member.region import HostedRegion
from heliograph.model.batch import decode_record
from heliograph.model.ids import NO_SEQ, Seq

READS_MAX = 5
"""How often the reading of a bucket begins anew because its log is cut meanwhile."""
VIEW_FRESH_S = 60.0
"""How long what was read of a bucket is good for: what was removed since comes back where its tombstone is gone."""
CATCH_UP_S = 5.0
"""How long a copy here may take to show what its log holds, before the engine is asked."""


class BucketReader:
    """See the module."""

    def __init__(self, region: HostedRegion) -> None:
        self._region = region
        self._snapshots: dict[int, Seq] | None = None
        self._known: tuple[int, BucketView] | None = None
        """The bucket that was read last, and what it held `_known_at`."""
        self._known_at = 0.0

    async def view(self, bucket: int) -> BucketView:
        """Return a bucket's view as it is now, or was lately. Raises UnavailableError, LogCutError, PeerError."""
        copy = self._region.copies.get(bucket)
        if copy is not None and copy.readable:
            return copy.view
        now = asyncio.get_running_loop().time()
        if self._known is None or self._known[0] != bucket or now - self._known_at > VIEW_FRESH_S:
            self._known, self._known_at = (bucket, await self._read_now(bucket)), now
        return self._known[1]

    async def whole(self, bucket: int) -> BucketView:
        """Return a view that holds all that was acknowledged before this call. Raises as `view`.

        A copy here may lag behind its primary, which is what the last sequence of the log tells.
        """
        last = await self._region.store.log.last(self._region.subject(bucket))
        copy = self._region.copies.get(bucket)
        if last is None or copy is None or not copy.readable:
            return await self._read_now(bucket)
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_S):
                await copy.applied(last.seq)
        if copy.readable and copy.view.seq >= last.seq:
            return copy.view
        return await self._read_now(bucket)

    async def _read_now(self, bucket: int) -> BucketView:
        for _ in range(READS_MAX):
            view = await self._read(bucket)
            if view is not None:
                return view if view.life >= self._region.life else BucketView()
        raise LogCutError(f"the log of bucket {bucket} is cut faster than it is read")

    async def _read(self, bucket: int) -> BucketView | None:
        """Return what a snapshot and the log after it hold; None when the log was cut meanwhile."""
        region = self._region
        log, snapshots, subject = region.store.log, region.store.snapshots, region.subject(bucket)
        last = await log.last(subject)
        if last is None:
            return BucketView()
        if self._snapshots is None:
            self._snapshots = await snapshots.newest(region.name, region.generation)
        seq = self._snapshots.get(bucket, NO_SEQ)
        found = await snapshots.load(region.name, region.generation, bucket, seq) if seq else None
        view = found[0] if found is not None else BucketView()
        async with aclosing(log.read([subject], after=view.seq)) as entries:
            async for some in entries:
                for entry in some:
                    if entry.previous != view.seq:
                        self._snapshots = None  # there is a newer one
                        return None
                    view.apply(entry.seq, decode_record(entry.payload))
        if view.seq < last.seq:
            self._snapshots = None
            return None
        return view
