"""The shell's variables: `set variable`, `${NAME}` and `echo $*` (gfsh.md §1.3, §1.6)."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
from pathlib import Path

from heliograph.errors import UsageError

APP_QUIET_EXECUTION = "APP_QUIET_EXECUTION"
APP_FETCH_SIZE = "APP_FETCH_SIZE"
LAST_EXIT_STATUS = "APP_LAST_EXIT_STATUS"
PASSED, NOT_EXECUTED, FAILED = "0", "-1", "-2"
"""Values of `LAST_EXIT_STATUS`."""
_ONLY = {"APP_QUERY_RESULTS_DISPLAY_MODE": "table", "APP_RESULT_VIEWER": "basic"}
"""Variables that have one value here."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USE = re.compile(r"\$\{(\w+)\}")


class Variables:
    """Names and values, all texts. Some belong to the shell and can't be set."""

    def __init__(self) -> None:
        self._values = {
            "APP_NAME": "gfsh",
            "APP_PWD": str(Path.cwd()),
            "APP_LOGGING_ENABLED": "false",
            "APP_LOG_FILE": "",
            LAST_EXIT_STATUS: PASSED,
            "SYS_USER": _user(),
            "SYS_USER_HOME": str(Path.home()),
            "SYS_HOST_NAME": socket.gethostname(),
            "SYS_OS": platform.system(),
            "SYS_OS_LINE_SEPARATOR": os.linesep.encode("unicode_escape").decode(),
        }
        self._fixed = frozenset(self._values)
        self._values |= {APP_FETCH_SIZE: "100", APP_QUIET_EXECUTION: "false", **_ONLY}

    def items(self) -> list[tuple[str, str]]:
        """Return all variables, sorted by name."""
        return sorted(self._values.items())

    def __getitem__(self, name: str) -> str:
        return self._values.get(name, "")

    def set(self, name: str, value: str) -> None:
        """Set a variable. Raises UsageError for a name that can't be one, or is the shell's, and for an unfit value."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} can't name a variable: use letters, digits and '_', not beginning with a digit")
        if name in self._fixed or name.startswith("SYS"):
            raise UsageError(f"{name} belongs to the shell and can't be set")
        if name == APP_FETCH_SIZE and not (value.isdecimal() and int(value) > 0):
            raise UsageError(f"{name} {value!r}: use a number, 1 or more")
        if name == APP_QUIET_EXECUTION and value.lower() not in ("true", "false"):
            raise UsageError(f"{name} {value!r}: use true or false")
        if name in _ONLY and value.lower() != _ONLY[name]:
            raise UsageError(f"{name} {value!r} is not offered: it is always {_ONLY[name]}")
        if name == "APP_COLLECTION_LIMIT":
            raise UsageError(f"{name} is not offered: values are always shown whole")
        self._values[name] = value

    def note_status(self, status: str) -> None:
        """Remember how the last command ended."""
        self._values[LAST_EXIT_STATUS] = status

    @property
    def quiet(self) -> bool:
        """Say whether a line in which variables were replaced is not shown."""
        return self._values[APP_QUIET_EXECUTION].lower() == "true"

    def expand(self, line: str) -> str:
        """Replace every `${NAME}`, an unset one by nothing."""
        return _USE.sub(lambda match: self[match[1]], line)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a process whose user has no name
        return str(os.getuid())
