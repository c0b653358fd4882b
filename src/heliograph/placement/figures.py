"""What a site's servers told of a region's copies, added up.

A bucket's entries are counted where its primary is, or at any copy while it has none that is known; copies are counted
where they are loaded, as a copy that is on its way protects nothing yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from heliograph.link.messages import RegionCopies
from heliograph.model.attributes import RegionAttributes
from heliograph.model.members import MemberInfo
from heliograph.placement.holders import holders_of

Redundancy = Literal["SATISFIED", "NOT_SATISFIED", "NO_REDUNDANT_COPIES"]


class RegionFigures(NamedTuple):
    """entries, bytes: of one copy of each bucket. uncounted: buckets that no server told of.

    copies, primaries: server -> how many it has loaded, and takes writes for. wanted: redundant copies that every
    bucket should have; actual: what every bucket has at least. under: buckets with fewer than wanted.
    without_primary: buckets that nobody takes writes for. gets, puts, destroys: as of `member.traffic`, of all servers.
    """

    entries: int
    bytes: int
    uncounted: int
    copies: dict[str, int]
    primaries: dict[str, int]
    wanted: int
    actual: int
    under: int
    without_primary: int
    gets: int
    puts: int
    destroys: int

    @property
    def redundancy(self) -> Redundancy:
        """How the redundant copies are, in GemFire's words; of a bucket that nobody holds they are not satisfied."""
        if not self.under:
            return "SATISFIED"
        return "NOT_SATISFIED" if self.actual else "NO_REDUNDANT_COPIES"


def figures(region: RegionAttributes, members: Sequence[MemberInfo], told: Mapping[str, RegionCopies]) -> RegionFigures:
    """Add up what servers told. members: the live ones. told: by the servers that answered."""
    buckets = range(region.total_num_buckets)
    counted: dict[int, tuple[int, int]] = {}
    for copies in told.values():
        counts = dict(zip(copies.loaded, zip(copies.entries, copies.sizes, strict=True), strict=True))
        counted = {**counts, **counted, **{bucket: counts[bucket] for bucket in copies.accepting}}
    there = Counter(bucket for copies in told.values() for bucket in copies.loaded)
    loaded = [there[bucket] for bucket in buckets]
    led = {bucket for copies in told.values() for bucket in copies.accepting}
    wanted = max(0, len(holders_of(region, members)) - 1) if region.replicated else region.copies
    return RegionFigures(
        entries=sum(entries for entries, _ in counted.values()),
        bytes=sum(size for _, size in counted.values()),
        uncounted=len(buckets) - len(counted),
        copies={name: len(copies.loaded) for name, copies in sorted(told.items())},
        primaries={name: len(copies.accepting) for name, copies in sorted(told.items())},
        wanted=wanted,
        actual=max(0, min(loaded) - 1),
        under=sum(count - 1 < wanted for count in loaded),
        without_primary=len(buckets) - len(led),
        gets=sum(copies.gets for copies in told.values()),
        puts=sum(copies.puts for copies in told.values()),
        destroys=sum(copies.destroys for copies in told.values()),
    )
