from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.model.classes import class_of, read_key, read_value


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("a", "", "a"),
        ("7", "", "7"),
        ("7", "String", "7"),
        ("7", "java.lang.Integer", 7),
        ("-128", "byte", -128),
        ("7", "LONG", 7),
        ("1.5", "java.lang.Double", 1.5),
        ("1", "Float", 1.0),
        ("TRUE", "Boolean", True),
        ("('a':('b':1))", "", {"a": {"b": 1}}),
        ("('a':1)", "String", "('a':1)"),
        ("('a':1)", "HashMap", {"a": 1}),
        ('{"a (b)": 1}', "java.util.HashMap", {"a (b)": 1}),
        ("['a',2]", "java.util.ArrayList", ["a", 2]),
    ],
)
def test_a_text_is_read_as_its_class(text: str, name: str, value: object) -> None:
    read = read_value(text, name)
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("128", "Byte", "the value 128 is out of range: a java.lang.Byte is -128 to 127"),
        ("1.5", "Integer", "is no whole number, as value-class java.lang.Integer has it"),
        ("x", "Double", "is no number"),
        ("nan", "Double", "no number that JSON carries"),
        ("yes", "Boolean", "neither true nor false"),
        ("('a':b)", "", "should be a JSON object"),
        ("{}", "ArrayList", "should be a JSON array"),
        ("x", "com.shop.Order", "value-class com.shop.Order: use one of java.lang.String, .*ArrayList; what else"),
    ],
)
def test_what_is_none_of_its_class_is_refused(text: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_value(text, name)


def test_keys_are_texts_or_whole_numbers() -> None:
    assert (read_key("7"), read_key("7", "java.lang.String"), read_key("7", "Short")) == ("7", "7", 7)
    with pytest.raises(UsageError, match=r"key-class Double: use one of java.lang.String, .*Long; what else"):
        read_key("7", "Double")


@given(st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_a_value_is_read_as_what_its_class_says_that_it_is(value: Any) -> None:
    assert read_value(str(value), class_of(value)) == value


def test_what_has_no_class() -> None:
    assert (class_of(None), class_of(b""), class_of({}), class_of([])) == (
        "", "byte[]", "java.util.HashMap", "java.util.ArrayList"
    )  # fmt: skip
