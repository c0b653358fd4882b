"""The format of exported regions: what was written is read, however it is cut; whatever is damaged is refused."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.model import region_file
from heliograph.model.keys import INT_MAX, INT_MIN, NO_VALUE, VALUE_BYTES_MAX, encode_value
from heliograph.model.region_file import (
    CHUNK_BYTES,
    CHUNK_ENTRIES,
    FileEncoder,
    FileEntries,
    FileHead,
    FileParser,
    chunks,
)

HEAD = FileHead("customer", "77ab", 0, 1, 1_700_000_000_000)
KEYS = st.one_of(st.text(max_size=8), st.integers(INT_MIN, INT_MAX), st.binary(max_size=8))
VALUES = st.one_of(st.text(max_size=20), st.integers(0, 9), st.binary(max_size=20)).map(encode_value)
ENTRIES = st.dictionaries(KEYS, VALUES, max_size=30)


def file_of(*groups: dict[Any, bytes], head: FileHead = HEAD) -> bytes:
    encoder = FileEncoder()
    data = encoder.begin(head)
    for group in groups:
        if group:
            data += encoder.entries(list(group), list(group.values()))
    return data + encoder.end()


def read(data: bytes, step: int = 0) -> tuple[FileHead | None, list[tuple[Any, bytes]]]:
    parser = FileParser()
    found: list[tuple[Any, bytes]] = []
    for start in range(0, len(data), step or max(1, len(data))):
        for entries in parser.receive(data[start : start + step] if step else data):
            found += zip(entries.keys, entries.values, strict=True)
    assert parser.end() == len(found)
    return parser.head, found


@given(st.lists(ENTRIES, max_size=4), st.integers(0, 50))
def test_what_was_written_is_read(groups: list[dict[Any, bytes]], step: int) -> None:
    assert read(file_of(*groups), step) == (HEAD, [each for group in groups for each in group.items()])


DATA = file_of({"a": b"\x01", 7: b"\x02"}, {b"c": encode_value("some text")})


@pytest.mark.parametrize("length", range(len(DATA)))
def test_every_truncation_is_refused(length: int) -> None:
    with pytest.raises(UsageError, match=r"cut short"):
        read(DATA[:length])


@pytest.mark.parametrize("offset", range(len(DATA)))
def test_every_flipped_bit_is_refused(offset: int) -> None:
    for bit in range(8):
        flipped = bytearray(DATA)
        flipped[offset] ^= 1 << bit
        with pytest.raises(UsageError, match=r"damaged at offset|no file of|version"):
            read(bytes(flipped))


@settings(max_examples=300)
@given(st.lists(ENTRIES, min_size=1, max_size=3), st.data())
def test_any_damage_is_refused(groups: list[dict[Any, bytes]], data: st.DataObject) -> None:
    """Some bytes are others, missing, or more."""
    whole = file_of(*groups)
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    damaged = whole[:start] + data.draw(st.binary(max_size=20)) + whole[end:]
    if damaged != whole:
        with pytest.raises(UsageError):
            read(damaged, data.draw(st.integers(0, 30)))


def _frames() -> list[bytes]:
    encoder = FileEncoder()
    return [encoder.begin(HEAD), *(encoder.entries([key], [b"\x01"]) for key in "abc"), encoder.end()]


@pytest.mark.parametrize(
    "order",
    [[0, 1, 2, 4], [0, 2, 3, 4], [0, 1, 1, 2, 3, 4], [0, 2, 1, 3, 4], [0, 4], [0, 1, 2, 3, 4, 4], [0, 1, 2, 3]],
)
def test_frames_that_are_missing_twice_or_elsewhere_are_refused(order: list[int]) -> None:
    frames = _frames()
    with pytest.raises(UsageError):
        read(b"".join(frames[each] for each in order))


def test_a_frame_of_another_file_is_refused() -> None:
    mine, other = _frames(), FileEncoder()
    other.begin(msgspec.structs.replace(HEAD, run="88"))
    mine[1] = other.entries(["a"], [b"\x01"])
    with pytest.raises(UsageError, match="another checksum"):
        read(b"".join(mine))


def test_the_error_names_where_it_is_damaged() -> None:
    frames = _frames()
    at = len(frames[0]) + len(frames[1])
    damaged = bytearray(b"".join(frames))
    damaged[at + 20] ^= 1
    parser = FileParser()
    with pytest.raises(UsageError, match=rf"at offset {at}:"):
        parser.receive(bytes(damaged))


class _Liar(FileEncoder):
    """Writes right frames of wrong things."""

    def lie(self, kind: int, content: Any) -> bytes:
        return self._frame(kind, content)


@pytest.mark.parametrize(
    ("kind", "content", "error"),
    [
        (region_file.ENTRIES, FileEntries([], []), "0 keys"),
        (region_file.ENTRIES, FileEntries(["a"], []), "1 keys and 0 values"),
        (region_file.ENTRIES, FileEntries(["a"], [b""]), "a value is none"),
        (region_file.ENTRIES, FileEntries(["a"], [NO_VALUE]), "a value is none"),
        (region_file.ENTRIES, FileEntries(["a"], [bytes(VALUE_BYTES_MAX + 1)]), "a value is none, or larger"),
        (region_file.ENTRIES, FileEntries([1.5], [b"\x01"]), "can't be a key"),
        (region_file.ENTRIES, FileEntries([[]], [b"\x01"]), "can't be a key"),
        (region_file.HEAD, HEAD, "in another order"),
        (region_file.END, (3,), "says that there are 3 entries"),
        (9, (3,), "no frame of kind 9"),
    ],
)
def test_what_no_export_writes_is_refused(kind: int, content: Any, error: str) -> None:
    encoder = _Liar()
    parser = FileParser()
    parser.receive(encoder.begin(HEAD))
    with pytest.raises(UsageError, match=error):
        parser.receive(encoder.lie(kind, content))


@pytest.mark.parametrize(
    "head",
    [
        FileHead("no/name", "1", 0, 1, 0),
        FileHead("r", "", 0, 1, 0),
        FileHead("r", "../x", 0, 1, 0),
        FileHead("r", "1", 1, 1, 0),
        FileHead("r", "1", 0, 1 << 40, 0),
    ],
)
def test_a_head_out_of_bounds_is_refused(head: FileHead) -> None:
    with pytest.raises(UsageError, match="damaged at offset 10"):
        FileParser().receive(FileEncoder().begin(head))


def test_a_length_that_no_frame_has_is_refused_before_anything_is_held() -> None:
    begun = FileEncoder().begin(HEAD)
    checked = region_file._CHECKED.pack(region_file.ENTRIES, region_file.FRAME_BYTES_MAX + 1, 0)
    with pytest.raises(UsageError, match="larger than any"):
        FileParser().receive(begun + checked + crc32(checked).to_bytes(4))


def test_chunks_fit_into_frames() -> None:
    """Of many small entries, and of the largest that there are."""
    many = [*range(2 * CHUNK_ENTRIES + 1)]
    assert [len(keys) for keys, _ in chunks(many, [b"\x01"] * len(many))] == [CHUNK_ENTRIES, CHUNK_ENTRIES, 1]
    largest = [bytes(CHUNK_BYTES - 200), *[bytes(VALUE_BYTES_MAX)] * 2]
    cut = list(chunks(["k" * 30, "l", "m"], largest))
    assert [keys for keys, _ in cut] == [["k" * 30, "l"], ["m"]]
    encoder, parser = FileEncoder(), FileParser()
    parser.receive(encoder.begin(HEAD))
    assert sum(len(entries.keys) for each in cut for entries in parser.receive(encoder.entries(*each))) == 3
    assert list(chunks([], [])) == []
