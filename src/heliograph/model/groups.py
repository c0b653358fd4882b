"""Groups of servers: what is for groups is for every server in any of them; the case of their names does not matter."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.model.ids import check_word


def in_any(groups: Iterable[str], member_groups: Iterable[str]) -> bool:
    """Say whether a member of these groups is in one of `groups`; of no groups every member is."""
    wanted = folded(groups)
    return not wanted or not wanted.isdisjoint(map(str.lower, member_groups))


def folded(groups: Iterable[str]) -> frozenset[str]:
    """Return the groups as they are compared."""
    return frozenset(map(str.lower, groups))


def check_groups(groups: Iterable[str]) -> None:
    """Raise UsageError unless these may be names of groups."""
    for group in groups:
        check_word("group", group)
