"""put, get, locate, remove: single entries, with keys and values as text, or as what a class says that they are."""

from __future__ import annotations

import click

from heliograph.errors import UsageError
from heliograph.gfsh.commands.regions import region_path
from heliograph.gfsh.grammar import BOOLEAN, command, refused
from heliograph.gfsh.session import Session
from heliograph.locator.requests import EntryValue
from heliograph.model import refusals
from heliograph.model.classes import KEY_CLASSES, VALUE_CLASSES, read_value
from heliograph.model.results import Result


def _listed(classes: tuple[str, ...]) -> str:
    return ", ".join(each.rpartition(".")[2] for each in classes)


_region = click.option("--region", required=True, help="The region.")
_key = click.option("--key", required=True, help="The key, a text unless there is a --key-class.")
_key_class = click.option("--key-class", default="", help=f"What the key is: {_listed(KEY_CLASSES)}. [default: String]")
_KEPT = "Leave an entry that exists. [default: false]"


@command("put")
@_region
@_key
@click.option("--value", required=True, help="The value, a text; or a JSON object, written as ('field':'value').")
@_key_class
@click.option("--value-class", default="", help=f"What the value is: {_listed(VALUE_CLASSES)}. [default: String]")
@click.option("--if-not-exists", "--skip-if-exists", "if_not_exists", type=BOOLEAN, default=False, help=_KEPT)
@click.pass_obj
def put(
    session: Session, region: str, key: str, value: str, key_class: str, value_class: str, if_not_exists: bool
) -> Result:
    """Put an entry."""
    path, client = f"{region_path(region)}/entry", session.client
    try:
        meant = read_value(value, value_class)
    except UsageError as exc:  # which is an answer about the entry, as those of the site are
        return Result(data={"Result": "false", "Message": str(exc), "Key": key})
    query = {**_query(key, key_class), "if_not_exists": if_not_exists}
    return client.call("PUT", path, EntryValue(value=meant), query)


def _query(key: str, key_class: str) -> dict[str, str | bool]:
    return {"key": key, **({"key_class": key_class} if key_class else {})}


@command("get")
@_region
@_key
@_key_class
@refused(refusals.GET)
@click.pass_obj
def get(session: Session, region: str, key: str, key_class: str) -> Result:
    """Show the value of a key."""
    return session.client.call("GET", f"{region_path(region)}/entry", query=_query(key, key_class))


@command("locate entry")
@_region
@_key
@_key_class
@refused(refusals.LOCATE_ENTRY)
@click.pass_obj
def locate_entry(session: Session, region: str, key: str, key_class: str) -> Result:
    """Show which servers have an entry."""
    return session.client.call("GET", f"{region_path(region)}/entry/locations", query=_query(key, key_class))


@command("remove")
@_region
@click.option("--key", help="The key, a text unless there is a --key-class.")
@click.option(
    "--all", "every", type=BOOLEAN, default=False,
    help="Remove every entry, at this site only, instead of one. [default: false]",
)  # fmt: skip
@_key_class
@click.pass_obj
def remove(session: Session, region: str, key: str | None, every: bool, key_class: str) -> Result:
    """Remove an entry, or all."""
    if every != (key is None):
        raise UsageError("remove needs either --key or --all")
    if key is None:
        return session.client.call("DELETE", f"{region_path(region)}/entries")
    return session.client.call("DELETE", f"{region_path(region)}/entry", query=_query(key, key_class))


COMMANDS = (put, get, locate_entry, remove)
