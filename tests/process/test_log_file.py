"""The own log in parts: all of it once, and never more than a part at a time."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from heliograph.errors import UsageError
from heliograph.link.messages import LogPart, LogQuery, LogTail
from heliograph.process import log_file
from heliograph.process.log_file import LogFile


def parts(log: LogFile, level: int = 0) -> list[LogPart]:
    found = [log.part(LogQuery(0, level))]
    while found[-1].offset < found[0].size:
        found.append(log.part(LogQuery(found[-1].offset, level, wanted=found[-1].wanted)))
    return found


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(log_file, "READ_BYTES", 64)
    return tmp_path / "a.log"


@pytest.mark.parametrize(
    "text", [b"", b"a\n", b"no end", b"x" * 200, b"x" * 200 + b"\ny\n", b"".join(b"%d\n" % n for n in range(100))]
)
def test_the_parts_are_the_whole(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    found = parts(LogFile(path))
    assert b"".join(part.text for part in found) == text
    assert max(len(part.text) for part in found) <= 64


def test_a_record_of_several_lines_is_chosen_over_the_end_of_a_part(path: Path) -> None:
    error = b"2026-11-27 06:48:28,000 ERROR heliograph.b failed\n" + b"  some line\n" * 20
    path.write_bytes(b"2026-11-27 06:48:27,000 INFO a b\n" + error + b"2026-11-27 06:48:29,000 INFO a b\n")
    found = parts(LogFile(path), level=logging.ERROR)
    assert b"".join(part.text for part in found) == error


def test_a_log_that_was_cut_meanwhile_has_no_more_parts(path: Path) -> None:
    path.write_bytes(b"a\n")
    part = LogFile(path).part(LogQuery(50))
    assert (part.text, part.offset, part.size) == (b"", 50, 2)


def test_the_last_lines(path: Path) -> None:
    path.write_bytes(b"".join(b"%d\n" % number for number in range(1000)) + b"half")
    assert LogFile(path).tail(LogTail(3)).text == b"998\n999\nhalf"
    path.write_bytes(b"one")
    assert LogFile(path).tail(LogTail(100)).text == b"one"


def test_what_is_refused(path: Path) -> None:
    log = LogFile(path)
    for call, words in (
        (lambda: log.part(LogQuery(0)), "there is no log"),
        (lambda: log.part(LogQuery(-1)), "use 0 or more"),
        (lambda: log.tail(LogTail(1)), "there is no log"),
        (lambda: log.tail(LogTail(101)), "use 1 to 100"),
        (lambda: LogFile(path.parent).tail(LogTail(1)), "can't be read"),
    ):
        with pytest.raises(UsageError, match=words):
            call()
