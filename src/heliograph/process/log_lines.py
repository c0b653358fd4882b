"""Lines of a log, as `LINE_FORMAT` writes them, chosen by level and time.

A line that does not begin with a time stamp belongs to the one before it: a traceback, or the rest of a long message.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from heliograph.model.log_levels import LEVELS

LINE_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
"""Of Python's `logging`; the time is that of the machine, in its own zone."""
_HEAD = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
_NUMBERS = {b"CRITICAL": LEVELS["fatal"]} | {
    name.upper().encode(): LEVELS[name] for name in ("debug", "info", "warning", "error")
}


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are wanted: those of a level (its number in `LEVELS`) and above, or of it `only`, in [start, end].

    start_ms, end_ms: since the Unix epoch; end_ms 0: no end.
    """

    level: int = 0
    only: bool = False
    start_ms: int = 0
    end_ms: int = 0

    @property
    def everything(self) -> bool:
        """Say whether no line is left out."""
        return self == Choice()

    def wants(self, stamp: bytes, millis: bytes, level: bytes) -> bool:
        """Say whether a line with that head is wanted."""
        number = _NUMBERS[level]
        if number != self.level if self.only else number < self.level:
            return False
        if not (self.start_ms or self.end_ms):
            return True
        try:
            at_ms = int(datetime.fromisoformat(stamp.decode()).timestamp()) * 1000 + int(millis)
        except (ValueError, OverflowError):  # no time, though it looks like one
            return False
        return self.start_ms <= at_ms and (at_ms <= self.end_ms or not self.end_ms)


def choose(text: bytes, choice: Choice, wanted: bool) -> tuple[bytes, bool]:
    """Return the lines of a text that are wanted. wanted: whether those were that came just before; told for the next
    text, too.
    """
    if choice.everything:
        return text, True
    chosen: list[bytes] = []
    for line in text.splitlines(keepends=True):
        if head := _HEAD.match(line):
            wanted = choice.wants(*head.groups())
        if wanted:
            chosen.append(line)
    return b"".join(chosen), wanted
