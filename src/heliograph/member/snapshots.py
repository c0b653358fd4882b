"""The snapshots of a site's buckets, as the engine keeps them.

A snapshot is named by the sequence up to which it holds the log, and is never replaced: a deposed primary that is still
writing one can't undo a newer one. An older one is deleted when a newer one is stored.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from heliograph.bucket.snapshot import open_snapshot, slices
from heliograph.bucket.view import BucketView
from heliograph.engine.seam import Blobs
from heliograph.model.ids import NO_SEQ, Seq


class _Name(NamedTuple):
    """What a snapshot is of; as text the name of its blob."""

    region: str
    generation: int
    bucket: int
    seq: int

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def read(cls, text: str) -> _Name | None:
        """Return what a blob's name says; None for what somebody else has put there."""
        region, *numbers = text.split(".")
        if len(numbers) != 3 or not all(map(str.isdecimal, numbers)):
            return None
        return cls(region, *map(int, numbers))


class SnapshotStore:
    """The snapshots of a site's buckets, as blobs named `<region>.<generation>.<bucket>.<sequence>`."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def newest(self, region: str, generation: int) -> dict[int, Seq]:
        """Return the newest snapshot's sequence of every bucket that has one. Raises UnavailableError."""
        found: dict[int, Seq] = {}
        for name in await self._names():
            if name[:2] == (region, generation):
                found[name.bucket] = max(found.get(name.bucket, NO_SEQ), Seq(name.seq))
        return found

    async def regions(self) -> set[tuple[str, int]]:
        """Return the names and generations of the regions that have snapshots. Raises UnavailableError."""
        return {(name.region, name.generation) for name in await self._names()}

    async def forget(self, region: str, generation: int) -> None:
        """Delete all snapshots of a region. Raises UnavailableError."""
        for name in await self._names():
            if name[:2] == (region, generation):
                await self._blobs.delete(str(name))

    async def usage(self) -> int:
        """Return the bytes that all snapshots take. Raises UnavailableError."""
        return await self._blobs.usage()

    async def load(self, region: str, generation: int, bucket: int, seq: Seq) -> tuple[BucketView, int] | None:
        """Return what a snapshot holds, and its bytes; None when it was deleted, because there is a newer one.

        Raises UnavailableError, PeerError when it is damaged.
        """
        data = await self._blobs.get(str(_Name(region, generation, bucket, seq)))
        return None if data is None else (open_snapshot(data), len(data))

    async def store(self, region: str, generation: int, bucket: int, view: BucketView) -> int:
        """Store a snapshot of the view as it is now, delete the older ones, and return its bytes."""
        seq, pieces = view.seq, slices(view)
        data = bytearray()
        for piece in pieces:
            data += piece
            await asyncio.sleep(0)
        stored = _Name(region, generation, bucket, seq)
        await self._blobs.put(str(stored), bytes(data))
        for name in await self._names():
            if name[:3] == stored[:3] and name.seq < seq:
                await self._blobs.delete(str(name))
        return len(data)

    async def _names(self) -> list[_Name]:
        return [name for name in map(_Name.read, await self._blobs.names()) if name is not None]
