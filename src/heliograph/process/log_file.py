"""The log of this process, read in parts, so that no log is ever in memory as a whole."""

from __future__ import annotations

from pathlib import Path

from heliograph.errors import UsageError
from heliograph.link.messages import LogPart, LogQuery, LogTail
from heliograph.process.log_lines import Choice, choose

READ_BYTES = 1 << 20
"""Read, and told, at once."""
LINES_MAX = 100
_LINE_BYTES = 2048
"""Of a line, on the generous average."""


class LogFile:
    """The file that a daemon's output goes to. Operations block; they raise UsageError when there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def part(self, query: LogQuery) -> LogPart:
        """Return what is wanted of the next `READ_BYTES`, up to a line's end where there is one."""
        if query.offset < 0:
            raise UsageError(f"offset {query.offset}: use 0 or more")
        choice = Choice(level=query.level, only=query.only, start_ms=query.start_ms, end_ms=query.end_ms)
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(query.offset)
                text = file.read(READ_BYTES)
        except FileNotFoundError:
            raise self._none() from None
        except OSError as exc:
            raise UsageError(f"{self._path} can't be read: {exc.strerror}") from exc
        ending = text.rfind(b"\n") + 1
        if ending and query.offset + len(text) < size:
            text = text[:ending]
        chosen, wanted = choose(text, choice, query.wanted)
        return LogPart(chosen, query.offset + len(text), size, wanted)

    def tail(self, query: LogTail) -> LogPart:
        """Return the last lines, `LINES_MAX` at most."""
        if not 0 < query.lines <= LINES_MAX:
            raise UsageError(f"lines {query.lines}: use 1 to {LINES_MAX}")
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                start = max(0, size - query.lines * _LINE_BYTES)
                file.seek(start)
                text = file.read(query.lines * _LINE_BYTES)
        except FileNotFoundError:
            raise self._none() from None
        except OSError as exc:
            raise UsageError(f"{self._path} can't be read: {exc.strerror}") from exc
        lines = text.splitlines(keepends=True)[-query.lines :]
        return LogPart(b"".join(lines), size, size, True)

    def _none(self) -> UsageError:
        return UsageError(f"there is no log {self._path}: whoever runs this process sees to what it logs")
