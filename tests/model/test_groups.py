"""Who is meant when something is for groups of servers."""

import pytest

from heliograph.errors import UsageError
from heliograph.model.groups import check_groups, in_any


@pytest.mark.parametrize(
    ("wanted", "own", "meant"),
    [((), (), True), ((), ("a",), True), (("A", "b"), ("a",), True), (("a",), ("b", "c"), False), (("a",), (), False)],
)
def test_a_member_of_any_of_the_groups_is_meant(wanted: tuple[str, ...], own: tuple[str, ...], meant: bool) -> None:
    assert in_any(wanted, own) == meant


def test_a_group_is_one_word() -> None:
    check_groups(("east", "East-2"))
    with pytest.raises(UsageError, match="group"):
        check_groups(("a b",))
