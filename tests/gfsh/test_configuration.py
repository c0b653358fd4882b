"""export and import cluster-configuration."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

import msgspec
import pytest

from heliograph.config.cache_xml import parse_cache_xml
from heliograph.config.cache_xml_writer import write_cache_xml
from heliograph.errors import UsageError
from heliograph.gfsh.commands import configuration
from heliograph.model.results import Result
from tests.config.test_cache_xml import CONFIGURATION
from tests.gfsh.support import FakeAdmin, Program

PATH = "/cluster-configuration"
CONNECT = ("-e", "connect --url=http://site", "-e")


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> FakeAdmin:
    exported = Result(data={"Configuration": msgspec.json.encode(CONFIGURATION).decode()})
    admin = FakeAdmin({("GET", PATH): exported})
    monkeypatch.setattr("heliograph.admin.client.AdminClient", admin.client)
    return admin


def imported(admin: FakeAdmin) -> list[object]:
    return [body for method, path, body, _ in admin.calls if (method, path) == ("POST", PATH)]


def test_an_export_is_a_cache_xml(program: Program, admin: FakeAdmin) -> None:
    ran = program(*CONNECT, "export cluster-configuration")
    text = ran.out[ran.out.index("<?xml") :]
    assert parse_cache_xml(text.encode(), {}).configuration == CONFIGURATION


@pytest.mark.parametrize(
    "option", ["--xml-file=site.xml", "--zip-file-name=site.zip", "--group=cluster --xml-file=site.xml"]
)
def test_what_is_exported_is_imported(program: Program, admin: FakeAdmin, option: str) -> None:
    assert program(*CONNECT, f"export cluster-configuration {option}").status == 0
    assert program(*CONNECT, f"export cluster-configuration {option}").status == 0  # over the one that is there
    assert program(*CONNECT, f"import cluster-configuration {option}").status == 0
    assert imported(admin) == [CONFIGURATION]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("export cluster-configuration --xml-file=a.xml --zip-file-name=a.zip", "either --xml-file or --zip-file-name"),
        ("export cluster-configuration --xml-file=a.zip", "has to end in .xml"),
        ("export cluster-configuration --zip-file-name=a.xml", "has to end in .zip"),
        ("export cluster-configuration --group=blue", "a site has one configuration"),
        ("import cluster-configuration", "either --xml-file or --zip-file-name"),
        ("import cluster-configuration --xml-file=none.xml", "none.xml can't be read: No such file"),
        ("import cluster-configuration --zip-file-name=none.zip", "none.zip can't be read: No such file"),
        ("import cluster-configuration --xml-file=ok.xml --action=STAGE", "STAGE is not offered"),
        ("import cluster-configuration --xml-file=bad.xml", "bad.xml: line 1, <pdx>: not offered"),
        ("import cluster-configuration --xml-file=server.xml", "<cache-server> is of one server"),
        ("import cluster-configuration --zip-file-name=text.zip", "text.zip is no zip file"),
        ("import cluster-configuration --zip-file-name=empty.zip", "empty.zip holds no cluster/cluster.xml"),
        ("import cluster-configuration --zip-file-name=bad.zip", "bad.zip, cluster/cluster.xml: line 1, <pdx>"),
        ("import cluster-configuration --zip-file-name=bomb.zip", "more than 4194304 bytes"),
    ],
)
def test_what_is_refused_changes_nothing(program: Program, admin: FakeAdmin, line: str, error: str) -> None:
    Path("ok.xml").write_text(write_cache_xml(CONFIGURATION))
    Path("bad.xml").write_text("<cache><pdx/></cache>")
    Path("server.xml").write_text('<cache><cache-server port="1"/></cache>')
    Path("text.zip").write_text("no zip")
    for name, entry, data in (
        ("empty.zip", "other", ""),
        ("bad.zip", "cluster/cluster.xml", "<cache><pdx/></cache>"),
        ("bomb.zip", "cluster/cluster.xml", " " * (5 << 20)),
    ):
        with ZipFile(name, "w") as archive:
            archive.writestr(entry, data)
    ran = program(*CONNECT, line)
    assert (ran.status, error in ran.err) == (1, True), ran.err
    assert not imported(admin)


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED, ZIP_LZMA])
def test_a_zip_file_with_a_damaged_byte_is_refused_or_read(tmp_path: Path, method: int) -> None:
    path = tmp_path / "site.zip"
    with ZipFile(path, "w", method) as archive:
        archive.writestr("cluster/cluster.xml", write_cache_xml(CONFIGURATION))
    whole = path.read_bytes()
    refused: list[str] = []
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x5A]) + whole[position + 1 :])
        try:
            assert configuration._read(path) == CONFIGURATION
        except UsageError as exc:
            refused.append(str(exc))
    assert len(refused) > len(whole) // 2
    assert all(str(path) in each for each in refused)
