"""Which sites an event comes to, by the loop rule alone: who sends where, and what stands on the event.

The naive twin of `gateway.loops` and of whole sites, to compare both with. A site forwards the first copy of an event
that it takes, the others are duplicates. What is lost takes nothing and sends nothing, but still counts as a recipient.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence

Ways = Mapping[int, Sequence[int]]
"""Site -> the sites that its gateway senders lead to."""


def copies(ways: Ways, birth: int, lost: Collection[int] = ()) -> Counter[int]:
    """Return how many copies of an event born at a site come to each other site."""
    came: Counter[int] = Counter()
    taken: deque[tuple[int, frozenset[int]]] = deque([(birth, frozenset())])
    while taken:
        site, told = taken.popleft()
        for remote in ways[site]:
            if remote == birth or remote in told or remote in lost:
                continue
            came[remote] += 1
            if came[remote] == 1:
                taken.append((remote, told | set(ways[site])))
    return came


def reach(ways: Ways, birth: int, lost: Collection[int] = ()) -> set[int]:
    """Return the sites that hold an event born at a site, that one among them."""
    return {birth, *copies(ways, birth, lost)}


def unreached(ways: Ways, lost: Collection[int] = ()) -> list[tuple[int, int]]:
    """Return (site, other) for what is written at a site and does not come to another one, neither of them lost."""
    left = [site for site in ways if site not in lost]
    return [(site, other) for site in left for other in left if other not in reach(ways, site, lost)]
