"""The lines that were typed, with passwords taken out: of this session, and kept in a file by the interactive shell."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from heliograph.gfsh.tokens import redact


def history_file() -> Path:
    """Return where the shell's history is kept, below the user's state directory (XDG)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "heliograph" / "history"


class WholeLines(History):
    r"""Remembers what was typed, without passwords; a line that `\` continues as one with what continues it.

    begun: what is to be continued; set it to nothing when the line is given up.
    """

    begun = ""

    def append_string(self, string: str) -> None:
        """Remember a line, when it is whole."""
        if string.endswith("\\"):
            self.begun += string[:-1] + " "
            return
        whole, self.begun = self.begun + string, ""
        super().append_string(redact(whole))


class SessionHistory(WholeLines, InMemoryHistory):
    """The lines of one session."""


class RedactedHistory(WholeLines, FileHistory):
    """A history file that never holds a password."""

    def clear(self) -> None:
        """Forget every line, also in the file."""
        self._loaded_strings = []
        Path(os.fsdecode(self.filename)).write_bytes(b"")
