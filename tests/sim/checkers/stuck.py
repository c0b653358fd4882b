"""Stuck: everything was healed, and something is still not done within the bound, or a process failed by itself."""

from __future__ import annotations

from tests.sim.observed import Observed


def check(observed: Observed) -> list[str]:
    failed = [
        f"failed while nothing was wrong: {operation}: {operation.error}"
        for operation in observed.operations
        if operation.quiet and operation.outcome != "ok"
    ]
    return observed.errors + observed.unfinished + failed
