from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.gfsh.tokens import parse_line, redact, script_lines


def words_of(line: str) -> list[list[str]]:
    return [list(command.words) for command in parse_line(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("  ;; ", []),
        ("list members", [["list", "members"]]),
        ("connect --locator=a[1]; list members ;", [["connect", "--locator=a[1]"], ["list", "members"]]),
        ("put --value='a b'", [["put", "--value=a b"]]),
        ('put --value="a; b"', [["put", "--value=a; b"]]),
        ('put --value "it\'s"', [["put", "--value", "it's"]]),
        (r"put --value=a\;b", [["put", "--value=a;b"]]),
        ("put --key=('id':'a b')", [["put", "--key=('id':'a b')"]]),
        ("put --value='{\"a\": 1}'", [["put", '--value={"a": 1}']]),
        ("echo ''", [["echo", ""]]),
        ("alter region --gateway-sender-id=''", [["alter", "region", "--gateway-sender-id="]]),
        ("echo 'a'b'c'", [["echo", "'a'b'c'"]]),
    ],
)
def test_a_line_becomes_commands(line: str, expected: list[list[str]]) -> None:
    assert words_of(line) == expected


def test_the_text_of_a_command_is_what_was_written() -> None:
    assert [command.text for command in parse_line(" echo 'a ; b' ;  list   members ")] == [
        "echo 'a ; b'",
        "list   members",
    ]


@pytest.mark.parametrize("line", ["put --value=it's", 'echo "', "echo a; echo 'b"])
def test_an_open_quote_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="quote is not closed"):
        parse_line(line)


def quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


texts = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not {'"', "'"} <= set(text))
quotable = texts.filter(lambda text: r"\;" not in text)


@given(st.lists(quotable, min_size=1))
def test_quoted_words_and_values_come_back_as_they_were(values: list[str]) -> None:
    assert words_of(" ".join(map(quoted, values))) == [values]
    options = [f"--value={value}" for value in values]
    assert words_of(" ".join(f"--value={quoted(value)}" for value in values)) == [options]


@given(st.lists(quotable, min_size=1))
def test_a_semicolon_separates_whatever_is_quoted_around_it(values: list[str]) -> None:
    assert words_of(";".join(map(quoted, values))) == [[value] for value in values]


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    if _closed(text):
        parse_line(text)
    else:
        with pytest.raises(UsageError, match="quote is not closed"):
            parse_line(text)


def _closed(text: str) -> bool:
    """A naive reader: every quote closes at the next one of its kind."""
    opened = ""
    for character in text:
        if opened:
            opened = "" if character == opened else opened
        elif character in "'\"":
            opened = character
    return not opened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# a\n  // b\n\nlist members\n", ["list members"]),
        ("create region \\\n  --name=a\nlist\tmembers", ["create region    --name=a", "list members"]),
        ("echo a /* b */ c", ["echo a   c"]),
        ("echo a /* b\n; echo b\n*/ echo c", ["echo a", "echo c"]),
        ("connect --url=http://h:1", ["connect --url=http://h:1"]),
        ("# /* not opened\necho a", ["echo a"]),
        ("echo a\\", ["echo a"]),
    ],
)
def test_scripts(text: str, expected: list[str]) -> None:
    assert list(script_lines(text)) == expected


def test_an_open_comment_is_refused() -> None:
    with pytest.raises(UsageError, match="line 2 is not closed"):
        list(script_lines("echo a\necho /* b\necho c"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("connect --password=secret --locator=a[1]", "connect --password=******** --locator=a[1]"),
        ("connect --password 'a b' --x=1", "connect --password ******** --x=1"),
        ("connect --key-store-password=x", "connect --key-store-password=********"),
        (
            "start server --J=-Dgemfire.security-password=x --name=a",
            "start server --J=-Dgemfire.security-password=******** --name=a",
        ),
        (
            "start server --J='-Dgemfire.ssl-keystore-password=x'",
            "start server --J='-Dgemfire.ssl-keystore-password=********'",
        ),
        ("connect --token=abc", "connect --token=********"),
        ("put --key=password", "put --key=password"),
        ("start server --J=-Dgemfire.security-password=x y", "start server --J=-Dgemfire.security-password=******** y"),
        (
            "start server --J '-Dgemfire.ssl-keystore-password=x z' y",
            "start server --J '-Dgemfire.ssl-keystore-password=********' y",
        ),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown
