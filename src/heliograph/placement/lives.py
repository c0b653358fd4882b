"""When a site begins a new life: no server of the last one is left.

Servers that replaced one another, however often, are of one life; so is a server that was believed dead and was not. A
new life ends the regions and queues that are not persistent, so it is begun only when it is sure that the last one is
over: every server of it has left, or its name is another process's, or it gave no sign of life for as long as one that
lives needs to give one.
"""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.model.registry import SiteLife


def next_life(current: SiteLife, live: Mapping[str, str], *, waited: bool) -> SiteLife | None:
    """Return the life that the live servers (name -> incarnation) are in; None while it has to be waited.

    waited: nobody of `current` who is not live has given a sign of life for as long as one that lives needs.
    """
    if any(live.get(name) == incarnation for name, incarnation in current.servers.items()):
        return SiteLife(current.number, dict(live), current.beginning)
    if not waited and not current.servers.keys() <= live.keys():
        return None
    return SiteLife(current.number + 1, dict(live), beginning=True)


def without(current: SiteLife, name: str, incarnation: str) -> SiteLife:
    """Return the life without a server that leaves it."""
    if current.servers.get(name) != incarnation:
        return current
    left = {each: told for each, told in current.servers.items() if each != name}
    return SiteLife(current.number, left, current.beginning)
