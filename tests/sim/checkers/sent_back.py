"""Sent back: a gateway sender sent an event to the site where it was born, or to one that it knew had been sent it.

What it knew is what its site's log says of the event: the site of its birth and the sites it was sent to. Parts of one
birth may have come on several ways; what all of them say counts. That of two ways neither knows of the other, and an
event comes twice, is no mistake.
"""

from __future__ import annotations

from collections import Counter

from tests.sim.observed import Arrival, Observed


def check(observed: Observed) -> list[str]:
    return [
        f"{times} times from site {arrival.sender} to site {arrival.receiver}: {arrival.birth}"
        for arrival, times in sorted(Counter(observed.arrivals).items())
        if _is_needless(arrival, observed)
    ]


def _is_needless(arrival: Arrival, observed: Observed) -> bool:
    if arrival.receiver == arrival.birth.origin:
        return True
    ways = observed.sites[arrival.sender].known.get(arrival.birth, []) if arrival.sender in observed.sites else []
    return bool(ways) and all(arrival.receiver in recipients for recipients in ways)
