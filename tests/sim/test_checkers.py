"""The checkers on histories small enough to see what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.model.batch import CLEARED, COLLECTED, EXPIRED, INVALIDATED, Removal
from heliograph.model.clock import version_of
from heliograph.model.keys import NO_VALUE, Key
from tests.history.operations import Kind, Operation
from tests.sim.checkers import (
    anomalies,
    divergence,
    duplicate_effect,
    false_answer,
    histories,
    lost_write,
    resurrected,
    sent_back,
    stuck,
    told,
    two_primaries,
)
from tests.sim.observed import (
    Arrival,
    Birth,
    Copy,
    Entry,
    Event,
    Held,
    Observed,
    Site,
    Told,
    ToldEvent,
    held_by_copies,
)


def event(key: str, stamp: int, value: bytes = b"v", origin: int = 1) -> Event:
    return Event(key, value, version_of(stamp, origin))


def log_of(*events: Event, first: int = 1) -> list[Entry]:
    """A log of one epoch, one event a record."""
    begin = Entry(first, 0, 1, "a", "a#1", ())
    return [begin, *(Entry(first + n, first + n - 1, 1, "", "a#1", (each,)) for n, each in enumerate(events, 1))]


def operation(kind: Kind, key: str, value: bytes = b"v", site: int = 1, **more: object) -> Operation:
    """An acknowledged operation, unless more is said."""
    fields = {"outcome": "ok", "done": True, **more}
    return Operation("c", site, kind, key, value, ended_s=1.0, **fields)  # type: ignore[arg-type]


def seen(operations: list[Operation], logs: dict[int, list[Event]], copies: dict[str, dict[Key, bytes]] | None = None):
    """Sites with one bucket each; `copies` hold values and the versions of the log."""
    observed = Observed(operations=operations)
    for dsid, events in logs.items():
        log = log_of(*events)
        versions = {each.key: each.version for each in events}
        observed.sites[dsid] = Site({0: log}, [Copy(name, 0, dict(v), versions) for name, v in (copies or {}).items()])
    return observed


def test_a_run_without_anomaly() -> None:
    written = [event("k", 1), event("l", 2, b"w", origin=2)]
    operations = [operation("put", "k"), operation("put_if_absent", "l", b"w", site=2, seq=3)]
    observed = seen(operations, {1: written, 2: written}, {"a": {"k": b"v", "l": b"w"}})
    assert anomalies(observed) == {}


# --- lost write


def test_an_acknowledged_put_that_no_log_holds_is_lost() -> None:
    (found,) = lost_write.check(seen([operation("put", "k")], {1: []}))
    assert "not in the log of its own site" in found


def test_an_acknowledged_put_that_another_site_never_got_is_lost() -> None:
    (found,) = lost_write.check(seen([operation("put", "k")], {1: [event("k", 1)], 2: []}))
    assert "never came to site 2" in found


def test_a_put_that_another_site_judged_older_is_not_lost() -> None:
    logs = {1: [event("k", 1)], 2: [event("k", 2, b"w", origin=2)]}
    assert lost_write.check(seen([operation("put", "k")], logs)) == []


def test_an_older_event_there_does_not_excuse_a_loss() -> None:
    logs = {1: [event("k", 2)], 2: [event("k", 1, b"w", origin=2)]}
    assert lost_write.check(seen([operation("put", "k")], logs))


def test_an_acknowledged_remove_is_found_by_its_sequence() -> None:
    destroy = event("k", 2, b"")
    remove = operation("remove", "k", b"", seq=3)
    assert lost_write.check(seen([remove], {1: [event("k", 1), destroy]})) == []
    assert lost_write.check(seen([remove], {1: [event("k", 1), event("k", 2)]}))


def test_what_nobody_acknowledged_or_did_can_not_be_lost() -> None:
    operations = [operation("put", "k", outcome="info"), operation("replace", "k", done=False)]
    assert lost_write.check(seen(operations, {1: []})) == []


# --- divergence


def test_sites_that_hold_other_values_or_versions_diverge() -> None:
    assert divergence.check(seen([], {1: [event("k", 1)], 2: [event("k", 1)]})) == []
    assert divergence.check(seen([], {1: [event("k", 1)], 2: [event("k", 1, b"w")]}))
    assert divergence.check(seen([], {1: [event("k", 1)], 2: [event("k", 2)]}))
    assert divergence.check(seen([], {1: [event("k", 1)], 2: []}))
    assert divergence.check(seen([], {1: [], 2: [event("k", 1)]}))


def test_a_copy_that_is_not_its_log_replayed_diverges() -> None:
    events = [event("k", 1), event("l", 2), event("l", 3, b"")]
    assert divergence.check(seen([], {1: events}, {"a": {"k": b"v"}})) == []
    assert divergence.check(seen([], {1: events}, {"a": {"k": b"v", "l": b"v"}}))
    assert divergence.check(seen([], {1: events}, {"a": {}}))


# --- resurrected


def test_a_removed_entry_that_a_site_or_a_copy_has_is_resurrected() -> None:
    put, destroy = event("k", 1), event("k", 2, b"")
    assert resurrected.check(seen([], {1: [put, destroy]}, {"a": {}})) == []
    assert resurrected.check(seen([], {1: [put, destroy], 2: [put]}))
    assert resurrected.check(seen([], {1: [destroy, put]}))
    assert resurrected.check(seen([], {1: [put, destroy]}, {"a": {"k": b"v"}}))


def test_an_entry_written_after_its_remove_may_live() -> None:
    events = [event("k", 1), event("k", 2, b""), event("k", 3, b"w")]
    assert resurrected.check(seen([], {1: events}, {"a": {"k": b"w"}})) == []


def test_what_was_removed_while_nothing_else_went_on_is_gone_whatever_the_versions_say() -> None:
    remove = operation("remove", "k", b"", seq=3, quiet=True)
    events = [event("k", 1), event("k", 2, b""), event("k", 3)]
    assert resurrected.check(seen([remove], {1: events}))
    assert resurrected.check(seen([remove, operation("put", "k", quiet=True)], {1: events})) == []


# --- two primaries


def check_log(*entries: Entry) -> list[str]:
    return two_primaries.check(Observed(sites={1: Site({0: list(entries)})}))


A1, A2, B2 = Entry(1, 0, 1, "a", "a#1", ()), Entry(3, 2, 2, "a", "a#1", ()), Entry(3, 2, 2, "b", "b#1", ())


def test_primaries_that_follow_one_another_are_fine() -> None:
    assert check_log(A1, Entry(2, 1, 1, "", "a#1", ()), B2, Entry(4, 3, 2, "", "b#1", ())) == []


def test_a_deposed_primary_that_appends_is_found() -> None:
    assert check_log(A1, Entry(2, 1, 1, "", "a#1", ()), B2, Entry(4, 3, 1, "", "a#1", ()))
    assert check_log(A1, Entry(2, 1, 1, "", "a#1", ()), B2, Entry(4, 3, 2, "", "a#1", ()))


def test_an_epoch_with_two_primaries_or_none_is_found() -> None:
    assert check_log(A1, Entry(2, 1, 1, "b", "b#1", ()))
    assert check_log(A1, Entry(2, 1, 2, "", "a#1", ()))


def test_a_log_that_forks_is_found() -> None:
    assert check_log(A1, Entry(2, 1, 1, "", "a#1", ()), Entry(3, 1, 1, "", "a#1", ()))


# --- duplicate effect


def test_an_event_applied_twice_or_after_a_newer_one_is_found() -> None:
    assert duplicate_effect.check(seen([], {1: [event("k", 1), event("l", 1), event("k", 2)]})) == []
    assert duplicate_effect.check(seen([], {1: [event("k", 1), event("k", 1)]}))
    assert duplicate_effect.check(seen([], {1: [event("k", 2), event("k", 1)]}))


# --- false answer


def test_a_write_that_was_denied_and_is_in_the_log_is_found() -> None:
    logs = {1: [event("k", 1)]}
    assert false_answer.check(seen([operation("put", "k", outcome="fail")], logs))
    assert false_answer.check(seen([operation("put_if_absent", "k", done=False)], logs))
    assert false_answer.check(seen([operation("put_if_absent", "k", outcome="info")], logs)) == []


def test_a_write_that_was_done_twice_is_found() -> None:
    logs = {1: [event("k", 1), event("k", 2)]}
    assert false_answer.check(seen([operation("replace", "k", outcome="info")], logs))
    assert false_answer.check(seen([operation("put", "k")], logs))


def test_an_entry_that_nobody_destroyed_and_is_gone_is_found() -> None:
    logs = {1: [event("k", 1), event("k", 2, b"")]}
    assert false_answer.check(seen([operation("remove", "k", b"", done=False)], logs))
    assert false_answer.check(seen([operation("remove", "k", b"", outcome="info")], logs)) == []
    assert false_answer.check(seen([operation("remove", "k", b"", seq=3, old=b"v")], logs)) == []


# --- histories (what they hold against a site is tested in tests/history)


def test_the_writes_of_another_site_may_come_later_or_never() -> None:
    there = operation("put", "k", b"w", site=2)
    told = operation("replace", "k", began_s=2.0, old=b"w")
    told.ended_s = 3.0
    assert histories.check_order(seen([there, told], {1: [], 2: []})) == []
    there.outcome = "fail"
    (found,) = histories.check_order(seen([there, told], {1: [], 2: []}))
    assert found.startswith("site 1: no order explains replace")


def test_a_member_that_shows_less_than_it_acknowledged_is_found() -> None:
    put = operation("put", "k", member="a#1")
    read = operation("get", "k", b"", began_s=2.0, member="a#1")
    read.ended_s = 3.0
    (found,) = histories.check_reads(seen([put, read], {1: []}))
    assert found.startswith("gone back")


# --- told wrongly

TOLD = [
    ToldEvent(0, 2, "create", "k", b"v", version_of(1, 1), b""),
    ToldEvent(0, 3, "update", "k", b"w", version_of(2, 1), b"v"),
    ToldEvent(0, 4, "destroy", "k", b"", version_of(3, 1), b"w"),
]


def check_told(*events: ToldEvent, began: int = 0, ended: str = "listening", lost_rightly: bool = False) -> list[str]:
    """One bucket whose log is `TOLD`, from sequence 2 on."""
    observed = seen([], {1: [event("k", 1), event("k", 2, b"w"), event("k", 3, b"")]})
    observed.told = [Told(1, "somebody", {0: began}, list(events), ended, lost_rightly)]
    return told.check(observed)


def test_a_listener_that_is_told_the_log_is_told_rightly() -> None:
    assert check_told(*TOLD) == []
    assert check_told(*TOLD[1:], began=2) == []
    assert check_told(*TOLD[:1], ended="killed") == []
    assert check_told(TOLD[0]._replace(old=None), *TOLD[1:]) == [], "an old value need not be known"
    assert check_told(TOLD[0]._replace(old=None, operation="update"), *TOLD[1:]) == []


def test_what_is_missed_told_twice_or_out_of_order_is_found() -> None:
    assert "was never told" in check_told(*TOLD[:2])[0]
    assert check_told(TOLD[0], TOLD[2])
    assert check_told(TOLD[0], *TOLD)
    assert check_told(TOLD[1], TOLD[0], TOLD[2])
    assert check_told(*TOLD, began=2)
    assert check_told(*TOLD, TOLD[2])


@pytest.mark.parametrize("wrong", [{"old": b"x"}, {"operation": "create"}, {"new": b"x"}, {"version": 7}, {"key": "l"}])
def test_what_is_told_otherwise_than_it_is_is_found(wrong: dict[str, Any]) -> None:
    assert check_told(TOLD[0], TOLD[1]._replace(**wrong), TOLD[2])


def test_a_listener_that_ended_for_no_reason_is_found() -> None:
    assert check_told(*TOLD[:1], ended="lost", lost_rightly=True) == []
    assert check_told(*TOLD[:1], ended="lost")
    assert check_told(*TOLD[:1], ended="failed: PeerError()")


def test_what_a_site_took_away_is_to_be_told_with_what_was_there() -> None:
    entry = Entry(
        5, 4, 1, "", "a#1", (), (Removal(INVALIDATED, ["a", "none"]), Removal(EXPIRED, ["b"]), Removal(CLEARED))
    )
    log = [*log_of(event("a", 1), event("b", 1)), entry]
    assert told.expected(Told(1, "somebody", {0: 3}), {0: log}) == [
        ToldEvent(0, 5, "invalidate", "a", NO_VALUE, 0, b"v"),
        ToldEvent(0, 5, "expire", "b", b"", 0, b"v"),
        ToldEvent(0, 5, "clear", None, b"", 0, None),
    ]


# --- stuck


def test_what_is_unfinished_failed_or_refused_after_healing_is_found() -> None:
    assert stuck.check(Observed(unfinished=["a cursor is behind"])) == ["a cursor is behind"]
    assert stuck.check(Observed(errors=["task failed"])) == ["task failed"]
    refused = operation("put", "k", outcome="info", quiet=True)
    assert stuck.check(Observed(operations=[refused]))
    refused.quiet = False
    assert stuck.check(Observed(operations=[refused])) == []


# --- sent back


def arrived(*arrivals: Arrival, known: dict[Birth, list[tuple[int, ...]]] | None = None) -> list[str]:
    """Check what came to sites, when site 2's log knows this of what came from elsewhere."""
    return sent_back.check(Observed(sites={1: Site(), 2: Site(known=known or {})}, arrivals=list(arrivals)))


def test_what_returns_to_its_birth_or_goes_to_a_known_recipient_is_found() -> None:
    birth = Birth(1, 0, 7)
    assert arrived(Arrival(1, 2, birth)) == []
    assert arrived(Arrival(2, 1, birth))
    assert arrived(Arrival(2, 3, birth), known={birth: [(2,)]}) == []
    assert arrived(Arrival(2, 3, birth), known={birth: [(2, 3)]})
    assert arrived(Arrival(2, 3, birth), known={birth: [(2, 3), (2,)]}) == [], "the part that came the other way"


def test_a_copy_without_a_tombstone_is_right_when_the_log_collects_it() -> None:
    log = log_of(event("a", 1), event("b", 1), event("a", 2, b""), event("b", 3, b""))
    collected = Entry(6, 5, 1, "", "a#1", (), (Removal(COLLECTED, [], 4),))
    assert held_by_copies(log) == {"a": Held(version_of(2, 1), b""), "b": Held(version_of(3, 1), b"")}
    assert held_by_copies([*log, collected]) == {"b": Held(version_of(3, 1), b"")}
