"""What a client knows of a site: its members, its regions, and whom to ask about a bucket. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from heliograph.errors import RegionNotFoundError, UnavailableError
from heliograph.link.messages import SiteView
from heliograph.model.attributes import RegionAttributes, leader_of
from heliograph.model.members import MemberInfo
from heliograph.model.routing import Routing, client_routing
from heliograph.placement.buckets import servers_by_age


class Shape(NamedTuple):
    """What the requests to a region are made for: another region of the same name has another generation."""

    total_num_buckets: int
    partition_resolver: str
    generation: int

    @property
    def routing(self) -> Routing:
        """How keys find their buckets."""
        return client_routing(self.total_num_buckets, self.partition_resolver)


class Routes:
    """A site as one locator saw it, corrected by what members said since about primaries.

    Never more than a hint: a member that is asked in vain forwards or refuses, and says so.
    """

    def __init__(self, view: SiteView) -> None:
        self._servers = servers_by_age(view.members)
        self._by_name = {server.name: server for server in self._servers}
        self._regions = {region.name: region for region in view.regions}
        parents = {region.name: region.colocated_with for region in view.regions}
        placed = {placement.region: placement.buckets for placement in view.placements}
        self._buckets = {name: placed.get(leader_of(name, parents), ()) for name in parents}
        self._generations = {
            region.name: generation for region, generation in zip(view.regions, view.generations, strict=True)
        }
        self._learned: dict[tuple[str, int], str] = {}
        self.now_ms = view.now_ms
        """The site's clock when the locator answered."""
        self.locators = [member.address for member in view.members if member.kind == "locator"]

    @property
    def regions(self) -> list[str]:
        """The names of the site's regions, sorted."""
        return sorted(self._regions)

    def attributes(self, region: str) -> RegionAttributes:
        """Return a region's attributes. Raises RegionNotFoundError that lists those there are."""
        attributes = self._regions.get(region)
        if attributes is None:
            known = ", ".join(self.regions) or "none"
            raise RegionNotFoundError(f"region {region!r} does not exist at this site (regions: {known})")
        return attributes

    def member(self, name: str) -> MemberInfo | None:
        """Return a server by its name, unless it is gone."""
        return self._by_name.get(name)

    def shape(self, region: str) -> Shape:
        """Return a region's shape. Raises as `attributes`."""
        attributes = self.attributes(region)
        return Shape(attributes.total_num_buckets, attributes.partition_resolver, self._generations[region])

    def agrees(self, other: Routes, region: str) -> bool:
        """Say whether both send the requests to a region to the same members, whatever was learned since."""
        return (
            self._buckets.get(region) == other._buckets.get(region)
            and self._generations.get(region) == other._generations.get(region)
            and self._by_name == other._by_name
        )

    def learn(self, region: str, bucket: int, primary: str) -> None:
        """A member named a bucket's primary."""
        self._learned[region, bucket] = primary

    def member_for(self, region: str, bucket: int, failed: Mapping[str, int]) -> MemberInfo:
        """Return whom to ask about a bucket: its primary, else another holder; anybody when no holder is known.

        failed: member -> when it failed last, in any growing count; who failed least recently is asked.
        Raises UnavailableError when the site has no server.
        """
        holders = (self._by_name[name] for name in self._holders(region, bucket) if name in self._by_name)
        if not failed and (first := next(holders, None)) is not None:
            return first
        members = list(holders) or self._anybody(bucket)
        return min(members, key=lambda member: failed.get(member.name, 0))

    def _anybody(self, bucket: int) -> list[MemberInfo]:
        """Every server, beginning with another one for every bucket."""
        if not self._servers:
            raise UnavailableError("the site has no server: start one (`helio start server`)")
        first = bucket % len(self._servers)
        return self._servers[first:] + self._servers[:first]

    def _holders(self, region: str, bucket: int) -> Iterator[str]:
        learned = self._learned.get((region, bucket))
        if learned is not None:
            yield learned
        buckets = self._buckets.get(region, ())
        if 0 <= bucket < len(buckets):
            yield buckets[bucket].primary
            yield from buckets[bucket].secondaries
