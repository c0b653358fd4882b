"""What the servers of a site have of regions, as they say themselves: for whatever shows how regions are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from heliograph.link.messages import Copies, CopiesQuery, RegionCopies
from heliograph.locator.cluster import Cluster
from heliograph.model.members import MemberInfo

SIZES_S = 20.0
"""How long a server may take to count its entries and their bytes, which it does between all else."""


async def ask_copies(
    cluster: Cluster, servers: Sequence[MemberInfo], regions: Iterable[str]
) -> tuple[dict[str, Copies], list[str]]:
    """Return what each server that answers has of some regions, and a line for each that does not."""
    answers = await cluster.query(servers, CopiesQuery(tuple(regions), sizes=True), Copies, timeout_s=SIZES_S)
    told = {name: answer for name, answer in answers if isinstance(answer, Copies)}
    return told, [f"{name} does not answer: {answer}" for name, answer in answers if not isinstance(answer, Copies)]


def of_region(told: Mapping[str, Copies], region: str) -> dict[str, RegionCopies]:
    """Return what the servers have of one region."""
    return {name: copies.regions[region] for name, copies in told.items() if region in copies.regions}
