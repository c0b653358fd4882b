"""Keys, values and buckets."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.model.keys import (
    KEY_BYTES_MAX,
    VALUE_BYTES_MAX,
    bucket_of,
    buckets_of,
    check_keys,
    decode_value,
    encode_value,
    encode_values,
    keys_of_part,
)

keys = st.one_of(st.text(max_size=20), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=20))
valid_text = keys.filter(lambda key: not isinstance(key, str) or key.isprintable())


@given(st.lists(valid_text, max_size=40), st.integers(1, 200))
def test_a_key_has_one_bucket_however_it_is_asked(some, buckets):
    each = [bucket_of(key, buckets) for key in some]
    assert buckets_of(some, buckets) == each
    assert all(0 <= bucket < buckets for bucket in each)


def test_the_bucket_is_the_crc_of_the_routing_key():
    assert bucket_of("LHR", 16) == crc32(b"LHR") % 16
    assert bucket_of(b"LHR", 16) == crc32(b"LHR") % 16
    assert bucket_of(-12, 16) == crc32(b"-12") % 16


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (True, "bool can't be a key"),
        (1.5, "float can't be a key"),
        (None, "NoneType can't be a key"),
        (2**63, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        ("\ud800", "UTF-8"),
        ("x" * (KEY_BYTES_MAX + 1), "too large"),
        ("é" * KEY_BYTES_MAX, "too large"),
        (b"x" * (KEY_BYTES_MAX + 1), "too large"),
    ],
)
def test_what_can_not_be_a_key_is_refused(key, says):
    with pytest.raises(UsageError, match=says):
        check_keys(["fine", key])


@given(st.lists(st.one_of(st.text(), st.binary(), st.integers(0, 9), st.dictionaries(st.text(), st.booleans()))))
def test_values_come_back_as_they_were(values):
    try:
        encoded = encode_values(values)
    except UsageError as error:
        assert "surrogate" in str(error)  # noqa: PT017
        return
    assert [decode_value(each) for each in encoded] == values


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "use remove"),
        (object(), "can't be stored"),
        (2**70, "can't be stored"),
        (b"x" * VALUE_BYTES_MAX, "too large"),
    ],
)
def test_what_can_not_be_a_value_is_refused(value, says):
    with pytest.raises(UsageError, match=says):
        encode_value(value)


@given(st.lists(valid_text, max_size=40), st.integers(1, 20), st.integers(1, 9))
def test_a_key_is_in_one_part_and_in_one_half_of_it(some, buckets, parts):
    def listed(numbers, of):
        return sorted(repr(key) for number in numbers for key in keys_of_part(some, buckets, number, of))

    assert listed(range(parts), parts) == sorted(map(repr, some))
    for part in range(parts):
        assert listed((part, part + parts), 2 * parts) == listed([part], parts)
