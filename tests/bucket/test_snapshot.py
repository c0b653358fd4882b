from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bucket import snapshot
from heliograph.bucket.snapshot import open_snapshot, slices
from heliograph.bucket.view import BucketView
from heliograph.errors import PeerError
from heliograph.model.clock import version_of
from heliograph.model.ids import Epoch, Seq

keys = st.one_of(st.text(max_size=5), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=5))
versions = st.builds(version_of, st.integers(0, 2**63 - 1), st.integers(0, 255))


@st.composite
def views(draw: st.DrawFn) -> BucketView:
    view = BucketView()
    view.versions = dict(draw(st.dictionaries(keys, versions, max_size=20)))
    view.values = {key: b"v%d" % n for n, key in enumerate(view.versions) if draw(st.booleans())}
    view.seq, view.epoch, view.primary = Seq(draw(st.integers(0, 2**40))), Epoch(draw(st.integers(0, 99))), "member"
    view.stamp_max = draw(st.integers(0, 2**63 - 1))
    view.life = draw(st.integers(0, 9))
    removed = sorted(draw(st.integers(0, 99)) for _ in view.versions)
    gone = [key for key in draw(st.permutations(list(view.versions))) if key not in view.values]
    view.tombstones = {key: Seq(seq) for key, seq in zip(gone, removed, strict=False)}
    return view


def fields(view: BucketView) -> tuple[object, ...]:
    return (*(getattr(view, name) for name in BucketView.__slots__), list(view.tombstones.values()))


@given(views(), st.integers(1, 7))
def test_a_view_comes_back_as_it_was(view: BucketView, slice_entries: int) -> None:
    with patch.object(snapshot, "SLICE_ENTRIES", slice_entries):
        pieces = list(slices(view))
    assert len(pieces) == 1 + -(-len(view.versions) // slice_entries)
    assert fields(open_snapshot(b"".join(pieces))) == fields(view)


def test_a_tombstone_that_has_a_value_again_is_none() -> None:
    view = BucketView()
    view.versions, view.values = {"a": 256, "b": 512}, {"a": b"1"}
    view.tombstones = {"a": Seq(1), "b": Seq(2)}
    assert open_snapshot(b"".join(slices(view))).tombstones == {"b": 2}


def test_slices_show_the_view_as_it_was_when_they_were_asked_for() -> None:
    view = BucketView()
    view.versions, view.values, view.seq = {"a": 256, "b": 512}, {"a": b"1"}, Seq(7)
    view.tombstones = {"b": Seq(3)}
    pieces = slices(view)
    view.versions["c"], view.values["a"], view.seq = 768, b"2", Seq(8)
    opened = open_snapshot(b"".join(pieces))
    assert (opened.versions, opened.values, opened.seq) == ({"a": 256, "b": 512}, {"a": b"1"}, 7)


@given(views().filter(lambda view: bool(view.versions)), st.data())
def test_a_damaged_snapshot_is_refused_or_harmless(view: BucketView, data: st.DataObject) -> None:
    whole = b"".join(slices(view))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(PeerError, match="snapshot"):
        open_snapshot(whole[:cut])
    with pytest.raises(PeerError, match="snapshot"):
        open_snapshot(data.draw(st.binary(max_size=40)))
