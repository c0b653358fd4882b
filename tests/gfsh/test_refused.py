"""Commands of GemFire's that are not offered: whoever types one is told why, and nobody is shown one."""

from __future__ import annotations

import pytest

from heliograph.gfsh.refused import REFUSED, Refused
from heliograph.gfsh.shell import candidates
from heliograph.gfsh.tree import commands, find, walk
from tests.gfsh.support import Program


@pytest.mark.parametrize("path", REFUSED)
def test_every_one_is_in_the_tree_and_hidden(path: str) -> None:
    *group, last = path.split()
    assert isinstance(find((*group, last)), Refused)
    assert path not in dict(walk(commands()))
    assert last not in [text for text, _ in candidates(" ".join([*group, last]))]


def test_the_reason_is_said_whatever_the_options(program: Program) -> None:
    for words in (["gc"], ["gc", "--member=a", "--x", "b"], ["-e", "gc --group='a b'"]):
        ran = program(*words)
        assert (ran.status, ran.err) == (1, f"gc is not offered: {REFUSED['gc']}\n")
    assert "show missing-disk-stores is not offered: data are in" in program("show", "missing-disk-stores").err


@pytest.mark.parametrize("words", [["help", "deploy"], ["deploy", "--help"], ["help", "create", "lucene", "index"]])
def test_help_says_the_reason(program: Program, words: list[str]) -> None:
    ran = program(*words)
    assert (ran.status, ran.err) == (0, "")
    assert " is not offered: " in ran.out


def test_a_group_of_nothing_else_is_not_shown() -> None:
    assert "pdx" not in [text for text, _ in candidates("")]
    assert "pdx" in commands().commands


def test_every_reason_says_more_than_no() -> None:
    assert [path for path, reason in REFUSED.items() if len(reason) < 40] == []
