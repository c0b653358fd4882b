"""When a member snapshots the buckets it is primary of, and how far it cuts their logs.

A restart loads a bucket's newest snapshot and reads the log after it. The log is cut below the newest snapshot that is
stored and below every cursor of a gateway sender of the region; a sender that the region names and that has no cursor
yet holds everything back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from heliograph.engine.seam import Log, Registry
from heliograph.errors import HeliographError
from heliograph.member.copy import BucketCopy
from heliograph.member.region import HostedRegion
from heliograph.member.snapshots import SnapshotStore
from heliograph.model.ids import NO_SEQ, Seq
from heliograph.model.registry import Cursor, cursor_key, decode_entry

SNAPSHOT_BYTES_MIN = 8 * 1024 * 1024
"""A bucket is snapshotted when its log has grown by so much, and by as much as the last snapshot has, so that the
writing of snapshots at most doubles what is written."""
LOOK_S = 1.0
CUT_S = 30.0
"""Between two attempts to cut a log that a gateway sender held back."""

_log = logging.getLogger(__name__)


class Snapshotter:
    """Snapshots the buckets whose primary is here, one after the other, and cuts their logs."""

    def __init__(
        self, store: SnapshotStore, log: Log, registry: Registry, regions: Callable[[], Iterable[HostedRegion]]
    ) -> None:
        self._store = store
        self._log = log
        self._registry = registry
        self._regions = regions

    async def run(self) -> None:
        """Work until cancelled, whatever fails meanwhile."""
        loop = asyncio.get_running_loop()
        cut_at = loop.time() + CUT_S
        while True:
            await asyncio.sleep(LOOK_S)
            retry_cuts = loop.time() >= cut_at
            cut_at = loop.time() + CUT_S if retry_cuts else cut_at
            for region in list(self._regions()):
                for copy in region.accepting():
                    try:
                        await self._look_after(region, copy, retry_cut=retry_cuts)
                    except HeliographError as exc:
                        where = (region.name, copy.bucket)
                        _log.warning("not snapshotted or cut region=%s bucket=%d error=%s", *where, exc)

    async def _look_after(self, region: HostedRegion, copy: BucketCopy, *, retry_cut: bool) -> None:
        if copy.tail_bytes >= max(SNAPSHOT_BYTES_MIN, copy.snapshot_bytes):
            seq, tail_bytes = copy.view.seq, copy.tail_bytes
            copy.snapshot_bytes = await self._store.store(region.name, region.generation, copy.bucket, copy.view)
            copy.snapshot_seq = seq
            copy.tail_bytes -= tail_bytes
            where = (region.name, copy.bucket, seq, copy.snapshot_bytes)
            _log.info("snapshot region=%s bucket=%d seq=%d bytes=%d", *where)
        elif not retry_cut:
            return
        if copy.cut_below < copy.snapshot_seq:
            below = await self._needed_from(region, copy)
            if below > copy.cut_below:
                await self._log.truncate(copy.subject, below=below)
                copy.cut_below = below
                _log.info("log cut region=%s bucket=%d below=%d", region.name, copy.bucket, below)

    async def _needed_from(self, region: HostedRegion, copy: BucketCopy) -> Seq:
        """Return the first sequence that a restart or a gateway sender may still ask for."""
        needed = copy.snapshot_seq
        for sender in region.attributes.gateway_sender_ids:
            item = await self._registry.get(cursor_key(sender, region.name, region.generation, copy.bucket))
            if item is None:
                return NO_SEQ
            needed = min(needed, Seq(decode_entry(item.value, Cursor).seq + 1))
        return needed
