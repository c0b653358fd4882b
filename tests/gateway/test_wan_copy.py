"""What goes into the batches of a copy, and how fast they leave."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliograph.bucket.view import BucketView
from heliograph.gateway import wan_copy
from heliograph.gateway.wan_copy import ANY_STAMP, Copier, pause_s
from heliograph.link.messages import WanBatch
from heliograph.model.batch import INVALIDATED, UPDATE, Part, Record, Removal, check_part, decode_columns
from heliograph.model.clock import version_of
from heliograph.model.ids import Seq
from heliograph.model.keys import encode_value
from heliograph.model.routing import Routing
from tests.gateway.builders import HERE, THERE, part_of

RECIPIENTS = (HERE, THERE)
TOTAL = 8
keys = st.text("abcdef", min_size=1, max_size=3)
entries = st.dictionaries(keys, st.tuples(st.integers(0, 50), st.sampled_from((1, 2, 7)), st.booleans()), max_size=12)
"""Key -> stamp, site of birth, whether it has a value."""


def view_of(given: dict[str, tuple[int, int, bool]]) -> BucketView:
    view = BucketView()
    view.seq = Seq(len(given))
    for key, (stamp, origin, there) in given.items():
        view.versions[key] = version_of(stamp, origin)
        if there:
            view.values[key] = encode_value(key)
    return view


def batches(copier: Copier, views: list[BucketView], through: int) -> list[list[tuple[int, Part]]]:
    taken = []
    for bucket, view in enumerate(views):
        copier.begin(bucket, view, through)
        while copier.fill():
            taken.append(copier.take())
    last = copier.take()
    return [*taken, last] if last else taken


@given(st.lists(entries, max_size=TOTAL), st.integers(1, 20), st.integers(0, 50))
def test_every_entry_of_the_beginning_leaves_once_with_its_version(
    given_buckets: list[dict[str, tuple[int, int, bool]]], batch_size: int, through: int
) -> None:
    made = batches(Copier(batch_size, RECIPIENTS), [view_of(each) for each in given_buckets], through)
    left = []
    for items in made:
        assert 1 <= sum(part.count for _, part in items) <= batch_size
        for bucket, part in items:
            columns = decode_columns(part.columns)
            check_part(part, columns)  # as the remote site does
            assert part.recipients == RECIPIENTS
            assert set(columns.ops) == {UPDATE}
            versions = columns.versions(part.origin)
            left += [(bucket, *each) for each in zip(columns.keys, versions, columns.values, strict=True)]
    assert all(sum(part.count for _, part in items) == batch_size for items in made[:-1])
    assert sorted(left) == sorted(
        (bucket, key, version_of(stamp, origin), encode_value(key))
        for bucket, each in enumerate(given_buckets)
        for key, (stamp, origin, there) in each.items()
        if there and stamp <= through
    )


def test_a_batch_is_bounded_in_bytes_too() -> None:
    view = BucketView()
    view.seq = Seq(1)
    for number in range(5):
        view.values[number] = bytes(wan_copy.BATCH_BYTES_MAX // 2)
        view.versions[number] = version_of(1, HERE)
    made = batches(Copier(1_000, RECIPIENTS), [view], ANY_STAMP)
    assert [sum(part.count for _, part in items) for items in made] == [2, 2, 1]


def test_what_changes_while_it_is_copied() -> None:
    """What is removed, invalidated or written anew before its batch is made does not leave; the queue tells of it."""
    view = BucketView()
    view.apply(Seq(1), Record(1, (part_of("a", "b", "c", "d"),)))
    copier = Copier(1, RECIPIENTS)
    copier.begin(0, view, view.stamp_max)
    assert copier.fill()
    view.apply(Seq(2), Record(1, (), "", (Removal(INVALIDATED, ["b"]),)))
    view.apply(Seq(3), Record(1, (part_of("c"),)))
    view.versions["c"] = version_of(view.stamp_max + 1, HERE)
    del view.values["d"]
    assert [decode_columns(part.columns).keys for _, part in copier.take()] == [["a"]]
    assert not copier.fill()
    assert copier.take() == []


def test_a_bucket_goes_on_with_what_is_known_of_it_last() -> None:
    copier = Copier(1, RECIPIENTS)
    copier.begin(0, view_of({"a": (1, HERE, True), "b": (1, HERE, True), "c": (1, HERE, True)}), ANY_STAMP)
    assert copier.more
    assert copier.fill()
    copier.take()
    copier.go_on(view_of({"b": (2, HERE, False), "c": (2, HERE, True), "d": (2, HERE, True)}))
    assert copier.fill()
    [(_, part)] = copier.take()
    assert (decode_columns(part.columns).keys, decode_columns(part.columns).stamp_max()) == (["c"], 2)
    assert not copier.more


def test_a_batch_is_what_a_receiver_takes() -> None:
    copier = Copier(10, RECIPIENTS)
    copier.begin(3, view_of({"a": (5, HERE, True), "b": (6, THERE, True)}), ANY_STAMP)
    assert not copier.fill()
    items = copier.take()
    from heliograph.gateway.verdict import parts_by_bucket

    sorted_parts = parts_by_bucket(WanBatch("r", TOTAL, items), Routing(TOTAL))
    assert [(part.origin, part.count) for part in sorted_parts[3]] == [(HERE, 1), (THERE, 1)]


@given(st.integers(0, 10**6), st.floats(0, 10**4), st.integers(1, 10**4))
def test_no_more_than_the_rate(copied: int, elapsed_s: float, max_rate: int) -> None:
    pause = pause_s(copied, elapsed_s, max_rate)
    assert pause >= 0
    assert copied <= max_rate * (elapsed_s + pause) + 1e-3
    if pause:
        assert abs(copied - max_rate * (elapsed_s + pause)) < 1e-3


def test_without_a_rate_or_before_the_first_batch_nothing_waits() -> None:
    assert pause_s(10**9, 0.0, 0) == 0
    assert pause_s(0, 0.0, 1) == 0
