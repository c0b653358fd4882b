"""The syntax of .properties files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.config.properties import parse, read_file
from heliograph.errors import UsageError


def pairs(text: str) -> dict[str, str]:
    return {each.name: each.value for each in parse(text, "f")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# a comment\n! another \\\nname=value", {"name": "value"}),
        ("a=1\nb:2\nc 3\nd", {"a": "1", "b": "2", "c": "3", "d": ""}),
        ("  a \t = \t b c ", {"a": "b c "}),
        ("a = = b", {"a": "= b"}),
        ("fruits apple, \\\n   banana, \\\r\n  pear", {"fruits": "apple, banana, pear"}),
        ("a=b\\\\\nc=d", {"a": "b\\", "c": "d"}),
        ("a\\=b\\:\\ c=d", {"a=b: c": "d"}),
        ("a=\\t\\n\\u00e9\\z\\#", {"a": "\t\né" + "z#"}),
        ("a=1#2", {"a": "1#2"}),
        ("a=b\\", {"a": "b"}),
        ("a=1\\\n# no comment", {"a": "1# no comment"}),
        ("a=1\\\n\nb=2", {"a": "1", "b": "2"}),
        ("=x", {"": "x"}),
    ],
)
def test_text_is_read_as_java_does(text: str, expected: dict[str, str]) -> None:
    assert pairs(text) == expected


def test_a_property_knows_its_line() -> None:
    assert [each.where for each in parse("\n#\na=1\\\n2\nb=3", "f.properties")] == ["f.properties:3", "f.properties:5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a=1\n\na=2", r"f:3: a is given already in f:1: remove one"), ("a=\\u12", r"f:1: \\u is followed by four")],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text, "f")


def test_a_file_that_is_not_utf8_or_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.properties"
    with pytest.raises(UsageError, match=r"a\.properties can't be read: No such file"):
        read_file(file)
    file.write_bytes(b"a=1\nb=\xff")
    with pytest.raises(UsageError, match=r"a\.properties:2: the file is not UTF-8"):
        read_file(file)


def _escaped(text: str) -> str:
    named = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}
    return "".join(named.get(each, f"\\{each}" if each in "\\=:#! " else each) for each in text)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=5),
    st.sampled_from(["=", ":", " ", " = ", "\t:"]),
    st.sampled_from(["\n", "\r", "\r\n", "\n\n  # comment\\\n"]),
)
def test_what_is_written_escaped_is_read_again(written: dict[str, str], separator: str, end: str) -> None:
    lines = (f"{_escaped(name)}{separator}{_escaped(value)}" for name, value in written.items())
    assert pairs(end.join(lines)) == written


@given(st.text(st.sampled_from("a=:# !\\u0\n\r\t"), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, "f")
    except UsageError as exc:
        assert str(exc).startswith("f:")  # noqa: PT017
