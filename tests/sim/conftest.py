"""Options of the campaign: how many seeds, and which one to run again."""

from __future__ import annotations

import pytest

SEEDS_DEFAULT = 16


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=SEEDS_DEFAULT, help="simulate this many seeds, from --first-seed on")
    parser.addoption("--first-seed", type=int, default=0, help="the first seed to simulate")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "campaign_seed" in metafunc.fixturenames:
        # Not loaded in time to add options when the whole suite is run.
        first = metafunc.config.getoption("--first-seed", 0)
        count = metafunc.config.getoption("--seeds", SEEDS_DEFAULT)
        metafunc.parametrize("campaign_seed", range(first, first + count))
