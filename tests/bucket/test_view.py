"""A bucket's view: records in, entries and tombstones out."""

import pytest

from heliograph.bucket.view import BucketView, before_each
from heliograph.errors import InvariantViolation, PeerError
from heliograph.model.batch import (
    CLEARED,
    COLLECTED,
    CREATE,
    DESTROY,
    EXPIRED,
    INVALIDATED,
    UPDATE,
    Columns,
    Part,
    Record,
    Removal,
    encode_columns,
)
from heliograph.model.clock import version_of
from heliograph.model.ids import Epoch, Seq
from heliograph.model.keys import NO_VALUE


def record(columns: Columns, origin: int = 1, epoch: int = 1) -> Record:
    return Record(epoch, (Part(origin, (), 0, 0, len(columns.keys), encode_columns(columns)),))


def test_a_record_leaves_its_entries_and_their_versions() -> None:
    view = BucketView()
    view.apply(Seq(1), record(Columns(bytes([CREATE, CREATE]), ["a", 7], [b"1", b"2"], 10), origin=3))
    assert view.values == {"a": b"1", 7: b"2"}
    assert view.versions == {"a": version_of(10, 3), 7: version_of(10, 3)}, "a stamp that they share"
    assert (view.seq, view.epoch, view.stamp_max) == (1, 1, 10)


def test_the_events_of_a_record_are_applied_in_order() -> None:
    view = BucketView()
    ops = bytes([CREATE, UPDATE, DESTROY, CREATE])
    view.apply(Seq(1), record(Columns(ops, ["a", "a", "a", "b"], [b"1", b"2", b"", b"3"], [4, 5, 6, 2])))
    assert view.values == {"b": b"3"}
    assert view.versions == {"a": version_of(6, 1), "b": version_of(2, 1)}, "a is a tombstone"
    assert view.stamp_max == 6


def test_a_destroy_of_what_is_not_there_is_a_tombstone() -> None:
    view = BucketView()
    view.apply(Seq(1), record(Columns(bytes([DESTROY]), ["a"], [b""], 9)))
    assert (view.values, view.versions) == ({}, {"a": version_of(9, 1)})


def test_a_control_record_names_the_primary_and_no_event_record_forgets_it() -> None:
    view = BucketView()
    view.apply(Seq(3), Record(2, (), "server1"))
    view.apply(Seq(8), record(Columns(bytes([CREATE]), ["a"], [b"1"], 5), epoch=1))
    assert (view.primary, view.epoch, view.seq) == ("server1", Epoch(2), 8)


def test_a_record_is_applied_once_and_in_order() -> None:
    view = BucketView()
    view.apply(Seq(3), Record(1, (), "server1"))
    for seq in (3, 2):
        with pytest.raises(InvariantViolation, match="twice or out of order"):
            view.apply(Seq(seq), Record(1, (), "server1"))


def test_a_malformed_record_changes_nothing() -> None:
    view = BucketView()
    good = record(Columns(bytes([CREATE]), ["a"], [b"1"], 5)).parts
    with pytest.raises(PeerError):
        view.apply(Seq(1), Record(1, (*good, Part(1, (), 0, 0, 1, b"\xc1"))))
    assert (view.values, view.versions, view.seq) == ({}, {}, 0)


def test_what_events_replace_is_kept_only_while_somebody_listens() -> None:
    view = BucketView()
    view.apply(Seq(1), record(Columns(bytes([CREATE]), ["a"], [b"1"], 1)))
    assert view.replaced is None
    assert view.take_replaced() is None, "what was replaced before is not known"
    view.apply(Seq(2), record(Columns(bytes([UPDATE, CREATE]), ["a", "b"], [b"2", b"3"], 2)))
    assert view.take_replaced() == [[b"1", b""]]
    assert view.take_replaced() == []


def test_a_key_that_stands_twice_finds_what_it_left_itself() -> None:
    ops = bytes([UPDATE, DESTROY, CREATE, CREATE])
    events = Columns(ops, ["a", "a", "b", "a"], [b"2", b"", b"3", b"4"], [4, 5, 6, 7])
    assert before_each({"a": b"1"}, events) == [b"1", b"2", b"", b""]


# --- removals


def removing(*removals: Removal) -> Record:
    return Record(1, (), "", removals)


def some_entries() -> BucketView:
    """a, b and c put with record 1, c destroyed with record 2."""
    view = BucketView()
    view.apply(Seq(1), record(Columns(bytes([CREATE] * 3), ["a", "b", "c"], [b"1", b"2", b"3"], 10)))
    view.apply(Seq(2), record(Columns(bytes([DESTROY]), ["c"], [b""], 11)))
    return view


VERSIONS = {"a": version_of(10, 1), "b": version_of(10, 1), "c": version_of(11, 1)}
REMOVALS = [
    (Removal(EXPIRED, ["a"]), {"b": b"2"}, {"c": 2, "a": 3}),
    (Removal(EXPIRED, ["a", "c", "nothing", "a"]), {"b": b"2"}, {"c": 2, "a": 3}),
    (Removal(INVALIDATED, ["a", "c", "nothing"]), {"a": NO_VALUE, "b": b"2"}, {"c": 2}),
    (Removal(CLEARED), {}, {"c": 2, "a": 3, "b": 3}),
    (Removal(COLLECTED, [], 1), {"a": b"1", "b": b"2"}, {"c": 2}),
]


@pytest.mark.parametrize(("removal", "values", "tombstones"), REMOVALS)
def test_what_is_removed_keeps_its_version(
    removal: Removal, values: dict[str, bytes], tombstones: dict[str, int]
) -> None:
    view = some_entries()
    view.apply(Seq(3), removing(removal))
    assert (view.values, view.versions) == (values, VERSIONS)
    assert list(view.tombstones.items()) == list(tombstones.items()), "the oldest first"
    assert (view.seq, view.stamp_max, view.life) == (3, 11, 0)


def test_tombstones_are_collected_up_to_a_sequence() -> None:
    view = some_entries()
    view.apply(Seq(3), removing(Removal(EXPIRED, ["a"])))
    assert not view.has_tombstones(1)
    assert view.has_tombstones(2)
    view.apply(Seq(4), removing(Removal(COLLECTED, [], 2)))
    assert (view.tombstones, set(view.versions)) == ({"a": 3}, {"a", "b"})
    view.apply(Seq(5), removing(Removal(COLLECTED, [], 9)))
    assert (view.tombstones, view.values, set(view.versions)) == ({}, {"b": b"2"}, {"b"})


def test_a_record_that_left_a_tombstone_of_a_newer_event_too_is_not_reached() -> None:
    """The first of its keys may be there again, or be older."""
    for first in ("old", "again"):
        view = BucketView()
        keys = [first, "newer"]
        view.apply(Seq(3), record(Columns(bytes([CREATE] * 2), keys, [b"1"] * 2, [5, 20])))
        view.apply(Seq(7), removing(Removal(EXPIRED, keys)))
        if first == "again":
            view.apply(Seq(8), record(Columns(bytes([CREATE]), keys[:1], [b"1"], 30)))
        assert view.removed_before(9, 10) == 6
        assert view.removed_before(9, 21) == 9
        assert view.removed_before(5, 10) == 5
        assert not view.has_tombstones(view.removed_before(9, 10))


def test_what_was_written_again_is_no_tombstone_and_what_is_removed_again_a_new_one() -> None:
    view = some_entries()
    view.apply(Seq(3), removing(Removal(EXPIRED, ["a"])))
    view.apply(Seq(4), record(Columns(bytes([CREATE] * 2), ["c", "a"], [b"3", b"1"], 12)))
    view.apply(Seq(5), removing(Removal(EXPIRED, ["c"])))
    view.apply(Seq(6), removing(Removal(COLLECTED, [], 4)))
    assert (view.values, view.tombstones) == ({"a": b"1", "b": b"2"}, {"c": 5})
    assert view.versions["c"] == version_of(12, 1)


def test_a_record_removes_before_it_applies_its_events() -> None:
    view = some_entries()
    parts = record(Columns(bytes([CREATE]), ["a"], [b"new"], 20)).parts
    view.apply(Seq(3), Record(2, parts, "server2", (Removal(CLEARED, [], 7),)))
    assert (view.values, view.life, view.primary) == ({"a": b"new"}, 7, "server2")
    view.apply(Seq(4), removing(Removal(CLEARED)))
    assert view.life == 7, "the same life goes on"
