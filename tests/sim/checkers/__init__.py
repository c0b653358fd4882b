"""Checkers: each looks for one anomaly in an observed run and returns what it found, one line each.

They are outside of the system: they know its logs and copies and what its clients were told, nothing of its reasons.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.checkers import (
    divergence,
    duplicate_effect,
    false_answer,
    histories,
    lost_write,
    resurrected,
    sent_back,
    stuck,
    told,
    two_primaries,
)
from tests.sim.observed import Observed

CHECKERS: dict[str, Callable[[Observed], list[str]]] = {
    "stuck": stuck.check,
    "two primaries": two_primaries.check,
    "lost write": lost_write.check,
    "divergence": divergence.check,
    "resurrected": resurrected.check,
    "duplicate effect": duplicate_effect.check,
    "false answer": false_answer.check,
    "no order": histories.check_order,
    "stale read": histories.check_reads,
    "told wrongly": told.check,
    "sent back": sent_back.check,
}
EXAMPLES_MAX = 3


def anomalies(observed: Observed) -> dict[str, list[str]]:
    """Return what every checker found, by the anomaly's name, with a few examples each."""
    found = {name: check(observed) for name, check in CHECKERS.items()}
    return {name: examples[:EXAMPLES_MAX] for name, examples in found.items() if examples}
