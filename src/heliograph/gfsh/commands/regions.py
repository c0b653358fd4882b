"""create, alter, destroy, list and describe region."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from heliograph.gfsh.commands.targets import query_of, targets
from heliograph.gfsh.grammar import BOOLEAN, attributes, command, given, refused
from heliograph.gfsh.session import Session
from heliograph.locator.requests import RegionAlteration
from heliograph.model import refusals
from heliograph.model.attributes import REGION_TYPES, RegionAttributes
from heliograph.model.ids import check_region_name
from heliograph.model.results import Result

_SENDER_IDS = {"gateway_sender_ids": ("gateway-sender-id",), "async_event_queue_ids": ("async-event-queue-id",)}
_EXPIRATION = {
    "entry_time_to_live_expiration": "Seconds after its last write that an entry expires; 0 for never.",
    "entry_time_to_live_expiration_action": "What becomes of it then.",
    "entry_idle_time_expiration": "Seconds after its last read or write that an entry expires; 0 for never.",
    "entry_idle_time_expiration_action": "What becomes of it then.",
}
_ACTIONS = {field: ("DESTROY", "INVALIDATE") for field in _EXPIRATION if field.endswith("_action")}
_name = click.option("--name", required=True, help="The region.")


def region_path(name: str) -> str:
    """Return the path of a region in the admin API."""
    return f"/regions/{quote(check_region_name(name))}"


@command("create region")
@attributes(
    RegionAttributes,
    {
        "name": "The region.",
        "type": "What it is and how many copies there are.",
        "gateway_sender_ids": "Gateway senders that ship its events to other sites.",
        "async_event_queue_ids": "Async event queues whose listeners process its events.",
        "redundant_copies": "Copies of every bucket besides the primary one, 0 to 3; by default what the type says.",
        "total_num_buckets": "Buckets that it is divided into.",
        "disk_store": "Disk store that its log and snapshots are in.",
        "colocated_with": "A partitioned region whose buckets its own are always together with.",
        "partition_resolver": "What decides which keys share a bucket: module:function, or string-prefix.",
        "groups": "Only the servers of these groups hold it; by default all.",
        **_EXPIRATION,
    },
    spelled={"groups": ("group", "groups"), **_SENDER_IDS},
    choices={"type": REGION_TYPES, **_ACTIONS},
)
@refused(refusals.REGION)
@click.option(
    "--if-not-exists", "--skip-if-exists", "if_not_exists", type=BOOLEAN, default=False,
    help="Succeed when the region exists. [default: false]",
)  # fmt: skip
@click.pass_obj
def create_region(session: Session, /, if_not_exists: bool, **options: Any) -> Result:
    """Create a region, which every server of the site holds or those of some groups."""
    region = RegionAttributes(**given(options))
    return session.client.call("POST", "/regions", region, {"if_not_exists": if_not_exists})


@command("alter region")
@_name
@attributes(
    RegionAlteration,
    {
        "gateway_sender_ids": "The gateway senders that it has from now on; an empty value removes all.",
        "async_event_queue_ids": "The async event queues that it has from now on; an empty value removes all.",
        **_EXPIRATION,
    },
    spelled=_SENDER_IDS,
    choices=_ACTIONS,
)
@refused(refusals.ALTER_REGION)
@click.pass_obj
def alter_region(session: Session, /, name: str, **options: Any) -> Result:
    """Change a region's gateway senders and async event queues, or when its entries expire."""
    return session.client.call("PATCH", region_path(name), RegionAlteration(**given(options)))


@command("destroy region")
@_name
@click.option("--if-exists", type=BOOLEAN, default=False, help="Succeed when there is none. [default: false]")
@click.pass_obj
def destroy_region(session: Session, name: str, if_exists: bool) -> Result:
    """Destroy a region and its entries at this site."""
    return session.client.call("DELETE", region_path(name), query={"if_exists": if_exists})


@command("list regions")
@targets
@click.pass_obj
def list_regions(session: Session, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
    """List the regions of the site, or those that some members may hold."""
    return session.client.call("GET", "/regions", query=query_of(members=members, groups=groups))


@command("describe region")
@_name
@click.pass_obj
def describe_region(session: Session, name: str) -> Result:
    """Show a region's attributes and hosting members."""
    return session.client.call("GET", region_path(name))


COMMANDS = (create_region, alter_region, destroy_region, list_regions, describe_region)
