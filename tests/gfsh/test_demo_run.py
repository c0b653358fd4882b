"""The whole demo with real processes, on a part of the data; it leaves nothing behind, whatever happens."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import airportsdata
import psutil
import pytest
from rich.console import Console

from heliograph.gfsh.comparison import compare
from heliograph.gfsh.demo.command import result_of
from heliograph.gfsh.demo.run import DemoReport, SiteReport, run_demo
from heliograph.gfsh.demo.topology import TOPOLOGIES, plan_of
from heliograph.model.keys import Key

HELIO = str(Path(sys.executable).with_name("helio"))

AIRPORTS: dict[str, Any] = dict(islice(airportsdata.load("ICAO").items(), 1_200))
SITES = {"mesh": 2, "ring": 3, "hybrid": 3, "star": 3}


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made, so that a forgotten one is seen."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def left_running(scratch: Path) -> list[str]:
    """Return the command lines of processes that work below a directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(scratch):
                found.append(" ".join(process.cmdline()))
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_all_sites_hold_the_same_entries_and_nothing_is_left(topology: str, scratch: Path) -> None:
    output = io.StringIO()
    report = run_demo(plan_of(topology, SITES[topology]), AIRPORTS, Console(file=output, width=200))
    assert report.equal
    removed = sum(1 for _ in AIRPORTS) - report.sites[0].entries
    assert removed > 0
    assert all(site.events_received > 0 for site in report.sites)
    assert result_of(report).status == "OK"
    assert "create gateway-sender --id=to2 --remote-distributed-system-id=2" in output.getvalue()
    assert list(scratch.iterdir()) == []
    assert left_running(scratch) == []


def test_an_interrupt_leaves_nothing_behind(scratch: Path) -> None:
    demo = subprocess.Popen(
        [HELIO, "demo", "--sites=2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(scratch)},
        cwd=Path(__file__).parent,
    )
    with demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if b"create region" in line:
                break
        assert left_running(scratch)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=40)
    assert demo.returncode != 0
    deadline = time.monotonic() + 10
    while left_running(scratch) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left_running(scratch) == []
    assert list(scratch.iterdir()) == []


def test_a_planted_difference_fails_the_demo() -> None:
    plan = plan_of("mesh", 2)
    same: dict[Key, Any] = {"EDDF": {"name": "Frankfurt"}, "EGLL": {"name": "London"}}
    other: dict[Key, Any] = {**same, "EGLL": {"name": "London Heathrow"}}
    sites = tuple(
        SiteReport(number, len(held), compare(same, held), 2, 2, 0) for number, held in ((1, same), (2, other))
    )
    report = DemoReport(plan, 1.0, sites)
    assert not report.equal
    result = result_of(report)
    assert result.status == "ERROR"
    assert [row[3] for row in result.tables[0].rows] == ["0", "1"]


def test_empty_sites_are_not_a_success() -> None:
    sites = tuple(SiteReport(number, 0, compare({}, {}), 0, 0, 0) for number in (1, 2))
    assert not DemoReport(plan_of("mesh", 2), 1.0, sites).equal
