"""`helio bench site --json` for real, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import UsageError
from heliograph.gfsh.bench import site
from heliograph.gfsh.bench.settings import Latency, SiteReport, SiteSettings
from tests.gfsh.support import Program

HELIO = str(Path(sys.executable).with_name("helio"))


def bench(*options: str) -> dict[str, Any]:
    done = subprocess.run(
        [HELIO, "bench", "site", "--json", *options], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result: dict[str, Any] = json.loads(line)
    return result


def test_clients_in_processes_of_their_own() -> None:
    result = bench("--operations=1001", "--entries=20000", "--clients=2", "--get-percent=25", "--servers=2")
    assert result["operations"] == 1_001
    assert result["put_ms"]["samples"] + result["get_ms"]["samples"] == 1_001
    assert 240 <= result["get_ms"]["samples"] <= 260
    for latency in (result["put_ms"], result["get_ms"]):
        assert 0 < latency["p50"] <= latency["p99"]
    assert result["operations_per_second"] > 0
    assert result["load_entries_per_second"] > 0
    assert 50 < result["bytes_per_entry"] < 20_000
    processes = {"locator1", "nats-server1", "server1-1", "server1-2", "client1", "client2"}
    assert result["cpu_seconds"].keys() == result["peak_rss_mb"].keys() == processes
    assert result["settings"]["get_percent"] == 25


def test_clients_in_a_member_that_only_put() -> None:
    result = bench("--operations=200", "--entries=3000", "--put-all=10", "--get-percent=0", "--embedded")
    assert result["get_ms"] is None
    assert result["put_ms"]["samples"] == 200
    assert "embedded" in result["cpu_seconds"]
    assert "client1" not in result["cpu_seconds"]


def test_the_readable_form_has_every_figure(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    report = SiteReport(
        operations=1_000,
        operations_per_second=98_765,
        put_ms=Latency(1.5, 4.25, 200),
        get_ms=None,
        entries=777,
        load_entries_per_second=54_321,
        bytes_per_entry=310,
        cpu_seconds={"server1-1": 1.5},
        peak_rss_mb={"server1-1": 64.2},
        settings=SiteSettings(),
        versions={},
        machine={},
    )
    monkeypatch.setattr(site, "run_site", lambda _settings, _say: report)
    ran = program("bench", "site")
    assert ran.status == 0
    for figure in ("98,765", "1.500", "4.250", "777", "54,321", "310", "server1-1"):
        assert figure in ran.out
    assert "Get" not in ran.out
    assert json.loads(program("bench", "site", "--json").out)["bytes_per_entry"] == 310


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"entries": 5, "put_all": 10}, "entries 5: use 10"),
        ({"get_percent": 101}, "get-percent 101"),
        ({"operations": 0}, "operations 0"),
        ({"value_size": 0}, "value-size 0"),
        ({"clients": 0}, "clients 0"),
    ],
)
def test_what_can_not_be_run_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        SiteSettings(**options)
