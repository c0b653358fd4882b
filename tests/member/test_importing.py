"""import data at whole simulated sites: who is told, what is refused, and what becomes of an import that fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from heliograph.api.entry_event import EntryEvent
from heliograph.api.region import Region
from heliograph.errors import DiskStoreFullError, UsageError
from heliograph.link.messages import ExportedFile
from heliograph.locator.site_imports import share_out
from heliograph.member import region_files
from heliograph.member.operations import Operations
from tests.scenarios.copying import begin as begin_copy
from tests.scenarios.exporting import (
    begin_import,
    export,
    import_data,
    make_pipe,
    messages,
    names_in,
    read,
    write,
)
from tests.scenarios.plugins import TOLD, listening
from tests.scenarios.sites import Site, passes, queue_of, scenario, until

BUCKETS = 16
Q = queue_of("q")
ENTRIES = {key: f"of the file {key}" for key in range(200)}


async def exported(site: Site, path: Path) -> None:
    """Have a file of `ENTRIES`, made from another region."""
    await site.create_region("source", "PARTITION", total_num_buckets=8)
    await site.do(lambda region: region.put_all(ENTRIES), "source")
    await export(site, region="source", file=str(path))


async def wired(ln: Site, ny: Site, *, parallel: bool) -> None:
    """Have a region that is sent to New York, and on from there, with queues that tell at both sites."""
    await ny.create_sender("back", to=ln, parallel=parallel)
    await ny.create_queue("q", listening("there"))
    await ny.receives("r", kind="PARTITION", senders="back", queues="q", total_num_buckets=BUCKETS)
    await ln.create_receiver()
    await ln.create_sender("s", to=ny, parallel=parallel)
    await ln.create_queue("q", listening("here"), parallel=parallel)
    await ln.create_region("r", "PARTITION", senders="s", queues="q", total_num_buckets=BUCKETS)


async def listen(site: Site, events: list[EntryEvent]) -> asyncio.Task[None]:
    """Write down what listeners of region r are told, until the task is cancelled."""
    begun = asyncio.Event()

    async def hear(region: Region) -> None:
        async with region.events() as heard:
            begun.set()
            while True:
                events.append(await anext(heard))

    task = asyncio.ensure_future(site.do(hear, "r"))
    await begun.wait()
    return task


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=2, ny=1)
async def test_without_callbacks_nobody_is_told(ln: Site, ny: Site, tmp_path: Path, parallel: bool) -> None:
    await exported(ln, tmp_path / "all.gfd")
    await wired(ln, ny, parallel=parallel)
    await ln.put("r", range(10), "before")
    await ny.until_size("r", 10)
    await ln.until_drained(Q)
    events: list[EntryEvent] = []
    listener = await listen(ln, events)
    sent, queued = ln.count("s", "eventsReceived"), ln.count(Q, "eventsReceived")
    result = await import_data(ln, file=str(tmp_path / "all.gfd"))
    assert messages(result) == [f"Entries imported: 200 from {tmp_path / 'all.gfd'} (of region source)"]
    assert await ln.contents("r") == ENTRIES
    await passes(30)
    for sender in ("s", Q):
        await ln.until_drained(sender)
    assert (ln.count("s", "eventsReceived"), ln.count(Q, "eventsReceived")) == (sent, queued)
    assert await ny.contents("r") == dict.fromkeys(range(10), "before")
    assert {event.value for event in (*TOLD["here"], *TOLD["there"])} == {"before"}
    assert not events
    await ln.put("r", [5], "after")
    await until(lambda: len(events) == 1)
    assert (events[0].new_value, events[0].old_value) == ("after", ENTRIES[5])
    await until(lambda: any(event.value == "after" for event in TOLD["there"]))
    listener.cancel()


@scenario(ln=2, ny=1)
async def test_with_callbacks_everybody_is_told(ln: Site, ny: Site, tmp_path: Path) -> None:
    await exported(ln, tmp_path / "all.gfd")
    await wired(ln, ny, parallel=True)
    events: list[EntryEvent] = []
    listener = await listen(ln, events)
    await import_data(ln, file=str(tmp_path / "all.gfd"), invoke_callbacks=True)
    await ny.until_size("r", 200)
    assert await ny.contents("r") == await ln.contents("r") == ENTRIES
    for site in (ln, ny):
        await site.until_drained(Q)
    assert sorted(event.key for event in TOLD["here"]) == sorted(event.key for event in TOLD["there"]) == [*ENTRIES]
    await until(lambda: len(events) == 200)
    listener.cancel()


@scenario(ln=2, ny=1)
async def test_a_copy_brings_other_sites_what_they_were_not_told_of(ln: Site, ny: Site, tmp_path: Path) -> None:
    await exported(ln, tmp_path / "all.gfd")
    await wired(ln, ny, parallel=True)
    await import_data(ln, file=str(tmp_path / "all.gfd"))
    assert (await (await begin_copy(ln)).end()).status == "OK"
    assert await ny.contents("r") == ENTRIES


@pytest.mark.parametrize("persistent", [False, True])
@scenario(ln=2, ny=1)
async def test_what_was_imported_survives_restarts_and_stays_untold(
    ln: Site, ny: Site, tmp_path: Path, persistent: bool
) -> None:
    """Members are restarted one by one, and all at once where the region is persistent."""
    await exported(ln, tmp_path / "all.gfd")
    await ny.receives("r", total_num_buckets=BUCKETS)
    await ln.create_sender("s", to=ny, parallel=True, enable_persistence=True)
    await ln.create_queue("q", listening("restarted"), persistent=True)
    kind = "PARTITION_REDUNDANT_PERSISTENT" if persistent else "PARTITION_REDUNDANT"
    await ln.create_region("r", kind, senders="s", queues="q", total_num_buckets=BUCKETS)
    await ln.stop_sender("s")
    await import_data(ln, file=str(tmp_path / "all.gfd"))
    if persistent:
        ln.kill()
        await ln.join()
    else:
        for letter in "ab":
            await ln.leave(letter)
            await ln.join(letter)
    await ln.start_sender("s")
    assert await ln.contents("r") == ENTRIES
    await ln.put("r", ["told"])
    await ny.until_size("r", 1)
    await ln.until_drained("s")
    await ln.until_drained(Q)
    assert [event.key for event in TOLD["restarted"]] == ["told"]
    assert await ny.contents("r") == {"told": "told"}


@scenario(ln=1, ny=1)
async def test_what_is_imported_wins_over_older_versions_and_loses_to_newer_ones(
    ln: Site, ny: Site, tmp_path: Path
) -> None:
    await exported(ln, tmp_path / "all.gfd")
    await wired(ln, ny, parallel=True)
    await ny.pause_sender("back")
    await ny.put("r", range(10), "older")
    await passes(1)
    await import_data(ln, file=str(tmp_path / "all.gfd"))
    await passes(1)
    await ny.put("r", range(10, 20), "newer")
    await ny.resume_sender("back")
    await ny.until_drained("back")
    newer = dict.fromkeys(range(10, 20), "newer")
    assert await ln.contents("r") == ENTRIES | newer


@scenario(ln=3, ny=2)
async def test_a_parallel_export_is_read_wherever_its_files_are(ln: Site, ny: Site, tmp_path: Path) -> None:
    """At a site with other servers, and fewer of them, and another number of buckets."""
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)
    await ln.do(lambda region: region.put_all(ENTRIES), "r")
    await export(ln, dir=str(tmp_path), parallel=True)
    await ny.create_region("r", "PARTITION", total_num_buckets=7)
    result = await import_data(ny, dir=str(tmp_path), parallel=True)
    assert [row[:2] for row in result.tables[0].rows] == [("2-a", "OK"), ("2-b", "OK")]
    assert (result.data["Imported"], result.data["Entries"]) == ("200", "200")
    assert await ny.contents("r") == ENTRIES
    (tmp_path / names_in(tmp_path)[1]).unlink()
    with pytest.raises(UsageError, match="part 2 of the 3 of the export is missing"):
        await begin_import(ny, dir=str(tmp_path), parallel=True)


@scenario(ln=1)
async def test_a_region_in_a_directory(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r")
    await ln.put_all("r", range(50))
    await export(ln, dir=str(tmp_path))
    await ln.do(lambda region: region.clear(), "r")
    await ln.put("r", [7], "since")
    await import_data(ln, dir=str(tmp_path))
    assert await ln.contents("r") == {key: key for key in range(50)}


@scenario(ln=3)
async def test_a_server_that_holds_nothing_of_the_region_does_both(ln: Site, tmp_path: Path) -> None:
    """It is not of the region's groups."""
    await ln.join("d", groups=("orders",))
    await ln.create_region("r", "PARTITION", groups=("orders",), total_num_buckets=BUCKETS)
    await ln.do(lambda region: region.put_all(ENTRIES), "r")
    assert not ln["a"].member._regions["r"].copies
    await export(ln, file=str(tmp_path / "r.gfd"))
    await ln.do(lambda region: region.clear(), "r")
    await import_data(ln, file=str(tmp_path / "r.gfd"))
    assert await ln.contents("r") == ENTRIES
    result = await export(ln, dir=str(tmp_path), parallel=True)
    assert [row[0] for row in result.tables[0].rows] == ["1-d"]


def truncated(data: bytes) -> bytes:
    return data[:-9]


def flipped(data: bytes) -> bytes:
    """Change the last byte of the last value."""
    return data[:-18] + bytes([data[-18] ^ 1]) + data[-17:]


@pytest.mark.parametrize("damage", [truncated, flipped])
@scenario(ln=1)
async def test_nothing_of_a_damaged_file_is_imported(ln: Site, tmp_path: Path, damage: Any) -> None:
    await exported(ln, path := tmp_path / "all.gfd")
    write(path, damage(read(path)))
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)
    result = await (await begin_import(ln, file=str(path))).end()
    assert result.status == "ERROR"
    assert f"{path}: it is damaged at offset " in messages(result)[0]
    assert messages(result)[0].endswith("after having imported 0 entries")
    assert await ln.sizes("r") == [0]


@pytest.mark.parametrize("content", [None, b"", b"something else entirely"])
@scenario(ln=1)
async def test_what_is_no_such_file_is_named(ln: Site, tmp_path: Path, content: bytes | None) -> None:
    await ln.create_region("r")
    path = tmp_path / "x.gfd"
    if content is not None:
        write(path, content)
    result = await (await begin_import(ln, file=str(path))).end()
    assert result.status == "ERROR"
    said = "can't be read: No such file" if content is None else "it is no file of `export data`"
    assert str(path) in messages(result)[0]
    assert said in messages(result)[0]


@pytest.mark.timeout(60)
@scenario(ln=1)
async def test_what_may_never_end_is_not_read(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)
    make_pipe(path := tmp_path / "r-x.gfd")
    result = await (await begin_import(ln, file=str(path))).end()
    assert messages(result)[0].startswith(f"Error ({path}: it is no file) in operation")
    with pytest.raises(UsageError, match=r"r-x\.gfd: it is no file"):
        await begin_import(ln, dir=str(tmp_path), parallel=True)


@scenario(ln=1)
async def test_a_damaged_part_is_named_before_anything_begins(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)
    await export(ln, dir=str(tmp_path), parallel=True)
    write(path := tmp_path / "r-1-a.gfd", read(path)[:20])
    with pytest.raises(UsageError, match=r"r-1-a\.gfd: it is damaged at offset 10"):
        await begin_import(ln, dir=str(tmp_path), parallel=True)


@scenario(ln=2)
async def test_it_waits_for_room_and_goes_on(ln: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await exported(ln, tmp_path / "all.gfd")
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)
    put = Operations.put_silently
    refused: list[Any] = []
    most = 3

    async def full_at_first(*arguments: Any) -> None:
        if len(refused) < most:
            refused.append(arguments)
            raise DiskStoreFullError("full")
        await put(*arguments)

    monkeypatch.setattr(Operations, "put_silently", full_at_first)
    await import_data(ln, file=str(tmp_path / "all.gfd"))
    assert await ln.contents("r") == ENTRIES
    most = 1_000
    monkeypatch.setattr("heliograph.member.transfers.PATIENCE_S", 1.0)
    result = await (await begin_import(ln, file=str(tmp_path / "all.gfd"))).end()
    assert messages(result) == ["Error (full) in operation after having imported 0 entries"]


@scenario(ln=3)
async def test_one_that_is_cancelled_is_given_again(ln: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await exported(ln, tmp_path / "all.gfd")
    await ln.create_region("r", "PARTITION_REDUNDANT", total_num_buckets=BUCKETS)
    monkeypatch.setattr(region_files, "READ_BYTES", 300)
    put = Operations.put_silently
    reached = asyncio.Event()

    async def slow(*arguments: Any) -> None:
        await put(*arguments)
        reached.set()
        await asyncio.sleep(5)

    monkeypatch.setattr(Operations, "put_silently", slow)
    transfer = await begin_import(ln, file=str(tmp_path / "all.gfd"))
    await reached.wait()
    await transfer.cancel()
    result = await transfer.end()
    assert messages(result)[0].startswith("Operation cancelled before having imported all entries (")
    assert 0 < (await ln.sizes("r"))[0] < len(ENTRIES)
    monkeypatch.setattr(Operations, "put_silently", put)
    await import_data(ln, "b", file=str(tmp_path / "all.gfd"))
    assert await ln.contents("r") == ENTRIES


@scenario(ln=3)
async def test_primaries_may_move_meanwhile(ln: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await exported(ln, tmp_path / "all.gfd")
    await ln.create_region("r", "PARTITION_REDUNDANT", total_num_buckets=BUCKETS)
    monkeypatch.setattr(region_files, "READ_BYTES", 300)
    transfer = await begin_import(ln, file=str(tmp_path / "all.gfd"))
    ln.kill("b")
    assert (await transfer.end()).status == "OK"
    assert await ln.contents("r") == ENTRIES


def seen(*files: tuple[str, str, int, int]) -> list[ExportedFile]:
    return [ExportedFile(*file) for file in files]


def test_every_part_is_read_once_by_one_who_sees_it() -> None:
    shared = seen(("d/1", "x", 0, 4), ("d/2", "x", 1, 4), ("d/3", "x", 2, 4))
    own = seen(("d/4", "x", 3, 4))
    assert share_out([("a", shared), ("b", [*shared, *own]), ("c", [])]) == {"a": ["d/1", "d/3"], "b": ["d/2", "d/4"]}


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ([], "no server has a file"),
        ([("d/1", "x", 0, 2), ("d/2", "y", 1, 2)], "files of 2 exports, d/1 and d/2"),
        ([("d/1", "x", 0, 2)], "part 2 of the 2 of the export is missing"),
    ],
)
def test_what_is_no_whole_export_is_refused(files: list[tuple[str, str, int, int]], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        share_out([("a", seen(*files)), ("b", [])])
