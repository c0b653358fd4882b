"""Which site sends to which, for each topology (docs/topologies.md says how far events come in each).

mesh    every site sends to every other                      1 <-> 2 <-> 3 <-> 1
ring    every site sends to the next, the last to the first  1 -> 2 -> 3 -> 1
star    site 1 is the hub; it and each arm send both ways    2 <-> 1 <-> 3
hybrid  a ring, and the first sends to the last, too         1 -> 2 -> 3 <-> 1
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from heliograph.errors import UsageError

SITES_MIN, SITES_MAX = 2, 9

_LINK = re.compile(r"(?P<one>[1-9])(?P<way>[->])(?P<other>[1-9])")

Sends = dict[int, set[int]]
"""Site -> the sites that it sends to."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A topology of sites 1..n; `sends_to[site]` are the sites that it has gateway senders to, sorted."""

    topology: str
    sends_to: dict[int, tuple[int, ...]]

    @property
    def sites(self) -> tuple[int, ...]:
        """The sites' numbers, ascending."""
        return tuple(self.sends_to)

    def feeders(self, site: int) -> tuple[int, ...]:
        """Return the sites that send to `site`; with none it needs no gateway receiver."""
        return tuple(other for other, remotes in self.sends_to.items() if site in remotes)

    def neighbours(self, site: int) -> tuple[int, ...]:
        """Return the sites that `site` sends to or hears from: whose locators it must know."""
        return tuple(sorted({*self.sends_to[site], *self.feeders(site)}))

    def __str__(self) -> str:
        """Return every pair of sites, each way once: `1 <-> 2, 2 -> 3`."""
        arrows = []
        for site, remotes in self.sends_to.items():
            for remote in remotes:
                if site not in self.sends_to[remote]:
                    arrows.append(f"{site} -> {remote}")
                elif site < remote:
                    arrows.append(f"{site} <-> {remote}")
        return ", ".join(arrows)


def plan_of(topology: str, sites: int) -> Plan:
    """Return the plan of a topology. Raises UsageError for an unknown one and a number of sites out of range."""
    if topology not in TOPOLOGIES:
        raise UsageError(f"topology {topology!r} is not known: use {', '.join(TOPOLOGIES)}")
    if not SITES_MIN <= sites <= SITES_MAX:
        raise UsageError(f"{sites} sites: use {SITES_MIN} to {SITES_MAX}")
    sends = TOPOLOGIES[topology](sites)
    return Plan(topology, {site: tuple(sorted(sends[site])) for site in range(1, sites + 1)})


def plan_of_links(links: str) -> Plan:
    """Return the plan of a graph: links as `1-2,2-3`, which lead both ways, or `1>2`, which leads one way.

    Raises UsageError when that can't be read, for a number of sites out of range, and where a site does not reach all.
    """
    sends: Sends = {}
    for word in links.split(","):
        match = _LINK.fullmatch(word.strip())
        if match is None or match["one"] == match["other"]:
            raise UsageError(
                f"link {word.strip()!r} can't be read: use 1-2 for both ways, 1>2 for one, as in 1-2,2>3,3>1"
            )
        one, other = int(match["one"]), int(match["other"])
        sends.setdefault(one, set()).add(other)
        sends.setdefault(other, set()).update({one} if match["way"] == "-" else ())
    count = len(sends)
    if sorted(sends) != list(range(1, count + 1)) or not SITES_MIN <= count <= SITES_MAX:
        numbers = ", ".join(map(str, sorted(sends)))
        raise UsageError(f"links between sites {numbers}: number them from 1 on, {SITES_MIN} to {SITES_MAX} sites")
    plan = Plan("links", {site: tuple(sorted(sends[site])) for site in sorted(sends)})
    for site in plan.sites:
        left = set(plan.sites) - _reached(plan, site)
        if left:
            raise UsageError(
                f"site {min(left)} never hears of site {site}: add links until every site reaches every other"
            )
    return plan


def _reached(plan: Plan, start: int) -> set[int]:
    reached, ahead = {start}, [start]
    while ahead:
        new = set(plan.sends_to[ahead.pop()]) - reached
        reached |= new
        ahead += new
    return reached


def _mesh(sites: int) -> Sends:
    everyone = set(range(1, sites + 1))
    return {site: everyone - {site} for site in everyone}


def _ring(sites: int) -> Sends:
    return {site: {site % sites + 1} for site in range(1, sites + 1)}


def _star(sites: int) -> Sends:
    arms = range(2, sites + 1)
    return {1: set(arms)} | {arm: {1} for arm in arms}


def _hybrid(sites: int) -> Sends:
    sends = _ring(sites)
    sends[1].add(sites)
    return sends


TOPOLOGIES: dict[str, Callable[[int], Sends]] = {"mesh": _mesh, "ring": _ring, "hybrid": _hybrid, "star": _star}
