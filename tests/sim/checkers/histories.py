"""Histories: what the clients of a site were told of each key, as `tests.history` judges it.

At a site, what another site wrote is a write that may come any time later or never: it may lose against a newer one.
"""

from __future__ import annotations

from dataclasses import replace

from tests.history import linearizable, reads
from tests.history.operations import Operation
from tests.sim.observed import Observed


def check_order(observed: Observed) -> list[str]:
    """Find answers of primaries that no order of the operations explains."""
    return [
        f"site {dsid}: {wrong}"
        for dsid in sorted(observed.sites)
        for wrong in linearizable.check(_history_at(dsid, observed.operations))
    ]


def check_reads(observed: Observed) -> list[str]:
    """Find reads that show what no copy may."""
    return reads.check(observed.operations)


def _history_at(dsid: int, operations: list[Operation]) -> list[Operation]:
    here = {operation.key for operation in operations if operation.site == dsid}
    return [
        each if each.site == dsid else _arriving(each) for each in operations if each.key in here and _comes(each, dsid)
    ]


def _comes(operation: Operation, dsid: int) -> bool:
    return operation.site == dsid or operation.may_have_happened


def _arriving(write: Operation) -> Operation:
    """Return what a write of another site is here: whatever it asked for was decided there."""
    return replace(write, kind="put" if write.value else "remove", expected=b"", outcome="info")
