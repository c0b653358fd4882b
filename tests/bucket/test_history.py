"""What listeners are told, from memory and from the log."""

from __future__ import annotations

import msgspec
import pytest

from heliograph.bucket import history as history_module
from heliograph.bucket.history import History, Reread, answer_from, size_of, tells, told_of
from heliograph.errors import EventsLostError
from heliograph.link.messages import Told
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
from heliograph.model.ids import Seq
from heliograph.model.keys import NO_VALUE

HERE, THERE = 1, 2


def record(*events: tuple[str, bytes], op: int = UPDATE, origin: int = HERE) -> Record:
    ops = bytes(op if value else DESTROY for _, value in events)
    columns = Columns(ops, [key for key, _ in events], [value for _, value in events], list(range(len(events))))
    return Record(1, (Part(origin, (), 0, 0, len(events), encode_columns(columns)),))


def told(bucket: int, seq: int, size: int = 1) -> Told:
    return told_of(bucket, Seq(seq), record(("k", bytes(size))), [[b"old"]])


def seqs(records: list[Told]) -> list[tuple[int, int]]:
    return [(each.bucket, each.seq) for each in records]


# --- the newest records


def test_what_was_noted_after_a_cursor_is_held() -> None:
    history = History()
    assert not history.holds(0, 100)
    history.begin(0, Seq(3))
    for seq in (4, 7, 9):
        history.note(told(0, seq))
    assert not history.holds(0, 2)
    assert history.holds(0, 3)
    records, _, drained = history.since(0, 4, 1_000_000)
    assert (seqs(records), drained) == ([(0, 7), (0, 9)], True)
    assert history.since(0, 9, 1) == ([], 0, True)


def test_an_answer_ends_after_the_record_that_fills_it() -> None:
    history = History()
    history.begin(0, Seq(0))
    for seq in (1, 2, 3):
        history.note(told(0, seq))
    records, size, drained = history.since(0, 0, size_of(told(0, 1)) + 1)
    assert (seqs(records), drained) == ([(0, 1), (0, 2)], False)
    assert size == 2 * size_of(told(0, 1))


def test_the_oldest_record_of_any_bucket_is_forgotten_first() -> None:
    history = History(bytes_max=3 * size_of(told(0, 1)))
    history.begin(0, Seq(0))
    history.begin(1, Seq(0))
    for bucket, seq in ((0, 1), (1, 2), (0, 3), (0, 4), (0, 5)):
        history.note(told(bucket, seq))
    assert history.size == 3 * size_of(told(0, 1))
    assert not history.holds(1, 1)
    assert history.holds(1, 2)
    assert not history.holds(0, 0)
    assert history.holds(0, 1)
    assert seqs(history.since(0, 1, 1_000_000)[0]) == [(0, 3), (0, 4), (0, 5)]


def test_a_record_that_fits_into_no_memory_is_not_held() -> None:
    history = History(bytes_max=1_000)
    history.begin(0, Seq(0))
    history.note(told(0, 5, size=2_000))
    assert (history.size, history.holds(0, 4), history.holds(0, 5)) == (0, False, True)


def test_a_bucket_that_is_begun_anew_holds_nothing_from_before() -> None:
    history = History(bytes_max=2 * size_of(told(0, 1)))
    history.begin(0, Seq(0))
    history.note(told(0, 1))
    history.begin(0, Seq(9))
    assert (history.size, history.holds(0, 1), history.holds(0, 9)) == (0, False, True)
    for seq in (10, 11, 12):
        history.note(told(0, seq))
    assert history.holds(0, 10)
    assert seqs(history.since(0, 10, 1_000_000)[0]) == [(0, 11), (0, 12)]


# --- what to tell next


def test_nothing_is_told_without_news() -> None:
    history = History()
    history.begin(0, Seq(5))
    assert answer_from(history, {0: 5, 1: 9}, {0: 5, 1: 9}) == ([], {}, {})


def test_a_record_without_events_only_moves_the_cursor() -> None:
    history = History()
    history.begin(0, Seq(5))
    assert answer_from(history, {0: 5}, {0: 6}) == ([], {0: 6}, {})


def test_the_bucket_that_is_furthest_behind_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History()
    for bucket in (0, 1):
        history.begin(bucket, Seq(0))
    for seq in range(1, 9):
        history.note(told(seq % 2, seq))
    monkeypatch.setattr(history_module, "ANSWER_BYTES_MAX", 2 * size_of(told(0, 1)))
    cursors, tips = {0: 2, 1: 1}, {0: 8, 1: 7}
    records, reached, _ = answer_from(history, cursors, tips)
    assert (seqs(records), reached) == ([(1, 3), (1, 5)], {1: 5})
    records, reached, _ = answer_from(history, cursors | reached, tips)
    assert (seqs(records), reached) == ([(0, 4), (0, 6)], {0: 6})


def test_what_is_not_held_is_to_be_read_unless_something_older_is_held() -> None:
    history = History()
    history.begin(0, Seq(0))
    history.note(told(0, 1))
    assert answer_from(history, {0: 0, 1: 5}, {0: 1, 1: 9}) == ([told(0, 1)], {0: 1}, {})
    assert answer_from(history, {0: 1, 1: 5}, {0: 1, 1: 9}) == ([], {}, {1: 5})


# --- from the log


def rereading(after: int, tip: int, bytes_max: int = 1_000_000) -> Reread:
    return Reread("region", 3, HERE, after, tip, bytes_max)


def test_old_values_are_known_where_the_reading_has_passed_the_key() -> None:
    reread = rereading(1, 6)
    reread.take(Seq(2), Seq(1), record(("a", b"1")))
    reread.take(Seq(3), Seq(2), record(("a", b"2"), ("b", b""), ("a", b"")))
    reread.take(Seq(5), Seq(3), record(("a", b"3"), ("c", b"4"), op=CREATE))
    assert not reread.done
    reread.take(Seq(6), Seq(5), record(("d", b"5"), op=CREATE, origin=THERE))
    assert [each.replaced for each in reread.records] == [[[None]], [[b"1", None, b"2"]], [[b"", b""]], [[None]]]
    assert reread.done
    reread.end()


def test_removals_are_passed_like_events() -> None:
    reread = rereading(1, 9)
    reread.take(Seq(2), Seq(1), record(("a", b"1")))
    reread.take(Seq(3), Seq(2), Record(1, (), "", (Removal(INVALIDATED, ["a", "b"]), Removal(COLLECTED, [], 1))))
    reread.take(Seq(4), Seq(3), record(("a", b"2"), ("b", b"2")))
    reread.take(Seq(5), Seq(4), Record(1, (), "", (Removal(EXPIRED, ["a"]),)))
    reread.take(Seq(6), Seq(5), record(("a", b"3"), ("c", b"3")))
    reread.take(Seq(7), Seq(6), Record(1, (), "", (Removal(CLEARED),)))
    reread.take(Seq(8), Seq(7), record(("a", b"4"), ("d", b"4")))
    reread.take(Seq(9), Seq(8), Record(1, (), "", (Removal(COLLECTED, [], 7),)))
    assert [each.replaced for each in reread.records] == [
        [[None]], [[b"1", None], []], [[NO_VALUE, NO_VALUE]], [[b"2"]], [[b"", None]], [[]], [[b"", b""]]
    ]  # fmt: skip
    assert (reread.read_to, reread.done) == (9, True), "what nobody hears of moves the cursor too"


def test_a_reading_ends_when_it_is_enough() -> None:
    reread = rereading(1, 9, bytes_max=size_of(told(3, 2)) + 1)
    reread.take(Seq(2), Seq(1), record(("a", b"1")))
    assert not reread.done
    reread.take(Seq(4), Seq(2), record(("a", b"1")))
    assert reread.done
    reread.end()
    assert (reread.read_to, seqs(reread.records)) == (4, [(3, 2), (3, 4)])


def test_a_log_that_was_cut_above_the_cursor_is_noticed() -> None:
    with pytest.raises(EventsLostError, match=r"bucket 3 of region region were cut .*: listen anew"):
        rereading(4, 9).take(Seq(8), Seq(6), record(("a", b"1")))
    reread = rereading(4, 9)
    reread.take(Seq(8), Seq(4), record(("a", b"1")))
    with pytest.raises(EventsLostError):
        reread.end()


def test_a_log_that_was_cut_below_the_cursor_is_as_good_as_whole() -> None:
    reread = rereading(7, 9)
    reread.take(Seq(9), Seq(6), record(("a", b"1")))
    reread.end()
    assert seqs(reread.records) == [(3, 9)]


# --- bounds


def silent(of: Record) -> Record:
    return msgspec.structs.replace(of, parts=tuple(msgspec.structs.replace(part, silent=True) for part in of.parts))


def test_what_was_put_silently_is_not_told_and_known_afterwards() -> None:
    """With a record of its own, and among others; the old values stay those of the events that are told."""
    mixed = Record(
        1, (*silent(record(("a", b"2"))).parts, *record(("a", b"3"), ("b", b"4")).parts), "", (Removal(EXPIRED, ["x"]),)
    )
    assert not tells(silent(record(("a", b"1"))))
    assert tells(mixed)
    one = told_of(0, Seq(5), mixed, [[b"x"], [b"1"], [b"2", b""]])
    assert one.parts == mixed.parts[1:]
    assert one.removals == mixed.removals
    assert one.replaced == [[b"x"], [b"2", b""]]
    reread = rereading(after=3, tip=5)
    reread.take(Seq(4), Seq(3), silent(record(("a", b"1"))))
    reread.take(Seq(5), Seq(4), mixed)
    assert [(each.seq, each.replaced) for each in reread.records] == [(5, [[None], [b"2", None]])]


def test_old_values_that_fit_into_no_answer_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "REPLACED_BYTES_MAX", 10)
    one, two = record(("a", b"1"), ("b", b"1")), record(("c", b"1"))
    both = Record(1, one.parts + two.parts)
    kept = told_of(0, Seq(1), both, [[bytes(6), b""], [bytes(6)]])
    assert kept.replaced == [[bytes(6), b""], [None]]
    kept = told_of(0, Seq(1), one, [[bytes(6), bytes(6)]])
    assert kept.replaced == [[bytes(6), None]]
