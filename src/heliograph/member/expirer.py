"""Has what expired taken away where this member is primary, and tells primaries elsewhere what was read here.

Nothing is looked at in a region without expiration.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from heliograph.errors import HeliographError
from heliograph.member.copy import BucketCopy
from heliograph.member.region import HostedRegion
from heliograph.model.keys import Key

LOOK_S = 0.25

_log = logging.getLogger(__name__)

TellReads = Callable[[str, int, list[Key]], Awaitable[None]]
"""Tells the primary of a bucket (region, number) that entries were read. Raises HeliographError."""


class Expirer:
    """Looks after the copies of a member's regions."""

    def __init__(self, regions: Callable[[], Iterable[HostedRegion]], tell_reads: TellReads) -> None:
        self._regions = regions
        self._tell_reads = tell_reads
        self._telling: set[BucketCopy] = set()
        """Copies whose primary is being told; one that does not answer holds up nobody else."""

    async def run(self) -> None:
        """Work until cancelled, whatever fails meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(LOOK_S)
                copies = [copy for region in self._regions() if region.rules for copy in region.copies.values()]
                for copy in copies:
                    try:
                        copy.upkeep.expire()
                    except HeliographError as exc:
                        _log.warning("not expired region=%s bucket=%d error=%s", copy.region, copy.bucket, exc)
                for copy in copies:
                    if copy.upkeep.has_reads_to_tell and copy not in self._telling:
                        self._telling.add(copy)
                        tasks.create_task(self._tell(copy))

    async def _tell(self, copy: BucketCopy) -> None:
        keys = copy.upkeep.take_reads()
        try:
            await self._tell_reads(copy.region, copy.bucket, keys)
        except HeliographError as exc:
            copy.upkeep.on_read(keys)  # the next primary may take it
            _log.debug("reads not told region=%s bucket=%d error=%s", copy.region, copy.bucket, exc)
        finally:
            self._telling.discard(copy)
