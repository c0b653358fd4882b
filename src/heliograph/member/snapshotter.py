"""When a member snapshots the buckets it is primary of, and how far it cuts their logs.

A restart loads a bucket's newest snapshot and reads the log after it. The log is cut below the newest snapshot that is
stored and below every cursor of a gateway sender of the region; a sender that the region names and that has no cursor
yet holds everything back.

While a disk store is near its limit (`bucket.space`), logs are cut at every look, and a bucket is snapshotted as soon
as that lets a good part of its log be cut. A snapshot helps only where the senders are beyond the last one; one that
was made lets the log be cut as they go on, without another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from heliograph.engine.seam import Registry
from heliograph.errors import HeliographError
from heliograph.member.copy import BucketCopy
from heliograph.member.region import HostedRegion
from heliograph.model.ids import NO_SEQ, Seq
from heliograph.model.registry import Cursor, cursor_key, decode_entry

SNAPSHOT_BYTES_MIN = 8 * 1024 * 1024
"""A bucket is snapshotted when its log has grown by so much, and by as much as the last snapshot has, so that the
writing of snapshots at most doubles what is written."""
PRESSED_BYTES_MIN = 64 * 1024
PRESSED_SHARE = 8
"""In a pressed store it is when its log has grown by so much, and by this share of the last snapshot ..."""
PRESSED_S = 30.0
"""... or by anything in this time."""
LOOK_S = 1.0
CUT_S = 30.0
"""Between two attempts to cut a log that a gateway sender held back, where nothing presses."""

_log = logging.getLogger(__name__)


class Snapshotter:
    """Snapshots the buckets whose primary is here, one after the other, and cuts their logs."""

    def __init__(self, registry: Registry, regions: Callable[[], Iterable[HostedRegion]]) -> None:
        self._registry = registry
        self._regions = regions
        self._stored_at: dict[str, float] = {}
        """Subject -> when a snapshot was stored last."""

    async def run(self) -> None:
        """Work until cancelled, whatever fails meanwhile."""
        loop = asyncio.get_running_loop()
        cut_at = loop.time() + CUT_S
        while True:
            await asyncio.sleep(LOOK_S)
            retry_cuts = loop.time() >= cut_at
            cut_at = loop.time() + CUT_S if retry_cuts else cut_at
            for region in list(self._regions()):
                await self._look_after(region, retry_cuts=retry_cuts)

    async def _look_after(self, region: HostedRegion, *, retry_cuts: bool) -> None:
        pressed = region.store.space.pressed
        for copy in region.accepting():
            try:
                if _has_grown(copy) or (pressed and await self._makes_room(region, copy)):
                    await self._snapshot(region, copy)
                elif not (retry_cuts or pressed):
                    continue
                if copy.cut_below < copy.snapshot_seq:
                    await self._cut(region, copy)
            except HeliographError as exc:
                where = (region.name, copy.bucket)
                _log.warning("not snapshotted or cut region=%s bucket=%d error=%s", *where, exc)

    async def _makes_room(self, region: HostedRegion, copy: BucketCopy) -> bool:
        """Say whether a snapshot now is worth it in a pressed store."""
        age_s = asyncio.get_running_loop().time() - self._stored_at.get(copy.subject, 0.0)
        worth = max(PRESSED_BYTES_MIN, copy.snapshot_bytes // PRESSED_SHARE) if age_s < PRESSED_S else 1
        return copy.tail_bytes >= worth and await delivered(self._registry, region, copy) > copy.snapshot_seq

    async def _snapshot(self, region: HostedRegion, copy: BucketCopy) -> None:
        store = region.store.snapshots
        view, tail_bytes = copy.view, copy.tail_bytes
        seq = view.seq
        snapshot_bytes = await store.store(region.name, region.generation, copy.bucket, view)
        if copy.view is not view:
            return  # deposed meanwhile, and restored from a successor's snapshot, which is a newer one
        copy.snapshot_seq, copy.snapshot_bytes = seq, snapshot_bytes
        copy.tail_bytes -= tail_bytes
        self._stored_at[copy.subject] = asyncio.get_running_loop().time()
        where = (region.name, copy.bucket, seq, copy.snapshot_bytes)
        _log.info("snapshot region=%s bucket=%d seq=%d bytes=%d", *where)

    async def _cut(self, region: HostedRegion, copy: BucketCopy) -> None:
        """Cut a log below the first sequence that a restart or a gateway sender may still ask for."""
        snapshot_seq = copy.snapshot_seq
        below = min(snapshot_seq, Seq(await delivered(self._registry, region, copy) + 1))
        if below > copy.cut_below:
            await region.store.log.truncate(copy.subject, below=below)
            copy.cut_below = below
            _log.info("log cut region=%s bucket=%d below=%d", region.name, copy.bucket, below)
            await region.store.look()


async def delivered(registry: Registry, region: HostedRegion, copy: BucketCopy) -> Seq:
    """Return up to where every gateway sender of the region has delivered the bucket's log."""
    passed = copy.view.seq
    for sender in region.attributes.sender_ids:
        item = await registry.get(cursor_key(sender, region.name, region.generation, copy.bucket))
        passed = min(passed, Seq(decode_entry(item.value, Cursor).seq) if item is not None else NO_SEQ)
    return passed


def _has_grown(copy: BucketCopy) -> bool:
    return copy.tail_bytes >= max(SNAPSHOT_BYTES_MIN, copy.snapshot_bytes)
