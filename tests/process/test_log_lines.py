"""Lines of a log, chosen by level and time, whatever the pieces in which they are read."""

from __future__ import annotations

import logging
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.process.log_lines import LINE_FORMAT, Choice, choose

LOG = b"""what came before the first line
2026-11-27 06:48:27,123 INFO heliograph.a ready
2026-11-27 06:48:28,000 ERROR heliograph.b failed
Traceback (most recent call last):
  2026-11-27 is no stamp here
2026-11-27 06:48:29,999 WARNING heliograph.a slow
"""
AT_MS = int(datetime.fromisoformat("2026-11-27 06:48:28").timestamp()) * 1000


def chosen(choice: Choice, text: bytes = LOG) -> list[bytes]:
    return choose(text, choice, True)[0].splitlines()


@pytest.mark.parametrize(
    ("choice", "lines"),
    [
        (Choice(), range(6)),
        (Choice(level=logging.INFO), range(6)),
        (Choice(level=logging.ERROR), (0, 2, 3, 4)),
        (Choice(level=logging.WARNING), (0, 2, 3, 4, 5)),
        (Choice(level=logging.WARNING, only=True), (0, 5)),
        (Choice(level=logging.CRITICAL), (0,)),
        (Choice(start_ms=AT_MS), (0, 2, 3, 4, 5)),
        (Choice(end_ms=AT_MS), (0, 1, 2, 3, 4)),
        (Choice(start_ms=AT_MS - 877, end_ms=AT_MS - 1), (0, 1)),
        (Choice(level=logging.INFO, only=True, start_ms=AT_MS), (0,)),
    ],
)
def test_which_lines_are_chosen(choice: Choice, lines: list[int]) -> None:
    all_lines = LOG.splitlines()
    assert chosen(choice) == [all_lines[number] for number in lines]


def test_what_is_logged_is_what_is_read() -> None:
    record = logging.LogRecord("heliograph.x", logging.ERROR, "", 0, "m", None, None)
    line = logging.Formatter(LINE_FORMAT).format(record).encode()
    at_ms = int(record.created * 1000)
    assert chosen(Choice(level=logging.ERROR, only=True, start_ms=at_ms - 1, end_ms=at_ms + 1), line) == [line]
    assert choose(line, Choice(start_ms=at_ms + 2), False) == (b"", False)


def test_a_stamp_that_is_no_time_is_left_out() -> None:
    assert chosen(Choice(start_ms=1), b"2026-99-99 06:48:27,123 INFO a b") == []


texts = st.lists(st.sampled_from(LOG.splitlines(keepends=True)), max_size=12)
choices = st.builds(
    Choice,
    level=st.sampled_from([0, 10, 20, 30, 40, 50, 60]), only=st.booleans(),
    start_ms=st.sampled_from([0, AT_MS]), end_ms=st.sampled_from([0, AT_MS, AT_MS + 5000]),
)  # fmt: skip


@given(texts, choices, st.integers(0, 12))
def test_pieces_are_chosen_from_as_the_whole(lines: list[bytes], choice: Choice, cut: int) -> None:
    first, wanted = choose(b"".join(lines[:cut]), choice, True)
    second, last = choose(b"".join(lines[cut:]), choice, wanted)
    assert (first + second, last) == choose(b"".join(lines), choice, True)
