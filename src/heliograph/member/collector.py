"""When a member collects the tombstones of the buckets it is primary of (semantics.md §7.2).

A tombstone is there to judge events that are older than what removed the entry. It is kept for `TOMBSTONES_KEPT_S` at
least, as the primary has seen it, and until every gateway sender of the region has delivered the log up to it: while a
sender has not, the other site can't be heard from either, and what it wrote before it heard of the removal may still
come. A site that is away for longer while none leads there from here may bring back what was removed (docs/limits.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from heliograph.bucket.removing import TombstoneAges
from heliograph.engine.seam import Registry
from heliograph.errors import HeliographError
from heliograph.member.copy import BucketCopy
from heliograph.member.region import HostedRegion
from heliograph.member.snapshotter import delivered
from heliograph.model.ids import Epoch

TOMBSTONES_KEPT_S = 600.0
"""GemFire's tombstone-timeout."""
LOOK_S = 30.0

_log = logging.getLogger(__name__)


class Collector:
    """Collects the tombstones of the buckets whose primary is here."""

    def __init__(self, registry: Registry, regions: Callable[[], Iterable[HostedRegion]]) -> None:
        self._registry = registry
        self._regions = regions
        self._ages: dict[str, tuple[Epoch, TombstoneAges]] = {}
        """Subject -> the epoch in which this member is primary, and how old tombstones are in it."""

    async def run(self) -> None:
        """Work until cancelled, whatever fails meanwhile."""
        while True:
            await asyncio.sleep(LOOK_S)
            copies = [(region, copy) for region in self._regions() for copy in region.accepting()]
            self._ages = {copy.subject: self._ages_of(copy) for _, copy in copies}
            for region, copy in copies:
                try:
                    await self._collect(region, copy)
                except HeliographError as exc:
                    where = (region.name, copy.bucket)
                    _log.warning("tombstones not collected region=%s bucket=%d error=%s", *where, exc)

    def _ages_of(self, copy: BucketCopy) -> tuple[Epoch, TombstoneAges]:
        epoch, ages = self._ages.get(copy.subject, (copy.epoch, TombstoneAges(round(TOMBSTONES_KEPT_S * 1000))))
        if epoch != copy.epoch:  # another was primary meanwhile
            ages = TombstoneAges(round(TOMBSTONES_KEPT_S * 1000))
        ages.mark(_monotonic_ms(), copy.view.seq)
        return copy.epoch, ages

    async def _collect(self, region: HostedRegion, copy: BucketCopy) -> None:
        epoch, ages = self._ages[copy.subject]
        through = ages.kept_long_enough(_monotonic_ms())
        if not copy.view.has_tombstones(through):
            return
        through = min(through, await delivered(self._registry, region, copy))
        if copy.accepting and copy.epoch == epoch and copy.view.has_tombstones(through):
            copy.upkeep.collect(through)


def _monotonic_ms() -> int:
    return round(asyncio.get_running_loop().time() * 1000)
