"""Every relative link in the repository's documents leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_PLACES = (ROOT, *(ROOT / name for name in ("benchmarks", "docs", "src", "tests")))
_ELSEWHERE = ("http://", "https://", "mailto:", "#")


def documents() -> list[Path]:
    """All documents, without those of a virtual environment or a tool's cache."""
    return sorted({path for place in _PLACES for path in place.glob("*.md" if place == ROOT else "**/*.md")})


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = [match["target"] for match in _LINK.finditer(document.read_text(encoding="utf-8"))]
    inside = [target.partition("#")[0] for target in targets if not target.startswith(_ELSEWHERE)]
    assert [target for target in inside if not (document.parent / target).exists()] == []
