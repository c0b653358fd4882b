"""Who wins between sites: the rule, the resolver, and that all sites come to hold the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bucket.conflicts import NEWEST_MAX, REFUSE, Conflict, ConflictLog, Outcome, Resolution, site_of
from heliograph.bucket.judging import Judge
from heliograph.bucket.primary import ApplyRequest, BucketPrimary, ChangeRequest, PutRequest
from heliograph.bucket.removing import CollectRequest
from heliograph.bucket.snapshot import open_snapshot, slices
from heliograph.bucket.view import BucketView
from heliograph.errors import BadEventError
from heliograph.gateway.loops import outgoing
from heliograph.gateway.wan_copy import BIRTH_SEQ
from heliograph.model.batch import Part, Record, decode_columns, decode_record, encode_record
from heliograph.model.clock import stamp_of_ms
from heliograph.model.ids import Epoch, Seq
from heliograph.model.keys import NO_VALUE

NOW_MS = 1_000_000


class Site:
    """One bucket of a site: its primary, its log, and what other sites have had of that."""

    def __init__(self, dsid: int, resolve: Callable[[Conflict], Resolution] | None = None) -> None:
        self.dsid = dsid
        self.resolve = resolve
        self.log: list[Record] = []
        self.sent: dict[int, int] = {}
        self.conflicts = ConflictLog()
        self.primary = self._primary(BucketView())

    def _primary(self, view: BucketView) -> BucketPrimary:
        judge = Judge("r", self.conflicts)
        judge.resolve = self.resolve
        return BucketPrimary(view, self.dsid, Epoch(1), judge=judge)

    @property
    def view(self) -> BucketView:
        return self.primary.view

    def restart(self, *, snapshot: bool) -> None:
        """Another member takes over, with the log or from a snapshot."""
        view = open_snapshot(b"".join(slices(self.view))) if snapshot else BucketView()
        for seq, record in enumerate(self.log, start=1):
            if seq > view.seq:
                view.apply(Seq(seq), decode_record(encode_record(record)))
        assert (view.values, view.versions, view.marks) == (self.view.values, self.view.versions, self.view.marks)
        self.primary = self._primary(view)

    def flush(self, now_ms: int = NOW_MS) -> None:
        while (draft := self.primary.draft(now_ms)) is not None:
            assert draft.defect is None, draft.defect
            if draft.record is not None:
                self.log.append(draft.record)
                self.primary.appended(Seq(len(self.log)))

    def put(self, key: str, value: bytes, now_ms: int = NOW_MS) -> None:
        if value:
            self.primary.submit(PutRequest("put", 0, [key], [value], 10))
        else:
            self.primary.submit(ChangeRequest("remove", "remove", key, b"", b""))
        self.flush(now_ms)

    def parts_for(self, other: int, seqs: range) -> list[Part]:
        return [
            outgoing(part, 0, seq, (other,))
            for seq in seqs
            for part in self.log[seq - 1].parts
            if part.origin != other and other not in part.recipients
        ]

    def send(self, other: Site, *, up_to: int | None = None, repeat: int = 0) -> None:
        """Ship what the other site has not had yet, and some of what it has had."""
        end = len(self.log) if up_to is None else min(up_to, len(self.log))
        start = max(self.sent.get(other.dsid, 0) - repeat, 0)
        for part in self.parts_for(other.dsid, range(start + 1, end + 1)):
            other.primary.submit(ApplyRequest("apply", (part,), 10))
        self.sent[other.dsid] = max(end, self.sent.get(other.dsid, 0))
        other.flush()


def exchange(*sites: Site) -> None:
    """Ship everything to everyone until nothing is new; it ends, whatever the resolvers do."""
    for _ in range(20):
        before = [len(site.log) for site in sites]
        for one in sites:
            for other in sites:
                if one is not other:
                    one.send(other)
        if before == [len(site.log) for site in sites] and all(
            one.sent[other.dsid] == len(one.log) for one in sites for other in sites if one is not other
        ):
            return
    raise AssertionError("the sites answer each other for ever")


def same(*sites: Site) -> bool:
    return all(
        (site.view.values, site.view.versions) == (sites[0].view.values, sites[0].view.versions) for site in sites
    )


def refuse(_: Conflict) -> Resolution:
    return REFUSE


def allow(conflict: Conflict) -> Resolution:
    return conflict.new_value


def greatest(conflict: Conflict) -> Resolution:
    return max(conflict.old_value, conflict.new_value)


def fail(_: Conflict) -> Resolution:
    return None


def both(conflict: Conflict) -> Resolution:
    return b"+".join(sorted({*conflict.old_value.split(b"+"), *conflict.new_value.split(b"+")} - {b""}))


RESOLVERS = (None, refuse, allow, greatest, fail, both)


def conflicting(resolve: Callable[[Conflict], Resolution] | None, *, newer: bool) -> tuple[Site, Site]:
    """Site 1 with a resolver, where `k` is b"1"; site 2 wrote b"2", before or after that."""
    one, two = Site(1, resolve), Site(2)
    one.put("k", b"1", NOW_MS)
    two.put("k", b"2", NOW_MS + (5 if newer else -5))
    return one, two


@pytest.mark.parametrize(
    ("resolve", "newer", "value", "outcome", "writes"),
    [
        (None, True, b"2", None, False),
        (None, False, b"1", Outcome.LOST, False),
        (allow, True, b"2", Outcome.ALLOWED, False),
        (allow, False, b"2", Outcome.ALLOWED, True),
        (refuse, True, b"1", Outcome.REFUSED, True),
        (refuse, False, b"1", Outcome.REFUSED, False),
        (fail, True, b"2", Outcome.FAILED_WON, False),
        (fail, False, b"1", Outcome.FAILED_LOST, False),
        (both, True, b"1+2", Outcome.CHANGED, True),
        (both, False, b"1+2", Outcome.CHANGED, True),
    ],
)
def test_what_a_resolver_decides_otherwise_its_site_writes(
    resolve: Any, newer: bool, value: bytes, outcome: Outcome | None, writes: bool
) -> None:
    one, two = conflicting(resolve, newer=newer)
    exchange(one, two)
    assert one.view.values == two.view.values == {"k": value}
    assert dict(one.conflicts.counts.get("r", {})) == ({} if outcome is None else {outcome: 1})
    written = [part for record in one.log[1:] for part in record.parts if part.origin == 1]
    assert [part.resolved for part in written] == [True] * writes
    assert same(one, two)
    for snapshot in (True, False):
        one.restart(snapshot=snapshot)


def test_events_of_the_same_site_and_new_entries_are_not_put_to_the_resolver() -> None:
    asked: list[Conflict] = []

    def resolve(conflict: Conflict) -> Resolution:
        asked.append(conflict)
        return REFUSE

    one, two = Site(1, resolve), Site(2)
    two.put("k", b"1")
    exchange(one, two)
    two.put("k", b"2", NOW_MS + 1)
    exchange(one, two)
    assert (one.view.values, asked) == ({"k": b"2"}, [])


def test_a_repeat_is_not_put_to_the_resolver_again() -> None:
    """Or it would bring back what was written over since."""
    one, two = conflicting(allow, newer=False)
    two.send(one)
    assert one.view.values == {"k": b"2"}
    one.put("k", b"3", NOW_MS + 9)
    two.send(one, repeat=9)
    assert one.view.values == {"k": b"3"}
    one, two = conflicting(refuse, newer=True)
    two.send(one)
    one.restart(snapshot=True)
    one.resolve = allow
    one.restart(snapshot=False)
    two.send(one, repeat=9)
    assert one.view.values == {"k": b"1"}


def test_a_log_that_begins_anew_hides_no_conflict_from_the_resolver() -> None:
    """A site came back with nothing, or its region in another disk store: its sequences are low once more."""
    asked: list[bytes] = []

    def resolve(conflict: Conflict) -> Resolution:
        asked.append(conflict.new_value)
        return REFUSE

    one, two = Site(1, resolve), Site(2)
    for count in range(5):
        two.put("k", b"%d" % count, NOW_MS + count)
    exchange(one, two)
    one.put("k", b"one", NOW_MS + 20)
    anew = Site(2)
    anew.put("k", b"anew", NOW_MS + 10)
    anew.put("j", b"anew", NOW_MS + 11)
    anew.send(one)
    assert (asked, one.view.values) == ([b"anew"], {"k": b"one", "j": b"anew"})
    anew.send(one, repeat=9)
    one.restart(snapshot=True)
    anew.send(one, repeat=9)
    one.restart(snapshot=False)
    anew.send(one, repeat=9)
    assert asked == [b"anew"]


def test_what_is_copied_from_a_site_hides_none_of_its_queue_from_the_resolver() -> None:
    one, two = Site(1, refuse), Site(2)
    two.log.append(Record(Epoch(1), (), "primary"))  # so does every log begin
    one.put("k", b"1", NOW_MS)
    two.put("k", b"2", NOW_MS + 5)
    two.put("copied", b"2", NOW_MS + 7)
    (part,) = two.parts_for(1, range(3, 4))
    one.primary.submit(ApplyRequest("copy", (msgspec.structs.replace(part, birth_seq=BIRTH_SEQ),), 10))
    one.flush()
    assert one.view.values == {"k": b"1", "copied": b"2"}
    two.send(one)
    assert one.view.values == {"k": b"1", "copied": b"2"}


def test_a_repeat_of_which_a_part_was_accepted_is_not_put_to_the_resolver_again() -> None:
    """The newest of its events was refused: the mark of what was accepted ends before that."""
    asked: list[object] = []

    def resolve(conflict: Conflict) -> Resolution:
        asked.append(conflict.key)
        return REFUSE if conflict.key == "refused" else conflict.new_value

    one, two = Site(1, resolve), Site(2)
    for key in ("allowed", "refused"):
        one.put(key, b"1", NOW_MS + 9)
        two.primary.submit(PutRequest("put", 0, [key], [b"2"], 10))
    two.primary.submit(PutRequest("put", 0, ["fresh", "fresh"], [b"2", b"3"], 10))
    two.primary.submit(PutRequest("put", 0, ["refused"], [b"3"], 10))
    two.flush()
    two.send(one)
    told = len(asked)
    for snapshot in (True, False):
        one.restart(snapshot=snapshot)
        two.send(one, repeat=9)
    assert (told, len(asked)) == (3, 3)


def test_a_removal_can_be_resolved_as_well() -> None:
    one, two = Site(1, refuse), Site(2)
    one.put("k", b"1")
    exchange(one, two)
    two.put("k", b"", NOW_MS + 5)
    one.put("k", b"2", NOW_MS + 2)
    exchange(one, two)
    assert one.view.values == two.view.values == {"k": b"2"}
    one, two = Site(1, allow), Site(2)
    one.put("k", b"1")
    exchange(one, two)
    one.put("k", b"2", NOW_MS + 5)
    two.put("k", b"", NOW_MS + 2)
    exchange(one, two)
    assert one.view.values == two.view.values == {}
    assert same(one, two)


def test_an_entry_without_a_value_is_left_to_the_rule() -> None:
    one, two = conflicting(refuse, newer=True)
    one.view.values["k"] = NO_VALUE
    two.send(one)
    assert one.view.values == {"k": b"2"}


def test_a_key_that_stands_several_times_in_a_part() -> None:
    asked: list[tuple[bytes, bytes]] = []

    def resolve(conflict: Conflict) -> Resolution:
        asked.append((conflict.old_value, conflict.new_value))
        return conflict.new_value if conflict.new_value == b"3" else REFUSE

    one, two = Site(1, resolve), Site(2)
    one.put("k", b"1", NOW_MS)
    for value in (b"2", b"3", b"4"):
        two.primary.submit(PutRequest("put", 0, ["k"], [value], 10))
    two.flush(NOW_MS + 5)
    exchange(one, two)
    assert asked == [(b"1", b"2"), (b"1", b"3"), (b"3", b"4")]
    assert one.view.values == two.view.values == {"k": b"3"}


def test_the_newest_conflicts_are_remembered_and_all_are_counted() -> None:
    log = ConflictLog()
    for number in range(NEWEST_MAX + 7):
        log.note("r", Outcome.LOST, number, 256 + 1, 256 + 2, number)
    log.note("s", Outcome.REFUSED, "x" * 2_000_000, 257, 258, 9)
    assert log.newest("", None, 10) == []
    log.note("s", Outcome.REFUSED, "k", 257, 258, 9)
    log.note("r", Outcome.LOST, b"k", 257, 258, 9)
    assert [each.key for each in log.newest("", None, 10)] == [b"k", "k"]
    assert [each.key for each in log.newest("s", None, 10)] == ["k"]
    assert [each.key for each in log.newest("", "b'k'", 10)] == [b"k"]
    assert log.newest("", None, 1)[0].key == b"k"
    assert log.counts["r"][Outcome.LOST] == NEWEST_MAX + 8


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "send", "restart"]),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from("ab"),
        st.integers(-3, 3),
    ),
    max_size=25,
)


@given(STEPS, st.tuples(*[st.sampled_from(RESOLVERS)] * 3), st.randoms(use_true_random=False))
def test_all_sites_come_to_hold_the_same_whatever_their_resolvers_do(
    steps: list[tuple[str, int, int, str, int]], resolvers: tuple[Any, ...], rng: random.Random
) -> None:
    sites = [Site(number, resolve) for number, resolve in enumerate(resolvers, start=1)]
    for count, (action, who, whom, key, skew) in enumerate(steps):
        site, other = sites[who], sites[whom]
        if action == "put":
            site.put(key, b"%d" % count, NOW_MS + count + skew)
        elif action == "remove":
            site.put(key, b"", NOW_MS + count + skew)
        elif action == "restart":
            site.restart(snapshot=skew > 0)
        elif site is not other:
            site.send(other, up_to=rng.randrange(len(site.log) + 1), repeat=rng.randrange(3))
    exchange(*sites)
    assert same(*sites)
    for site in sites:
        for record in site.log:
            for part in record.parts:
                versions = decode_columns(part.columns).versions(part.origin)
                assert all(site_of(version) == part.origin for version in versions)


# --- tombstones that went though older events may still come


def collected(*, stable_ms: int) -> tuple[Site, Site]:
    """Site 1 removed `k` at NOW_MS and has collected that; site 2 wrote it before, and has not sent it yet."""
    one, two = Site(1), Site(2)
    two.put("k", b"2", NOW_MS - 9)
    one.put("k", b"1", NOW_MS - 9)
    one.put("k", b"", NOW_MS)
    one.primary.submit(CollectRequest("collect", Seq(len(one.log)), stamp_of_ms(stable_ms)))
    one.flush()
    assert not one.view.versions
    return one, two


def test_a_tombstone_that_went_too_early_leaves_a_fence() -> None:
    one, two = collected(stable_ms=NOW_MS - 5)
    assert one.view.fence == stamp_of_ms(NOW_MS)
    for snapshot in (True, False):
        one.restart(snapshot=snapshot)
        assert one.view.fence == stamp_of_ms(NOW_MS)
    (part,) = two.parts_for(1, range(1, 2))
    request = ApplyRequest("apply", (part,), 10)
    one.primary.submit(request)
    draft = one.primary.draft(NOW_MS)
    assert draft is not None
    ((_, error),) = draft.outcomes
    assert isinstance(error, BadEventError)
    assert "key 'k' was born at site 2" in str(error)
    assert (one.view.values, draft.record) == ({}, None)


def test_what_is_newer_than_the_fence_or_of_an_entry_that_is_there_is_judged_as_ever() -> None:
    one, two = collected(stable_ms=NOW_MS - 5)
    one.put("k", b"again", NOW_MS + 1)
    two.send(one)
    assert one.view.values == {"k": b"again"}
    two.put("new", b"2", NOW_MS + 2)
    two.send(one)
    assert one.view.values == {"k": b"again", "new": b"2"}


def test_a_tombstone_that_nobody_needs_leaves_none() -> None:
    one, _ = collected(stable_ms=NOW_MS + 1)
    assert one.view.fence == 0
