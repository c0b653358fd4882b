"""What a process answers about itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from heliograph.errors import UsageError
from heliograph.link.messages import LogLevelCommand, Outcome, ProcessSettings, SettingsQuery, ShutDown
from heliograph.locator.config import LocatorConfig
from heliograph.model.log_levels import LEVELS
from heliograph.model.runtime import RuntimeProperties
from heliograph.process.own import OwnProcess

LOGGER = logging.getLogger("heliograph")


@pytest.fixture(autouse=True)
def level_as_before() -> Iterator[None]:
    before = LOGGER.level
    yield
    LOGGER.setLevel(before)


def own(log_level: str) -> OwnProcess:
    return OwnProcess(LocatorConfig(name="l1", log_level=log_level))


def command(process: OwnProcess, level: str) -> None:
    process.answers[LogLevelCommand](LogLevelCommand(level))


def outcome(process: OwnProcess) -> Outcome:
    told = process.answers[ShutDown](ShutDown())
    assert isinstance(told, Outcome)
    return told


def settings(process: OwnProcess) -> list[tuple[str, dict[str, str]]]:
    told = process.answers[SettingsQuery](SettingsQuery())
    assert isinstance(told, ProcessSettings)
    return told.sections


def test_the_log_level_is_the_programs_until_one_is_given() -> None:
    before = LOGGER.level
    process = own("")
    assert LOGGER.level == before
    command(process, "FINE")
    assert LOGGER.level == logging.DEBUG
    with pytest.raises(UsageError, match="log-level 'loud'"):
        command(process, "loud")


def test_only_a_process_of_ours_is_shut_down() -> None:
    async def scenario() -> None:
        process = own("")
        ended = asyncio.Event()
        assert not outcome(process).ok
        process.on_shut_down = ended.set
        assert outcome(process).ok
        assert not ended.is_set()  # the answer comes first
        await asyncio.wait_for(ended.wait(), 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("name", LEVELS)
def test_every_name_of_a_level_writes_it_and_what_is_above(name: str) -> None:
    own(name)
    assert LOGGER.isEnabledFor(logging.CRITICAL) == (name not in ("none", "off"))
    assert LOGGER.isEnabledFor(LEVELS[name])


def test_what_the_site_keeps_is_taken_up_once() -> None:
    process = own("error")
    process.take_up(None, 0)
    assert LOGGER.level == logging.ERROR
    process.take_up(RuntimeProperties(log_level="warn"), 7)
    command(process, "fine")
    process.take_up(RuntimeProperties(log_level="warn"), 7)
    assert LOGGER.level == logging.DEBUG
    process.take_up(RuntimeProperties(log_level="warn"), 9)
    assert LOGGER.level == logging.WARNING


def test_settings_say_what_was_changed_since() -> None:
    process = own("error")
    process.take_up(RuntimeProperties(log_level="warn"), 7)
    assert len(settings(process)) == 3
    command(process, "fine")
    sections = settings(process)
    assert [title for title, _ in sections] == [
        "Options",
        "Cluster configuration (alter runtime)",
        "Changed while it runs",
        "Defaults",
    ]
    assert [values["log-level"] for _, values in sections[:3]] == ["error", "warn", "fine"]
