from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import PeerError, UsageError
from heliograph.gateway.verdict import open_batch, parts_by_bucket, parts_in_order, runs
from heliograph.link.messages import WanBatch, encode
from heliograph.model.batch import Part, decode_columns
from heliograph.model.keys import bucket_of
from heliograph.model.routing import Routing, string_prefix
from tests.gateway.builders import keys_of, part_of

KEYS = st.one_of(st.text(max_size=5), st.integers(0, 50), st.binary(max_size=5))


def born(*keys: str, origin: int = 1) -> Part:
    return part_of(*keys, origin=origin, recipients=(2,), birth=(3, 17))


def test_with_as_many_buckets_a_part_is_passed_on_untouched() -> None:
    first, second = born("a"), born("b")
    parts = parts_by_bucket(WanBatch("r", 16, [(3, first), (5, second), (3, second)]), Routing(16))
    assert parts == {3: [first, second], 5: [second]}
    assert parts[3][0].columns is first.columns


@settings(deadline=None)
@given(keys=st.lists(KEYS, min_size=1, max_size=20), buckets=st.integers(1, 9))
def test_with_other_buckets_every_event_reaches_its_keys_bucket_in_order(keys: list[str], buckets: int) -> None:
    part = msgspec.structs.replace(born(*keys), argument=b"why")
    sorted_parts = parts_by_bucket(WanBatch("r", 16, [(3, part)]), Routing(buckets))
    whole = decode_columns(part.columns)
    versions = list(whole.versions(part.origin))
    expected: dict[int, list[tuple[object, int]]] = {}
    for key, version in zip(keys, versions, strict=True):
        expected.setdefault(bucket_of(key, buckets), []).append((key, version))
    found: dict[int, list[tuple[object, int]]] = {}
    for bucket, pieces in sorted_parts.items():
        for piece in pieces:
            columns = decode_columns(piece.columns)
            assert piece.count == len(columns.keys)
            assert piece.argument == b"why"
            assert (piece.origin, piece.recipients, piece.birth_bucket, piece.birth_seq) == (1, (2,), 3, 17)
            found.setdefault(bucket, []).extend(zip(columns.keys, columns.versions(piece.origin), strict=True))
    assert found == expected


def test_a_part_that_fits_one_bucket_is_not_encoded_again() -> None:
    part = born("a", "a")
    assert list(parts_by_bucket(WanBatch("r", 16, [(3, part)]), Routing(7)).values()) == [[part]]


def test_in_order_parts_that_follow_each_other_are_one_run() -> None:
    parts = [born(key) for key in "abcde"]
    batch = WanBatch("r", 16, list(zip((3, 3, 5, 3, 3), parts, strict=True)), ordered=1)
    assert parts_in_order(batch, Routing(16)) == [(3, parts[:2]), (5, parts[2:3]), (3, parts[3:])]


@settings(deadline=None)
@given(keys=st.lists(st.lists(KEYS, min_size=1, max_size=4, unique_by=repr), max_size=8), buckets=st.integers(1, 5))
def test_in_order_with_other_buckets_no_part_overtakes_another(keys: list[list[str]], buckets: int) -> None:
    parts = [born(*some) for some in keys]
    batch = WanBatch("r", 16, [(number % 3, part) for number, part in enumerate(parts)], ordered=1)
    runs_in_order = parts_in_order(batch, Routing(buckets))
    left = [set(map(repr, some)) for some in keys]
    for bucket, pieces in runs_in_order:
        for piece in pieces:
            while not left[0]:
                left.pop(0)
            found = keys_of(piece)
            assert {bucket_of(key, buckets) for key in found} == {bucket}
            left[0] -= set(map(repr, found))
    assert not any(left)
    assert all(one[0] != other[0] for one, other in pairwise(runs_in_order))


def test_a_batch_survives_its_encoding() -> None:
    batch = WanBatch("r", 16, [(3, born("a", "b"))])
    assert open_batch(encode(batch)) == batch
    assert keys_of(open_batch(encode(batch)).items[0][1]) == ["a", "b"]


@pytest.mark.parametrize(
    "batch",
    [
        WanBatch("r", 0, []),
        WanBatch("r", 5_000, []),
        WanBatch("r", 4, [(4, born("a"))]),
        WanBatch("r", 4, [(-1, born("a"))]),
        WanBatch("r", 4, [(0, born("a", origin=256))]),
        WanBatch("r", 4, [(0, msgspec.structs.replace(born("a"), birth_seq=0))]),
        WanBatch("r", 4, [(0, msgspec.structs.replace(born("a"), count=0))]),
        WanBatch("r", 4, [(0, msgspec.structs.replace(born("a"), recipients=(1, -7)))]),
        WanBatch("r", 4, [(0, msgspec.structs.replace(born("a"), recipients=(1,) * 300))]),
    ],
)
def test_a_batch_out_of_range_is_refused(batch: WanBatch) -> None:
    with pytest.raises(PeerError, match="malformed"):
        parts_by_bucket(open_batch(encode(batch)), Routing(4))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises(PeerError, match="malformed"):
        open_batch(body)


def test_a_part_that_lies_about_its_count_or_is_garbage_is_refused_when_it_must_be_sorted() -> None:
    for part in (
        msgspec.structs.replace(born("a"), count=2),
        msgspec.structs.replace(born("a"), columns=b"\xc1"),
    ):
        with pytest.raises(PeerError):
            parts_by_bucket(WanBatch("r", 4, [(0, part)]), Routing(3))


def test_with_another_partition_resolver_events_are_sorted_anew() -> None:
    part = born("ada|1", "ada|2", "bob|1")
    batch = WanBatch("r", 16, [(3, part)], "string-prefix")
    same = Routing(16, "string-prefix", string_prefix)
    assert parts_by_bucket(batch, same) == {3: [part]}
    by_key = {bucket: keys_of(*parts) for bucket, parts in parts_by_bucket(batch, Routing(16)).items()}
    assert by_key == {bucket_of(key, 16): [key] for key in ("ada|1", "ada|2", "bob|1")}
    unresolved = parts_by_bucket(WanBatch("r", 16, [(3, part)]), same)
    by_prefix = {bucket: keys_of(*parts) for bucket, parts in unresolved.items()}
    assert by_prefix == {bucket_of("ada", 16): ["ada|1", "ada|2"], bucket_of("bob", 16): ["bob|1"]}


def test_a_key_that_the_partition_resolver_refuses_is_named() -> None:
    with pytest.raises(UsageError, match=r"'plain' has no '\|'"):
        parts_by_bucket(WanBatch("r", 16, [(3, born("plain"))]), Routing(16, "string-prefix", string_prefix))


@settings(deadline=None)
@given(st.lists(st.lists(KEYS, min_size=1, max_size=12, unique=True), max_size=6), st.integers(1, 400))
def test_runs_hold_no_more_than_fits_and_every_event_in_order(each: list[list[str]], size_max: int) -> None:
    parts = [born(*keys) for keys in each]
    found = list(runs(parts, size_max))
    assert all(found)
    for run in found:
        if sum(len(piece.columns) for piece in run) > size_max:
            assert [piece.count for piece in run] == [1], "an event that is too large by itself"
    pieces = [piece for run in found for piece in run]
    assert [key for piece in pieces for key in keys_of(piece)] == [key for keys in each for key in keys]
    for piece in pieces:
        assert piece.count == len(keys_of(piece))
        assert (piece.origin, piece.recipients, piece.birth_bucket, piece.birth_seq) == (1, (2,), 3, 17)
    untouched = [part for part in parts if len(part.columns) <= size_max]
    assert [part for part in untouched if not any(piece is part for piece in pieces)] == []
