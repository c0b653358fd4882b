"""The disk-store commands (gfsh.md §5)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from heliograph.gfsh.grammar import BOOLEAN, attributes, command, given, refused
from heliograph.gfsh.session import Session
from heliograph.locator.requests import StoreAlteration
from heliograph.model import refusals
from heliograph.model.attributes import DiskStoreAttributes
from heliograph.model.ids import check_name
from heliograph.model.results import Result

_HELPS = {
    "name": "Name of the disk store.",
    "max_disk": "MB that the log and the snapshots of its regions may take before writes are refused; 0: no limit.",
}
_name = click.option("--name", required=True, help=_HELPS["name"])


def _path(name: str) -> str:
    return f"/disk-stores/{quote(check_name('disk store', name.strip()))}"


@command("create disk-store")
@attributes(DiskStoreAttributes, _HELPS)
@refused(refusals.DISK_STORE)
@click.pass_obj
def create_store(session: Session, /, **options: Any) -> Result:
    """Create a disk store: a log of its own, for regions that name it."""
    return session.client.call("POST", "/disk-stores", DiskStoreAttributes(**given(options)))


@command("alter disk-store")
@_name
@attributes(StoreAlteration, _HELPS)
@refused(refusals.ALTER_DISK_STORE)
@click.pass_obj
def alter_store(session: Session, /, name: str, **options: Any) -> Result:
    """Give a disk store another limit, while it is in use."""
    return session.client.call("PATCH", _path(name), StoreAlteration(**given(options)))


@command("destroy disk-store")
@_name
@click.option("--if-exists", type=BOOLEAN, default=False, help="Succeed when there is none. [default: false]")
@refused(refusals.ON_ALL_SERVERS)
@click.pass_obj
def destroy_store(session: Session, name: str, if_exists: bool) -> Result:
    """Destroy a disk store that no region uses."""
    return session.client.call("DELETE", _path(name), query={"if_exists": if_exists})


@command("list disk-stores")
@click.pass_obj
def list_stores(session: Session) -> Result:
    """List the disk stores of the site."""
    return session.client.call("GET", "/disk-stores")


@command("describe disk-store")
@_name
@refused(refusals.ON_ALL_SERVERS)
@click.pass_obj
def describe_store(session: Session, name: str) -> Result:
    """Show a disk store's limit, how much of it is used, and the regions in it."""
    return session.client.call("GET", _path(name))


COMMANDS = (create_store, alter_store, destroy_store, list_stores, describe_store)
