from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import (
    BadEventError,
    ClockSkewError,
    DiskStoreFullError,
    HeliographError,
    InvariantViolation,
    NotPrimaryError,
    PeerError,
    RegionNotFoundError,
    UnavailableError,
    UsageError,
)
from heliograph.gateway import isolation
from heliograph.gateway.isolation import ALONE_TRIES, Isolation, in_order, is_to_blame, pieces_of
from heliograph.gateway.verdict import parts_by_bucket, parts_in_order
from heliograph.link.messages import Rejected, WanBatch
from heliograph.model.batch import Part, decode_columns
from heliograph.model.keys import bucket_of
from heliograph.model.routing import Routing, string_prefix
from tests.gateway.builders import keys_of, part_of

BUCKETS = 4


def batch_of(*items: tuple[int, Part], buckets: int = BUCKETS, resolver: str = "") -> WanBatch:
    return WanBatch("r", buckets, list(items), resolver)


def born(*keys: str) -> Part:
    return part_of(*keys, recipients=(2,), birth=(0, 7))


def names(batch: WanBatch, rejected: list[Rejected]) -> list[str]:
    """The keys that were rejected of a batch."""
    found: list[str] = []
    for each in rejected:
        keys = decode_columns(batch.items[each.item][1].columns).keys
        found += [keys[position] for position in each.positions or range(len(keys))]
    return found


def play(tried: Isolation, bad: set[str], error: Exception) -> list[str]:
    """Do what a receiver does; return the keys that were taken, in order."""
    taken: list[str] = []
    while (run := tried.run()) is not None:
        keys = [key for part in run for key in keys_of(part)]
        if bad.isdisjoint(keys):
            taken += keys  # type: ignore[arg-type]
            tried.on_taken()
        else:
            tried.on_bad(error)
    return taken


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    bad=st.sets(st.integers(0, 60)),
    size_max=st.sampled_from([1, 60, 200, 1_000_000]),
    sure=st.booleans(),
)
def test_exactly_the_bad_events_are_rejected_and_the_others_taken_in_order(
    shape: list[int], bad: set[int], size_max: int, sure: bool
) -> None:
    keys = iter(range(100))
    parts = [born(*(str(next(keys)) for _ in range(count))) for count in shape]
    batch = batch_of(*((0, part) for part in parts))
    runs, none = pieces_of(batch, Routing(BUCKETS))
    tried = Isolation(runs.by_place[0][1], size_max)
    error = BadEventError("bad") if sure else ValueError("a bug")
    taken = play(tried, set(map(str, bad)), error)
    everything = [str(number) for number in range(sum(shape))]
    wrong = [key for key in everything if int(key) in bad]
    assert taken == [key for key in everything if key not in wrong]
    assert names(batch, in_order(tried.rejected)) == wrong
    assert none == []
    assert {each.error for each in tried.rejected} <= {"bad", "internal error: ValueError: a bug"}


def test_an_event_that_failed_by_accident_is_not_rejected() -> None:
    runs, _ = pieces_of(batch_of((0, born("a", "b"))), Routing(BUCKETS))
    tried = Isolation(runs.by_place[0][1], 1_000_000)
    tried.on_bad(ValueError())  # both
    for _ in range(ALONE_TRIES - 1):
        assert [keys_of(part) for part in tried.run() or ()] == [["a"]]
        tried.on_bad(ValueError())
    tried.on_taken()
    assert [keys_of(part) for part in tried.run() or ()] == [["b"]]
    tried.on_taken()
    assert tried.run() is None
    assert tried.rejected == []


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (BadEventError("a value is too large"), True),
        (ValueError("a bug"), True),
        (InvariantViolation("a bug"), True),
        (HeliographError("internal error: told by another member"), True),
        (MemoryError(), False),
        (ClockSkewError("ahead"), False),
        (UnavailableError("the engine"), False),
        (NotPrimaryError("moved"), False),
        (DiskStoreFullError("full"), False),
        (RegionNotFoundError("r"), False),
        (UsageError("the member does not understand the request"), False),
        (PeerError("the member speaks another protocol"), False),
    ],
)
def test_only_what_the_event_is_to_blame_for_is_isolated(error: Exception, blamed: bool) -> None:
    assert is_to_blame(error) is blamed


def test_items_that_can_not_be_read_are_rejected_whole_and_the_others_kept() -> None:
    good = born("a")
    batch = batch_of(
        (0, good), (9, good), (0, Part(1, (), 0, 7, 3, b"?")), (1, Part(300, (), 0, 7, 1, good.columns)), (2, good)
    )
    runs, rejected = pieces_of(batch, Routing(BUCKETS))
    pieces = {bucket: some for bucket, some in runs.by_place.values() if some}
    assert [(each.item, each.positions) for each in rejected] == [(1, ()), (2, ()), (3, ())]
    assert "bucket 9 of 4" in rejected[0].error
    assert {bucket: [each.item for each in some] for bucket, some in pieces.items()} == {0: [0], 2: [4]}


def test_keys_that_the_partition_resolver_refuses_are_rejected_and_the_others_sorted() -> None:
    batch = batch_of((0, born("x|1", "plain", "y|1", "x|2")), buckets=7)
    runs, rejected = pieces_of(batch, Routing(BUCKETS, "string-prefix", string_prefix))
    pieces = dict(runs.by_place.values())
    assert [(each.item, each.positions) for each in rejected] == [(0, (1,))]
    assert "'plain'" in rejected[0].error
    found = {key: bucket for bucket, some in pieces.items() for piece in some for key in keys_of(piece.part)}
    assert found == {key: bucket_of(key[0], BUCKETS) for key in ("x|1", "y|1", "x|2")}
    positions = sorted(place for some in pieces.values() for piece in some for place in piece.positions)
    assert positions == [0, 2, 3]


def test_a_resolver_that_is_missing_is_the_fault_of_no_event() -> None:
    def refuse(_: object) -> str:
        raise UsageError("can't be loaded")

    routing = Routing(BUCKETS, "a:b", refuse, "the partition resolver a:b can't be loaded")
    with pytest.raises(UsageError, match="can't be loaded"):
        pieces_of(batch_of((0, born("a")), buckets=7), routing)


def test_an_acknowledgement_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "ERROR_TEXTS_MAX", 2)
    told = in_order([Rejected(item, (), "x" * 9) for item in (3, 1, 2)])
    assert [(each.item, each.error) for each in told] == [(1, "x" * 9), (2, "x" * 9), (3, isolation.MORE)]
    assert len(isolation.told("é" * 5000)) == isolation.ERROR_TEXT_MAX


@given(
    items=st.lists(st.tuples(st.integers(0, BUCKETS - 1), st.integers(1, 3)), min_size=1, max_size=8),
    buckets=st.sampled_from([BUCKETS, 7]),
    ordered=st.booleans(),
)
def test_runs_are_those_of_the_verdict(items: list[tuple[int, int]], buckets: int, ordered: bool) -> None:
    """So that a run that was turned down is found again by its place."""
    numbers = iter(range(100))
    parts = [(bucket, born(*(str(next(numbers)) for _ in range(count)))) for bucket, count in items]
    batch = WanBatch("r", buckets, parts, ordered=int(ordered))
    routing = Routing(BUCKETS)
    runs, _ = pieces_of(batch, routing)
    found = {
        place: (bucket, [keys_of(piece.part) for piece in some]) for place, (bucket, some) in runs.by_place.items()
    }
    verdict = parts_in_order(batch, routing) if ordered else parts_by_bucket(batch, routing).items()
    expected = [(bucket, [keys_of(part) for part in some]) for bucket, some in verdict]
    assert found == dict(enumerate(expected)) if ordered else {bucket: (bucket, some) for bucket, some in expected}


def test_what_can_not_be_read_keeps_its_place_in_the_order() -> None:
    bad = Part(1, (), 0, 7, 1, b"?")
    batch = WanBatch("r", BUCKETS, [(1, born("a")), (2, bad), (1, born("b"))], ordered=1)
    runs, rejected = pieces_of(batch, Routing(BUCKETS))
    assert {place: (bucket, len(some)) for place, (bucket, some) in runs.by_place.items()} == {
        0: (1, 1),
        1: (2, 0),
        2: (1, 1),
    }
    assert [each.item for each in rejected] == [1]
    assert len(parts_in_order(batch, Routing(BUCKETS))) == 3
