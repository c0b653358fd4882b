"""`helio bench wan --json` for real, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from heliograph.gfsh.bench.command import result_of
from heliograph.gfsh.bench.settings import Latency, WanReport, WanSettings

HELIO = str(Path(sys.executable).with_name("helio"))


def bench(*options: str) -> dict[str, Any]:
    done = subprocess.run(
        [HELIO, "bench", "wan", "--json", *options],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result: dict[str, Any] = json.loads(line)
    return result


def test_clients_in_processes_of_their_own() -> None:
    result = bench("--events=5000", "--clients=2", "--value-size=50")
    assert result["events"] == 5_000
    assert result["converged"] is True
    assert result["entries"] > 2_000
    assert result["put_events_per_second"] >= result["wan_events_per_second"] > 0
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
    processes = {
        "locator1",
        "locator2",
        "nats-server1-1",
        "nats-server2-1",
        "server1-1",
        "server2-1",
        "client1",
        "client2",
    }
    assert result["cpu_seconds"].keys() == result["peak_rss_mb"].keys() == processes
    assert all(megabytes > 5 for megabytes in result["peak_rss_mb"].values())
    assert result["settings"]["clients"] == 2
    assert "heliograph" in result["versions"]


def test_embedded_serial_persistent_and_with_a_round_trip() -> None:
    result = bench(
        "--events=3000", "--clients=3", "--embedded", "--serial", "--persistent", "--batch-size=50", "--rtt-ms=30"
    )
    assert result["converged"] is True
    assert result["latency_ms"]["p50"] > 15
    assert {"embedded", "proxy"} <= result["cpu_seconds"].keys()
    assert "client1" not in result["cpu_seconds"]


def report(*, converged: bool) -> WanReport:
    return WanReport(
        events=1_000,
        put_events_per_second=123_456,
        wan_events_per_second=98_765,
        latency_ms=Latency(2.5, 4.25, 200),
        converged=converged,
        entries=777,
        cpu_seconds={"server1-1": 1.5},
        peak_rss_mb={"server1-1": 64.2},
        settings=WanSettings(),
        versions={},
        machine={},
    )


def test_the_readable_form_has_every_figure() -> None:
    result = result_of(report(converged=True))
    assert result.status == "OK"
    figures, processes = result.tables
    assert [value for _, value in figures.rows] == ["1,000", "123,456", "98,765", "2.50", "4.25", "777", "true"]
    assert processes.rows == [("server1-1", "1.50", "64")]


def test_sites_that_differ_fail_the_benchmark() -> None:
    assert result_of(report(converged=False)).status == "ERROR"


def test_options_out_of_range_are_refused() -> None:
    done = subprocess.run(
        [HELIO, "bench", "wan", "--clients=0"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "--clients" in done.stderr
