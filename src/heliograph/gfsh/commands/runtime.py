"""change loglevel, alter runtime, describe config (gfsh.md §3.4)."""

from __future__ import annotations

from urllib.parse import quote

import click

from heliograph.errors import UsageError
from heliograph.gfsh.commands.targets import query_of, targets
from heliograph.gfsh.grammar import BOOLEAN, OneOf, command, refused
from heliograph.gfsh.session import Session
from heliograph.model.log_levels import LEVELS
from heliograph.model.refusals import RUNTIME
from heliograph.model.results import Result

LEVEL = OneOf([level.upper() for level in LEVELS])


@command("change loglevel")
@click.option("--loglevel", "level", type=LEVEL, required=True, help="What is written: this level and those above it.")
@targets
@click.pass_obj
def change_log_level(session: Session, level: str, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
    """Change the log level of running members, locators too, until they are started again."""
    from heliograph.locator.requests import LogLevelChange

    if bool(members) == bool(groups):
        raise UsageError("change loglevel needs either --members or --groups")
    body = LogLevelChange(log_level=level)
    return session.client.call("POST", "/log-level", body, query_of(members=members, groups=groups))


@command("alter runtime")
@targets
@click.option("--log-level", "level", type=LEVEL, help="What is written: this level and those above it.")
@refused(RUNTIME)
@click.pass_obj
def alter_runtime(session: Session, level: str | None, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
    """Change properties of running servers; without --member and --group also of those that are started later."""
    from heliograph.model.runtime import RuntimeProperties

    if not level:
        raise UsageError("alter runtime needs an option to change: --log-level")
    body = RuntimeProperties(log_level=level)
    return session.client.call("PATCH", "/runtime", body, query_of(members=members, groups=groups))


@command("describe config")
@click.option("--member", required=True, help="The member, a server or a locator.")
@click.option("--hide-defaults", type=BOOLEAN, default=True, help="Leave out what nobody changed. [default: true]")
@click.pass_obj
def describe_config(session: Session, member: str, hide_defaults: bool) -> Result:
    """Show what a member was started with, by where that was said, and what was changed since."""
    path = f"/members/{quote(member, safe='')}/settings"
    return session.client.call("GET", path, query={"hide_defaults": hide_defaults})


COMMANDS = (change_log_level, alter_runtime, describe_config)
