"""Whole sites under faults, one seed a test; see docs/reliability.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from heliograph.bucket import requests
from tests.sim.campaign import simulate
from tests.sim.checkers import anomalies
from tests.sim.observed import Told

ROOT = Path(__file__).parents[2]
SEEDS_REPEATED = "1 4 9 2086"
DIGESTS = """
import sys
from tests.sim.campaign import simulate
print(*(simulate(int(seed)).digest for seed in sys.argv[1:]))
"""


def test_no_anomaly(campaign_seed: int) -> None:
    observed = simulate(campaign_seed)
    found = anomalies(observed)
    if found:
        report = [f"seed {campaign_seed}: {observed.story[0]}", *observed.story[1:]]
        report += [f"{name}: {example}" for name, examples in found.items() for example in examples]
        report.append(f"again: pytest tests/sim/test_campaign.py -k no_anomaly --first-seed={campaign_seed} --seeds=1")
        pytest.fail("\n".join(report), pytrace=False)


@pytest.mark.parametrize("seed", range(300, 306))
def test_nothing_is_done_twice_however_soon_a_bucket_forgets_its_clients(seed: int) -> None:
    """What was forgotten is refused: that may leave clients without an answer, and nothing else."""
    with patch.multiple(requests, MEMORY_MS=1_000, CLIENTS_MAX=3, ANSWERS_MAX=2):
        assert anomalies(simulate(seed)).keys() <= {"stuck"}


def test_a_seed_decides_a_run() -> None:
    """Two programs whose sets and dicts of strings differ in order do the same."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS, *SEEDS_REPEATED.split()],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split()
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]


def test_clients_do_enough_to_tell() -> None:
    """Checkers that have nothing to look at find nothing: most operations succeed, some must fail, conflicts occur."""
    observed = simulate(2)
    outcomes = [operation.outcome for operation in observed.operations]
    assert outcomes.count("ok") > 100
    assert "info" in outcomes
    answered = [operation for operation in observed.operations if operation.outcome == "ok"]
    assert {each.done for each in answered if each.kind not in ("put", "get")} == {True, False}
    assert {bool(each.member) for each in answered if each.kind == "get"} == {True, False}
    assert all(site.copies and site.logs[0] for site in observed.sites.values())
    assert observed.records_cut > 100


def test_listeners_are_told_enough_to_tell() -> None:
    """Within a few seeds some are told to the end and some die, and some are told from the log what they lack."""
    told: list[Told] = []
    for seed in range(12):
        told += simulate(seed).told
        events = [event for each in told for event in each.events]
        ends = {each.ended for each in told}
        if len(events) > 1_000 and ends >= {"listening", "killed"} and any(event.old is None for event in events):
            return
    raise AssertionError((len(events), ends))
