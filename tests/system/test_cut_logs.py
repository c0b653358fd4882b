"""What is killed while its logs are being cut comes back from snapshots, with everything."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from heliograph.gfsh import launch
from tests.system import scenarios
from tests.system.sites import ROOT, Sites


@pytest.mark.parametrize(
    "scenario", [scenarios.site_is_killed, scenarios.primaries_are_killed, scenarios.remote_site_is_away]
)
def test_nothing_is_lost_while_logs_are_cut(
    sites: Sites, monkeypatch: pytest.MonkeyPatch, scenario: Callable[[Sites], None]
) -> None:
    monkeypatch.setattr(launch, "DAEMON_MODULE", "tests.system.planted.early_snapshots")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    scenario(sites)
    logged = "".join(path.read_text() for path in sites.logs())
    assert logged.count("log cut region=") > 20
    assert "log truncated too early" not in logged
