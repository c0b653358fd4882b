"""benchmarks/compare.py: medians, ratios, and a program that fails; and the bare path that it compares with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "compare.py"
    spec = importlib.util.spec_from_file_location("compare_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_ratio_is_of_medians(script: ModuleType) -> None:
    reference = [{"wan_events_per_second": figure} for figure in (100, 900, 200)]
    ours = [{"wan_events_per_second": figure, "put_events_per_second": 1} for figure in (300, 10, 150)]
    result = script.compare(reference, ours)
    assert result == {"runs": 3, "wan_events_per_second": {"reference": 200, "heliograph": 150, "ratio": 0.75}}
    assert "wan_events_per_second" in script.table(result)
    assert "0.75" in script.table(result)


def test_the_last_line_of_a_program_is_its_result(script: ModuleType) -> None:
    assert script.measure([sys.executable, "-c", "print('hello'); print('{\"events\": 7}')"]) == {"events": 7}


def test_a_program_that_fails_ends_the_comparison(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match="exit status 3"):
        script.measure([sys.executable, "-c", "raise SystemExit(3)"])


def test_the_bare_path_moves_everything(script: ModuleType) -> None:
    moved = script.measure([sys.executable, str(script.BARE_PATH), "--events=1050", "--put-all=100", "--clients=4"])
    assert (moved["events"] >= 1100, moved["converged"]) == (True, True)
