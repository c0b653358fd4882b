from __future__ import annotations

import msgspec
import pytest

from heliograph.errors import ParkingFullError, PeerError
from heliograph.gateway import parking
from heliograph.gateway.parking import Attempt, check_room, events_to_park, others, parked_by_bucket
from heliograph.link.messages import Rejected, WanBatch
from heliograph.model.batch import CREATE, DESTROY, UPDATE, Columns, Part, decode_columns, encode_columns
from tests.gateway.builders import part_of

FIRST, SECOND = Attempt("m1", 1_000, "aa"), Attempt("m2", 2_000, "bb")
MIXED = Part(
    3,
    (2,),
    5,
    7,
    3,
    encode_columns(Columns(bytes([CREATE, DESTROY, UPDATE]), ["a", 2, b"c"], [b"1", b"", b"3"], [8, 9, 10])),
)
BATCH = WanBatch("r", 16, [(5, MIXED), (6, part_of("k", recipients=(2,), birth=(6, 9)))], "string-prefix")


def test_every_event_is_parked_by_itself_as_it_was_sent() -> None:
    found = events_to_park(BATCH, [Rejected(0, (0, 1), "bad"), Rejected(1, (), "worse")], FIRST)
    assert [(each.info.key, each.info.operation, each.info.error) for each in found] == [
        ("'a'", "create", "bad"),
        ("2", "destroy", "bad"),
        ("'k'", "update", "worse"),
    ]
    assert {(each.info.region, each.info.member, each.info.parked_ms, each.info.copy) for each in found} == {
        ("r", "m1", 1_000, "aa")
    }
    event = found[1].event
    assert (event.buckets, event.resolver, event.bucket) == (16, "string-prefix", 5)
    assert (event.part.origin, event.part.birth_bucket, event.part.birth_seq, event.part.count) == (3, 5, 7, 1)
    columns = decode_columns(event.part.columns)
    assert (columns.ops, columns.keys, columns.values, columns.stamps) == (bytes([DESTROY]), [2], [b""], [9])
    assert found[2].event.part is BATCH.items[1][1]
    assert parked_by_bucket(BATCH, [Rejected(0, (0, 1), ""), Rejected(1, (), "")]) == {5: 2, 6: 1}


def test_an_event_has_one_id_however_it_is_batched_and_sent() -> None:
    alone = events_to_park(BATCH, [Rejected(0, (1,), "bad")], FIRST)[0]
    columns = decode_columns(MIXED.columns).take((1, 2))
    other_way = msgspec.structs.replace(MIXED, count=2, recipients=(2, 4), columns=encode_columns(columns))
    again = events_to_park(WanBatch("r", 16, [(5, other_way)]), [Rejected(0, (), "x")], SECOND)
    assert again[0].id == alone.id
    assert again[1].id != alone.id
    elsewhere = events_to_park(WanBatch("q", 16, [(5, MIXED)]), [Rejected(0, (1,), "bad")], FIRST)[0]
    assert elsewhere.id != alone.id


def test_events_that_can_not_be_read_are_parked_together() -> None:
    batch = WanBatch("r", 16, [(5, Part(1, (), 5, 7, 4, b"?"))])
    [found] = events_to_park(batch, [Rejected(0, (), "malformed")], FIRST)
    assert (found.info.key, found.info.operation, found.info.events) == ("", "", 4)
    assert found.event.part is batch.items[0][1]
    assert parked_by_bucket(batch, [Rejected(0, (), "malformed")]) == {5: 4}


@pytest.mark.parametrize(
    "wrong", [Rejected(2, (), ""), Rejected(-1, (), ""), Rejected(0, (3,), ""), Rejected(0, (-1,), "")]
)
def test_what_was_never_sent_can_not_be_rejected(wrong: Rejected) -> None:
    with pytest.raises(PeerError, match="rejects"):
        events_to_park(BATCH, [wrong], FIRST)


def test_there_is_room_for_so_many_events_and_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    three = events_to_park(BATCH, [Rejected(0, (), "bad")], FIRST)
    known = [each.info for each in three]
    check_room(known, three)
    monkeypatch.setattr(parking, "PARKED_EVENTS_MAX", 5)
    check_room(known, three[:2])
    check_room(known * 9, [])
    with pytest.raises(ParkingFullError, match=r"3 events are parked.*redrive or drop some.*bad"):
        check_room(known, three)
    monkeypatch.setattr(parking, "PARKED_BYTES_MAX", sum(info.size for info in known) + three[0].info.size - 1)
    with pytest.raises(ParkingFullError):
        check_room(known, three[:1])


def test_what_is_not_rejected_of_a_batch() -> None:
    items = BATCH.items
    assert others(items, []) == items
    assert others(items, [Rejected(0, (), "bad"), Rejected(1, (0,), "bad")]) == []
    [(bucket, part), second] = others(items, [Rejected(0, (0,), "bad"), Rejected(0, (2,), "worse")])
    assert (bucket, part.count, decode_columns(part.columns).keys) == (5, 1, [2])
    assert second == items[1]
    assert others([(5, Part(3, (), 5, 7, 2, b"unreadable")), items[1]], [Rejected(0, (), "bad")]) == [items[1]]
