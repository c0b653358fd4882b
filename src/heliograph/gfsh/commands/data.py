"""put, get, locate, remove: single entries, with keys and values as text."""

from __future__ import annotations

import click

from heliograph.errors import UsageError
from heliograph.gfsh.commands.regions import region_path
from heliograph.gfsh.grammar import BOOLEAN, command, refused
from heliograph.gfsh.session import Session
from heliograph.locator.requests import EntryValue
from heliograph.model import refusals
from heliograph.model.results import Result

_region = click.option("--region", required=True, help="The region.")
_key = click.option("--key", required=True, help="The key, a text.")


@command("put")
@_region
@_key
@click.option("--value", required=True, help="The value, a text.")
@click.option("--if-not-exists", type=BOOLEAN, default=False, help="Leave an entry that exists. [default: false]")
@click.pass_obj
def put(session: Session, region: str, key: str, value: str, if_not_exists: bool) -> Result:
    """Put an entry."""
    query: dict[str, str | bool] = {"key": key, "if_not_exists": if_not_exists}
    return session.client.call("PUT", f"{region_path(region)}/entry", EntryValue(value=value), query)


@command("get")
@_region
@_key
@click.pass_obj
def get(session: Session, region: str, key: str) -> Result:
    """Show the value of a key."""
    return session.client.call("GET", f"{region_path(region)}/entry", query={"key": key})


@command("locate entry")
@_region
@_key
@refused(refusals.LOCATE_ENTRY)
@click.pass_obj
def locate_entry(session: Session, region: str, key: str) -> Result:
    """Show which servers have an entry."""
    return session.client.call("GET", f"{region_path(region)}/entry/locations", query={"key": key})


@command("remove")
@_region
@click.option("--key", help="The key, a text.")
@click.option(
    "--all", "every", type=BOOLEAN, default=False,
    help="Remove every entry, at this site only, instead of one. [default: false]",
)  # fmt: skip
@click.pass_obj
def remove(session: Session, region: str, key: str | None, every: bool) -> Result:
    """Remove an entry, or all."""
    if every != (key is None):
        raise UsageError("remove needs either --key or --all")
    if key is None:
        return session.client.call("DELETE", f"{region_path(region)}/entries")
    return session.client.call("DELETE", f"{region_path(region)}/entry", query={"key": key})


COMMANDS = (put, get, locate_entry, remove)
