"""Several sites as one value, and what is wrong between them.

What a site's own definitions say of each other is checked by its `ClusterConfiguration`. Here is what only shows when
sites are seen together: a sender that leads nowhere, a region that is missing at the other end, a way without a way
back. A finding is an error when events would wait for ever, and a warning when it may be meant so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, permutations, product
from typing import Literal

import msgspec

from heliograph.errors import UsageError
from heliograph.model.attributes import GatewaySenderAttributes, RegionAttributes
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.ids import Address, check_name, check_site_id

COMPARED = (
    "data_policy",
    "total_num_buckets",
    "partition_resolver",
    "entry_time_to_live_expiration",
    "entry_time_to_live_expiration_action",
    "entry_idle_time_expiration",
    "entry_idle_time_expiration_action",
)
"""Attributes in which a region had better not differ from site to site."""


class SiteDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One site of a topology. Raises UsageError for a name or number that can't be one.

    locators: any of them is asked where the site's admin API is; url: the admin API itself, instead.
    """

    name: str
    distributed_system_id: int
    locators: tuple[Address, ...] = ()
    url: str = ""
    configuration: ClusterConfiguration = ClusterConfiguration()

    def __post_init__(self) -> None:
        check_name("site", self.name)
        check_site_id(self.distributed_system_id)

    @property
    def regions(self) -> dict[str, RegionAttributes]:
        """Its regions by name."""
        return {region.name: region for region in self.configuration.regions}

    def ways(self, region: str) -> Iterator[GatewaySenderAttributes]:
        """Yield the gateway senders that ship a region's events."""
        ids = self.regions[region].gateway_sender_ids if region in self.regions else ()
        yield from (sender for sender in self.configuration.gateway_senders if sender.id in ids)


class Finding(msgspec.Struct, frozen=True, order=True):
    """Something to look at. site: by name."""

    level: Literal["error", "warning"]
    site: str
    message: str


class Topology(msgspec.Struct, frozen=True):
    """Sites in the order of the file, each with a name and a distributed-system-id of its own. Raises UsageError."""

    sites: tuple[SiteDefinition, ...]

    def __post_init__(self) -> None:
        for one, other in combinations(self.sites, 2):
            if one.name == other.name:
                raise UsageError(f"two sites are called {one.name}: give each its own name")
            if one.distributed_system_id == other.distributed_system_id:
                raise UsageError(
                    f"sites {one.name} and {other.name} have the same distributed-system-id "
                    f"{one.distributed_system_id}: give each its own"
                )


def lint(topology: Topology) -> list[Finding]:
    """Return what is wrong with a topology, errors first."""
    by_dsid = {site.distributed_system_id: site for site in topology.sites}
    found: list[Finding] = []
    for site in topology.sites:
        found += _own(site)
        found += _senders(site, by_dsid)
    found += _ways_back(topology)
    found += _unlike(topology)
    found += _clashes(topology)
    return sorted(found)


def _own(site: SiteDefinition) -> Iterator[Finding]:
    try:
        site.configuration.check(site.distributed_system_id)
    except UsageError as exc:
        yield Finding("error", site.name, str(exc))


def _senders(site: SiteDefinition, by_dsid: Mapping[int, SiteDefinition]) -> Iterator[Finding]:
    """Look where each sender leads, and with which regions."""
    for sender in site.configuration.gateway_senders:
        if sender.remote_distributed_system_id == site.distributed_system_id:
            continue  # told as an error of the site itself
        using = [region.name for region in site.configuration.regions if sender.id in region.gateway_sender_ids]
        if not using:
            yield Finding("warning", site.name, f"{sender.known_as} ships no region: name it in a gateway-sender-ids")
        remote = by_dsid.get(sender.remote_distributed_system_id)
        if remote is None:
            leads = f"{sender.known_as} leads to distributed-system-id {sender.remote_distributed_system_id}"
            yield Finding("error", site.name, f"{leads}, which no site of the file has")
            continue
        if not remote.configuration.gateway_receivers:
            message = f"{sender.known_as} leads to site {remote.name}, which has no gateway-receiver: define one there"
            yield Finding("error", site.name, message)
        for region in using:
            if region not in remote.regions:
                message = f"region {region} goes to site {remote.name}, which does not have it: define it there"
                yield Finding("error", site.name, message)


def _ways_back(topology: Topology) -> Iterator[Finding]:
    """Look whether what is written at one end of a way reaches the other end too, by whatever way."""
    for region in sorted({name for site in topology.sites for name in site.regions}):
        reach = _reach(topology, region)
        for one, other in permutations(topology.sites, 2):
            there, back = other.name in reach[one.name], one.name in reach[other.name]
            if region in other.regions and there and not back:
                message = (
                    f"region {region} comes from site {one.name} and nothing goes back there: what is written here "
                    f"stays away from it; give the region a gateway sender to distributed-system-id "
                    f"{one.distributed_system_id}"
                )
                yield Finding("warning", other.name, message)


def _reach(topology: Topology, region: str) -> dict[str, set[str]]:
    """Return which sites' copies of a region a write at each site reaches: a receiving site sends on."""
    names = {site.distributed_system_id: site.name for site in topology.sites}
    direct = {
        site.name: {names[sender.remote_distributed_system_id] for sender in site.ways(region)
                    if sender.remote_distributed_system_id in names}
        for site in topology.sites
    }  # fmt: skip
    reached: dict[str, set[str]] = {}
    for name in direct:
        seen: set[str] = set()
        ahead = [name]
        while ahead:
            for then in direct[ahead.pop()] - seen:
                seen.add(then)
                ahead.append(then)
        reached[name] = seen
    return reached


def _unlike(topology: Topology) -> Iterator[Finding]:
    for one, other in combinations(topology.sites, 2):
        for name in one.regions.keys() & other.regions.keys():
            here, there = one.regions[name], other.regions[name]
            fields = [field for field in COMPARED if getattr(here, field) != getattr(there, field)]
            if fields:
                differing = ", ".join(
                    f"{field.replace('_', '-')}: {getattr(here, field)!r} here, {getattr(there, field)!r} there"
                    for field in fields
                )
                yield Finding("warning", one.name, f"region {name} is unlike that of site {other.name} ({differing})")


def _clashes(topology: Topology) -> Iterator[Finding]:
    for one, other in combinations(topology.sites, 2):
        for locator in sorted({*one.locators} & {*other.locators}):
            yield Finding("error", one.name, f"locator {locator} is one of site {other.name} too")
        shared = sorted({each.host for each in one.locators} & {each.host for each in other.locators})
        receivers = product(one.configuration.gateway_receivers, other.configuration.gateway_receivers)
        for mine, theirs in receivers if shared else ():
            if mine.start_port <= theirs.end_port and theirs.start_port <= mine.end_port:
                message = (
                    f"gateway receivers take ports {mine.start_port} to {mine.end_port}, and those of site "
                    f"{other.name} {theirs.start_port} to {theirs.end_port}, on the host {shared[0]} of both: keep "
                    "the ranges apart"
                )
                yield Finding("warning", one.name, message)
    for site in topology.sites:
        for receiver, locator in product(site.configuration.gateway_receivers, sorted(site.locators)):
            if receiver.start_port <= locator.port <= receiver.end_port:
                message = (
                    f"locator {locator} is among the ports {receiver.start_port} to {receiver.end_port} of the "
                    "gateway receivers: move one of them"
                )
                yield Finding("warning", site.name, message)
