"""`helio bench failover --json` for real, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.errors import UsageError
from heliograph.gfsh.bench.failover import BUCKETS, _keys
from heliograph.gfsh.bench.settings import FailoverSettings
from heliograph.model.keys import bucket_of

HELIO = str(Path(sys.executable).with_name("helio"))


def test_the_buckets_of_a_killed_server_take_writes_again() -> None:
    done = subprocess.run(
        [HELIO, "bench", "failover", "--json", "--rounds=1", "--servers=2"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    times = report["takeover_ms"]
    assert 0 < times["p50"] <= times["p99"] <= times["max"]
    assert BUCKETS // 2 <= times["samples"] < BUCKETS
    assert report["settings"] == {"rounds": 1, "servers": 2}


def test_every_bucket_has_a_writer() -> None:
    assert [bucket_of(key, BUCKETS) for key in _keys().values()] == list(range(BUCKETS))


@pytest.mark.parametrize("options", [{"servers": 1}, {"servers": 17}, {"rounds": 0}])
def test_what_can_not_be_run_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        FailoverSettings(**options)
