"""False answer: a client was told that its write was not done and it was, or the wrong value before it.

Conditional operations are done once; only a put may be repeated by the member that was asked (`member.operations`). A
value names its write; a destroy is its client's by its sequence, and one that is nobody's may only be of a client that
does not know.
"""

from __future__ import annotations

from collections import Counter

from heliograph.model.clock import VERSION_STEP
from heliograph.model.keys import Key
from tests.sim.observed import Observed, Operation, Site


def check(observed: Observed) -> list[str]:
    found = []
    for dsid, site in sorted(observed.sites.items()):
        operations = [operation for operation in observed.operations if operation.site == dsid]
        found += _denied_or_repeated(operations, Counter((event.key, event.value) for event in site.events()))
        found += _told_wrong_value(operations, _values_before(site))
        found += _destroyed_by_nobody(operations, _own_destroys(dsid, site))
    return found


def _denied_or_repeated(operations: list[Operation], counts: Counter[tuple[Key, bytes]]) -> list[str]:
    found = []
    for operation in operations:
        denied = operation.outcome == "fail" or (operation.outcome == "ok" and not operation.done)
        for key, value in operation.written.items():
            times = counts[key, value] if value else 0
            if times and denied:
                found.append(f"{_name(operation, key)} was denied and is in the log")
            if times > 1 and operation.kind != "put":
                found.append(f"{_name(operation, key)} was done {times} times")
    return found


def _told_wrong_value(operations: list[Operation], before: dict[tuple[int, Key, bytes], set[bytes]]) -> list[str]:
    return [
        f"{_name(operation, key)} was told {operation.old!r} as the value before it, which is not so"
        for operation in operations
        if operation.kind != "put" and operation.outcome == "ok" and operation.done
        for key, value in operation.written.items()
        if operation.old not in before.get((operation.seq, key, value), ())
    ]


def _destroyed_by_nobody(operations: list[Operation], destroys: list[tuple[int, Key]]) -> list[str]:
    removes = [(operation, key) for operation in operations for key, value in operation.written.items() if not value]
    known = {(operation.seq, key) for operation, key in removes if operation.outcome == "ok" and operation.done}
    unknown = Counter(key for operation, key in removes if operation.outcome == "info")
    unexplained = Counter(key for seq, key in destroys if (seq, key) not in known)
    return [f"{key!r} was destroyed, every client that removes it was told otherwise" for key in unexplained - unknown]


def _own_destroys(dsid: int, site: Site) -> list[tuple[int, Key]]:
    entries = (entry for _, log in sorted(site.logs.items()) for entry in log)
    return [(x.seq, e.key) for x in entries for e in x.events if not e.value and e.version % VERSION_STEP == dsid]


def _values_before(site: Site) -> dict[tuple[int, Key, bytes], set[bytes]]:
    """(sequence, key, value) of an event -> the key's value before it; a record may destroy a key more than once."""
    before: dict[tuple[int, Key, bytes], set[bytes]] = {}
    for log in site.logs.values():
        values: dict[Key, bytes] = {}
        for entry in log:
            for event in entry.events:
                before.setdefault((entry.seq, event.key, event.value), set()).add(values.get(event.key, b""))
                values[event.key] = event.value
    return before


def _name(operation: Operation, key: Key) -> str:
    return f"{operation.kind} of {key!r} by {operation.member} of site {operation.site} at {operation.started_s:.3f}"
