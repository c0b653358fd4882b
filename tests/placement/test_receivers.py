"""Which of several defined gateway receivers a server has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.placement.receivers import receiver_of

EVERY = GatewayReceiverAttributes()
OWN = GatewayReceiverAttributes(member="S1")
BLUE, GREEN = (GatewayReceiverAttributes(group=name) for name in ("Blue", "green"))


def test_its_own_goes_before_its_groups_and_that_before_every_servers() -> None:
    defined = [(EVERY, 1), (BLUE, 2), (OWN, 3)]
    assert receiver_of(defined, "s1", ("blue",)) == OWN
    assert receiver_of(defined, "s2", ("blue",)) == BLUE
    assert receiver_of(defined, "s2", ("red",)) == EVERY
    assert receiver_of([(BLUE, 2), (OWN, 3)], "s2", ()) is None


def test_of_two_groups_the_older_definition_holds() -> None:
    assert receiver_of([(BLUE, 7), (GREEN, 5)], "s", ("blue", "green")) == GREEN


def test_older_definitions_do_not_count_where_they_were_destroyed() -> None:
    assert receiver_of([(EVERY, 4)], "s", (), newer_than=4) is None
    assert receiver_of([(EVERY, 5)], "s", (), newer_than=4) == EVERY


@given(
    st.lists(st.sampled_from([EVERY, OWN, BLUE, GREEN]), unique=True),
    st.sampled_from(["s1", "s2"]),
    st.sets(st.sampled_from(["blue", "GREEN", "red"])),
)
def test_the_order_in_which_definitions_are_read_does_not_matter(
    kinds: list[GatewayReceiverAttributes], name: str, groups: set[str]
) -> None:
    defined = list(zip(kinds, range(1, 9), strict=False))
    assert receiver_of(defined, name, groups) == receiver_of(defined[::-1], name, groups)
