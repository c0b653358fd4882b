"""The process that one is: what a member and a locator answer alike about it, to the site's locators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from heliograph.link import messages
from heliograph.link.messages import Outcome
from heliograph.model.runtime import RuntimeProperties
from heliograph.process.log_level import LogLevel

FROM_LOCATORS: frozenset[type] = frozenset({messages.LogLevelCommand})
"""Requests that only locators make: an operator's command comes by one."""


class OwnProcess:
    """Of a member or a locator called `name`. log_level: what it was started with, see `LogLevel`."""

    def __init__(self, name: str, log_level: str) -> None:
        self._name = name
        self._level = LogLevel(log_level)
        self._taken_up = 0

    @property
    def answers(self) -> Mapping[type, Callable[[Any], messages.Reply | Awaitable[messages.Reply]]]:
        """Request -> what answers it."""
        return {messages.LogLevelCommand: self._change_level}

    def take_up(self, properties: RuntimeProperties | None, revision: int) -> None:
        """Become what the site's runtime properties say, once for every revision of them: what is changed here later
        holds until they are changed again.
        """
        if properties is not None and revision > self._taken_up:
            self._taken_up = revision
            self._level.change(properties.log_level)

    def _change_level(self, command: messages.LogLevelCommand) -> Outcome:
        self._level.change(command.level)
        return Outcome(True, f"{self._name} logs from {self._level.name} on")
