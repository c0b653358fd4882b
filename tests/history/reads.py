"""Reads: a get shows the copy of the member that is asked, which may be behind, and that copy never goes back.

A member goes on serving reads when it is cut off from the engine and others write what it holds, so reads are not
linearizable. What they are:

    invented      a value was read that nobody wrote, that was denied to its writer, or before it was written
    gone back     a run of a member showed a value, or acknowledged a write, and showed something older later

Older is what was certainly written before; an entry that is gone is older unless a remove may have come after. Writes
of other sites have no order with this site's that its clients could know, so only the site's own are compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tests.history.operations import Operation, by_key


def check(operations: Iterable[Operation]) -> list[str]:
    """Return what is wrong with the reads of all sites, one line each."""
    return [wrong for some in by_key(operations).values() for wrong in _check_key(some)]


def _check_key(operations: Sequence[Operation]) -> list[str]:
    writers = {operation.value: operation for operation in operations if operation.is_write and operation.value}
    reads = [operation for operation in operations if operation.kind == "get" and operation.outcome == "ok"]
    found = [f"invented: {read}" for read in reads if read.old and not _may_show(read, writers.get(read.old))]
    for member in sorted({read.member for read in reads} - {""}):
        found += _gone_back(member, operations, writers)
    return found


def _may_show(read: Operation, writer: Operation | None) -> bool:
    return writer is not None and writer.may_have_happened and writer.began_s <= read.ended_s


def _gone_back(member: str, operations: Sequence[Operation], writers: dict[bytes, Operation]) -> list[str]:
    """Find the reads at one run of a member that show less than it had shown or acknowledged before they began."""
    here = [each for each in operations if each.member == member and each.outcome == "ok"]
    shown = [(each.ended_s, write) for each in here if (write := _shown_by(each, writers)) and write.site == each.site]
    shown.sort(key=lambda pair: pair[0])
    found = []
    newest: Operation | None = None
    position = 0
    for read in sorted((each for each in here if each.kind == "get"), key=lambda each: each.began_s):
        while position < len(shown) and shown[position][0] < read.began_s:
            write = shown[position][1]
            newest = write if newest is None or write.began_s > newest.began_s else newest
            position += 1
        if newest is not None and _latest_s(read, operations, writers) < newest.began_s:
            found.append(f"gone back: {member} knew the {newest}; then {read}")
    return found


def _shown_by(operation: Operation, writers: dict[bytes, Operation]) -> Operation | None:
    """Return the write that a member's copy held when the operation ended."""
    if operation.kind == "get":
        return writers.get(operation.old)
    return operation if operation.done else None


def _latest_s(read: Operation, operations: Sequence[Operation], writers: dict[bytes, Operation]) -> float:
    """Return when what was read can have been written at the latest."""
    if read.old:
        writer = writers.get(read.old)
        return math.inf if writer is None else _ended_s(writer, read.site)
    removes = [
        each for each in operations if not each.value and each.may_have_happened and each.began_s <= read.ended_s
    ]
    return max((_ended_s(each, read.site) for each in removes), default=-math.inf)


def _ended_s(write: Operation, site: int) -> float:
    return write.ended_s if write.happened and write.site == site else math.inf
