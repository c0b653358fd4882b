"""export data at whole simulated sites: what stands in the files, and what becomes of an export that fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import RegionNotFoundError, UsageError
from heliograph.member import region_files, transfers
from heliograph.member.region_files import FileWriter
from heliograph.member.transfers import Transfers
from tests.scenarios.exporting import begin_export, export, messages, names_in, read, read_file, write
from tests.scenarios.sites import Site, scenario, until

BUCKETS = 16


@scenario(ln=3)
async def test_one_server_writes_what_others_hold_too(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)
    await ln.put_all("r", [*range(300), "text", b"bytes"])
    await ln.remove("r", range(10))
    assert len(ln["a"].member._regions["r"].copies) < BUCKETS
    path = tmp_path / "new" / "all.gfd"
    result = await export(ln, file=str(path))
    assert messages(result) == [f"Entries exported: 292 to {path}"]
    assert (result.data["Exported"], result.data["Entries"]) == ("292", "292")
    head, entries = read_file(path)
    assert (head.region, head.part, head.parts) == ("r", 0, 1)
    assert entries == await ln.contents("r")
    assert names_in(path.parent) == ["all.gfd"]


@scenario(ln=3)
async def test_in_parallel_every_server_writes_its_share(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r", "PARTITION_REDUNDANT", total_num_buckets=BUCKETS)
    await ln.put_all("r", range(300))
    result = await export(ln, dir=str(tmp_path), parallel=True)
    assert [row[0] for row in result.tables[0].rows] == ["1-a", "1-b", "1-c"]
    files = {name: read_file(tmp_path / name) for name in names_in(tmp_path)}
    assert [*files] == ["r-1-a.gfd", "r-1-b.gfd", "r-1-c.gfd"]
    heads = [head for head, _ in files.values()]
    assert [(head.part, head.parts) for head in heads] == [(0, 3), (1, 3), (2, 3)]
    assert len({head.run for head in heads}) == 1
    shares = [entries for _, entries in files.values()]
    assert sum(map(len, shares)) == 300
    assert min(map(len, shares)) > 0
    assert {key: value for share in shares for key, value in share.items()} == await ln.contents("r")


@scenario(ln=2)
async def test_a_replicated_region_goes_to_a_file_named_after_it(ln: Site, tmp_path: Path) -> None:
    """What has no value, because it was invalidated, is not in the file."""
    await ln.create_region("r", total_num_buckets=BUCKETS)
    await ln.put_all("r", range(100))
    await ln.do(lambda region: region.invalidate(7), "r")
    await export(ln, "b", region="/r", dir=str(tmp_path))
    assert read_file(tmp_path / "r.gfd")[1] == {key: key for key in range(100) if key != 7}
    with pytest.raises(UsageError, match="is replicated"):
        await begin_export(ln, dir=str(tmp_path), parallel=True)
    with pytest.raises(RegionNotFoundError):
        await begin_export(ln, region="none", dir=str(tmp_path))


@scenario(ln=2)
async def test_an_empty_region_makes_a_file_without_entries(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)
    await export(ln, file=str(tmp_path / "r.gfd"))
    assert read_file(tmp_path / "r.gfd")[1] == {}


@scenario(ln=2)
async def test_a_copy_that_lags_is_not_believed(ln: Site, tmp_path: Path) -> None:
    """What was acknowledged before the export is in the file, though the copies there do not show it."""
    await ln.create_region("r", total_num_buckets=BUCKETS)
    await ln.put_all("r", range(100), "old")
    region = ln["b"].member._regions["r"]
    for copy in region.copies.values():
        copy.following = copy.accepting
    await ln.put_all("r", range(200), "new", at="a")
    assert await ln.sizes("r") != [200, 200]
    await export(ln, "b", file=str(tmp_path / "r.gfd"))
    assert read_file(tmp_path / "r.gfd")[1] == dict.fromkeys(range(200), "new")


@scenario(ln=3)
async def test_what_was_there_all_the_time_is_in_the_file_though_all_is_moving(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r", "PARTITION_REDUNDANT", total_num_buckets=BUCKETS)
    await ln.put_all("r", range(200), 0)
    async with ln.putting("r", range(100, 400), at="b"):
        transfer = await begin_export(ln, file=str(tmp_path / "r.gfd"))
        ln.kill("c")
        assert (await transfer.end()).status == "OK"
    entries = read_file(tmp_path / "r.gfd")[1]
    assert entries.keys() >= set(range(200))
    assert all(value in (0, key) for key, value in entries.items())


@scenario(ln=1)
async def test_a_file_that_is_there_stays(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r")
    path = tmp_path / "r.gfd"
    write(path, b"mine")
    result = await (await begin_export(ln, file=str(path))).end()
    assert result.status == "ERROR"
    assert "choose another name, or remove it" in messages(result)[0]
    assert read(path) == b"mine"
    assert names_in(tmp_path) == ["r.gfd"]


@scenario(ln=1)
async def test_a_path_that_can_not_be_written_is_named(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r")
    write(tmp_path / "file")
    path = tmp_path / "file" / "r.gfd"
    result = await (await begin_export(ln, file=str(path))).end()
    assert result.status == "ERROR"
    assert f"{path} can't be written: " in messages(result)[0]


class Stuck:
    """Exports that wait before they finish."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = False
        write = Transfers._write

        async def stuck(*arguments: Any) -> None:
            await write(*arguments)
            self.writer: FileWriter = arguments[-1]
            self.reached = True
            await asyncio.Event().wait()

        monkeypatch.setattr(Transfers, "_write", stuck)


@scenario(ln=2)
async def test_one_that_is_cancelled_leaves_nothing(ln: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)
    await ln.put_all("r", range(100))
    stuck = Stuck(monkeypatch)
    transfer = await begin_export(ln, file=str(tmp_path / "r.gfd"))
    await until(lambda: stuck.reached)
    [name] = names_in(tmp_path)
    assert name.endswith(region_files.WRITING)
    again = await (await begin_export(ln, file=str(tmp_path / "r.gfd"))).end()
    assert "is being written or read by another command" in messages(again)[0]
    assert messages(await transfer.cancel()) == ["Execution cancelled"]
    result = await transfer.end()
    cancelled = "Operation cancelled before having exported all entries (100 exported)"
    assert (result.status, messages(result)) == ("ERROR", [cancelled])
    await until(lambda: not names_in(tmp_path))
    assert (await transfer.cancel()).status == "ERROR"


@scenario(ln=2)
async def test_a_server_that_dies_leaves_no_file_of_that_name(
    ln: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ln.create_region("r")
    stuck = Stuck(monkeypatch)
    transfer = await begin_export(ln, "b", file=str(tmp_path / "r.gfd"))
    await until(lambda: stuck.reached)
    ln.kill("b")
    result = await transfer.end()
    assert (result.status, "1-b is gone" in messages(result)[0]) == ("ERROR", True)
    assert [name for name in names_in(tmp_path) if not name.endswith(region_files.WRITING)] == []
    stuck.writer.discard()  # which a dead process does not


@scenario(ln=1)
async def test_one_whose_region_is_destroyed_fails(ln: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)
    await ln.put_all("r", range(100))

    async def slow(call: object) -> None:
        await asyncio.sleep(1.0)
        call()  # type: ignore[operator]

    monkeypatch.setattr(transfers, "in_thread", slow)
    transfer = await begin_export(ln, file=str(tmp_path / "r.gfd"))
    await ln.destroy_region("r")
    result = await transfer.end()
    assert result.status == "ERROR"
    assert messages(result)[0].startswith("Error (Region destroyed) in operation after having exported ")
    assert not names_in(tmp_path)


@scenario(ln=1)
async def test_a_disk_that_is_full_fails_it_and_gets_its_room_back(
    ln: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ln.create_region("r", "PARTITION", total_num_buckets=BUCKETS)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("heliograph.member.region_files.os.fsync", full)
    result = await (await begin_export(ln, file=str(tmp_path / "r.gfd"))).end()
    assert "r.gfd can't be written: No space left on device" in messages(result)[0]
    assert not names_in(tmp_path)


@scenario(ln=2)
async def test_a_run_is_known_under_its_region_only(ln: Site, tmp_path: Path) -> None:
    await ln.create_region("r")
    await ln.create_region("other")
    transfer = await begin_export(ln, dir=str(tmp_path))
    await transfer.end()
    transfer._region = "other"
    assert "knows nothing of this run" in messages(await transfer.look())[0]
