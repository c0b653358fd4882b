"""Which servers may hold a region's buckets: all of the site, or those of its groups (`RegionAttributes.groups`).

The others know the region too, and forward what they are asked, as every server does of buckets that it does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.errors import UsageError
from heliograph.model.attributes import RegionAttributes
from heliograph.model.groups import in_any
from heliograph.model.members import MemberInfo


def holders_of(region: RegionAttributes, members: Iterable[MemberInfo]) -> list[MemberInfo]:
    """Return the servers that may hold the region's buckets, in the order given."""
    return [member for member in members if member.kind == "server" and in_any(region.groups, member.groups)]


def check_region_servers(region: RegionAttributes, members: Iterable[MemberInfo]) -> None:
    """Raise UsageError when a region is to be held by groups that no server is in."""
    if region.groups and not holders_of(region, members):
        raise UsageError(f"no members found: no server of this site is in {', '.join(region.groups)}; start one first")


def unheld(region: RegionAttributes, members: Iterable[MemberInfo]) -> str:
    """Say why nobody may hold the region's buckets now; "" when somebody may."""
    if not region.groups or holders_of(region, members):
        return ""
    return f"region {region.name} is held by servers of {', '.join(region.groups)} only, and none of these runs"
