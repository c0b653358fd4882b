"""Writes that come more than once: what the primary, and the next one, make of them."""

from __future__ import annotations

from itertools import count
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bucket import repeats
from heliograph.bucket.primary import BucketPrimary, ChangeRequest, PutRequest, Request, first_record
from heliograph.bucket.removing import ClearRequest, InvalidateRequest
from heliograph.bucket.requests import AHEAD_MS_MAX
from heliograph.bucket.snapshot import open_snapshot, slices
from heliograph.bucket.view import BucketView
from heliograph.errors import ClockSkewError, ForgottenError, HeliographError, UnavailableError
from heliograph.link.messages import Changed, Done
from heliograph.model.batch import decode_columns, decode_record, encode_record
from heliograph.model.ids import Epoch, Seq
from heliograph.model.keys import NO_VALUE, Key
from heliograph.model.requests import RequestId

NOW_MS = 1_000_000


class Bucket:
    """A bucket's log, its primary, and a follower that may become the next one."""

    def __init__(self) -> None:
        self.log: list[bytes] = []
        self.now_ms = NOW_MS
        self.epoch = 0
        self.follower = BucketView()
        self.take_over()

    def take_over(self, *, from_snapshot: bool = False) -> None:
        """The follower, which has read the log to its end, becomes primary; what was pending is gone."""
        view = open_snapshot(b"".join(slices(self.follower))) if from_snapshot else self.follower
        self.follower = BucketView()
        for seq, payload in enumerate(self.log, start=1):
            self.follower.apply(Seq(seq), decode_record(payload))
        self.epoch += 1
        record = first_record(Epoch(self.epoch), "next")
        self.log.append(encode_record(record))
        for each in (view, self.follower):
            each.apply(Seq(len(self.log)), record)
        self.primary = BucketPrimary(view, 1, Epoch(self.epoch))

    def append(self, *, answered: bool = True) -> dict[int, Any]:
        """Draft once; returns what became of each request's waiter. Not answered: only the log knows of it."""
        draft = self.primary.draft(self.now_ms)
        if draft is None:
            return {}
        if draft.record is not None:
            self.log.append(encode_record(draft.record))
            self.follower.apply(Seq(len(self.log)), decode_record(self.log[-1]))
            if not answered:
                return {}
            self.primary.appended(Seq(len(self.log)))
        outcomes = {}
        for request, outcome in draft.outcomes:
            if outcome is None:
                outcome = Done(len(self.log))
            elif isinstance(outcome, Changed) and not outcome.seq:
                outcome = Changed(outcome.done, outcome.old, len(self.log))
            outcomes[request.waiter] = outcome
        return outcomes

    def ask(self, *requests: Request) -> list[Any]:
        """Have requests decided together; returns their outcomes in their order."""
        for waiter, request in enumerate(requests):
            self.primary.submit(msgspec.structs.replace(request, waiter=waiter))
        outcomes = self.append()
        return [outcomes[waiter] for waiter in range(len(requests))]

    def events(self) -> list[tuple[Key, bytes]]:
        found: list[tuple[Key, bytes]] = []
        for payload in self.log:
            for part in decode_record(payload).parts:
                columns = decode_columns(part.columns)
                found += zip(columns.keys, columns.values, strict=True)
        return found


def named(number: int, client: int = 1, *, repeated: bool = False, born_ms: int = NOW_MS) -> RequestId:
    return RequestId(client, number, 1, born_ms, 0, repeated)


def put(name: RequestId | None, key: str = "k", value: bytes = b"v", **more: Any) -> PutRequest:
    return PutRequest(0, 0, [key], [value], 10, id=name, **more)


def change(name: RequestId | None, op: Any, value: bytes = b"", expected: bytes = b"", key: str = "k") -> ChangeRequest:
    return ChangeRequest(0, op, key, value, expected, id=name)


@pytest.mark.parametrize("from_snapshot", [False, True])
@pytest.mark.parametrize(
    ("write", "answer"),
    [
        (put(named(2), value=b"new"), Done(3)),
        (change(named(2), "put_if_absent", b"new", key="absent"), Changed(True, b"", 3)),
        (change(named(2), "replace", b"new"), Changed(True, b"old", 3)),
        (change(named(2), "replace_if", b"new", b"old"), Changed(True, b"old", 3)),
        (change(named(2), "remove"), Changed(True, b"old", 3)),
        (change(named(2), "remove_if", expected=b"old"), Changed(True, b"old", 3)),
    ],
)
def test_a_repeat_is_answered_as_before_and_not_done_again(write: Any, answer: Any, from_snapshot: bool) -> None:
    bucket = Bucket()
    assert bucket.ask(put(named(1), value=b"old")) == [Done(2)]
    assert bucket.ask(write) == [answer]
    bucket.ask(put(None, value=b"by another"), put(None, "absent", b"by another"))
    events = bucket.events()
    assert bucket.ask(write) == [answer]
    bucket.take_over(from_snapshot=from_snapshot)
    repeat = msgspec.structs.replace(write, id=msgspec.structs.replace(write.id, repeated=True))
    assert bucket.ask(repeat, put(None, "else", b"x"), write) == [answer, Done(6), answer]
    assert bucket.events() == [*events, ("else", b"x")]


@pytest.mark.parametrize(
    ("write", "answer", "left"),
    [
        (ClearRequest(0, id=named(2)), Done(3), {}),
        (InvalidateRequest(0, "k", id=named(2)), Changed(True, b"old", 3), {"k": NO_VALUE, "l": b"old"}),
    ],
)
def test_what_takes_away_without_an_event_is_done_once_too(write: Any, answer: Any, left: dict[Key, bytes]) -> None:
    bucket = Bucket()
    bucket.ask(put(named(1), value=b"old"), put(None, "l", b"old"))
    assert bucket.ask(write, write) == [answer, answer]
    assert bucket.follower.values == left
    bucket.ask(put(None, value=b"by another"))
    bucket.take_over(from_snapshot=True)
    (again,) = bucket.ask(write)
    assert again in (answer, Changed(True, b"", 3))
    assert bucket.follower.values == left | {"k": b"by another"}


def test_a_bucket_that_was_empty_when_it_was_cleared_is_not_cleared_later() -> None:
    bucket = Bucket()
    clear = ClearRequest(0, id=named(1))
    assert bucket.ask(clear) == [Done(2)]
    bucket.ask(put(None))
    assert bucket.ask(clear) == [Done(2)]
    assert bucket.follower.values == {"k": b"v"}


def test_twins_in_one_record_are_done_once_and_answered_alike() -> None:
    bucket = Bucket()
    removal = change(named(2), "remove")
    answers = bucket.ask(put(named(1)), removal, put(named(1)), removal, put(None, value=b"w"), removal)
    assert answers == [
        Done(2),
        Changed(True, b"v", 2),
        Done(2),
        Changed(True, b"v", 2),
        Done(2),
        Changed(True, b"v", 2),
    ]
    assert bucket.events() == [("k", b"v"), ("k", b""), ("k", b"w")]


def test_a_repeat_waits_for_the_outcome_of_the_one_in_flight() -> None:
    bucket = Bucket()
    bucket.primary.submit(put(named(1)))
    draft = bucket.primary.draft(NOW_MS)
    assert draft is not None
    assert draft.record is not None
    bucket.primary.submit(msgspec.structs.replace(put(named(1)), waiter=1))
    bucket.log.append(encode_record(draft.record))
    bucket.primary.appended(Seq(2))
    assert bucket.append() == {1: Done(2)}
    assert bucket.events() == [("k", b"v")]
    # The one in flight was refused: the repeat is the first to do it.
    bucket.primary.submit(put(named(2)))
    bucket.primary.draft(NOW_MS)
    bucket.primary.submit(msgspec.structs.replace(put(named(2)), waiter=1))
    bucket.primary.withdraw()
    assert bucket.append() == {1: Done(3)}


def test_what_was_not_done_is_not_remembered_unless_another_copy_may_be_under_way() -> None:
    bucket = Bucket()
    bucket.ask(put(None))
    ends = len(bucket.log)
    absent = change(named(1), "put_if_absent", b"new")
    assert bucket.ask(absent) == [Changed(False, b"v", ends + 1)]
    assert decode_record(bucket.log[-1]).requests is None
    # Sent again it is final: the late copy of the first attempt does not do what was denied.
    again = change(named(1, repeated=True), "put_if_absent", b"new")
    assert bucket.ask(again) == [Changed(False, b"v", ends + 2)]
    bucket.ask(change(None, "remove"))
    for _ in range(2):
        assert bucket.ask(absent) == bucket.ask(again) == [Changed(False, b"v", ends + 2)]
        bucket.take_over(from_snapshot=True)
    assert bucket.follower.values == {}


@pytest.mark.parametrize(("op", "expected"), [("replace_if", b"no"), ("remove_if", b"no"), ("remove", b"")])
def test_every_operation_that_was_denied_for_good_stays_so(op: str, expected: bytes) -> None:
    bucket = Bucket()
    if expected:
        bucket.ask(put(None))
    again = change(named(1, repeated=True), op, b"new" if op == "replace_if" else b"", expected)
    (answer,) = bucket.ask(again)
    assert not answer.done
    bucket.ask(put(None, value=b"no"))
    bucket.take_over()
    assert bucket.ask(again) == [answer]
    assert bucket.follower.values == {"k": b"no"}


def test_an_old_value_that_is_too_large_to_be_kept() -> None:
    with patch.object(repeats, "OLD_BYTES_MAX", 3):
        bucket = Bucket()
        bucket.ask(put(None, value=b"long"))
        removal = change(named(1), "remove")
        absent = change(named(2, repeated=True), "put_if_absent", b"new")
        assert bucket.ask(absent, removal) == [Changed(False, b"long", 3), Changed(True, b"long", 3)]
        forgotten, unread = bucket.ask(removal, absent)
        assert isinstance(forgotten, ForgottenError)
        assert str(forgotten) == "the remove was done, but the old value is no longer known"
        assert isinstance(unread, ForgottenError)
        assert bucket.follower.values == {}


def test_what_comes_too_late_or_from_another_time_is_refused() -> None:
    bucket = Bucket()
    (late,) = bucket.ask(put(named(1), deadline_ms=NOW_MS - 1))
    assert isinstance(late, UnavailableError)
    (ahead,) = bucket.ask(put(named(1, born_ms=NOW_MS + AHEAD_MS_MAX + 1)))
    assert isinstance(ahead, ClockSkewError)
    assert "set the clocks" in str(ahead)
    assert bucket.events() == []
    assert bucket.ask(put(named(1), deadline_ms=NOW_MS)) == [Done(2)]


def test_requests_without_an_id_cost_no_record_a_column() -> None:
    bucket = Bucket()
    bucket.ask(put(named(1)))
    bucket.ask(put(None), change(None, "remove"))
    records = [decode_record(payload) for payload in bucket.log]
    assert [record.requests is not None for record in records] == [False, True, False]


# --- against a model of what must never happen


class Call:
    """A client's write: its copies are delivered by chance, its answer counts for the newest attempt only."""

    def __init__(self, number: int, client: int, op: str, key: str, value: bytes) -> None:
        self.number, self.client, self.op, self.key, self.value = number, client, op, key, value
        self.attempts = 0
        self.answer: Any = None

    def attempt(self, oldest: int) -> Request:
        self.attempts += 1
        name = RequestId(self.client, self.number, oldest, NOW_MS, 0, self.attempts > 1)
        waiter = (self, self.attempts)
        if self.op == "put":
            return PutRequest(waiter, 0, [self.key], [self.value], 10, id=name)
        return ChangeRequest(waiter, self.op, self.key, self.value, b"", id=name)  # type: ignore[arg-type]


def again(request: Any) -> Request:
    """Another copy of an attempt, made by a member that forwards it and lost an answer; the first may come yet."""
    name = msgspec.structs.replace(request.id, repeated=True)
    copy: Request = msgspec.structs.replace(request, id=name)
    return copy


STEPS = ("call", "call", "again", "arrive", "forwarded again", "append", "append", "lose", "other")
OPS = ("put", "put_if_absent", "replace", "remove")


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 31)), max_size=40))
def test_every_write_is_done_once_and_its_caller_told_the_truth(steps: list[tuple[str, int]]) -> None:
    bucket = Bucket()
    numbers = count(1)
    calls: list[Call] = []
    waiting: dict[int, list[Call]] = {1: [], 2: []}
    under_way: list[Request] = []
    next_number = {1: 1, 2: 1}

    def send(call: Call) -> None:
        under_way.append(call.attempt(min(each.number for each in waiting[call.client])))

    def deliver(outcomes: dict[Any, Any]) -> None:
        for (call, attempt), outcome in outcomes.items():
            if attempt == call.attempts and call.answer is None and not isinstance(outcome, HeliographError):
                call.answer = outcome
                waiting[call.client].remove(call)

    for step, draw in steps:
        if step == "call":
            client, op, key = 1 + draw % 2, OPS[draw // 2 % 4], "ab"[draw // 8 % 2]
            call = Call(next_number[client], client, op, key, b"" if op == "remove" else b"%d" % next(numbers))
            next_number[client] += 1
            calls.append(call)
            waiting[client].append(call)
            send(call)
        elif step == "again" and (open_calls := [call for each in waiting.values() for call in each]):
            send(open_calls[draw % len(open_calls)])
        elif step == "arrive" and under_way:
            bucket.primary.submit(under_way.pop(draw % len(under_way)))
        elif step == "forwarded again" and under_way:
            bucket.primary.submit(again(under_way[draw % len(under_way)]))
        elif step == "append":
            deliver(bucket.append())
        elif step == "lose":
            bucket.append(answered=False)
            bucket.take_over(from_snapshot=draw % 2 == 0)
        elif step == "other":
            bucket.primary.submit(PutRequest((Call(0, 0, "", "", b""), 9), 0, ["a"], [b"o%d" % next(numbers)], 10))

    values: dict[Key, bytes] = {}
    before: dict[tuple[Key, bytes], list[bytes]] = {}
    for entry, event in bucket.events():
        before.setdefault((entry, event), []).append(values.get(entry, b""))
        values[entry] = event
    removes: dict[Key, list[bytes]] = {key: before.get((key, b""), []) for key in "ab"}
    for call in calls:
        effects = before.get((call.key, call.value), []) if call.value else []
        assert len(effects) <= 1
        if isinstance(call.answer, Done):
            assert len(effects) == 1
        elif isinstance(call.answer, Changed) and call.value:
            assert effects == ([call.answer.old] if call.answer.done else [])
        elif isinstance(call.answer, Changed) and call.answer.done:
            removes[call.key].remove(call.answer.old)  # every remove that is told took an entry of its own
    unknown = {
        key: sum(call.answer is None and call.op == "remove" and call.key == key for call in calls) for key in "ab"
    }
    for name, unexplained in removes.items():
        assert len(unexplained) <= unknown[str(name)]
