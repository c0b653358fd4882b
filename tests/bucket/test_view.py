"""A bucket's view: records in, entries and tombstones out."""

import pytest

from heliograph.bucket.view import BucketView
from heliograph.errors import InvariantViolation, PeerError
from heliograph.model.batch import CREATE, DESTROY, UPDATE, Columns, Part, Record, encode_columns
from heliograph.model.clock import version_of
from heliograph.model.ids import Epoch, Seq


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
