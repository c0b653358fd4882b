"""The process that one is: what a member and a locator answer alike about it, to the site's locators."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from heliograph.link import messages
from heliograph.link.messages import Outcome
from heliograph.model.runtime import RuntimeProperties
from heliograph.process.log_file import LogFile
from heliograph.process.log_level import LogLevel
from heliograph.process.settings import Section, started_with

FROM_LOCATORS: frozenset[type] = frozenset(
    {messages.LogLevelCommand, messages.SettingsQuery, messages.ShutDown, messages.LogQuery, messages.LogTail}
)
"""Requests that only locators make: an operator's command comes by one."""

_log = logging.getLogger(__name__)

KEPT, NOW = "Cluster configuration (alter runtime)", "Changed while it runs"


def ran_by() -> dict[str, str]:
    """Return what runs the process, for its state block (gfsh.md §3.5)."""
    return {"Python Version": platform.python_version(), "Class-Path": os.environ.get("PYTHONPATH", "")}


class ProcessConfig(Protocol):
    """What locators and members are alike started with, besides their own fields (a msgspec struct)."""

    @property
    def name(self) -> str:
        """Of the process."""
        ...

    @property
    def directory(self) -> str:
        """Where it works, and has its log."""
        ...

    @property
    def log_level(self) -> str:
        """See `LogLevel`."""
        ...


class OwnProcess:
    """Of a member or a locator. config: what it was started with.

    on_shut_down: ends the process in order, soon; None where it is not ours to end.
    """

    on_shut_down: Callable[[], None] | None = None

    def __init__(self, config: ProcessConfig) -> None:
        self._config = config
        self._log_file = LogFile(Path(config.directory).absolute() / f"{config.name}.log")
        self._level = LogLevel(config.log_level)
        self._kept: RuntimeProperties | None = None
        self._taken_up = 0

    @property
    def answers(self) -> Mapping[type, Callable[[Any], messages.Reply | Awaitable[messages.Reply]]]:
        """Request -> what answers it."""
        return {
            messages.LogLevelCommand: self._change_level,
            messages.ShutDown: self._shut_down,
            messages.LogQuery: lambda query: asyncio.to_thread(self._log_file.part, query),
            messages.LogTail: lambda query: asyncio.to_thread(self._log_file.tail, query),
            messages.SettingsQuery: lambda _query: messages.ProcessSettings(self._settings()),
        }

    def take_up(self, properties: RuntimeProperties | None, revision: int) -> None:
        """Become what the site's runtime properties say, once for every revision of them: what is changed here later
        holds until they are changed again.
        """
        self._kept = properties
        if properties is not None and revision > self._taken_up:
            self._taken_up = revision
            self._level.change(properties.log_level)

    def _settings(self) -> list[Section]:
        """Return what it was started with, and before the defaults what holds instead by now."""
        *sections, defaults = started_with(cast(msgspec.Struct, self._config))
        if self._kept is not None:
            sections.append((KEPT, {"log-level": self._kept.log_level}))
        if self._level.name != (self._kept.log_level if self._kept is not None else self._config.log_level):
            sections.append((NOW, {"log-level": self._level.name}))
        return [*sections, defaults]

    def _shut_down(self, _: messages.ShutDown) -> Outcome:
        name = self._config.name
        if self.on_shut_down is None:
            return Outcome(False, f"{name} is part of a process that no command started: end that")
        _log.info("shut down by an operator name=%s", name)
        asyncio.get_running_loop().call_soon(self.on_shut_down)
        return Outcome(True, f"{name} stops")

    def _change_level(self, command: messages.LogLevelCommand) -> Outcome:
        self._level.change(command.level)
        return Outcome(True, f"{self._config.name} logs from {self._level.name} on")
