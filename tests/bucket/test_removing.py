"""Which requests to take away share a record, and how old tombstones are."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bucket.removing import (
    INVALIDATE_BYTES_MAX,
    MARKS,
    REQUESTS_MAX,
    ClearRequest,
    CollectRequest,
    ExpireRequest,
    InvalidateRequest,
    RemovalRequest,
    TombstoneAges,
    decide,
    take,
)
from heliograph.bucket.view import BucketView
from heliograph.model.batch import CLEARED, COLLECTED, Removal
from heliograph.model.clock import version_of
from heliograph.model.ids import NO_SEQ, Seq

KEPT_MS = 1_600


def test_requests_of_one_kind_are_taken_together() -> None:
    kinds: list[RemovalRequest] = [
        ClearRequest(1), ClearRequest(2), InvalidateRequest(3, "a"), ClearRequest(4), ExpireRequest(5), ExpireRequest(6)
    ]  # fmt: skip
    pending = deque(kinds)
    taken = []
    while pending:
        taken.append([request.waiter for request in take(pending)])
    assert taken == [[1, 2], [3], [4], [5, 6]]


@pytest.mark.parametrize(("key", "most"), [("k", REQUESTS_MAX), ("k" * 1024, INVALIDATE_BYTES_MAX // 1024)])
def test_no_more_is_taken_than_a_record_holds(key: str, most: int) -> None:
    pending: deque[RemovalRequest] = deque(InvalidateRequest(None, key) for _ in range(REQUESTS_MAX + 1))
    assert len(take(pending)) == most
    assert len(pending) == REQUESTS_MAX + 1 - most


def test_a_life_is_begun_once_and_tombstones_are_collected_when_there_are_any() -> None:
    view = BucketView()
    clears = [ClearRequest(1, 3), ClearRequest(2, 2)]
    assert decide(clears, view, None, 0)[0] == (Removal(CLEARED, [], 3),)
    view.life = 3
    assert decide(clears, view, None, 0)[0] == ()
    collects = [CollectRequest(1, Seq(5), 1 << 64), CollectRequest(2, Seq(7), 1 << 64)]
    assert decide(collects, view, None, 0) == ((), [(collects[0], None), (collects[1], None)])
    view.tombstones, view.versions = {"k": Seq(7)}, {"k": version_of(9, 1)}
    assert decide(collects, view, None, 0)[0] == (Removal(COLLECTED, [], 7),)
    early = [CollectRequest(1, Seq(7), 9), CollectRequest(2, Seq(7), 10)]
    assert decide(early, view, None, 0)[0] == (Removal(COLLECTED, [], 7, 9),), "it leaves a fence"
    assert decide(collects[:1], view, None, 0)[0] == ()
    assert decide([ExpireRequest(1)], view, None, 0)[0] == (), "nothing expires in a region without expiration"


def test_a_new_primary_knows_of_no_tombstone_how_old_it_is() -> None:
    ages = TombstoneAges(KEPT_MS)
    assert ages.kept_long_enough(10**9) == NO_SEQ
    ages.mark(10**9, Seq(50))
    assert ages.kept_long_enough(10**9 + KEPT_MS - 1) == NO_SEQ
    assert ages.kept_long_enough(10**9 + KEPT_MS) == ages.kept_long_enough(10**9 + KEPT_MS + 1) == 50


@given(st.lists(st.tuples(st.integers(0, KEPT_MS), st.integers(1, 9)), max_size=80))
def test_no_tombstone_is_collected_early_and_none_much_too_late(steps: list[tuple[int, int]]) -> None:
    """A step is a time that passes and records that come then; every record is a tombstone of its time."""
    ages = TombstoneAges(KEPT_MS)
    now_ms, seq = 0, 0
    left_at: list[int] = []
    for passed_ms, records in steps:
        now_ms += passed_ms
        left_at += [now_ms] * records
        seq += records
        ages.mark(now_ms, Seq(seq))
        through = ages.kept_long_enough(now_ms)
        assert all(now_ms - at >= KEPT_MS for at in left_at[:through])
        late = [at for at in left_at[through:] if now_ms - at > KEPT_MS + KEPT_MS // MARKS + max(p for p, _ in steps)]
        assert not late
