"""The numbers of `show metrics` by scope and category, from what members told (gfsh.md §6.11). No I/O.

Where GemFire has the number it has GemFire's name. Nothing is shown that no member measures: such a category is refused
with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from heliograph.errors import UsageError
from heliograph.link.messages import Copies, Gateways, RegionCopies, SenderStatus, Status
from heliograph.model.attributes import RegionAttributes
from heliograph.model.members import MemberInfo
from heliograph.placement.figures import RegionFigures, figures

Scope = Literal["cluster", "region", "member", "member and region"]
Metrics: TypeAlias = dict[str, int | float]

SENDER_COUNTERS = (
    "eventQueueSize",
    "entriesOverflowedToDisk",
    "totalQueueSizeBytesInUse",
    "eventsReceived",
    "eventsQueued",
    "eventsFiltered",
    "eventsNotQueuedConflated",
    "eventsDistributed",
    "eventsAcknowledged",
    "eventsParked",
    "batchesDistributed",
    "batchesRedistributed",
    "batchesRefused",
)
RECEIVER_COUNTERS = (
    "eventsReceived",
    "createRequests",
    "updateRequest",
    "destroyRequest",
    "exceptionsOccurred",
    "processBatchRequests",
    "batchesRefused",
    "receivedBytes",
    "currentClientConnections",
)
"""What can be added up over members."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a site's members told. members: the live ones, whether they answered or not.

    statuses, copies, gateways: by member. stores: disk store -> bytes of its log and of its snapshots.
    region: the one that is looked at, in the scopes that have one.
    """

    members: Sequence[MemberInfo]
    regions: Mapping[str, RegionAttributes]
    statuses: Mapping[str, Status] = field(default_factory=dict)
    copies: Mapping[str, Copies] = field(default_factory=dict)
    gateways: Mapping[str, Gateways] = field(default_factory=dict)
    stores: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    region: str = ""

    def figures(self, region: str) -> RegionFigures:
        """Return a region's figures."""
        told = {name: each.regions[region] for name, each in self.copies.items() if region in each.regions}
        return figures(self.regions[region], self.members, told)

    @property
    def region_copies(self) -> list[RegionCopies]:
        """What the members have of the region that is looked at, or of all."""
        names = [self.region] if self.region else list(self.regions)
        return [each.regions[name] for each in self.copies.values() for name in names if name in each.regions]


def _members(seen: Seen) -> Metrics:
    kinds = [member.kind for member in seen.members]
    return {
        "memberCount": kinds.count("server"),
        "locatorCount": kinds.count("locator"),
        "totalCpuSeconds": _seconds(sum(status.cpu_ms for status in seen.statuses.values())),
        "totalResidentBytes": sum(status.resident_bytes for status in seen.statuses.values()),
    }


def _cache(seen: Seen) -> Metrics:
    each = [seen.figures(region) for region in seen.regions]
    return {
        "totalRegionCount": len(each),
        "totalRegionEntryCount": sum(found.entries for found in each),
        "totalRegionBytes": sum(found.bytes for found in each),
        "totalGets": sum(found.gets for found in each),
        "totalPuts": sum(found.puts for found in each),
        "totalDestroys": sum(found.destroys for found in each),
        "bucketsWithoutPrimary": sum(found.without_primary for found in each),
        "numBucketsWithoutRedundancy": sum(found.under for found in each),
    }


def _stores(seen: Seen) -> Metrics:
    logs, snapshots = (sum(sizes[part] for sizes in seen.stores.values()) for part in (0, 1))
    each = {f"diskUsage {name}": sum(sizes) for name, sizes in sorted(seen.stores.items())}
    return {"totalDiskUsage": logs + snapshots, "totalLogBytes": logs, "totalSnapshotBytes": snapshots, **each}


def _region_cluster(seen: Seen) -> Metrics:
    found = seen.figures(seen.region)
    return {"memberCount": sum(count > 0 for count in found.copies.values()), "regionEntryCount": found.entries}


def _region_region(seen: Seen) -> Metrics:
    found = seen.figures(seen.region)
    return {"regionBytes": found.bytes, "gets": found.gets, "puts": found.puts, "destroys": found.destroys}


def _region_partition(seen: Seen) -> Metrics:
    found = seen.figures(seen.region)
    return {
        "bucketCount": sum(found.copies.values()),
        "primaryBucketCount": sum(found.primaries.values()),
        "bucketsWithoutPrimary": found.without_primary,
        "numBucketsWithoutRedundancy": found.under,
        "configuredRedundancy": found.wanted,
        "actualRedundancy": found.actual,
    }


def _process(seen: Seen) -> Metrics:
    (status,) = seen.statuses.values()
    return {
        "upTime": status.uptime_ms // 1000,
        "cpuSeconds": _seconds(status.cpu_ms),
        "residentBytes": status.resident_bytes,
    }


def _links(seen: Seen) -> Metrics:
    (status,) = seen.statuses.values()
    return {"links": sum(status.links.values()), **{f"links {role}": count for role, count in status.links.items()}}


def _member_regions(seen: Seen) -> Metrics:
    held = [copies for copies in seen.region_copies if copies.loaded]
    return {"totalRegionCount": len(held), **_held(seen.region_copies, "total")}


def _member_region(seen: Seen) -> Metrics:
    numbers = _held(seen.region_copies, "")
    return {name: numbers[name] for name in ("regionEntryCount", "regionBytes", "gets", "puts", "destroys")}


def _member_partition(seen: Seen) -> Metrics:
    numbers = _held(seen.region_copies, "")
    return {name: numbers[name] for name in ("bucketCount", "primaryBucketCount")}


def _held(copies: Sequence[RegionCopies], prefix: str) -> Metrics:
    """Add up what one member has, redundant copies included."""
    numbers: Metrics = {
        "regionEntryCount": sum(sum(each.entries) for each in copies),
        "regionBytes": sum(sum(each.sizes) for each in copies),
        "bucketCount": sum(len(each.loaded) for each in copies),
        "primaryBucketCount": sum(len(each.accepting) for each in copies),
        "gets": sum(each.gets for each in copies),
        "puts": sum(each.puts for each in copies),
        "destroys": sum(each.destroys for each in copies),
    }
    return {_prefixed(prefix, name): number for name, number in numbers.items()}


def _prefixed(prefix: str, name: str) -> str:
    return prefix + name[0].upper() + name[1:] if prefix else name


def _senders(seen: Seen) -> Metrics:
    return _sums(SENDER_COUNTERS, _counted(each.senders for each in seen.gateways.values()))


def _queues(seen: Seen) -> Metrics:
    return _sums(SENDER_COUNTERS, _counted(each.queues for each in seen.gateways.values()))


def _receivers(seen: Seen) -> Metrics:
    receivers = (each.receiver for each in seen.gateways.values())
    return _sums(RECEIVER_COUNTERS, [receiver.counters for receiver in receivers if receiver is not None])


def _counted(statuses: Iterable[list[SenderStatus]]) -> list[Mapping[str, int]]:
    return [status.counters for each in statuses for status in each]


def _sums(names: Sequence[str], counters: Sequence[Mapping[str, int]]) -> Metrics:
    return {name: sum(each.get(name, 0) for each in counters) for name in names}


def _seconds(ms: int) -> float:
    return round(ms / 1000, 2)


Source = Literal["status", "copies", "gateways", "stores"]


class Category(NamedTuple):
    """source: what has to be asked for. numbers: from what was told."""

    source: Source
    numbers: Callable[[Seen], Metrics]


_GATEWAYS = {
    "gatewaysender": Category("gateways", _senders),
    "gatewayreceiver": Category("gateways", _receivers),
    "asynceventqueue": Category("gateways", _queues),
}
"""GemFire has no such category (statistics.md §4)."""
MEASURED: dict[Scope, dict[str, Category]] = {
    "cluster": {
        "cluster": Category("status", _members),
        "cache": Category("copies", _cache),
        "diskstore": Category("stores", _stores),
        **_GATEWAYS,
    },
    "region": {
        "cluster": Category("copies", _region_cluster),
        "region": Category("copies", _region_region),
        "partition": Category("copies", _region_partition),
    },
    "member": {
        "member": Category("status", _process),
        "communication": Category("status", _links),
        "region": Category("copies", _member_regions),
        **_GATEWAYS,
    },
    "member and region": {
        "region": Category("copies", _member_region),
        "partition": Category("copies", _member_partition),
    },
}
"""Scope -> category -> its numbers; shown in this order."""

_EVICTION = "nothing is evicted"
_CALLBACK = "no code of yours runs inside a write"
_OWN_DISK = "what it takes on the disk is counted by disk store, for the whole site: leave member and region out"
REFUSED: dict[Scope, dict[str, str]] = {
    "cluster": {"query": "queries are not counted"},
    "region": {"callback": _CALLBACK, "eviction": _EVICTION, "diskstore": _OWN_DISK},
    "member": {
        "diskstore": _OWN_DISK,
        "distribution": "members do not distribute entries: they follow the log of the site's engine",
        "eviction": _EVICTION,
        "function": "there are no functions",
        "jvm": "there is no JVM: the category member has the process's time and memory",
        "lock": "there are no distributed locks",
        "offheap": "Python has one heap",
        "serialization": "values are serialized by who writes and reads them, and not counted",
        "transaction": "there are no transactions",
    },
    "member and region": {"callback": _CALLBACK, "eviction": _EVICTION, "diskstore": _OWN_DISK},
}
"""GemFire's categories that mean nothing here, and why."""


def choose(scope: Scope, categories: Sequence[str]) -> list[str]:
    """Return the categories to show: those that are asked for, or all. Raises UsageError."""
    for category in categories:
        if category in REFUSED[scope]:
            raise UsageError(f"category {category} is not offered: {REFUSED[scope][category]}")
        if category not in MEASURED[scope]:
            known = ", ".join(MEASURED[scope])
            raise UsageError(f"category {category} is not known for a {scope}: use {known}")
    return [category for category in MEASURED[scope] if category in categories or not categories]
