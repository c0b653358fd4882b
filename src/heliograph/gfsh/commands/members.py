"""list members, describe member."""

from __future__ import annotations

from urllib.parse import quote

import click
import msgspec

from heliograph.gfsh.commands.targets import query_of
from heliograph.gfsh.grammar import TEXT_LIST, command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result


@command("list members")
@click.option("--group", "--groups", "groups", type=TEXT_LIST, default=(), help="Only members of these groups.")
@click.pass_obj
def list_members(session: Session, groups: tuple[str, ...]) -> Result:
    """List the members of the site, locators included."""
    listed = session.client.call("GET", "/members", query=query_of(groups=groups))
    return msgspec.structs.replace(listed, data={})  # which has their groups, for completion


@command("describe member")
@click.option("--name", required=True, help="The member.")
@click.pass_obj
def describe_member(session: Session, name: str) -> Result:
    """Show what is known about a member."""
    return session.client.call("GET", f"/members/{quote(name, safe='')}")


COMMANDS = (list_members, describe_member)
