"""Sites of real processes that any connected graph links: they agree in the end, whatever was cut and killed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from heliograph.gfsh import launch
from tests.system.conftest import opened
from tests.system.graphs import Seen, run_graph
from tests.system.sites import ROOT, Sites

EXAMPLES = 6
OPERATIONS_MIN, TOLD_MIN = 300, 200
MANY = 10
SEEDS_OF_BUGS = (6, 8, 9, 12)
PLANTED_SETTLE_S = 8.0


def report(seed: int, seen: Seen, directory: Path) -> str:
    """Say what is wrong with a run, "" when nothing is; the whole history goes into a file."""
    problems = seen.problems()
    if not problems:
        return ""
    path = directory / f"history-{seed}.txt"
    path.write_text("\n".join(str(each) for history in seen.history.values() for each in history))
    again = f"again: pytest tests/system/test_graphs.py --first-seed={seed} --graph-runs=1 (history: {path})"
    return "\n".join([f"seed {seed}, {seen.ways}, {len(problems)} problems", *seen.story, *problems[:EXAMPLES], again])


@pytest.mark.timeout(300)
def test_sites_agree_on_any_graph(
    sites: Sites, graph_run: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "DAEMON_MODULE", "tests.system.planted.wrong_clocks")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    seen = run_graph(sites, graph_run)
    operations = [each for history in seen.history.values() for each in history]
    told = sum(len(events) for each in seen.told.values() for events in each.events.values())
    unknown = [each.outcome for each in operations].count("info")
    print(f"seed {graph_run}: {seen.ways}, {len(operations)} operations, {unknown} unknown, {told} told, {seen.story}")  # noqa: T201
    wrong = report(graph_run, seen, tmp_path)
    if wrong:
        pytest.fail(wrong, pytrace=False)
    assert sum(each.outcome == "ok" for each in operations) > OPERATIONS_MIN, "too little was done to tell anything"
    assert told > TOLD_MIN


@pytest.mark.timeout(400)
def test_a_planted_bug_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph_runs: int) -> None:
    """By the first or second seed as a rule; only where many seeds are run, for it takes as long as some of them."""
    if graph_runs < MANY:
        pytest.skip("with --graph-runs=10 and more")
    monkeypatch.setattr(launch, "DAEMON_MODULE", "tests.system.planted.early_tombstones")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    problems: list[str] = []
    for seed in SEEDS_OF_BUGS:
        with opened(tmp_path / str(seed)) as started:
            problems += run_graph(started, seed, settle_s=PLANTED_SETTLE_S).problems()
        if any(re.search("entries differ|in this order", problem) for problem in problems):
            return
    pytest.fail(f"nobody found it: {problems}")
