"""Names of log levels: those of GemFire's property `log-level`, and those of its commands. Several mean one of ours."""

from __future__ import annotations

import logging

from heliograph.errors import UsageError

OFF = logging.CRITICAL + 10
"""Above every message that there is."""
DEFAULT = "config"
"""Of a process that is started by a command."""
LEVELS: dict[str, int] = {
    "none": OFF,
    "off": OFF,
    "severe": logging.CRITICAL,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "config": logging.INFO,
    "fine": logging.DEBUG,
    "debug": logging.DEBUG,
    "finer": logging.DEBUG,
    "finest": logging.DEBUG,
    "trace": logging.DEBUG,
    "all": logging.DEBUG,
}
"""Name, in lower case -> the least number (of Python's `logging`) that is written."""


def check_log_level(text: str) -> str:
    """Return the name of a level in lower case. Raises UsageError when there is no such level."""
    level = text.strip().lower()
    if level not in LEVELS:
        raise UsageError(f"log-level {text!r}: use one of {', '.join(LEVELS)}")
    return level
