"""When entries expire, against a naive model that looks at every entry every time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.bucket import expiration
from heliograph.bucket.expiration import RETRY_MS, SLOT_MS, Expirations, Rule
from heliograph.bucket.view import BucketView
from heliograph.model.batch import CREATE, DESTROY, EXPIRED, INVALIDATED, Columns, Part, Record, Removal, encode_columns
from heliograph.model.clock import stamp_of_ms
from heliograph.model.ids import Seq
from heliograph.model.keys import NO_VALUE

START_MS = 1_000_000
LIVES = Rule(5_000, EXPIRED, idle=False)


class Bucket:
    """A view and its expirations, as a primary keeps them; `removed` is what expired so far."""

    def __init__(self, *rules: Rule, reads_late_ms: int = 0) -> None:
        self.view = BucketView()
        self.expirations = Expirations(self.view, rules, START_MS, reads_late_ms)
        self.removed: list[tuple[int, int, str]] = []

    def put(self, now_ms: int, *keys: str, op: int = CREATE) -> None:
        values = [b"" if op == DESTROY else b"v"] * len(keys)
        columns = Columns(bytes([op] * len(keys)), list(keys), values, stamp_of_ms(now_ms))
        part = Part(1, (), 0, 0, len(keys), encode_columns(columns))
        self.view.apply(Seq(self.view.seq + 1), Record(1, (part,)))
        self.expirations.on_written(columns)

    def look(self, now_ms: int) -> tuple[Removal, ...]:
        removals = self.expirations.due(now_ms)
        self.removed += [(now_ms, removal.kind, key) for removal in removals for key in removal.keys]
        if removals:
            self.view.apply(Seq(self.view.seq + 1), Record(1, (), "", removals))
        return removals

    def look_always(self, until_ms: int) -> None:
        """Look whenever a slot ends."""
        while (next_ms := self.expirations.next_ms) is not None and next_ms <= until_ms:
            self.look(next_ms)


def test_an_entry_expires_its_time_after_the_write_and_not_before() -> None:
    bucket = Bucket(LIVES)
    bucket.put(START_MS, "a")
    assert bucket.expirations.next_ms == START_MS + 5_000
    assert bucket.look(START_MS + 4_999) == ()
    assert bucket.look(START_MS + 5_000) == (Removal(EXPIRED, ["a"]),)
    assert bucket.view.values == {}


def test_a_write_begins_the_time_anew_and_a_read_does_not() -> None:
    bucket = Bucket(LIVES)
    bucket.put(START_MS, "a", "b")
    bucket.put(START_MS + 3_000, "a")
    bucket.expirations.on_read(["b"], START_MS + 4_000)
    bucket.look_always(START_MS + 20_000)
    assert bucket.removed == [(START_MS + 5_000, EXPIRED, "b"), (START_MS + 8_000, EXPIRED, "a")]
    assert bucket.expirations.next_ms is None, "no key stands anywhere"


def test_idle_time_begins_anew_with_reads_and_writes_and_with_the_primary() -> None:
    bucket = Bucket(Rule(2_000, INVALIDATED, idle=True), reads_late_ms=300)
    bucket.put(START_MS - 60_000, "old")
    bucket.put(START_MS, "read", "written")
    bucket.expirations.on_read(["read", "nothing"], START_MS + 1_500)
    bucket.put(START_MS + 1_000, "written")
    bucket.look_always(START_MS + 20_000)
    assert bucket.removed == [
        (START_MS + 2_300, INVALIDATED, "old"),
        (START_MS + 3_300, INVALIDATED, "written"),
        (START_MS + 3_800, INVALIDATED, "read"),
    ]
    assert bucket.view.values == {"old": NO_VALUE, "read": NO_VALUE, "written": NO_VALUE}


def test_what_was_invalidated_is_destroyed_in_its_time_and_not_invalidated_again() -> None:
    bucket = Bucket(LIVES, Rule(1_000, INVALIDATED, idle=True))
    bucket.put(START_MS, "a")
    bucket.look_always(START_MS + 20_000)
    assert bucket.removed == [(START_MS + 1_000, INVALIDATED, "a"), (START_MS + 5_000, EXPIRED, "a")]


def test_a_new_value_is_taken_away_in_its_time_although_the_entry_waits_to_be_destroyed() -> None:
    bucket = Bucket(LIVES, Rule(1_000, INVALIDATED, idle=True))
    bucket.put(START_MS, "a")
    bucket.look_always(START_MS + 2_500)
    bucket.put(START_MS + 2_600, "a")
    bucket.look_always(START_MS + 20_000)
    assert [(at_ms - START_MS, kind) for at_ms, kind, _ in bucket.removed] == [
        (1_000, INVALIDATED), (3_600, INVALIDATED), (7_600, EXPIRED)
    ]  # fmt: skip


def test_what_did_not_reach_the_log_is_tried_again() -> None:
    bucket = Bucket(LIVES)
    bucket.put(START_MS, "a")
    now_ms = START_MS + 5_000
    assert bucket.expirations.due(now_ms) == (Removal(EXPIRED, ["a"]),)
    assert bucket.expirations.due(now_ms) == ()
    assert bucket.expirations.due(now_ms + RETRY_MS) == (Removal(EXPIRED, ["a"]),)


def test_a_primary_that_takes_over_finds_what_expires_in_its_view() -> None:
    bucket = Bucket(LIVES)
    bucket.put(START_MS, "a", "b")
    bucket.put(START_MS + 1, "b", op=DESTROY)
    bucket.expirations = Expirations(bucket.view, (LIVES,), START_MS + 4_000)
    bucket.look_always(START_MS + 20_000)
    assert bucket.removed == [(START_MS + 5_000, EXPIRED, "a")]


@pytest.mark.parametrize(("name", "most", "length"), [("REMOVE_KEYS_MAX", 10, 1), ("REMOVE_BYTES_MAX", 10, 100)])
def test_no_more_expires_at_once_than_a_record_holds(
    monkeypatch: pytest.MonkeyPatch, name: str, most: int, length: int
) -> None:
    monkeypatch.setattr(expiration, name, most if length == 1 else most * (length + 1))
    bucket = Bucket(LIVES)
    keys = [f"{number:0{length}}" for number in range(25)]
    bucket.put(START_MS, *keys)
    now_ms = START_MS + 5_000
    for _ in range(8):
        removals = bucket.look(now_ms)
        assert sum(len(removal.keys) for removal in removals) <= most + 1
    assert bucket.view.values == {}
    assert sorted(key for _, _, key in bucket.removed) == sorted(keys)


# --- against the naive model

KEYS = ["a", "b", "c"]
steps = st.lists(
    st.tuples(
        st.integers(0, 1_000),
        st.sampled_from(["put", "put", "destroy", "read", "look"]),
        st.lists(st.sampled_from(KEYS), unique=True),
    ),
    max_size=40,
)
rules = st.lists(
    st.builds(Rule, st.integers(RETRY_MS, RETRY_MS + 500), st.sampled_from([EXPIRED, INVALIDATED]), st.booleans()),
    min_size=1,
    max_size=2,
)


def naively_due(bucket: Bucket, rules: list[Rule], written: dict[str, int], read: dict[str, int], at_ms: int) -> object:
    """Of every entry what it has come to at a time."""
    due = {}
    for key, value in bucket.view.values.items():
        assert isinstance(key, str)
        ends = []
        for rule in rules:
            begun = max(written[key], read.get(key, 0), START_MS) if rule.idle else written[key]
            if not (rule.kind == INVALIDATED and value == NO_VALUE):
                ends.append((begun + rule.after_ms, rule.kind))
        if ends and min(ends)[0] <= at_ms:
            due[key] = min(end for end, _ in ends)
    return due


@settings(max_examples=300)
@given(rules, steps)
def test_entries_expire_as_in_the_naive_model(rules: list[Rule], script: list[tuple[int, str, list[str]]]) -> None:
    bucket = Bucket(*rules)
    now_ms, written, read = START_MS, dict.fromkeys(KEYS, 0), dict.fromkeys(KEYS, 0)
    for passed_ms, what, keys in script:
        now_ms += passed_ms
        if what == "read":
            bucket.expirations.on_read(keys, now_ms)
            read.update({key: now_ms for key in keys if key in bucket.view.values})
        elif what in ("put", "destroy") and keys:
            bucket.put(now_ms, *keys, op=CREATE if what == "put" else DESTROY)
            written.update(dict.fromkeys(keys, now_ms))
            if what == "destroy":
                read.update(dict.fromkeys(keys, 0))
        elif what == "look":
            surely = naively_due(bucket, rules, written, read, now_ms - SLOT_MS)
            perhaps = naively_due(bucket, rules, written, read, now_ms)
            removed = {key for removal in bucket.look(now_ms) for key in removal.keys}
            assert isinstance(surely, dict)
            assert isinstance(perhaps, dict)
            assert removed <= perhaps.keys(), "too early"
            assert surely.keys() <= removed, "too late"
