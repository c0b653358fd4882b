"""How much this process logs, changed while it runs."""

from __future__ import annotations

import logging

from heliograph.model.log_levels import LEVELS, check_log_level

_LOGGER = logging.getLogger("heliograph")
_log = logging.getLogger(__name__)


class LogLevel:
    """Of one process, by name. given: what it was started with; "" leaves it as the program has it.

    It holds for what heliograph logs; what libraries log is the program's, and a daemon's from `info` on.
    """

    def __init__(self, given: str = "") -> None:
        self.name = ""
        if given:
            self._set(check_log_level(given))

    def change(self, name: str) -> None:
        """Write what is of that level or above from now on. Raises UsageError when there is no such level."""
        level = check_log_level(name)
        if level != self.name:
            _log.info("log level changed from=%s to=%s", self.name or "the program's", level)
        self._set(level)

    def _set(self, level: str) -> None:
        _LOGGER.setLevel(LEVELS[level])
        self.name = level
