"""What a seed draws of sites that any graph connects: two to six, with the ways that they need, or more, or all.

Every site reaches every other, over others if need be; on some pairs of sites there are two ways and more, so events
arrive twice (GemFire advises against such topologies). Some links lead both ways, some one way. The sites' clocks
differ by most of what `max-clock-skew` allows, and by minutes while one is set wrong.
"""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec

from tests.sim.plan import CLOCK_AHEAD_MS_MAX, KINDS, MIXES, Plan, SitePlan, beside, draw_site, with_moves

SITES_MAX = 6
WEIGHTS = (2, 4, 5, 2, 2)
"""Of two to six sites."""
MEMBERS_OF_ALL_MAX = 7
CLOCK_OF_SITE_MS_MAX = 25_000
"""Two sites that are so far ahead and behind, and their members besides, still take each other's events."""
CLOCK_WRONG_S_MAX = 200.0
CONFLATING, MOVING = 0.2, 0.6
DENSITIES = (0.0, 0.2, 0.5, 1.0)
"""Of the ways that a graph would not need, the share that it has."""

Ways = dict[int, tuple[int, ...]]


def draw_ways(rng: random.Random, sites: int) -> Ways:
    """Return a graph in which every site reaches every other: site -> the sites that its gateway senders lead to.

    It grows from the first site. A new one hangs on one that is there, both ways, or lies on a new way from one to
    another (an ear), so that no link has to lead both ways; then further links are thrown in.
    """
    sends: dict[int, set[int]] = {1: set()}
    left = list(range(2, sites + 1))
    while left:
        ear = left[: rng.randint(1, len(left))]
        left = left[len(ear) :]
        start, end = rng.choice(sorted(sends)), rng.choice(sorted(sends))
        for one, other in zip([start, *ear], [*ear, end], strict=True):
            sends.setdefault(one, set()).add(other)
            if rng.random() < 0.3:
                sends.setdefault(other, set()).add(one)
    density = rng.choice(DENSITIES)
    for one in sends:
        sends[one] |= {other for other in sends if other != one and rng.random() < density}
    return {site: tuple(sorted(remotes)) for site, remotes in sorted(sends.items())}


def reaches(ways: Ways, start: int) -> set[int]:
    """Return the sites that can be got to from one, itself among them."""
    reached, ahead = {start}, [start]
    while ahead:
        new = set(ways[ahead.pop()]) - reached
        reached |= new
        ahead += sorted(new)
    return reached


def draw_graph(rng: random.Random) -> Plan:
    """Draw a run."""
    moving = beside(rng)
    ways = draw_ways(rng, rng.choices(range(2, SITES_MAX + 1), WEIGHTS)[0])
    kind = rng.choice(KINDS)
    buckets = [rng.choice((1, 2, 4))] * len(ways)
    if rng.random() < 0.2:
        buckets = [rng.choice((1, 2, 3)) for _ in ways]
    spare = MEMBERS_OF_ALL_MAX - len(ways)
    sites: list[SitePlan] = []
    for (dsid, remote), count in zip(ways.items(), buckets, strict=True):
        more = rng.randint(0, min(2, spare))
        spare -= more
        sites.append(_with_graph(draw_site(rng, dsid, remote, kind, count, 1 + more), rng))
    plan = Plan(
        topology=", ".join(f"{site} -> {'+'.join(map(str, remotes))}" for site, remotes in ways.items()),
        sites=tuple(sites),
        latency_s=(rng.uniform(0.0001, 0.002), rng.uniform(0.001, 0.08)),
        clients_per_member=1,
        mix=rng.choice(MIXES[:2]),
        faults=rng.randint(1, 4),
        site_faults=rng.randint(2, 5),
    )
    return with_moves(plan, moving) if moving.random() < MOVING else plan


def _with_graph(site: SitePlan, rng: random.Random) -> SitePlan:
    """Have a site's clocks differ from those of others, and some of its gateway senders conflate."""
    ahead_ms = rng.randint(-CLOCK_OF_SITE_MS_MAX, CLOCK_OF_SITE_MS_MAX)
    senders = [
        msgspec.structs.replace(sender, enable_batch_conflation=rng.random() < CONFLATING) for sender in site.senders
    ]
    clocks = tuple(ahead_ms + each for each in site.clocks_ms)
    return replace(site, clocks_ms=clocks, senders=tuple(senders), thin_clients=site.thin_clients[:1])


assert 2 * (CLOCK_OF_SITE_MS_MAX + CLOCK_AHEAD_MS_MAX) < 60_000
