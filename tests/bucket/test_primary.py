"""The primary's decisions, against a naive model that takes one event after the other."""

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.bucket import judging, removing
from heliograph.bucket.conflicts import Outcome
from heliograph.bucket.judging import CLOCK_SKEW_MS
from heliograph.bucket.primary import (
    RECORD_BYTES_MAX,
    ApplyRequest,
    BucketPrimary,
    ChangeRequest,
    PutRequest,
    SilentPutRequest,
    first_record,
    request_size,
)
from heliograph.bucket.removing import ClearRequest, CollectRequest, InvalidateRequest
from heliograph.bucket.snapshot import open_snapshot, slices
from heliograph.bucket.view import BucketView
from heliograph.errors import BadEventError, ClockSkewError, InvariantViolation
from heliograph.link.messages import Changed
from heliograph.model.batch import (
    CREATE,
    DESTROY,
    UPDATE,
    Columns,
    Part,
    decode_columns,
    decode_record,
    encode_columns,
    encode_record,
)
from heliograph.model.clock import stamp_of_ms, version_of
from heliograph.model.ids import Epoch, Seq
from heliograph.model.keys import NO_VALUE, Key

NOW_MS = 1_000_000


class Bucket:
    """A primary with its log, and a follower that sees nothing but the log."""

    def __init__(self, site=1):
        self.primary = BucketPrimary(BucketView(), site, Epoch(1))
        self.follower = BucketView()
        self.log = []

    @property
    def view(self):
        return self.primary.view

    def flush(self, now_ms=NOW_MS):
        """Append all that is pending; returns waiter -> outcome."""
        outcomes: dict = {}
        while (draft := self.primary.draft(now_ms)) is not None:
            if draft.record is not None:
                self.log.append(encode_record(draft.record))
                seq = Seq(len(self.log))
                assert self.primary.appended(seq) is draft
                self.follower.apply(seq, decode_record(self.log[-1]))
            outcomes.update((request.waiter, outcome) for request, outcome in draft.outcomes)
        return outcomes

    def put(self, argument=b"", **entries):
        request = PutRequest("put", 0, list(entries), list(entries.values()), 10, argument)
        self.primary.submit(request)

    def change(self, op, key, value=b"", expected=b"", waiter="change", argument=b""):
        self.primary.submit(ChangeRequest(waiter, op, key, value, expected, argument))

    def apply(self, *parts, waiter="apply"):
        self.primary.submit(ApplyRequest(waiter, parts, 10))

    def clear(self, waiter="clear"):
        self.primary.submit(ClearRequest(waiter))

    def invalidate(self, key, waiter="invalidate"):
        self.primary.submit(InvalidateRequest(waiter, key))

    def records(self):
        return [decode_record(data) for data in self.log]


def remote(events, origin=2, recipients=(1,), stamps=None):
    """A part of (key, value) pairs, value b"" a destroy, stamped NOW_MS."""
    keys = [key for key, _ in events]
    values = [value for _, value in events]
    ops = bytes(UPDATE if value else DESTROY for value in values)
    stamps = stamp_of_ms(NOW_MS) if stamps is None else stamps
    return Part(origin, recipients, 0, 9, len(keys), encode_columns(Columns(ops, keys, values, stamps)))


def test_what_is_submitted_while_an_append_is_in_flight_is_the_next_record():
    bucket = Bucket()
    bucket.put(a=b"1")
    bucket.primary.draft(NOW_MS)
    bucket.put(b=b"2")
    bucket.put(c=b"3")
    with pytest.raises(InvariantViolation):
        bucket.primary.draft(NOW_MS)
    assert bucket.view.values == {}, "nothing is seen before it is in the log"
    assert [outcome for _, outcome in bucket.primary.appended(Seq(1)).outcomes] == [None]
    second = bucket.primary.draft(NOW_MS)
    assert second is not None
    assert second.record is not None
    assert second.record.count == 2


@pytest.mark.parametrize("conditional", [False, True])
def test_requests_with_different_arguments_become_parts_whose_stamps_rise(conditional):
    bucket = Bucket()
    if conditional:
        bucket.change("put_if_absent", "other", b"0")
    bucket.put(a=b"1")
    bucket.put(argument=b"x", a=b"2", b=b"2")
    bucket.put(argument=b"x", a=b"3")
    bucket.put(argument=b"y", a=b"4")
    bucket.put(a=b"5")
    bucket.flush()
    (record,) = map(decode_record, bucket.log)
    columns = [decode_columns(part.columns) for part in record.parts]
    assert [part.argument for part in record.parts] == [b"", b"x", b"y", b""]
    assert [[each for each in part.values if each != b"0"] for part in columns] == [
        [b"1"], [b"2", b"2", b"3"], [b"4"], [b"5"]
    ]  # fmt: skip
    versions = [part.newest(1)["a"] for part in columns]
    assert versions == sorted(set(versions))
    assert bucket.view.values["a"] == bucket.follower.values["a"] == b"5"
    assert bucket.view.versions == bucket.follower.versions


def test_what_is_put_silently_is_a_part_of_its_own_before_other_events():
    bucket = Bucket()
    bucket.put(a=b"1")
    bucket.primary.submit(SilentPutRequest("one", 0, ["a", "b"], [b"2", b"3"], 10))
    bucket.primary.submit(ChangeRequest("change", "replace_if", "b", b"4", b"3"))
    bucket.primary.submit(SilentPutRequest("other", 0, ["c"], [b"5"], 10))
    outcomes = bucket.flush()
    assert (outcomes["one"], outcomes["other"], outcomes["change"]) == (None, None, Changed(True, b"3", 0))
    record = decode_record(bucket.log[-1])
    assert [(part.silent, decode_columns(part.columns).keys) for part in record.parts] == [
        (True, ["a", "b", "c"]),
        (False, ["a", "b"]),
    ]
    assert bucket.view.values == bucket.follower.values == {"a": b"1", "b": b"4", "c": b"5"}
    assert bucket.view.versions == bucket.follower.versions
    bucket.primary.submit(SilentPutRequest("newer", 0, ["a"], [b"6"], 10))
    before = bucket.view.versions["a"]
    bucket.flush()
    assert bucket.view.values["a"] == b"6"
    assert bucket.view.versions["a"] > before


def test_a_silent_part_of_another_site_is_refused():
    bucket = Bucket()
    part = msgspec.structs.replace(remote([("k", b"v")]), silent=True)
    bucket.primary.submit(ApplyRequest("apply", [part], 10))
    assert isinstance(bucket.flush()["apply"], BadEventError)
    assert not bucket.view.values


def test_an_argument_counts_in_the_size_of_a_record_and_survives_a_conflict():
    assert ChangeRequest("w", "remove", "k", b"", b"", bytes(100)).size >= 100
    bucket = Bucket()
    bucket.put(a=b"1")
    bucket.flush()
    mixed = remote([("a", b"old"), ("b", b"new")], stamps=[stamp_of_ms(NOW_MS - 1)] * 2)
    bucket.apply(msgspec.structs.replace(mixed, argument=b"why"))
    bucket.flush()
    (part,) = decode_record(bucket.log[-1]).parts
    assert (part.argument, part.count, decode_columns(part.columns).keys) == (b"why", 1, ["b"])


def test_a_withdrawn_record_leaves_nothing_behind():
    bucket = Bucket()
    bucket.put(a=b"1")
    bucket.primary.draft(NOW_MS)
    assert [request.waiter for request, _ in bucket.primary.withdraw().outcomes] == ["put"]
    assert bucket.view.values == {}
    assert bucket.flush() == {}


def test_a_full_record_leaves_the_rest_for_the_next():
    bucket = Bucket()
    for waiter in range(3):
        bucket.primary.submit(PutRequest(waiter, 0, [waiter], [b"x"], RECORD_BYTES_MAX // 2 + 1))
    assert len(bucket.flush()) == 3
    assert [decode_record(record).count for record in bucket.log] == [1, 1, 1]
    assert bucket.primary.pending_bytes == 0


def test_conditional_operations_see_those_before_them_in_the_same_record():
    bucket = Bucket()
    bucket.change("put_if_absent", "k", b"1", waiter=1)
    bucket.change("put_if_absent", "k", b"2", waiter=2)
    bucket.change("replace_if", "k", b"3", expected=b"1", waiter=3)
    bucket.change("remove_if", "k", expected=b"1", waiter=4)
    bucket.change("remove", "k", waiter=5)
    bucket.change("remove", "k", waiter=6)
    bucket.change("replace", "k", b"9", waiter=7)
    outcomes = bucket.flush()
    assert [(o.done, o.old) for o in outcomes.values()] == [
        (True, b""), (False, b"1"), (True, b"1"), (False, b"3"), (True, b"3"), (False, b""), (False, b""),
    ]  # fmt: skip
    assert bucket.view.values == {}
    assert decode_columns(decode_record(bucket.log[0]).parts[0].columns).ops == bytes([CREATE, UPDATE, DESTROY])


def test_an_operation_that_does_nothing_is_confirmed_by_a_record_without_events():
    """Only the log knows whether the view, which the answer rests on, is still the newest."""
    bucket = Bucket()
    bucket.change("remove", "missing")
    assert bucket.flush() == {"change": Changed(False, b"", 0)}
    (record,) = map(decode_record, bucket.log)
    assert (record.count, record.primary, record.epoch) == (0, "", bucket.primary.epoch)


def test_a_part_that_wins_whole_is_appended_as_the_bytes_that_came():
    bucket = Bucket()
    part = remote([("a", b"1"), ("b", b"2")])
    bucket.apply(part)
    assert bucket.flush() == {"apply": None}
    assert decode_record(bucket.log[0]).parts == (part,)


def test_a_part_that_came_before_changes_nothing_and_is_still_acknowledged():
    bucket = Bucket()
    part = remote([("a", b"1"), ("b", b"")])
    bucket.apply(part)
    bucket.apply(part)
    bucket.flush()
    bucket.apply(part)
    assert bucket.flush() == {"apply": None}
    assert len(bucket.log) == 1
    assert bucket.primary.judge.log.duplicates == 4


def test_a_destroy_leaves_a_tombstone_that_beats_an_older_put():
    bucket = Bucket()
    bucket.apply(remote([("k", b"")], stamps=stamp_of_ms(NOW_MS) + 5))
    bucket.apply(remote([("k", b"old")], origin=3))
    bucket.flush()
    assert bucket.view.values == {}
    assert bucket.primary.judge.log.counts[""][Outcome.LOST] == 1


def test_at_the_same_time_the_greater_site_wins():
    for first, second in itertools.permutations((2, 3)):
        bucket = Bucket()
        bucket.apply(remote([("k", b"2" if first == 2 else b"3")], origin=first))
        bucket.apply(remote([("k", b"2" if second == 2 else b"3")], origin=second))
        bucket.flush()
        assert bucket.view.values == {"k": b"3"}


def test_a_local_event_is_newer_than_all_the_bucket_has_seen():
    bucket = Bucket()
    ahead = stamp_of_ms(NOW_MS + CLOCK_SKEW_MS)
    bucket.apply(remote([("k", b"theirs")], stamps=ahead))
    bucket.put(k=b"ours")
    bucket.flush()
    assert bucket.view.values == {"k": b"ours"}
    assert bucket.view.versions["k"] == version_of(ahead + 1, 1)


def test_a_clock_too_far_ahead_is_refused_and_named():
    bucket = Bucket()
    bucket.apply(remote([("k", b"1")], stamps=stamp_of_ms(NOW_MS + CLOCK_SKEW_MS + 7)), waiter="wrong")
    bucket.apply(remote([("j", b"1")]), waiter="right")
    outcomes = bucket.flush()
    assert isinstance(outcomes["wrong"], ClockSkewError)
    assert "site 2" in str(outcomes["wrong"])
    assert "60007 ms" in str(outcomes["wrong"])
    assert bucket.view.values == {"j": b"1"}


def test_a_malformed_part_is_refused_alone():
    bucket = Bucket()
    bucket.apply(Part(2, (), 0, 1, 1, b"\xc1"), waiter="broken")
    bucket.apply(Part(2, (), 0, 1, 5, remote([("k", b"1")]).columns), waiter="miscounted")
    bucket.apply(remote([("k", b"1")], origin=300), waiter="from nowhere")
    bucket.put(a=b"1")
    outcomes = bucket.flush()
    assert {type(outcomes[waiter]) for waiter in ("broken", "miscounted", "from nowhere")} == {BadEventError}
    assert bucket.view.values == {"a": b"1"}


def test_a_defect_fails_the_requests_at_hand_and_no_other(monkeypatch):
    def broken(part, columns):
        raise KeyError("defect")

    bucket = Bucket()
    bucket.apply(remote([("k", b"1")]), waiter="broken")
    monkeypatch.setattr(judging, "check_part", broken)
    draft = bucket.primary.draft(NOW_MS)
    assert draft is not None
    assert isinstance(draft.defect, KeyError)
    assert [(request.waiter, outcome) for request, outcome in draft.outcomes] == [("broken", draft.defect)]
    bucket.put(a=b"1")
    assert bucket.flush() == {"put": None}
    assert bucket.view.values == {"a": b"1"}


def test_requests_that_are_too_large_together_are_tried_alone_in_order_before_the_others():
    bucket = Bucket()
    bucket.change("put_if_absent", "k", b"1", waiter="one")
    bucket.change("replace", "k", b"2", waiter="two")
    bucket.primary.draft(NOW_MS)
    bucket.change("put_if_absent", "k", b"3", waiter="later")
    bucket.put(a=b"1")
    assert bucket.primary.retry_alone()
    first = bucket.primary.draft(NOW_MS)
    assert first is not None
    assert [request.waiter for request, _ in first.outcomes] == ["one"]
    assert not bucket.primary.retry_alone()
    assert bucket.primary.withdraw() is first, "refused for good"
    assert bucket.flush()["two"] == Changed(False, b"", 0), "it was judged without what was refused"
    assert [decode_record(data).count for data in bucket.log] == [0, 2], (
        "two did nothing; those after it are one record again"
    )
    assert bucket.primary.pending_bytes == 0


def test_keys_count_in_the_size_of_a_request():
    several: list[list[Key]] = [["a" * 1000], ["\u20ac" * 1000], [b"a" * 1000, 5, "\u20ac"], [1, 2]]
    for keys in several:
        values = [b"v"] * len(keys)
        columns = Columns(bytes(len(keys)), keys, values, 5)
        assert request_size(keys, values) >= len(encode_columns(columns)) - len(encode_columns(Columns(b"", [], [], 5)))


def test_abandoning_returns_everyone_who_waits():
    bucket = Bucket()
    bucket.put(a=b"1")
    bucket.change("remove", "a")
    assert [request.waiter for request in bucket.primary.abandon()] == ["put", "change"]
    assert bucket.primary.pending_bytes == 0
    assert bucket.flush() == {}


def test_the_first_record_of_an_epoch_names_the_primary():
    view = BucketView()
    view.apply(Seq(4), first_record(Epoch(3), "s1"))
    assert (view.epoch, view.primary, view.seq) == (3, "s1", 4)
    with pytest.raises(InvariantViolation):
        view.apply(Seq(4), first_record(Epoch(3), "s1"))


# --- removals


def test_a_record_takes_away_or_holds_events_and_neither_kind_holds_up_the_other():
    bucket = Bucket()
    bucket.put(a=b"1", b=b"2")
    bucket.flush()
    for waiter in range(3):
        bucket.invalidate("a", waiter)
    bucket.clear()
    bucket.invalidate("b")
    bucket.put(c=b"3")
    outcomes = bucket.flush()
    assert [(record.count, len(record.removals)) for record in bucket.records()[1:]] == [(0, 1), (1, 0), (0, 1), (0, 0)]
    assert [outcomes[waiter] for waiter in (*range(3), "clear", "put", "invalidate")] == [
        Changed(True, b"1", 0), Changed(True, b"1", 0), Changed(True, b"1", 0), None, None, Changed(False, b"", 0)
    ]  # fmt: skip
    assert bucket.view.values == bucket.follower.values == {}
    assert not bucket.primary.waiting


def test_a_collection_of_nothing_appends_nothing():
    bucket = Bucket()
    bucket.primary.submit(CollectRequest("collect", Seq(9), 1 << 64))
    assert (bucket.flush(), bucket.log) == ({"collect": None}, [])


@pytest.mark.parametrize("remove", [Bucket.clear, lambda bucket: bucket.invalidate("a")])
def test_that_there_was_nothing_to_take_away_is_confirmed_by_a_record_without_any(remove):
    bucket = Bucket()
    remove(bucket)
    bucket.flush()
    (record,) = bucket.records()
    assert (record.count, record.removals, record.primary) == (0, (), "")


def test_an_entry_without_a_value_is_absent_to_what_depends_on_the_value():
    bucket = Bucket()
    bucket.put(k=b"1")
    bucket.flush()
    bucket.invalidate("k")
    bucket.flush()
    assert bucket.view.values == {"k": NO_VALUE}
    bucket.change("replace", "k", b"2", waiter=1)
    bucket.change("replace_if", "k", b"2", expected=b"1", waiter=2)
    bucket.change("put_if_absent", "k", b"3", waiter=3)
    bucket.change("put_if_absent", "k", b"4", waiter=4)
    assert bucket.flush() == {
        1: Changed(False, NO_VALUE, 0), 2: Changed(False, NO_VALUE, 0),
        3: Changed(True, NO_VALUE, 0), 4: Changed(False, b"3", 0),
    }  # fmt: skip
    bucket.invalidate("k")
    bucket.flush()
    bucket.change("remove", "k")
    assert bucket.flush() == {"change": Changed(True, NO_VALUE, 0)}
    assert bucket.view.values == {}


@pytest.mark.parametrize("removed", ["clear", "invalidate"])
def test_what_was_taken_away_does_not_come_back_with_a_duplicate_and_does_with_something_newer(removed):
    bucket = Bucket()
    part = remote([("k", b"1")], stamps=stamp_of_ms(NOW_MS))
    bucket.apply(part)
    bucket.flush()
    bucket.clear() if removed == "clear" else bucket.invalidate("k")
    bucket.flush()
    gone = dict(bucket.view.values)
    bucket.apply(part)
    bucket.apply(remote([("k", b"0")], stamps=stamp_of_ms(NOW_MS) - 1))
    bucket.flush()
    assert bucket.view.values == gone
    bucket.apply(remote([("k", b"2")], stamps=stamp_of_ms(NOW_MS) + 1))
    bucket.flush()
    assert bucket.view.values == {"k": b"2"}


def test_a_removal_that_is_refused_is_not_tried_alone_and_one_that_is_abandoned_is_returned():
    bucket = Bucket()
    bucket.put(a=b"1")
    bucket.flush()
    bucket.clear(1)
    bucket.clear(2)
    bucket.primary.draft(NOW_MS)
    assert not bucket.primary.retry_alone()
    assert [request.waiter for request, _ in bucket.primary.withdraw().outcomes] == [1, 2]
    bucket.clear(3)
    assert [request.waiter for request in bucket.primary.abandon()] == [3]
    assert (bucket.flush(), bucket.view.values) == ({}, {"a": b"1"})


def test_a_defect_fails_the_removals_at_hand_and_no_other(monkeypatch):
    def broken(*_):
        raise KeyError("defect")

    bucket = Bucket()
    bucket.put(a=b"1")
    bucket.flush()
    with monkeypatch.context() as patched:
        patched.setattr(removing, "decide", broken)
        bucket.clear()
        draft = bucket.primary.draft(NOW_MS)
    assert draft is not None
    assert isinstance(draft.defect, KeyError)
    assert [outcome for _, outcome in draft.outcomes] == [draft.defect]
    bucket.clear()
    assert (bucket.flush(), bucket.view.values) == ({"clear": None}, {})


def test_a_new_life_begins_with_the_first_record_of_an_epoch():
    bucket = Bucket()
    bucket.put(a=b"1")
    bucket.flush()
    bucket.view.apply(Seq(2), decode_record(encode_record(first_record(Epoch(2), "s1", new_life=4))))
    assert (bucket.view.values, bucket.view.life, bucket.view.tombstones) == ({}, 4, {"a": 2})
    bucket.primary.submit(ClearRequest("again", 4))
    assert (bucket.flush(), bucket.log[1:]) == ({"again": None}, []), "it has begun already"


# --- against the naive model

KEYS = ["a", "b", "c"]
values = st.sampled_from([b"x", b"y"])
local = st.one_of(
    st.tuples(st.just("put"), st.lists(st.tuples(st.sampled_from(KEYS), values), min_size=1, max_size=3)),
    st.tuples(
        st.sampled_from(["remove", "remove_if", "put_if_absent", "replace", "replace_if"]),
        st.tuples(st.sampled_from(KEYS), values, values),
    ),
)
removal = st.one_of(
    st.just(("clear", None)),
    st.tuples(st.just("invalidate"), st.sampled_from(KEYS)),
    st.tuples(st.just("collect"), st.integers(0, 20)),
)
part = st.tuples(
    st.just("apply"),
    st.tuples(
        st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from([b"x", b"y", b""])), min_size=1, max_size=4),
        st.integers(2, 3),
        st.one_of(st.integers(-3, 3), st.lists(st.integers(-3, 3), min_size=4, max_size=4)),
    ),
)
arguments = st.sampled_from([b"", b"", b"x"])
rounds = st.lists(
    st.one_of(st.lists(st.tuples(st.one_of(local, part), arguments), max_size=5), removal),
    max_size=8,
)


class Naive:
    """One dict of (version, value), one event at a time, remote ones of a round first."""

    def __init__(self):
        self.entries = {}
        self.latest = 0
        self.runs = []
        self.removed = {}
        self.before = {}

    def apply(self, key, value, stamp, site):
        self.latest = max(self.latest, stamp) if version_of(stamp, site) > self.version(key) else self.latest
        if version_of(stamp, site) > self.version(key):
            self.entries[key] = (version_of(stamp, site), value)

    def version(self, key):
        return self.entries.get(key, (0, b""))[0]

    def value(self, key):
        return self.entries.get(key, (0, b""))[1]

    def write(self, key, value):
        self.entries[key] = (0, value)
        self.runs[-1][1].append((key, value))

    def request(self, argument):
        """The requests of a round in order: those that follow one another with one argument are a run."""
        if not self.runs or self.runs[-1][0] != argument:
            self.runs.append((argument, []))

    def stamp(self):
        """Stamp what was written in this round, each run alike if its keys differ, else one after the other."""
        for _, written in self.runs:
            base = max(stamp_of_ms(NOW_MS), self.latest + 1)
            step = len(dict(written)) < len(written)
            for number, (key, value) in enumerate(written):
                self.latest = base + step * number
                self.entries[key] = (version_of(self.latest, 1), value)
        self.runs.clear()

    def change(self, op, key, value, expected):
        old = self.value(key)
        holds = {
            "put_if_absent": old in (b"", NO_VALUE),
            "remove": bool(old),
            "replace": old not in (b"", NO_VALUE),
            "remove_if": bool(old) and old == expected,
            "replace_if": bool(old) and old == expected,
        }[op]
        if holds:
            self.write(key, b"" if op.startswith("remove") else value)
        return holds, old

    def remove(self, kind, what, seq):
        """Take away with the record at `seq`; `removed` says since which record a key has no value."""
        for key, (version, value) in list(self.entries.items()):
            if kind == "clear" and value:
                self.entries[key] = (version, b"")
            elif kind == "invalidate" and key == what and value:
                self.entries[key] = (version, NO_VALUE)
            elif kind == "collect" and not value and self.removed[key] <= what:
                del self.entries[key], self.removed[key]
        self.note(seq)

    def note(self, seq):
        """A record came: what it destroyed, whether it was there or not, is a tombstone of this record."""
        for key, entry in self.entries.items():
            if entry[1]:
                self.removed.pop(key, None)
            elif self.before.get(key) != entry:
                self.removed[key] = seq
        self.before = dict(self.entries)


@settings(max_examples=300)
@given(rounds)
def test_decisions_are_those_of_the_naive_model(script):
    bucket, naive = Bucket(), Naive()
    for requests in script:
        if isinstance(requests, tuple):
            kind, what = requests
            bucket.primary.submit(
                {
                    "clear": ClearRequest(0),
                    "collect": CollectRequest(0, what, 1 << 64),
                    "invalidate": InvalidateRequest(0, what),
                }[kind]
            )
            there = bool(naive.value(what))
            assert bucket.flush()[0] in (None, Changed(there, naive.value(what), 0))
            naive.remove(kind, what, len(bucket.log))
            check(bucket, naive)
            continue
        for waiter, ((op, what), argument) in enumerate(requests):
            if op == "apply":
                events, site, delta = what
                base = stamp_of_ms(NOW_MS)
                if isinstance(delta, int):
                    events = list(dict(events).items())  # keys that share a stamp differ
                    delta = [delta] * len(events)
                    bucket.apply(remote(events, site, stamps=base + delta[0]), waiter=waiter)
                else:
                    bucket.apply(remote(events, site, stamps=[base + d for d in delta[: len(events)]]), waiter=waiter)
                for (key, value), stamp in zip(events, (base + d for d in delta), strict=False):
                    naive.apply(key, value, stamp, site)
            elif op == "put":
                keys = [key for key, _ in what]
                bucket.primary.submit(PutRequest(waiter, 0, keys, [value for _, value in what], 1, argument))
            else:
                key, value, expected = what
                removes = op.startswith("remove")
                bucket.change(op, key, b"" if removes else value, expected, waiter=waiter, argument=argument)
        outcomes = bucket.flush()
        for waiter, ((op, what), argument) in enumerate(requests):
            if op != "apply":
                naive.request(argument)
            if op == "put":
                for key, value in what:
                    naive.write(key, value)
            elif op != "apply":
                assert (outcomes[waiter].done, outcomes[waiter].old) == naive.change(op, *what)
        naive.stamp()
        naive.note(len(bucket.log))
        check(bucket, naive)


def check(bucket, naive):
    view, follower = bucket.view, bucket.follower
    restored = open_snapshot(b"".join(slices(view)))
    assert view.values == {key: value for key, (_, value) in naive.entries.items() if value}
    assert view.versions == {key: version for key, (version, _) in naive.entries.items()}
    gone = {key: seq for key, seq in view.tombstones.items() if key not in view.values}
    assert gone == naive.removed
    for other in (follower, restored):
        assert (other.values, other.versions) == (view.values, view.versions)
        assert {key: seq for key, seq in other.tombstones.items() if key not in other.values} == gone


@given(st.lists(part, max_size=8), st.randoms())
def test_sites_agree_whatever_the_order_and_repetition(parts, random):
    """Convergence: two sites that get the same events, in any order and any number of times, hold the same entries."""
    made = []
    for number, (_, (events, site, _)) in enumerate(parts):
        made.append(remote(list(dict(events).items()), site, stamps=stamp_of_ms(NOW_MS) + 10 * number))
    here, there = Bucket(), Bucket()
    shuffled = made + random.sample(made, len(made) // 2)
    random.shuffle(shuffled)
    for bucket, order in ((here, made), (there, shuffled)):
        for each in order:
            bucket.apply(each)
            if random.random() < 0.5:
                bucket.flush()
        bucket.flush()
    assert here.view.values == there.view.values
    assert here.view.versions == there.view.versions
