"""Which members hold a region's buckets.

The oldest server decides and writes it down; the log elects (architecture §2).

A placement only says who should try: safety never rests on it. It changes as little as possible: what a live member
holds stays where it is, only what is missing is placed, on the member that has least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from heliograph.model.attributes import RegionAttributes
from heliograph.model.members import BucketPlacement, MemberInfo, RegionPlacement


def servers_by_age(members: Sequence[MemberInfo]) -> list[MemberInfo]:
    """Return the servers, the oldest first; the first one places buckets."""
    return sorted((member for member in members if member.kind == "server"), key=lambda member: member.age)


def oldest_running(members: Sequence[MemberInfo], sender: str) -> str:
    """Return the name of the oldest server that runs the serial gateway sender, or "" (semantics.md §8)."""
    running = (member.name for member in servers_by_age(members) if sender in member.running_senders)
    return next(running, "")


def place(region: RegionAttributes, servers: Sequence[str], current: RegionPlacement | None) -> RegionPlacement:
    """Return where the region's buckets should be, given the live servers (oldest first) and where they are now."""
    before = current.buckets if current is not None and len(current.buckets) == region.total_num_buckets else ()
    kept = [_keep(bucket, servers) for bucket in before] or [BucketPlacement("")] * region.total_num_buckets
    if not servers:
        return RegionPlacement(region.name, tuple(kept))
    primaries = Counter(dict.fromkeys(servers, 0))
    held = Counter(dict.fromkeys(servers, 0))
    for bucket in kept:
        primaries.update([bucket.primary] if bucket.primary else [])
        held.update([name for name in (bucket.primary, *bucket.secondaries) if name])
    copies = len(servers) - 1 if region.replicated else min(region.copies, len(servers) - 1)
    return RegionPlacement(region.name, tuple(_fill(bucket, servers, copies, primaries, held) for bucket in kept))


def _keep(bucket: BucketPlacement, servers: Sequence[str]) -> BucketPlacement:
    """Drop the dead."""
    primary = bucket.primary if bucket.primary in servers else ""
    return BucketPlacement(primary, tuple(name for name in bucket.secondaries if name in servers))


def _fill(
    bucket: BucketPlacement, servers: Sequence[str], copies: int, primaries: Counter[str], held: Counter[str]
) -> BucketPlacement:
    primary, secondaries = bucket.primary, list(bucket.secondaries)
    if not primary:
        candidates = secondaries or servers
        primary = min(candidates, key=lambda name: (primaries[name], held[name], servers.index(name)))
        primaries[primary] += 1
        if primary in secondaries:
            secondaries.remove(primary)
        else:
            held[primary] += 1
    while len(secondaries) < copies:
        free = [name for name in servers if name != primary and name not in secondaries]
        chosen = min(free, key=lambda name: (held[name], servers.index(name)))
        held[chosen] += 1
        secondaries.append(chosen)
    return BucketPlacement(primary, tuple(secondaries))
