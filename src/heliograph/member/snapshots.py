"""The snapshots of a site's buckets, as the engine keeps them.

A snapshot is named by the sequence up to which it holds the log, and is never replaced: a deposed primary that is still
writing one can't undo a newer one. An older one is deleted when a newer one is stored.
"""

from __future__ import annotations

import asyncio

from heliograph.bucket.snapshot import open_snapshot, slices
from heliograph.bucket.view import BucketView
from heliograph.engine.seam import Blobs
from heliograph.model.ids import NO_SEQ, Seq


class SnapshotStore:
    """The snapshots of a site's buckets, as blobs named `<region>.<generation>.<bucket>.<sequence>`."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def newest(self, region: str, generation: int) -> dict[int, Seq]:
        """Return the newest snapshot's sequence of every bucket that has one. Raises UnavailableError.

        Those of regions of the name that were destroyed before are deleted.
        """
        found: dict[int, Seq] = {}
        for name in await self._blobs.names():
            of, *numbers = name.split(".")
            if of != region:
                continue
            its_generation, bucket, seq = map(int, numbers)
            if its_generation == generation:
                found[bucket] = max(found.get(bucket, NO_SEQ), Seq(seq))
            elif its_generation < generation:
                await self._blobs.delete(name)
        return found

    async def load(self, region: str, generation: int, bucket: int, seq: Seq) -> tuple[BucketView, int] | None:
        """Return what a snapshot holds, and its bytes; None when it was deleted, because there is a newer one.

        Raises UnavailableError, PeerError when it is damaged.
        """
        data = await self._blobs.get(f"{region}.{generation}.{bucket}.{seq}")
        return None if data is None else (open_snapshot(data), len(data))

    async def store(self, region: str, generation: int, bucket: int, view: BucketView) -> int:
        """Store a snapshot of the view as it is now, delete the older ones, and return its bytes."""
        seq, pieces = view.seq, slices(view)
        data = bytearray()
        for piece in pieces:
            data += piece
            await asyncio.sleep(0)
        await self._blobs.put(f"{region}.{generation}.{bucket}.{seq}", bytes(data))
        prefix = f"{region}.{generation}.{bucket}."
        for name in await self._blobs.names():
            if name.startswith(prefix) and int(name.removeprefix(prefix)) < seq:
                await self._blobs.delete(name)
        return len(data)
