"""Duplicate effect: a log applies an event twice, or an older event of a key after a newer one."""

from __future__ import annotations

from heliograph.model.keys import Key
from tests.sim.observed import Observed


def check(observed: Observed) -> list[str]:
    found = []
    for dsid, site in sorted(observed.sites.items()):
        newest: dict[Key, int] = {}
        for event in site.events():
            before = newest.get(event.key, 0)
            if event.version <= before:
                what = "the same event" if event.version == before else "a newer event"
                found.append(f"site {dsid} applied version {event.version} of {event.key!r} after {what}")
            newest[event.key] = max(before, event.version)
    return found
