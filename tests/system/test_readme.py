"""The README's five minutes run as they stand there, in another directory and on other ports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from heliograph.gfsh.local_sites import free_ports
from heliograph.gfsh.processes import kill_tree, process_of, read_state
from tests.system.sites import ROOT

SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PORTS = ("10334", "20334", "7071", "7072", "40404", "40405", *map(str, range(5310, 5321)))
TOUR_S = 100.0


def test_the_tour_runs(tmp_path: Path) -> None:
    tour = (ROOT / "README.md").read_text().partition("## Five minutes")[2].partition("## How it works")[0]
    script = "set -e\n" + "\n".join(SHELL.findall(tour))
    replaced = {"$PWD/.venv/bin": str(Path(sys.executable).parent), "/tmp/tour": str(tmp_path)}
    replaced |= {old: str(new) for new, old in enumerate(PORTS, free_ports(len(PORTS)))}
    for old, new in replaced.items():
        assert old in script or old in PORTS[-11:], f"the tour no longer says {old}"
        script = re.sub(rf"(?<!\d){re.escape(old)}(?!\d)", new, script)
    try:
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=TOUR_S)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"Key +: 42\nValue Class +: java.lang.String\nValue +: Ada\n", done.stdout)
        assert done.stdout.count("{'name': 'Ada', 'visits': 7}") == 2
        assert left_running(tmp_path) == []
    finally:
        for pid in left_running(tmp_path):
            kill_tree(pid, timeout_s=20.0)


def left_running(directory: Path) -> list[int]:
    found = []
    for kind in ("server", "locator"):
        states = [read_state(path.parent, kind) for path in directory.rglob(f"{kind}.json")]
        found += [process.pid for state in states if state is not None and (process := process_of(state)) is not None]
    return found
