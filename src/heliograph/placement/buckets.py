"""Which members should hold a region's buckets, and how the buckets get there without a hole.

The oldest server decides and writes it down; the log elects (architecture §2). A placement only says who should try:
safety never rests on it. `place` says where buckets should be: what a live member holds stays where it is, only what is
missing is placed, on the member that has least. `advance` goes there in steps, one for each new thing that is known:

    a copy is given to its new member (loading) ──loaded──> it counts ──> it is named primary, if it should be that
                                     ──it takes writes, and every copy of the bucket is loaded──> the old copy goes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from heliograph.model.attributes import RegionAttributes
from heliograph.model.members import BucketPlacement, Buckets, MemberInfo, RegionPlacement


class Server(NamedTuple):
    """A server that may be given buckets."""

    name: str
    zone: str = ""


class Seen(NamedTuple):
    """What a server said of the copies that it has: the buckets that are loaded, and those that take writes."""

    loaded: frozenset[int]
    accepting: frozenset[int]


NOTHING_SEEN = Seen(frozenset(), frozenset())
NOBODY = BucketPlacement("")


def servers_by_age(members: Sequence[MemberInfo]) -> list[MemberInfo]:
    """Return the servers, the oldest first; the first one places buckets."""
    return sorted((member for member in members if member.kind == "server"), key=lambda member: member.age)


def staying(servers: Sequence[MemberInfo]) -> list[Server]:
    """Return the servers that buckets may be given to: those that don't leave, or all of them when every one does."""
    chosen = [server for server in servers if not server.leaving] or servers
    return [Server(server.name, server.redundancy_zone) for server in chosen]


def oldest_running(members: Sequence[MemberInfo], sender: str) -> str:
    """Return the name of the oldest server that runs the serial gateway sender, or "" (semantics.md §8)."""
    running = (member.name for member in servers_by_age(members) if sender in member.running_senders)
    return next(running, "")


def follow_up(
    region: RegionAttributes,
    servers: Sequence[Server],
    live: Collection[str],
    current: RegionPlacement | None,
    seen: Mapping[str, Seen],
) -> RegionPlacement:
    """Return the placement that follows the current one, given what is known now; the same when all is as it should.

    servers: those that buckets may be given to, oldest first; where there is none, buckets have no primary. live: they,
    and those that are leaving.
    """
    if current is None or len(current.buckets) != region.total_num_buckets:
        return RegionPlacement(region.name, place(region, servers, ()))
    goal = place(region, servers, current.goal or current.buckets)
    buckets = advance(current.buckets, goal, live, seen)
    return RegionPlacement(region.name, buckets, () if reached(buckets, goal) else goal)


# --- where buckets should be


def place(region: RegionAttributes, servers: Sequence[Server], before: Buckets) -> Buckets:
    """Return where the region's buckets should be, given where they are or were going to, as little changed as can be.

    servers: oldest first; without any a bucket has no primary. before: empty for a new region.
    """
    if not servers:
        return (NOBODY,) * region.total_num_buckets
    copies = Copies(region, servers)
    kept = [copies.keep(bucket) for bucket in before] or [[] for _ in range(region.total_num_buckets)]
    primaries = Counter({server.name: 0 for server in servers})
    held = Counter(primaries)
    for holders in kept:
        held.update(holders)
    alive = [bool(before) and bucket.primary in primaries for bucket in before] or [False] * len(kept)
    primaries.update(holders[0] for holders, lives in zip(kept, alive, strict=True) if lives)
    rank = {server.name: number for number, server in enumerate(servers)}
    placed = []
    for holders, lives in zip(kept, alive, strict=True):
        if not lives:
            candidates = holders or list(rank)
            chosen = min(candidates, key=lambda name: (primaries[name], held[name], rank[name]))
            primaries[chosen] += 1
            if not holders:
                held[chosen] += 1
            holders = [chosen, *(name for name in holders if name != chosen)]
        while len(holders) <= copies.wanted and (free := copies.free(holders)):
            chosen = min(free, key=lambda name: (held[name], rank[name]))
            held[chosen] += 1
            holders.append(chosen)
        placed.append(BucketPlacement(holders[0], tuple(holders[1:])))
    return tuple(placed)


class Copies:
    """How many copies of a bucket there should be, and who may have one.

    wanted: besides the primary one. In a replicated region everybody has everything, whatever the zones.
    """

    def __init__(self, region: RegionAttributes, servers: Sequence[Server]) -> None:
        self.zones = {server.name: "" if region.replicated else server.zone for server in servers}
        self.wanted = len(servers) - 1 if region.replicated else region.copies

    def fits(self, name: str, holders: Collection[str]) -> bool:
        """Say whether a server may have a copy beside those of `holders`."""
        zone = self.zones.get(name)
        if zone is None or name in holders:
            return False
        return not zone or all(self.zones[other] != zone for other in holders)

    def free(self, holders: Collection[str]) -> list[str]:
        """Return who may have one more copy."""
        return [name for name in self.zones if self.fits(name, holders)]

    def keep(self, bucket: BucketPlacement) -> list[str]:
        """Return those of a bucket's holders that may stay, its primary first if it may."""
        kept: list[str] = []
        for name in bucket.holders:
            if len(kept) <= self.wanted and self.fits(name, kept):
                kept.append(name)
        return kept


# --- how they get there

SWITCHES_AT_ONCE = 32
"""So many primaries are moved in one step, so that not all writes of a region pause at the same time."""


def advance(current: Buckets, goal: Buckets, live: Collection[str], seen: Mapping[str, Seen]) -> Buckets:
    """Return the next step from where buckets are to where they should be."""
    switches = SWITCHES_AT_ONCE
    buckets = []
    for number, (bucket, wanted) in enumerate(zip(current, goal, strict=True)):
        loaded = {name for name in bucket.loading if number in seen.get(name, NOTHING_SEEN).loaded}
        accepting = number in seen.get(bucket.primary, NOTHING_SEEN).accepting
        after = _step(bucket, wanted, live, loaded, accepting=accepting, switch=switches > 0)
        if bucket.primary in live and after.primary != bucket.primary:
            switches -= 1
        buckets.append(after)
    return tuple(buckets)


def _step(
    bucket: BucketPlacement,
    wanted: BucketPlacement,
    live: Collection[str],
    loaded: Collection[str],
    *,
    accepting: bool,
    switch: bool,
) -> BucketPlacement:
    """Take one bucket's next step. accepting: its primary is known to take writes. switch: it may be moved now."""
    copies = [name for name in bucket.secondaries if name in live]
    copies += [name for name in bucket.loading if name in live and name in loaded]
    coming = [name for name in bucket.loading if name in live and name not in loaded]
    primary = bucket.primary
    if primary not in live:
        primary = _heir(wanted, copies, coming)
        accepting = False
    elif primary != wanted.primary and wanted.primary in copies and switch:
        copies.append(primary)
        primary = wanted.primary
        accepting = False
    copies = [name for name in copies if name != primary]
    coming = [name for name in wanted.holders if name != primary and name not in copies]
    if primary == wanted.primary and accepting and not coming:
        copies = [name for name in copies if name in wanted.secondaries]
    return BucketPlacement(primary, tuple(copies), tuple(coming))


def _heir(wanted: BucketPlacement, copies: Sequence[str], coming: Sequence[str]) -> str:
    """Return who takes over from a primary that died: who has a loaded copy, before anybody else."""
    if wanted.primary in copies:
        return wanted.primary
    return next(iter([*copies, *coming]), wanted.primary)


def reached(buckets: Buckets, goal: Buckets) -> bool:
    """Say whether every bucket is where it should be."""
    return all(
        bucket.primary == wanted.primary
        and not bucket.loading
        and len(bucket.secondaries) == len(wanted.secondaries)
        and set(bucket.secondaries) == set(wanted.secondaries)
        for bucket, wanted in zip(buckets, goal, strict=True)
    )
