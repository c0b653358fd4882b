"""put, get, locate, remove: single entries, with keys as text, and values as text or JSON objects."""

from __future__ import annotations

from typing import Any

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
_JSON_SIGNS = str.maketrans("()'", '{}"')


def read_value(text: str) -> str | dict[str, Any]:
    """Return what is meant: in a text that begins with `('` parentheses and single quotes stand for JSON's own signs.

    Raises UsageError when that is no JSON object (gfsh.md §4.5).
    """
    if not text.startswith("('"):
        return text
    import msgspec

    from heliograph.model.decoding import MALFORMED

    try:
        return msgspec.json.decode(text.translate(_JSON_SIGNS), type=dict[str, Any])
    except MALFORMED as exc:
        raise UsageError(f"--value={text} begins as a JSON object does, ('field':'value'), and is none: {exc}") from exc


@command("put")
@_region
@_key
@click.option("--value", required=True, help="The value, a text; or a JSON object, written as ('field':'value').")
@click.option("--if-not-exists", type=BOOLEAN, default=False, help="Leave an entry that exists. [default: false]")
@click.pass_obj
def put(session: Session, region: str, key: str, value: str, if_not_exists: bool) -> Result:
    """Put an entry."""
    query: dict[str, str | bool] = {"key": key, "if_not_exists": if_not_exists}
    return session.client.call("PUT", f"{region_path(region)}/entry", EntryValue(value=read_value(value)), query)


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
