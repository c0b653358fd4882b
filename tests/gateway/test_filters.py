from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.gateway.filters import EventFilters, PluginFailedError
from heliograph.gateway.plugins import GatewayEvent, GatewayEventFilter, events_of
from heliograph.model.batch import CREATE, DESTROY, UPDATE, Columns, Part, decode_columns, encode_columns
from heliograph.model.clock import stamp_of_ms
from heliograph.model.keys import Key, decode_value, encode_argument, encode_value
from tests.gateway.builders import HERE, keys_of, part_of


class Choosing(GatewayEventFilter):
    """Refuses keys; raises for those in `broken`."""

    def __init__(self, *refused: object, later: Sequence[object] = (), broken: Sequence[object] = ()) -> None:
        self.refused = refused
        self.later = later
        self.broken = list(broken)
        self.seen: list[GatewayEvent] = []
        self.told: list[object] = []

    def before_enqueue(self, event: GatewayEvent) -> bool:
        self.seen.append(event)
        if event.key in self.broken:
            raise ValueError(event.key)
        return event.key not in self.refused

    def before_transmit(self, event: GatewayEvent) -> bool:
        return event.key not in self.later

    def after_acknowledgement(self, event: GatewayEvent) -> None:
        self.told.append(event.key)


class Shouting:
    def get_substitute_value(self, event: GatewayEvent) -> Any:
        return None if event.key == "none" else f"{event.value}!"


class Failures:
    def __init__(self) -> None:
        self.found: list[tuple[str, str, str]] = []

    def on_failure(self, name: str, method: str, error: Exception) -> None:
        self.found.append((name, method, str(error)))


def filters_of(*plugins: Any, substitution: Any = None, failures: Failures | None = None) -> EventFilters:
    named = [(f"m:f{number}", plugin) for number, plugin in enumerate(plugins)]
    return EventFilters(named, ("m:s", substitution) if substitution else None, (failures or Failures()).on_failure)


def entered(filters: EventFilters, *parts: Part) -> list[list[Key]]:
    kept = filters.enqueue("r", 3, parts)
    assert kept is not None
    return [keys_of(part) for part in kept]


def test_what_a_filter_sees_of_an_event() -> None:
    columns = Columns(
        bytes([CREATE, UPDATE, DESTROY]), ["a", 2, b"c"], [encode_value("x"), encode_value([1]), b""], stamp_of_ms(7)
    )
    part = Part(HERE, (), 0, 0, 3, encode_columns(columns), encode_argument({"who": "Ada"}))
    events = list(events_of("r", 3, part, columns, possible_duplicate=True))
    assert [(each.key, each.operation, each.value) for each in events] == [
        ("a", "create", "x"),
        (2, "update", [1]),
        (b"c", "destroy", None),
    ]
    first = events[0]
    assert (first.region, first.bucket, first.origin, first.timestamp_ms) == ("r", 3, HERE, 7)
    assert (first.callback_argument, first.possible_duplicate) == ({"who": "Ada"}, True)


def test_what_every_filter_lets_pass_keeps_its_bytes_and_the_first_refusal_decides() -> None:
    part = part_of("a", "b")
    first, second = Choosing("b"), Choosing("c")
    [kept] = filters_of(second).enqueue("r", 3, (part,)) or ()
    assert kept is part
    assert entered(filters_of(first, second), part, part_of("c"), part_of("a", "d")) == [["a"], ["a", "d"]]
    assert [event.key for event in second.seen[2:]] == ["a", "c", "a", "d"], "b was refused by the first one"


@given(keys=st.lists(st.integers(0, 20), unique=True, min_size=1), refused=st.sets(st.integers(0, 20)))
def test_of_a_part_exactly_the_refused_events_are_missing(keys: list[int], refused: set[int]) -> None:
    part = part_of(*keys)
    kept = filters_of(Choosing(*refused)).enqueue("r", 3, (part,))
    assert kept is not None
    left = [key for key in keys if key not in refused]
    assert [key for each in kept for key in keys_of(each)] == left
    assert sum(each.count for each in kept) == len(left)


def test_a_substitute_is_shipped_and_destroys_have_none() -> None:
    part = part_of("a", "b")
    [kept] = filters_of(substitution=Shouting()).enqueue("r", 3, (part,)) or ()
    assert [decode_value(value) for value in decode_columns(kept.columns).values] == ["v!", "v!"]
    columns = encode_columns(Columns(bytes([DESTROY]), ["a"], [b""], 1))
    destroyed = Part(HERE, (), 0, 0, 1, columns)
    assert filters_of(substitution=Shouting()).enqueue("r", 3, (destroyed,)) == (destroyed,)


def test_a_filter_sees_the_substituted_value_as_in_gemfire() -> None:
    seen = Choosing()
    filters_of(seen, substitution=Shouting()).enqueue("r", 3, (part_of("a"),))
    assert [event.value for event in seen.seen] == ["v!"]


def test_what_a_filter_fails_for_enters_undecided_and_is_decided_before_it_leaves() -> None:
    failures = Failures()
    choosing = Choosing("a", broken=["b"])
    filters = filters_of(choosing, failures=failures)
    part = part_of("a", "b", "c")
    assert filters.enqueue("r", 3, (part,)) is None
    with pytest.raises(PluginFailedError, match=r"m:f0 failed: before_enqueue of an update of region r, bucket 3"):
        filters.transmit("r", [(3, part)], undecided=True, possible_duplicate=False)
    assert failures.found == [("m:f0", "before_enqueue", "b")] * 2
    choosing.broken.clear()
    [(_, sent)] = filters.transmit("r", [(3, part)], undecided=True, possible_duplicate=False)
    assert keys_of(sent) == ["b", "c"]


@pytest.mark.parametrize("key", ["none", "unfit"])
def test_a_substitute_that_can_not_be_a_value_is_a_failure(key: str) -> None:
    class Unfit(Shouting):
        def get_substitute_value(self, event: GatewayEvent) -> Any:
            return object() if event.key == "unfit" else super().get_substitute_value(event)

    failures = Failures()
    assert filters_of(substitution=Unfit(), failures=failures).enqueue("r", 3, (part_of(key),)) is None
    assert [found[:2] for found in failures.found] == [("m:s", "get_substitute_value")]


def test_before_transmit_keeps_events_back_and_what_left_is_told_when_acknowledged() -> None:
    choosing = Choosing(later=["b"])
    filters = filters_of(choosing)
    sent = filters.transmit("r", [(1, part_of("a", "b")), (2, part_of("b"))], undecided=False, possible_duplicate=False)
    assert [(bucket, keys_of(part)) for bucket, part in sent] == [(1, ["a"])]
    assert choosing.seen == [], "it had entered already"
    filters.acknowledged("r", sent)
    assert choosing.told == ["a"]


def test_what_after_acknowledgement_raises_is_told_and_changes_nothing() -> None:
    class Broken(Choosing):
        def after_acknowledgement(self, event: GatewayEvent) -> None:
            raise ValueError("no")

    failures, other = Failures(), Choosing()
    filters_of(Broken(), other, failures=failures).acknowledged("r", [(1, part_of("a", "b"))])
    assert other.told == ["a", "b"]
    assert failures.found == [("m:f0", "after_acknowledgement", "no")] * 2


def test_a_filter_needs_only_the_methods_it_wants() -> None:
    class OnlyTold:
        def __init__(self) -> None:
            self.told: list[object] = []

        def after_acknowledgement(self, event: GatewayEvent) -> None:
            self.told.append(event.key)

    told = OnlyTold()
    filters = filters_of(told)
    part = part_of("a")
    assert filters.enqueue("r", 3, (part,)) == (part,)
    assert filters.transmit("r", [(1, part)], undecided=True, possible_duplicate=False) == [(1, part)]
    filters.acknowledged("r", [(1, part)])
    assert told.told == ["a"]


def test_what_can_not_be_read_passes_unseen_for_the_remote_site_to_reject() -> None:
    unreadable = Part(HERE, (), 1, 1, 2, b"\xc1")
    filters = filters_of(Choosing("a"), substitution=Shouting())
    assert filters.enqueue("r", 3, (unreadable,)) == (unreadable,)
    passed = filters.transmit("r", [(3, unreadable)], undecided=False, possible_duplicate=False)
    assert passed == [(3, unreadable)]
    filters.acknowledged("r", passed)
