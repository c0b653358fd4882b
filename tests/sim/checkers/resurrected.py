"""Resurrected: an entry was removed, nothing newer was written, and some copy has it nevertheless.

Newest is the event of the greatest version in any log. A remove done while nothing else went on anywhere is newest for
its client too, whatever the versions say.
"""

from __future__ import annotations

from heliograph.model.keys import Key
from tests.sim.observed import Held, Observed, held_at


def check(observed: Observed) -> list[str]:
    removed = _removed_by_version(observed) | _removed_quietly(observed)
    found = []
    for dsid, site in sorted(observed.sites.items()):
        alive = {key for key, held in held_at(site).items() if held.value}
        found += [f"{key!r} was removed, the log of site {dsid} has it" for key in sorted(removed & alive, key=str)]
        for copy in site.copies:
            found += [
                f"{key!r} was removed, {copy.member} of site {dsid} has it"
                for key in sorted(removed & copy.values.keys(), key=str)
            ]
    return found


def _removed_by_version(observed: Observed) -> set[Key]:
    newest: dict[Key, Held] = {}
    for site in observed.sites.values():
        for event in site.events():
            newest[event.key] = max(newest.get(event.key, Held(0, b"")), Held(event.version, event.value))
    return {key for key, held in newest.items() if not held.value}


def _removed_quietly(observed: Observed) -> set[Key]:
    removed: dict[Key, bool] = {}
    for operation in observed.operations:
        if operation.quiet and operation.is_write:
            removed[operation.key] = operation.happened and not operation.value
    return {key for key, gone in removed.items() if gone}
