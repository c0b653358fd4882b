"""When a member collects the tombstones of the buckets it is primary of (semantics.md §7.2).

A tombstone is there to judge events that are older than what removed the entry. It is kept for `tombstone-timeout` at
least, as the primary has seen it, until every gateway sender of the region has delivered the log up to it, and until no
site can send an older event any more, which the locators find out (`gateway.rounds`). One that has been kept for
`tombstone-max-age` goes even so, and leaves a fence: an older event of an entry that is not there is turned down then,
for it may have been removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from heliograph.bucket.removing import TombstoneAges
from heliograph.engine.seam import Registry
from heliograph.errors import HeliographError
from heliograph.member.copy import BucketCopy
from heliograph.member.region import HostedRegion
from heliograph.member.snapshotter import delivered
from heliograph.model.clock import stamp_of_ms
from heliograph.model.ids import NO_SEQ, Epoch
from heliograph.model.registry import ROUNDS, Stability, decode_entry

TOMBSTONES_KEPT_S = 600.0
"""GemFire's tombstone-timeout."""
TOMBSTONES_KEPT_MAX_S = 7 * 24 * 3600.0
LOOK_S = 30.0
EVER = 1 << 64
"""Above every stamp."""

_log = logging.getLogger(__name__)


class _Ages(NamedTuple):
    """Of one bucket, while this member is its primary. kept_s: how long tombstones are kept at least, and at most."""

    epoch: Epoch
    kept_s: tuple[float, float]
    least: TombstoneAges
    most: TombstoneAges


class Collector:
    """Collects the tombstones of the buckets whose primary is here."""

    def __init__(self, registry: Registry, regions: Callable[[], Iterable[HostedRegion]]) -> None:
        self._registry = registry
        self._regions = regions
        self._ages: dict[str, _Ages] = {}
        """By subject."""

    async def run(self) -> None:
        """Work until cancelled, whatever fails meanwhile."""
        stability = None
        while True:
            await asyncio.sleep(LOOK_S)
            with suppress(HeliographError):  # what was known stays true
                item = await self._registry.get(ROUNDS)
                stability = decode_entry(item.value, Stability) if item is not None else None
            copies = [(region, copy) for region in self._regions() for copy in region.accepting()]
            self._ages = {copy.subject: self._ages_of(copy, _kept_s(stability)) for _, copy in copies}
            for region, copy in copies:
                try:
                    await self._collect(region, copy, stable_of(stability))
                except HeliographError as exc:
                    where = (region.name, copy.bucket)
                    _log.warning("tombstones not collected region=%s bucket=%d error=%s", *where, exc)

    def _ages_of(self, copy: BucketCopy, kept_s: tuple[float, float]) -> _Ages:
        ages = self._ages.get(copy.subject)
        if ages is None or (ages.epoch, ages.kept_s) != (copy.epoch, kept_s):  # another was primary meanwhile
            least, most = (TombstoneAges(round(each * 1000)) for each in kept_s)
            ages = _Ages(copy.epoch, kept_s, least, most)
        for each in (ages.least, ages.most):
            each.mark(_monotonic_ms(), copy.view.seq)
        return ages

    async def _collect(self, region: HostedRegion, copy: BucketCopy, stable: int) -> None:
        ages = self._ages[copy.subject]
        least, most = (each.kept_long_enough(_monotonic_ms()) for each in (ages.least, ages.most))
        if not copy.view.has_tombstones(least):
            return
        through = copy.view.removed_before(least, stable)
        if through != NO_SEQ:
            through = min(through, await delivered(self._registry, region, copy))
        through = max(through, most)
        if copy.accepting and copy.epoch == ages.epoch and copy.view.has_tombstones(through):
            copy.upkeep.collect(through, stable)


def stable_of(stability: Stability | None) -> int:
    """Return the stamp before which no event can come any more; a site that knows no other one hears of none at all."""
    if stability is None:  # the site's locator has not looked yet
        return 0
    return EVER if stability.alone else stamp_of_ms(stability.stable_ms)


def _kept_s(stability: Stability | None) -> tuple[float, float]:
    least = stability.tombstone_timeout_s if stability is not None else None
    most = stability.tombstone_max_age_s if stability is not None else None
    return (
        TOMBSTONES_KEPT_S if least is None else float(least),
        TOMBSTONES_KEPT_MAX_S if most is None else float(most),
    )


def _monotonic_ms() -> int:
    return round(asyncio.get_running_loop().time() * 1000)
