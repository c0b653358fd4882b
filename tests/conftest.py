"""Options of the tests that draw what they do from a seed: how many seeds, and which one to run again."""

from __future__ import annotations

import signal
import threading

import pytest
from hypothesis import HealthCheck, settings

# A machine that does much else is slow, which is no fault of what is tested. The examples are the same in every run, so
# that a change is judged by itself; `make soak` looks for new ones.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("patient", PATIENT, derandomize=True)
settings.register_profile("thorough", PATIENT, max_examples=2000)
settings.load_profile("patient")

SEEDS = {
    "campaign_seed": ("--seeds", 16, "simulated sites"),
    "graph_seed": ("--graphs", 6, "simulated sites that any graph connects"),
    "graph_run": ("--graph-runs", 1, "sites of real processes that any graph connects"),
    "history_seed": ("--runs", 2, "sites of real processes"),
}
"""Argument of a test -> the option that says how many seeds it gets, how many it gets without, and what they are of."""


def pytest_addoption(parser: pytest.Parser) -> None:
    for option, default, what in SEEDS.values():
        parser.addoption(option, type=int, default=default, help=f"so many seeds, from --first-seed on, of {what}")
    parser.addoption(
        "--most-sites", type=int, default=4, help="every topology is tried with up to so many sites, 2 to 9"
    )
    parser.addoption("--first-seed", type=int, default=0, help="the first seed to run")


@pytest.fixture
def graph_runs(pytestconfig: pytest.Config) -> int:
    """How many seeds of real sites on graphs are run."""
    runs: int = pytestconfig.getoption("--graph-runs")
    return runs


def pytest_sessionstart() -> None:
    """Undo what a shell does to what it starts in the background: interrupts are ignored there, by all children too."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "site_count" in metafunc.fixturenames:
        metafunc.parametrize("site_count", range(2, metafunc.config.getoption("--most-sites") + 1))
    first = metafunc.config.getoption("--first-seed")
    for argument, (option, _, _) in SEEDS.items():
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, range(first, first + metafunc.config.getoption(option)))
