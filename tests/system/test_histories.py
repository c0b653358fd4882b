"""Processes are killed and frozen by seeded schedules while clients write: every entry's history is right."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from heliograph.gfsh import launch
from tests.system.conftest import opened
from tests.system.histories import CROWD, LOADS, Load, Run, run_seed
from tests.system.nemesis import Schedule, drawn, taking_over
from tests.system.sites import ROOT, Sites

EXAMPLES = 5
OPERATIONS_MIN = 500
PLANTED_SETTLE_S = 5.0


def report(seed: int, run: Run, directory: Path) -> str:
    """Say what is wrong with a run, "" when nothing is; the whole history goes into a file."""
    problems = run.problems()
    if not problems:
        return ""
    path = directory / f"history-{seed}.txt"
    path.write_text("\n".join(str(each) for history in run.histories.values() for each in history))
    again = f"again: pytest tests/system/test_histories.py -k right --first-seed={seed} --runs=1 (history: {path})"
    return "\n".join([f"seed {seed}, {len(problems)} problems", *run.story, *problems[:EXAMPLES], again])


@pytest.mark.timeout(240)
def test_every_history_is_right(sites: Sites, history_seed: int, tmp_path: Path) -> None:
    run = run_seed(sites, history_seed)
    operations = [each for history in run.histories.values() for each in history]
    outcomes = [each.outcome for each in operations]
    print(f"seed {history_seed}: {len(operations)} operations, {outcomes.count('info')} unknown, {run.story}")  # noqa: T201
    wrong = report(history_seed, run, tmp_path)
    if wrong:
        pytest.fail(wrong, pytrace=False)
    assert outcomes.count("ok") > OPERATIONS_MIN, "too little was done to tell anything"
    assert {each.done for each in operations if each.kind not in ("put", "get")} == {True, False}


@pytest.mark.planted
@pytest.mark.timeout(360)
@pytest.mark.parametrize(
    ("bug", "found", "seeds", "schedule", "loads"),
    [
        # Two writers have to meet in one bucket, so this has more of what brings them together.
        (
            "unfenced_engine",
            "no order explains|entries differ at server|gone back|invented",
            (0, 2, 4),
            taking_over,
            (CROWD,),
        ),
        ("early_cursor", "entries differ at site 2", (8, 10, 2), drawn, LOADS),
    ],
)
def test_a_planted_bug_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bug: str,
    found: str,
    seeds: tuple[int, ...],
    schedule: Schedule,
    loads: tuple[Load, ...],
) -> None:
    """By the first seed as a rule: what the others are for is that real processes are never twice the same."""
    monkeypatch.setattr(launch, "DAEMON_MODULE", f"tests.system.planted.{bug}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    problems: list[str] = []
    for seed in seeds:
        with opened(tmp_path / str(seed)) as sites:
            run = run_seed(sites, seed, schedule=schedule, loads=loads, settle_s=PLANTED_SETTLE_S)
            problems += run.problems()
        if any(re.search(found, problem) for problem in problems):
            return
    pytest.fail(f"nobody found {found!r}: {problems}")
