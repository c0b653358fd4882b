"""Lost write: an acknowledged write is not in its site's log, or never came to another site and nothing newer did.

An event that another site judged older is not in its log, but a newer one of the key is.
"""

from __future__ import annotations

from heliograph.model.keys import Key
from tests.sim.observed import Observed, Site


def check(observed: Observed) -> list[str]:
    newest = {dsid: _newest(site) for dsid, site in observed.sites.items()}
    known = {dsid: {(event.key, event.version) for event in site.events()} for dsid, site in observed.sites.items()}
    written = {dsid: _versions(site) for dsid, site in observed.sites.items()}
    destroyed = {dsid: _destroys(site) for dsid, site in observed.sites.items()}
    found = []
    for operation in observed.operations:
        if not operation.happened:
            continue
        key, value, site = operation.key, operation.value, operation.site
        own = written[site].get((key, value)) if value else destroyed[site].get((operation.seq, key))
        if own is None:
            found.append(f"not in the log of its own site: {operation}")
            continue
        found += [
            f"never came to site {dsid}: {operation}"
            for dsid in sorted(observed.sites)
            if (key, own) not in known[dsid] and newest[dsid].get(key, 0) <= own
        ]
    return found


def _versions(site: Site) -> dict[tuple[Key, bytes], int]:
    """(key, value) -> the version of its event."""
    return {(event.key, event.value): event.version for event in site.events() if event.value}


def _destroys(site: Site) -> dict[tuple[int, Key], int]:
    """(sequence, key) -> version of a destroy."""
    entries = (entry for log in site.logs.values() for entry in log)
    return {(entry.seq, e.key): e.version for entry in entries for e in entry.events if not e.value}


def _newest(site: Site) -> dict[Key, int]:
    newest: dict[Key, int] = {}
    for event in site.events():
        newest[event.key] = max(event.version, newest.get(event.key, 0))
    return newest
