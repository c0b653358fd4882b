"""Every relative link in the repository's documents leads somewhere, and what they say of scenarios is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_PLACES = (ROOT, *(ROOT / name for name in ("benchmarks", "docs", "src", "tests")))
_AREA = re.compile(r"## (?P<area>[a-z-]+): (?P<count>\d+) scenarios\n(?P<rows>.*?)(?=\n## |\Z)", re.DOTALL)
_SCENARIO = re.compile(r"^\| (?P<id>[a-z0-9-]+) \| (?P<state>[a-z ]+) \| (?P<why>.*) \|$", re.MULTILINE)
_TEST = re.compile(r"^(?:async )?def test_(?P<name>\w+)\(", re.MULTILINE)
_STATES = {"met", "met differently", "not meant here", "not there yet"}
_ELSEWHERE = ("http://", "https://", "mailto:", "#")


def documents() -> list[Path]:
    """All documents, without those of a virtual environment or a tool's cache."""
    return sorted({path for place in _PLACES for path in place.glob("*.md" if place == ROOT else "**/*.md")})


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = [match["target"] for match in _LINK.finditer(document.read_text(encoding="utf-8"))]
    inside = [target.partition("#")[0] for target in targets if not target.startswith(_ELSEWHERE)]
    assert [target for target in inside if not (document.parent / target).exists()] == []


def scenarios() -> dict[str, tuple[str, str]]:
    """Id -> its state, and why, of every scenario listed."""
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    found: dict[str, tuple[str, str]] = {}
    for area in _AREA.finditer(text):
        rows = {row["id"]: (row["state"], row["why"].strip()) for row in _SCENARIO.finditer(area["rows"])}
        assert len(rows) == int(area["count"]), area["area"]
        assert not rows.keys() & found.keys()
        found |= rows
    return found


def test_scenarios_say_how_they_are() -> None:
    assert scenarios()
    for name, (state, why) in scenarios().items():
        assert state in _STATES, name
        assert why or state in ("met", "not there yet"), f"{name}: say why it is {state}"


def test_scenarios_that_are_met_have_a_test_and_no_others() -> None:
    tests = {
        match["name"]
        for path in (ROOT / "tests").glob("scenarios/test_*.py")
        for match in _TEST.finditer(path.read_text(encoding="utf-8"))
    }
    met = {name.replace("-", "_") for name, (state, _) in scenarios().items() if state.startswith("met")}
    assert met - tests == set()
    assert tests - met == set()
