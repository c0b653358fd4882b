"""What a process answers about itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from heliograph.errors import UsageError
from heliograph.link.messages import LogLevelCommand
from heliograph.model.log_levels import LEVELS
from heliograph.model.runtime import RuntimeProperties
from heliograph.process.own import OwnProcess

LOGGER = logging.getLogger("heliograph")


@pytest.fixture(autouse=True)
def level_as_before() -> Iterator[None]:
    before = LOGGER.level
    yield
    LOGGER.setLevel(before)


def command(process: OwnProcess, level: str) -> None:
    process.answers[LogLevelCommand](LogLevelCommand(level))


def test_the_log_level_is_the_programs_until_one_is_given() -> None:
    before = LOGGER.level
    process = OwnProcess("s1", "")
    assert LOGGER.level == before
    command(process, "FINE")
    assert LOGGER.level == logging.DEBUG
    with pytest.raises(UsageError, match="log-level 'loud'"):
        command(process, "loud")


@pytest.mark.parametrize("name", LEVELS)
def test_every_name_of_a_level_writes_it_and_what_is_above(name: str) -> None:
    OwnProcess("s1", name)
    assert LOGGER.isEnabledFor(logging.CRITICAL) == (name not in ("none", "off"))
    assert LOGGER.isEnabledFor(LEVELS[name])


def test_what_the_site_keeps_is_taken_up_once() -> None:
    process = OwnProcess("s1", "error")
    process.take_up(None, 0)
    assert LOGGER.level == logging.ERROR
    process.take_up(RuntimeProperties(log_level="warn"), 7)
    command(process, "fine")
    process.take_up(RuntimeProperties(log_level="warn"), 7)
    assert LOGGER.level == logging.DEBUG
    process.take_up(RuntimeProperties(log_level="warn"), 9)
    assert LOGGER.level == logging.WARNING
