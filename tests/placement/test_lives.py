"""When a new life begins: never while a server of the last one may live."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.model.registry import SiteLife
from heliograph.placement.lives import next_life, without

CURRENT = SiteLife(4, {"a": "a1", "b": "b1"})
CASES = [
    ("one stays", {"a": "a1"}, SiteLife(4, {"a": "a1"})),
    ("one stays and others come", {"b": "b1", "c": "c1"}, SiteLife(4, {"b": "b1", "c": "c1"})),
    ("one was restarted", {"a": "a2", "b": "b1"}, SiteLife(4, {"a": "a2", "b": "b1"})),
    ("all were restarted", {"a": "a2", "b": "b2"}, SiteLife(5, {"a": "a2", "b": "b2"}, beginning=True)),
    ("one was restarted, the other may live", {"a": "a2"}, None),
    ("others came, both may live", {"c": "c1", "d": "d1"}, None),
]


@pytest.mark.parametrize(("live", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_next_life(live: dict[str, str], wanted: SiteLife | None) -> None:
    assert next_life(CURRENT, live, waited=False) == wanted
    assert next_life(CURRENT, live, waited=True) == (wanted or SiteLife(5, live, beginning=True))


def test_a_site_that_all_have_left_begins_a_life_at_once() -> None:
    left = without(without(CURRENT, "a", "a1"), "b", "b1")
    assert left == SiteLife(4, {})
    assert next_life(left, {"a": "a2"}, waited=False) == SiteLife(5, {"a": "a2"}, beginning=True)
    assert next_life(SiteLife(), {"a": "a1"}, waited=False) == SiteLife(1, {"a": "a1"}, beginning=True)


def test_only_the_one_that_is_in_it_leaves_a_life() -> None:
    assert without(CURRENT, "a", "a0") == without(CURRENT, "c", "c1") == CURRENT


def test_a_life_that_begins_does_so_until_it_is_said_to_be_done() -> None:
    begun = SiteLife(4, CURRENT.servers, beginning=True)
    assert next_life(begun, {"b": "b1"}, waited=False) == SiteLife(4, {"b": "b1"}, beginning=True)
    assert without(begun, "a", "a1") == SiteLife(4, {"b": "b1"}, beginning=True)


incarnations = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3)


@given(incarnations, incarnations, st.booleans())
def test_no_life_ends_while_one_of_its_servers_is_seen(
    servers: dict[str, str], live: dict[str, str], waited: bool
) -> None:
    life = next_life(SiteLife(1, servers), live, waited=waited)
    if servers.items() & live.items():
        assert life == SiteLife(1, live)
    elif life is not None:
        assert life == SiteLife(2, live, beginning=True)
        assert waited or servers.keys() <= live.keys()
