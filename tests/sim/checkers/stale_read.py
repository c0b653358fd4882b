"""Stale read: right after a member acknowledged a put it showed something older, or nothing.

A newer value, or none after a newer destroy, is fine.
"""

from __future__ import annotations

from heliograph.model.keys import Key
from tests.sim.observed import Observed, Site


def check(observed: Observed) -> list[str]:
    found = []
    for dsid, site in sorted(observed.sites.items()):
        versions = _versions(site)
        for operation in observed.operations:
            for key, value in operation.shown.items() if operation.site == dsid else ():
                put, shown = versions.get((key, operation.written[key]), []), versions.get((key, value), [])
                if put and max(shown, default=0) < min(put):
                    found.append(
                        f"{operation.member} of site {dsid} showed {value!r} of {key!r} after it acknowledged "
                        f"{operation.written[key]!r} at {operation.ended_s:.3f}"
                    )
    return found


def _versions(site: Site) -> dict[tuple[Key, bytes], list[int]]:
    """(key, value) -> the versions of its events; a put that was tried again may have several, a destroy has many."""
    versions: dict[tuple[Key, bytes], list[int]] = {}
    for event in site.events():
        versions.setdefault((event.key, event.value), []).append(event.version)
    return versions
