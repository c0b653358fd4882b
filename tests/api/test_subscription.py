"""A listener's place in the logs, against members that come, go and forget, and logs that are cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heliograph.api.entry_event import EntryEvent, events_of
from heliograph.api.subscription import WAIT_MS, Subscription
from heliograph.bucket import history as history_module
from heliograph.bucket.history import History, Reread, answer_from, tells, told_of
from heliograph.bucket.view import BucketView
from heliograph.errors import EventsLostError, NotPrimaryError, PeerError, RegionNotFoundError
from heliograph.link.messages import FROM_NOW, Heard, Listen, Told
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
from heliograph.model.keys import Key

SITE = 1


def heard(ask: Listen, *reached: int, records: list[Told] | None = None, generation: int = 7) -> Heard:
    return Heard(generation, SITE, list(reached) or ask.after, records or [])


def begun() -> Subscription:
    """Buckets 0 and 1 at 10 and 20, both of member a, who is not being asked."""
    subscription = Subscription("r")
    for member, ask in subscription.asks(["a", "a"]).items():
        subscription.on_heard(member, ask, heard(ask, 10, 20))
    return subscription


def test_it_begins_when_every_bucket_has_a_cursor() -> None:
    subscription = Subscription("r")
    asks = subscription.asks(["a", "b", "a"])
    assert asks == {
        "a": Listen("r", FROM_NOW, [0, 2], [FROM_NOW, FROM_NOW], WAIT_MS),
        "b": Listen("r", FROM_NOW, [1], [FROM_NOW], WAIT_MS),
    }
    subscription.on_heard("a", asks["a"], heard(asks["a"], 5, 6))
    assert not subscription.begun
    subscription.on_failed("b", asks["b"])
    assert subscription.failed == {"b": 1}
    assert subscription.asks(["a", "c", "b"]) == {
        "a": Listen("r", 7, [0], [5], WAIT_MS),
        "c": Listen("r", 7, [1], [FROM_NOW], WAIT_MS),
        "b": Listen("r", 7, [2], [6], WAIT_MS),
    }


def test_a_bucket_is_in_one_question_at_a_time() -> None:
    subscription = begun()
    (ask,) = subscription.asks(["a", "a"]).values()
    assert subscription.asks(["b", "b"]) == {}
    subscription.on_failed("a", ask)
    assert subscription.asks(["b", "b"]) == {"b": Listen("r", 7, [0, 1], [10, 20], WAIT_MS)}


def test_a_region_that_was_created_anew_ends_it() -> None:
    subscription = begun()
    (ask,) = subscription.asks(["a", "a"]).values()
    with pytest.raises(NotPrimaryError, match="a still has an older region r"):
        subscription.on_heard("a", ask, heard(ask, generation=6))
    with pytest.raises(RegionNotFoundError, match="created anew: listen to the new one"):
        subscription.on_heard("a", ask, heard(ask, generation=8))
    with pytest.raises(RegionNotFoundError):
        begun().asks(["a"])


@pytest.mark.parametrize(
    ("reached", "seqs"),
    [([11, 20], [(2, 11)]), ([11, 20], [(0, 10)]), ([10, 20], [(0, 11)]), ([9, 20], []), ([11], [])],
)
def test_an_answer_that_does_not_fit_is_refused(reached: list[int], seqs: list[tuple[int, int]]) -> None:
    subscription = begun()
    (ask,) = subscription.asks(["a", "a"]).values()
    records = [Told(bucket, seq, (), (), []) for bucket, seq in seqs]
    with pytest.raises(PeerError):
        subscription.on_heard("a", ask, heard(ask, *reached, records=records))


# --- against members and logs

BUCKETS = 2
ANSWER_BYTES_MAX = 300
KEYS: list[Key] = ["a", "b", 3]
MEMBERS = ["m", "n"]


@dataclass
class SimulatedMember:
    """Copies of all buckets; `history` only while somebody has asked since it started."""

    views: list[BucketView] = field(default_factory=lambda: [BucketView() for _ in range(BUCKETS)])
    history: History | None = None

    def apply(self, bucket: int, seq: Seq, record: Record) -> None:
        view = self.views[bucket]
        view.apply(seq, record)
        before = view.take_replaced() if self.history is not None else None
        if self.history is not None and before is not None and tells(record):
            self.history.note(told_of(bucket, seq, record, before))


class Site:
    """A log of records, with what was cut from each bucket, and two members that may lag behind it."""

    def __init__(self) -> None:
        self.log: list[tuple[Seq, Seq, int, Record]] = []
        self.cut_below = [0] * BUCKETS
        self.last = [Seq(0)] * BUCKETS
        self.applied = dict.fromkeys(MEMBERS, 0)
        self.members = {name: SimulatedMember() for name in MEMBERS}

    def write(self, bucket: int, events: list[tuple[Key, bytes]], origin: int) -> None:
        seq = Seq(len(self.log) + 1)
        state = self.replayed(bucket)
        ops = bytearray()
        for key, value in events:
            ops.append(DESTROY if not value else UPDATE if key in state else CREATE)
            state = {**state, key: value}
        stamps = [10 * seq + number for number in range(len(events))]
        columns = Columns(bytes(ops), [key for key, _ in events], [value for _, value in events], stamps)
        part = Part(origin, (), 0, 0, len(events), encode_columns(columns))
        self.log.append((seq, self.last[bucket], bucket, Record(1, (part,))))
        self.last[bucket] = seq

    def remove(self, bucket: int, kind: int, keys: list[Key]) -> None:
        """Of keys only those that there are, as a primary does it."""
        seq, state = Seq(len(self.log) + 1), self.replayed(bucket)
        removal = Removal(kind, [] if kind == CLEARED else [key for key in dict.fromkeys(keys) if key in state])
        self.log.append((seq, self.last[bucket], bucket, Record(1, (), "", (removal,))))
        self.last[bucket] = seq

    def last_told(self) -> dict[int, int]:
        """The sequence of each bucket's last record that listeners hear of."""
        return dict.fromkeys(range(BUCKETS), 0) | {
            bucket: int(seq) for seq, _, bucket, record in self.log if tells(record)
        }

    def replayed(self, bucket: int) -> dict[Key, bytes]:
        view = BucketView()
        for seq, _, number, record in self.log:
            if number == bucket:
                view.apply(seq, record)
        return view.values

    def catch_up(self, name: str, count: int) -> None:
        """A member applies some more records; it can't where the log was cut (it would load a snapshot)."""
        for seq, _, bucket, record in self.log[self.applied[name] : self.applied[name] + count]:
            self.members[name].apply(bucket, seq, record)
        self.applied[name] = min(len(self.log), self.applied[name] + count)

    def restart(self, name: str) -> None:
        self.members[name], applied = SimulatedMember(), self.applied[name]
        self.applied[name] = 0
        self.catch_up(name, applied)

    def cut(self, bucket: int, below: int) -> None:
        """The last record of a bucket always stays."""
        self.cut_below[bucket] = max(self.cut_below[bucket], min(below, self.last[bucket]))

    def hear(self, name: str, ask: Listen) -> Heard:
        """As `member.listening`, without waiting."""
        member = self.members[name]
        if member.history is None:
            member.history = History(bytes_max=1_500)
            for bucket, view in enumerate(member.views):
                view.take_replaced()
                member.history.begin(bucket, view.seq)
        tips: dict[int, int] = {bucket: member.views[bucket].seq for bucket in ask.buckets}
        cursors = {b: tips[b] if after == FROM_NOW else after for b, after in zip(ask.buckets, ask.after, strict=True)}
        if FROM_NOW in ask.after:
            return Heard(1, SITE, list(cursors.values()), [])
        records, reached, behind = answer_from(member.history, cursors, tips)
        if behind:
            records, reached = self.reread(behind, tips)
        return Heard(1, SITE, list((cursors | reached).values()), records)

    def reread(self, behind: dict[int, int], tips: dict[int, int]) -> tuple[list[Told], dict[int, int]]:
        records: list[Told] = []
        reached: dict[int, int] = {}
        left = ANSWER_BYTES_MAX
        for bucket, after in behind.items():
            reread = Reread("r", bucket, SITE, after, tips[bucket], left)
            for seq, previous, number, record in self.log:
                if number == bucket and seq > after and seq >= self.cut_below[bucket] and not reread.done:
                    reread.take(seq, previous, record)
            reread.end()
            records += reread.records
            reached[bucket] = reread.read_to
            left -= reread.size
            if left <= 0:
                break
        return records, reached

    def lost(self, told: dict[int, int]) -> bool:
        """Say whether some record after what was told was cut from the log."""
        return any(told[bucket] < seq < self.cut_below[bucket] for seq, _, bucket, _ in self.log if seq > told[bucket])


class Listener:
    """Takes what it is told into a dict, checking every event on its way."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.subscription = Subscription("r")
        self.entries: dict[Key, bytes] = {}
        self.told = dict.fromkeys(range(BUCKETS), 0)
        self.known = 0
        while not self.subscription.begun:
            self.ask("m")

    def ask(self, member: str) -> None:
        for name, ask in self.subscription.asks([member] * BUCKETS).items():
            for told in self.subscription.on_heard(name, ask, self.site.hear(name, ask)):
                for event in events_of("r", SITE, told):
                    self.take(event)
                assert told.seq > self.told[told.bucket], "told twice or out of order"
                self.told[told.bucket] = told.seq

    def fail(self, member: str) -> None:
        for name, ask in self.subscription.asks([member] * BUCKETS).items():
            self.subscription.on_failed(name, ask)

    def take(self, event: EntryEvent) -> None:
        if event.operation == "clear":
            self.entries = {
                key: value for key, value in self.entries.items() if not str(key).startswith(f"{event.bucket}-")
            }
            return
        assert event.key is not None
        before = self.entries.get(event.key, b"")
        if event.old_value_known:
            self.known += 1
            assert event.encoded_old_value == before
        if event.operation in ("expire", "invalidate"):
            assert before
        elif not event.remote or event.old_value_known:
            assert event.operation == ("destroy" if not event.encoded_new_value else "update" if before else "create")
        if event.encoded_new_value:
            self.entries[event.key] = event.encoded_new_value
        else:
            self.entries.pop(event.key, None)

    def check(self) -> None:
        """What was told so far is each bucket's log up to there, each record once."""
        replayed: dict[Key, bytes] = {}
        for bucket in range(BUCKETS):
            view = BucketView()
            for seq, _, number, record in self.site.log:
                if number == bucket and seq <= self.told[bucket]:
                    view.apply(seq, record)
            replayed |= view.values
        assert self.entries == replayed


members = st.sampled_from(MEMBERS)
events = st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), min_size=1, max_size=4)
writes = st.tuples(st.just("write"), st.integers(0, BUCKETS - 1), events, st.sampled_from([SITE, 2]))
removals = st.tuples(
    st.just("remove"),
    st.integers(0, BUCKETS - 1),
    st.sampled_from([EXPIRED, INVALIDATED, CLEARED, COLLECTED]),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3),
)
catching_up = st.tuples(st.just("catch up"), members, st.integers(1, 6))
asks = st.tuples(st.just("ask"), members)
troubles = st.one_of(
    st.tuples(st.just("fail"), members),
    st.tuples(st.just("restart"), members),
    st.tuples(st.just("cut"), st.integers(0, BUCKETS - 1), st.integers(0, 40)),
)
steps = st.one_of(writes, writes, removals, catching_up, asks, asks, troubles)


@settings(max_examples=500, deadline=None)
@given(st.lists(steps, max_size=80))
@example([("write", 1, [("a", False)], 1), ("write", 0, [("a", False)] * 2, 1), ("remove", 1, 3, ["a"]), ("cut", 1, 2)])
@example(
    [
        ("write", 0, [("a", True)], 1),
        ("write", 1, [("a", False)], 1),
        ("remove", 1, 0, ["a"]),
        ("write", 0, [("b", False)], 1),
        ("cut", 0, 2),
    ]
)
@example([  # cut in one bucket while an answer is full with another's
    ("write", 1, [("a", True)], 1),
    ("write", 0, [("a", False), ("a", False)], 1),
    ("remove", 1, EXPIRED, ["b"]),
    ("cut", 1, 2),
])  # fmt: skip
def test_what_a_listener_is_told_makes_the_view_whoever_it_asks(script: list[tuple[Any, ...]]) -> None:
    with patch.object(history_module, "ANSWER_BYTES_MAX", ANSWER_BYTES_MAX):
        _play(script)


def _play(script: list[tuple[Any, ...]]) -> None:
    site = Site()
    listener = Listener(site)
    for number, (step, *what) in enumerate(script):
        match step:
            case "write":
                bucket, events, origin = what
                named: list[tuple[Key, bytes]] = [
                    (f"{bucket}-{key}", b"%d.%d" % (number, n) if put else b"") for n, (key, put) in enumerate(events)
                ]
                site.write(bucket, named, origin)
            case "remove":
                bucket, kind, keys = what
                site.remove(bucket, kind, [] if kind == COLLECTED else [f"{bucket}-{key}" for key in keys])
            case "catch up":
                site.catch_up(*what)
            case "ask":
                try:
                    listener.ask(*what)
                except EventsLostError:
                    assert site.lost(listener.told), "nothing that it lacks was cut"
                    return
                listener.check()
            case "fail":
                listener.fail(*what)
            case "restart":
                site.restart(*what)
            case "cut":
                site.cut(*what)
    for name in MEMBERS:
        site.catch_up(name, len(site.log))
    try:
        for _ in range(2 * len(site.log) + 2):
            listener.ask("n")
    except EventsLostError:
        assert site.lost(listener.told)
    else:
        assert listener.told == site.last_told()
        listener.check()
