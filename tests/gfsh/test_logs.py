"""export logs: what is asked of whom, what the zip file holds, and when there is none."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from heliograph.gfsh.commands.logs import Moment, Size
from heliograph.model.results import Result, Table, failed
from tests.gfsh.support import FakeAdmin, Program

SITE = "connect --url=http://site"


class Logs(FakeAdmin):
    """A site whose members have logs, told in parts of 4 bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.logs = {"l1": b"locator\n", "s1": b"ab\ncd\nef\n", "s2": b""}
        table = Table(("Name", "Id"), [(name, f"h({name}:1:server):1") for name in self.logs])
        self.answers["GET", "/members"] = Result(tables=[table])

    def call(self, method: str, path: str, body: Any = None, query: Any = None) -> Result:
        answer = super().call(method, path, body, query)
        if not path.endswith("/log") or (method, path) in self.answers:
            return answer
        log, offset = self.logs[path.split("/")[2]], int(query["offset"])
        text = log[offset : offset + 4]
        told = {"Text": text.decode(), "Offset": str(offset + len(text)), "Size": str(len(log)), "Wanted": "true"}
        return Result(data=told)


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Logs:
    fake = Logs()
    monkeypatch.setattr("heliograph.admin.client.AdminClient", fake.client)
    return fake


def exported(directory: Path) -> dict[str, bytes]:
    (path,) = directory.glob("exportedlogs_*.zip")
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_log_is_written_whole(program: Program, logs: Logs, tmp_path: Path) -> None:
    ran = program("-e", SITE, "-e", "export logs --dir=some/where")
    assert (ran.status, ran.err) == (0, "")
    assert exported(tmp_path / "some" / "where") == {"l1/l1.log": b"locator\n", "s1/s1.log": b"ab\ncd\nef\n"}
    assert f"Logs exported to: {tmp_path}/some/where/exportedlogs_" in ran.out


def test_what_another_command_wrote_stays(
    program: Program, logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "20261127_060000")
    assert program("-e", SITE, "-e", "export logs").status == 0
    again = program("-e", SITE, "-e", "export logs")
    assert (again.status, "written this very second" in again.err) == (1, True)
    assert exported(tmp_path).keys() == {"l1/l1.log", "s1/s1.log"}


def test_what_is_wanted_is_asked_for(program: Program, logs: Logs, tmp_path: Path) -> None:
    line = (
        "export logs --member=S1 --log-level=warn --only-log-level --start-time=2026/11/27/06/48/27/123/UTC"
        " --end-time=2026/11/27/06/48/28/000/+01:00"
    )
    assert "is after --end-time" in program("-e", SITE, "-e", line).err
    assert program("-e", SITE, "-e", line.replace("+01:00", "-01:00")).status == 0
    asked = [(path, query) for _, path, _, query in logs.calls if path.endswith("/log")]
    at_ms = int(datetime(2026, 11, 27, 6, 48, 27, tzinfo=UTC).timestamp()) * 1000
    assert {path for path, _ in asked} == {"/members/s1/log"}
    assert asked[1][1] == {
        "level": "WARN", "only_level": True, "start_ms": str(at_ms + 123), "end_ms": str(at_ms + 3_601_000),
        "offset": "4", "wanted": "true",
    }  # fmt: skip
    assert list(exported(tmp_path)) == ["s1/s1.log"]


def test_every_level_is_no_level_of_its_own(program: Program, logs: Logs) -> None:
    assert program("-e", SITE, "-e", "export logs --member=s1 --only-log-level").status == 0
    asked = [query for _, path, _, query in logs.calls if path.endswith("/log")]
    assert asked[0] == {"offset": "0", "wanted": "true"}


def test_a_log_that_is_missing_is_said(program: Program, logs: Logs, tmp_path: Path) -> None:
    logs.answers["GET", "/members/l1/log"] = failed("there is no log /l1.log")
    ran = program("-e", SITE, "-e", "export logs")
    assert ran.status == 0
    assert "there is no log /l1.log" in ran.out
    assert list(exported(tmp_path)) == ["s1/s1.log"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--file-size-limit=1k --member=s2", "No files to be exported"),
        ("--member=none", "no members found"),
        ("--member=s1 --group=g", "member and group exclude each other"),
        ("--logs-only --stats-only", "exclude each other"),
        ("--stats-only", "there are no statistics archives"),
        ("--start-time=2026/11/28 --end-time=2026/11/27", "is after --end-time"),
        ("--start-time=yesterday", "is no time as yyyy/MM/dd"),
        ("--file-size-limit=many", "is no size"),
        ("--log-level=loud", "is not one of"),
    ],
)
def test_nothing_is_written(program: Program, logs: Logs, tmp_path: Path, words: str, message: str) -> None:
    ran = program("-e", SITE, "-e", f"export logs {words}")
    assert (ran.status, message in ran.err) == (1, True), ran
    assert [*tmp_path.glob("*.zip")] == []


def test_more_than_the_limit_is_not_written(program: Program, logs: Logs, tmp_path: Path) -> None:
    logs.logs["s1"] = b"x" * 2000
    for limit, status in (("1k", 1), ("3k", 0), ("1", 0), ("0", 0)):
        ran = program("-e", SITE, "-e", f"export logs --member=s1 --file-size-limit={limit}")
        assert ran.status == status, ran
        for path in tmp_path.glob("*.zip"):
            path.unlink()


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026/11/27", datetime(2026, 11, 27)),  # noqa: DTZ001  (the zone of this machine)
        ("2026/11/27/06/48/27", datetime(2026, 11, 27, 6, 48, 27)),  # noqa: DTZ001
        ("2026/11/27/06/48/27/000/GMT", datetime(2026, 11, 27, 6, 48, 27, tzinfo=UTC)),
        ("2026/11/27/06/48/27/000/+0200", datetime(2026, 11, 27, 4, 48, 27, tzinfo=UTC)),
        ("2026/11/27/06/48/27/000/Europe/Paris", datetime(2026, 11, 27, 5, 48, 27, tzinfo=UTC)),
    ],
)
def test_times(text: str, at: datetime) -> None:
    assert Moment().convert(text, None, None) == int(at.timestamp()) * 1000


def test_sizes() -> None:
    assert [Size().convert(text, None, None) for text in ("3", "3m", "2K", "1g")] == [3 << 20, 3 << 20, 2048, 1 << 30]
