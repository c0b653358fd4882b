"""Divergence: sites hold different entries, or a member's copy is not what its bucket's log leaves."""

from __future__ import annotations

from tests.sim.observed import Copy, Entry, Observed, held_at, held_by_copies


def check(observed: Observed) -> list[str]:
    found = []
    for dsid, site in sorted(observed.sites.items()):
        found += [
            f"{copy.member} of site {dsid} holds bucket {copy.bucket} otherwise than its log"
            for copy in site.copies
            if not _is_log_replayed(copy, site.logs.get(copy.bucket, []))
        ]
    held = {dsid: held_at(site) for dsid, site in sorted(observed.sites.items())}
    first = min(held, default=0)
    for dsid, entries in held.items():
        for key in sorted(entries.keys() | held[first].keys(), key=str):
            here, there = held[first].get(key), entries.get(key)
            if here != there:
                found.append(f"site {first} holds {key!r} as {here}, site {dsid} as {there}")
    return found


def _is_log_replayed(copy: Copy, log: list[Entry]) -> bool:
    held = held_by_copies(log)
    versions = {key: each.version for key, each in held.items()}
    values = {key: each.value for key, each in held.items() if each.value}
    return (copy.versions, copy.values) == (versions, values)
