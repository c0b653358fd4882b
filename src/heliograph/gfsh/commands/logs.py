"""export logs, show log (gfsh.md §3.4)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

import click

from heliograph.errors import UsageError
from heliograph.gfsh.commands.runtime import LEVEL
from heliograph.gfsh.commands.targets import query_of, targets
from heliograph.gfsh.grammar import BOOLEAN, command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, Table

if TYPE_CHECKING:
    from zipfile import ZipFile

    from heliograph.admin.client import AdminClient

LINES_MAX = 100
_TIME = re.compile(r"(\d{4}/\d\d/\d\d)(?:/(\d\d/\d\d/\d\d)(?:/(\d{3})(?:/(.+))?)?)?")
_OFFSET = re.compile(r"(?:GMT|UTC)?([+-])(\d\d):?(\d\d)")
_SIZE = re.compile(r"(\d+)([kmgt]?)", re.IGNORECASE)
_UNITS = {"k": 1 << 10, "m": 1 << 20, "": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Moment(click.ParamType[int]):
    """A date, or a time, as ms since the Unix epoch; without a zone, in that of this machine."""

    name = "yyyy/MM/dd[/HH/mm/ss/SSS/z]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a time."""
        if isinstance(value, int):
            return value
        match = _TIME.fullmatch(str(value).strip())
        try:
            if match is None:
                raise ValueError("it is none")
            day, clock, millis, zone = match.groups()
            at = datetime.strptime(f"{day} {clock or '00/00/00'}", "%Y/%m/%d %H/%M/%S")  # noqa: DTZ007  (the zone follows)
            at = at.replace(tzinfo=_zone(zone)) if zone else at
            return int(at.timestamp()) * 1000 + int(millis or 0)
        except (ValueError, OverflowError) as exc:
            self.fail(f"{value!r} is no time as {self.name}: {exc}", param, ctx)


def _zone(text: str) -> tzinfo:
    """Return a zone: Z, GMT, UTC, an offset from them (+02:00), or a name as Europe/Paris. Raises ValueError."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if text.upper() in ("Z", "GMT", "UTC"):
        return UTC
    if offset := _OFFSET.fullmatch(text.upper()):
        away = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(away if offset[1] == "+" else -away)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, OSError) as exc:
        raise ValueError(f"there is no time zone {text!r}; write UTC, +02:00 or a name as Europe/Paris") from exc


class Size(click.ParamType[int]):
    """Bytes, as a number of MB or with a unit: k, m, g or t."""

    name = "number[k|m|g|t]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a size."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size: write a number of MB, or one with k, m, g or t", param, ctx)
        return int(match[1]) * _UNITS[match[2].lower()]


@command("export logs")
@click.option("--dir", "directory", type=click.Path(path_type=Path), default=Path(),
              help="Where the zip file is written; made when it is missing. [default: here]")  # fmt: skip
@targets
@click.option("--log-level", "level", type=LEVEL, default="ALL", help="This level and those above it. [default: ALL]")
@click.option("--only-log-level", "only", type=BOOLEAN, default=False, help="This level only. [default: false]")
@click.option("--start-time", "start_ms", type=Moment(), help="Nothing older.")
@click.option("--end-time", "end_ms", type=Moment(), help="Nothing newer.")
@click.option("--logs-only", type=BOOLEAN, default=False, help="There are logs only, anyway.")
@click.option("--stats-only", type=BOOLEAN, default=False, hidden=True)
@click.option("--file-size-limit", "limit", type=Size(), default=0,
              help="Write nothing when there is more; in MB, 0 for no limit. [default: 0]")  # fmt: skip
@click.pass_obj
def export_logs(
    session: Session,
    directory: Path,
    members: tuple[str, ...],
    groups: tuple[str, ...],
    level: str,
    only: bool,
    start_ms: int | None,
    end_ms: int | None,
    logs_only: bool,
    stats_only: bool,
    limit: int,
) -> Result:
    """Write what the site's processes logged, locators too, into one zip file on this machine."""
    if logs_only and stats_only:
        raise UsageError("--logs-only and --stats-only exclude each other: leave both out")
    if stats_only:
        raise UsageError("--stats-only is not offered: there are no statistics archives, see `show metrics`")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise UsageError("--start-time is after --end-time: nothing is in between")
    client = session.client
    query: dict[str, str | bool] = {}
    if level != "ALL":
        query |= {"level": level, "only_level": only}
    query |= {"start_ms": str(start_ms)} if start_ms is not None else {}
    query |= {"end_ms": str(end_ms)} if end_ms is not None else {}
    names = _members(client, members, groups)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory.absolute() / f"exportedlogs_{time.strftime('%Y%m%d_%H%M%S')}.zip"
    try:
        file = path.open("xb")
    except FileExistsError:
        raise UsageError(f"{path} was written this very second: give the command again") from None
    try:
        with file:
            rows = _write(client, file, names, query, limit)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    table = Table(("Member", "Bytes", "Message"), rows)
    if not any(int(size) for _, size, _ in rows):
        path.unlink()
        return Result(status="ERROR", info=["No files to be exported: no line is wanted."], tables=[table])
    return Result(info=[f"Logs exported to: {path}"], tables=[table])


def _members(client: AdminClient, members: tuple[str, ...], groups: tuple[str, ...]) -> list[str]:
    """Return the names of the members that are meant. Raises UsageError when there is none."""
    if members and groups:
        raise UsageError("member and group exclude each other: give one of them")
    listed = client.call("GET", "/members", query=query_of(groups=groups))
    if listed.status == "ERROR":
        raise UsageError("; ".join(listed.info))
    wanted = {name.lower() for name in members}
    rows = [row for table in listed.tables for row in table.rows]
    names = [name for name, id_ in rows if not wanted or wanted & {name.lower(), id_.split(" ")[0].lower()}]
    if not names:
        raise UsageError("no members found: no member of this site matches")
    return names


def _write(
    client: AdminClient, file: BinaryIO, names: list[str], query: dict[str, str | bool], limit: int
) -> list[tuple[str, ...]]:
    """Write the zip file; return a row for every member. Raises UsageError when there is more than the limit."""
    from zipfile import ZipFile

    total = 0
    rows: list[tuple[str, ...]] = []
    with ZipFile(file, "w") as archive:
        for name in names:
            size, problem = _write_log(archive, name, _parts(client, name, query), limit - total if limit else None)
            total += size
            rows.append((name, str(size), problem))
    return rows


def _write_log(archive: ZipFile, name: str, parts: Iterator[bytes | Problem], left: int | None) -> tuple[int, str]:
    """Write one member's log, if there is anything; return its bytes, and what went wrong. left: bytes allowed."""
    from zipfile import ZIP_DEFLATED, ZipInfo

    size, problem = 0, ""
    with ExitStack() as closing:
        file = None
        for part in parts:
            if isinstance(part, Problem):
                problem = str(part)
                break
            size += len(part)
            if left is not None and size > left:
                raise UsageError("there is more than --file-size-limit allows: nothing is written")
            if part and file is None:
                entry = ZipInfo(f"{name}/{name}.log", time.localtime()[:6])
                entry.compress_type = ZIP_DEFLATED
                file = closing.enter_context(archive.open(entry, "w", force_zip64=True))
            if file is not None:
                file.write(part)
    return size, problem


class Problem(str):
    """Why a member's log ends where it does."""

    __slots__ = ()


def _parts(client: AdminClient, name: str, query: dict[str, str | bool]) -> Iterator[bytes | Problem]:
    """Yield what is wanted of a member's log, as long as it is now, part by part."""
    path = f"/members/{quote(name, safe='')}/log"
    offset, size, wanted = 0, None, "true"
    while size is None or offset < size:
        result = client.call("GET", path, query={**query, "offset": str(offset), "wanted": wanted})
        if result.status == "ERROR":
            yield Problem("; ".join(result.info))
            return
        told = result.data
        size = int(told["Size"]) if size is None else size
        if int(told["Offset"]) <= offset:  # it is empty, or was cut meanwhile
            return
        offset, wanted = int(told["Offset"]), told["Wanted"]
        yield told["Text"].encode()


@command("show log")
@click.option("--member", required=True, help="The member, a server or a locator.")
@click.option(
    "--lines", type=click.IntRange(0, LINES_MAX), default=0, help=f"The last ones; 0: {LINES_MAX}. [default: 0]"
)
@click.pass_obj
def show_log(session: Session, member: str, lines: int) -> Result:
    """Show the end of a member's log."""
    path = f"/members/{quote(member, safe='')}/log/tail"
    return session.client.call("GET", path, query={"lines": str(lines or LINES_MAX)})


COMMANDS = (export_logs, show_log)
