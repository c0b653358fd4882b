"""docs/gfsh.md says of every command how it is, and that is so."""

from __future__ import annotations

import re
from pathlib import Path

from heliograph.gfsh.refused import REFUSED, Refused
from heliograph.gfsh.tree import commands, find, walk

TEXT = (Path(__file__).parents[2] / "docs" / "gfsh.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| (?P<names>`[^|]*`) \| (?P<rest>.*)\|$", re.MULTILINE)
_NAME = re.compile(r"`([^`]+)`")


def rows(*titles: str) -> dict[str, list[str]]:
    """Return the other cells of every command in the sections of these titles."""
    sections = re.split(r"^## (.*)$", TEXT, flags=re.MULTILINE)[1:]
    told: dict[str, list[str]] = {}
    for title, section in zip(sections[::2], sections[1::2], strict=True):
        if title not in titles:
            continue
        for row in _ROW.finditer(section):
            for name in _NAME.findall(row["names"]):
                assert name not in told, f"{name} is there twice"
                told[name] = [cell.strip() for cell in row["rest"].split(" | ")]
    return told


OFFERED = rows(
    "Session", "Locators and servers", "Regions and data", "Disk stores", "WAN", "Async event queues", "Beyond gfsh"
)  # fmt: skip


def test_every_command_is_there() -> None:
    assert {path for path, _ in walk(commands())} == {*OFFERED}


def test_what_is_said_to_be_done_is_offered() -> None:
    for path, (how, *_) in OFFERED.items():
        command = find(tuple(path.split()))
        assert command is not None, path
        assert not isinstance(command, Refused), path
        assert how in ("done", "differently", "added"), path


def test_what_differs_is_said() -> None:
    assert [path for path, (how, *why) in OFFERED.items() if how != "done" and not "".join(why).strip()] == []


def test_what_is_not_offered_is_there_with_its_reason() -> None:
    refused = {path: " | ".join(cells) for path, cells in rows("Not meant here").items()}
    assert refused == REFUSED
