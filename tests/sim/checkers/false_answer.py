"""False answer: a client was told that its write was not done and it was, or a write was done twice.

A value names its write; a destroy is its client's by its sequence, and one that is nobody's may only be of a client
that does not know. Whether old values were told right is seen by the history (`tests.history.linearizable`); this sees
also what nobody has read since.
"""

from __future__ import annotations

from collections import Counter

from heliograph.model.clock import VERSION_STEP
from heliograph.model.keys import Key
from tests.history.operations import Operation
from tests.sim.observed import Observed, Site


def check(observed: Observed) -> list[str]:
    found = []
    for dsid, site in sorted(observed.sites.items()):
        writes = [operation for operation in observed.operations if operation.site == dsid and operation.is_write]
        found += _denied_or_repeated(writes, Counter((event.key, event.value) for event in site.events()))
        found += _destroyed_by_nobody(writes, _own_destroys(dsid, site))
    return found


def _denied_or_repeated(writes: list[Operation], counts: Counter[tuple[Key, bytes]]) -> list[str]:
    found = []
    for operation in writes:
        times = counts[operation.key, operation.value] if operation.value else 0
        if times and not operation.may_have_happened:
            found.append(f"denied and in the log: {operation}")
        if times > 1:
            found.append(f"done {times} times: {operation}")
    return found


def _destroyed_by_nobody(writes: list[Operation], destroys: list[tuple[int, Key]]) -> list[str]:
    removes = [operation for operation in writes if not operation.value]
    known = {(operation.seq, operation.key) for operation in removes if operation.happened}
    unknown = Counter(operation.key for operation in removes if operation.outcome == "info")
    unexplained = Counter(key for seq, key in destroys if (seq, key) not in known)
    return [f"{key!r} was destroyed, every client that removes it was told otherwise" for key in unexplained - unknown]


def _own_destroys(dsid: int, site: Site) -> list[tuple[int, Key]]:
    entries = (entry for _, log in sorted(site.logs.items()) for entry in log)
    return [(x.seq, e.key) for x in entries for e in x.events if not e.value and e.version % VERSION_STEP == dsid]
