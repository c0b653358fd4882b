"""The options that say on which members a command acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from heliograph.gfsh.grammar import TEXT_LIST

F = TypeVar("F", bound=Callable[..., Any])


def targets(function: F) -> F:
    """Add --member and --group, as `members` and `groups`."""
    group = click.option("--group", "--groups", "groups", type=TEXT_LIST, default=(), help="Only in these groups.")
    member = click.option("--member", "--members", "members", type=TEXT_LIST, default=(), help="Only on these members.")
    return member(group(function))


def query_of(*, members: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> dict[str, str | bool]:
    """Return the targets as query parameters of the admin API."""
    query: dict[str, str | bool] = {"member": ",".join(members), "group": ",".join(groups)}
    return {name: value for name, value in query.items() if value}
