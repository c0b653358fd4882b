from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.scenarios import connect_sites
from tests.system.sites import Sites


@contextmanager
def opened(directory: Path) -> Iterator[Sites]:
    """Sites in a directory; nothing of them is left afterwards, and nothing alarming stands in their logs."""
    started = Sites(directory)
    try:
        yield started
    finally:
        problems = started.close()
    assert problems == []
    alarms = started.alarms()
    assert not alarms, alarms


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    """Sites for one test."""
    with opened(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Two sites of one server each, for a module whose tests leave them as they are: site 1 sends `alone` to site 2."""
    with opened(tmp_path_factory.mktemp("pair")) as started:
        here, there = started.start({1: 1, 2: 1})
        connect_sites([here, there], {1: [2]}, {"alone": ("PARTITION", "parallel")})
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the processes with a failure."""
    report = yield
    if report.failed:
        for started in getattr(item, "funcargs", {}).values():
            if isinstance(started, Sites):
                report.sections.append(("logs of the processes", started.log_tails()))
    return report
