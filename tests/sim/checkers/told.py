"""Told wrongly: a listener missed an event of its site's log, or was told one twice, out of order, or wrongly.

A listener is told each bucket's log from where it began on, in order. One that was killed, or told that events were cut
from the log, was told the log up to some place; one that listens to the end is told all of it. An old value, where it
is known, is the one that the events before leave.
"""

from __future__ import annotations

from heliograph.model.batch import CLEARED, COLLECTED, EXPIRED
from heliograph.model.keys import NO_VALUE, Key
from tests.sim.observed import Entry, Observed, Told, ToldEvent


def check(observed: Observed) -> list[str]:
    return [wrong for told in observed.told for wrong in _check(told, observed.sites[told.site].logs)]


def _check(told: Told, logs: dict[int, list[Entry]]) -> list[str]:
    who = f"{told.who}, who began at {told.began}"
    if told.ended.startswith("failed"):
        return [f"{who} {told.ended}"]
    if told.ended == "lost" and not told.lost_rightly:
        return [f"{who} was told that events were cut, and none was"]
    for bucket in told.began:
        right = [each for each in expected(told, logs) if each.bucket == bucket]
        events = [each for each in told.events if each.bucket == bucket]
        for place, event in enumerate(events):
            if place == len(right):
                return [f"{who} was told {event}, and the log ends before it"]
            if _differ(event, right[place]):
                return [f"{who} was told {event}, and the log goes on with {right[place]}"]
        if told.ended == "listening" and len(events) < len(right):
            return [f"{who} was never told {right[len(events)]}"]
    return []


def _differ(event: ToldEvent, right: ToldEvent) -> bool:
    if event.old is not None and event.operation != "clear":
        return event != right
    known_op = event.operation if event.operation not in ("create", "update") else ""
    right_op = right.operation if right.operation not in ("create", "update") else ""
    return (known_op, event._replace(operation="", old=None)) != (right_op, right._replace(operation="", old=None))


def expected(told: Told, logs: dict[int, list[Entry]]) -> list[ToldEvent]:
    """Return all that a listener is to be told, bucket after bucket."""
    return [
        each for bucket, began in told.began.items() for each in _replayed(bucket, logs[bucket]) if each.seq > began
    ]


def _replayed(bucket: int, log: list[Entry]) -> list[ToldEvent]:
    values: dict[Key, bytes] = {}
    replayed: list[ToldEvent] = []
    for entry in log:
        for removal in entry.removals:
            if removal.kind == CLEARED:
                replayed.append(ToldEvent(bucket, entry.seq, "clear", None, b"", 0, None))
                values.clear()
            elif removal.kind != COLLECTED:
                expires = removal.kind == EXPIRED
                for key in removal.keys:
                    old = values.pop(key, b"")
                    if old:
                        name, new = ("expire", b"") if expires else ("invalidate", NO_VALUE)
                        replayed.append(ToldEvent(bucket, entry.seq, name, key, new, 0, old))
                        values |= {} if expires else {key: NO_VALUE}
        for event in entry.events:
            old = values.pop(event.key, b"")
            name = "destroy" if not event.value else "update" if old else "create"
            replayed.append(ToldEvent(bucket, entry.seq, name, event.key, event.value, event.version, old))
            values |= {event.key: event.value} if event.value else {}
    return replayed
