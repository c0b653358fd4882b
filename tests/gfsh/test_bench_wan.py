"""`helio bench wan --json` for real, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliograph.gfsh.bench import wan
from heliograph.gfsh.bench.command import comparison_of, result_of
from heliograph.gfsh.bench.settings import Latency, WanReport, WanSettings
from heliograph.gfsh.bench.worker import WorkerConfig
from tests.gfsh.support import Program

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


def test_embedded_serial_persistent_by_tls_and_with_a_round_trip() -> None:
    result = bench(
        "--events=3000",
        "--clients=3",
        "--embedded",
        "--serial",
        "--persistent",
        "--batch-size=50",
        "--rtt-ms=30",
        "--tls",
    )
    assert result["converged"] is True
    assert result["latency_ms"]["p50"] > 15
    assert {"embedded", "proxy"} <= result["cpu_seconds"].keys()
    assert "client1" not in result["cpu_seconds"]


def test_a_second_sender_whose_site_is_not_there() -> None:
    assert bench("--events=3000", "--clients=3", "--embedded", "--dead-site")["converged"] is True


def report(*, converged: bool) -> WanReport:
    return WanReport(
        events=1_000,
        put_events_per_second=123_456,
        wan_events_per_second=98_765,
        wan_events_per_cpu_second=55_555,
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
    assert [value for _, value in figures.rows] == [
        "1,000",
        "123,456",
        "98,765",
        "55,555",
        "2.50",
        "4.25",
        "777",
        "true",
    ]
    assert processes.rows == [("server1-1", "1.50", "64")]


def test_several_servers_and_round_trips_are_compared_run_by_run(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_wan(settings: WanSettings, _say: object) -> WanReport:
        events = 100_000 if settings.rtt_ms else 200_000
        return msgspec.structs.replace(report(converged=True), settings=settings, wan_events_per_second=events)

    monkeypatch.setattr(wan, "run_wan", run_wan)
    ran = program("--json", "bench", "wan", "--servers=1,2", "--rtt-ms=0, 160")
    runs = [each["settings"] for each in json.loads(ran.out)["runs"]]
    assert [(each["servers"], each["rtt_ms"]) for each in runs] == [(1, 0), (1, 160), (2, 0), (2, 160)]
    assert all(each["proxied"] for each in runs), "so that it is in the way of all"
    (table,) = comparison_of([run_wan(WanSettings(rtt_ms=rtt), None) for rtt in (0, 160)]).tables
    assert [(row[1], row[3]) for row in table.rows] == [("0", "1.00"), ("160", "0.50")]
    assert comparison_of([report(converged=True), report(converged=False)]).status == "ERROR"


def test_sites_that_differ_fail_the_benchmark() -> None:
    assert result_of(report(converged=False)).status == "ERROR"


@pytest.mark.parametrize("arguments", [["--json", "bench", "wan"], ["bench", "wan", "--json"]])
@pytest.mark.parametrize("converged", [True, False])
def test_json_is_the_report_and_nothing_else(
    program: Program, monkeypatch: pytest.MonkeyPatch, arguments: list[str], converged: bool
) -> None:
    monkeypatch.setattr(wan, "run_wan", lambda _settings, _say: report(converged=converged))
    ran = program(*arguments)
    assert json.loads(ran.out)["wan_events_per_second"] == 98_765
    assert ran.status == (not converged)
    assert bool(ran.err) is not converged


def run_worker(text: str) -> tuple[int, str, str]:
    words = [sys.executable, "-m", "heliograph.gfsh.bench.worker"]
    ran = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=False)
    return ran.returncode, ran.stdout, ran.stderr


def test_a_worker_whose_input_ends_just_ends() -> None:
    assert run_worker("") == (0, "", "")


def test_a_worker_says_what_fails_and_shows_no_traceback() -> None:
    config = WorkerConfig(
        locator="127.0.0.1[1]", region="bench", member="", clients=[0], operations=1, put_all=1, value_size=1
    )
    status, out, err = run_worker(msgspec.json.encode(config).decode() + "\n")
    assert (status, out) == (1, "")
    assert "127.0.0.1[1]" in err
    assert "Traceback" not in err


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
