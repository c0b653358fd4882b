"""wan-copy region (gfsh.md §6.10)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import msgspec

from heliograph.errors import UsageError
from heliograph.gfsh.grammar import BOOLEAN, command
from heliograph.gfsh.progress import shown
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, failed

if TYPE_CHECKING:
    from heliograph.admin.client import AdminClient

LOOK_S = 0.2
LOOKS_MAX = 150
"""So many looks may fail one after the other: the locator may be cut off from the engine for a moment."""
PATH = "/wan-copies"


@command("wan-copy region")
@click.option("--region", required=True, help="Region whose entries are copied; with --cancel, * for all copies.")
@click.option(
    "--sender-id", required=True, help="Gateway sender to whose remote site; with --cancel, * for all copies."
)
@click.option(
    "--max-rate", type=click.IntRange(min=0), default=0,
    help="Most entries a second that each server copies; 0: no limit. [default: 0]",
)  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=1000, help="Entries of a batch. [default: 1000]")
@click.option("--cancel", type=BOOLEAN, default=False, help="Cancel such a copy that is under way. [default: false]")
@click.pass_obj
def wan_copy_region(
    session: Session, region: str, sender_id: str, max_rate: int, batch_size: int, cancel: bool
) -> Result:
    """Copy what a region holds to a gateway sender's remote site, where newer entries stay. An interrupt cancels it."""
    from heliograph.locator.requests import WanCopyRequest
    from heliograph.locator.site_wan_copy import MEMBERS, RUN, RUNNING

    client = session.client
    pair = {"region": region, "sender_id": sender_id}
    if cancel:
        return client.call("DELETE", PATH, query=pair)
    if "*" in (region, sender_id):
        raise UsageError("* stands for all copies, with --cancel only: name a region and a gateway sender")
    request = WanCopyRequest(region=region, sender_id=sender_id, max_rate=max_rate, batch_size=batch_size)
    try:
        started = client.call("POST", PATH, request)
        if RUN not in started.data:
            return started
        with shown(not session.printer.json, "copying") as show:
            ended = started if started.data[RUNNING] == "0" else _wait(client, started, show)
    except KeyboardInterrupt:
        stopped = client.call("DELETE", PATH, query=pair)
        result = failed("wan-copy region was interrupted, and is cancelled")
        return msgspec.structs.replace(result, tables=stopped.tables)
    shown_data = {name: value for name, value in ended.data.items() if name not in (RUN, MEMBERS, RUNNING)}
    return msgspec.structs.replace(ended, data=shown_data)


def _wait(client: AdminClient, started: Result, show: Callable[[int, int], None]) -> Result:
    """Look how far the servers are until none copies any more; return the last look."""
    from heliograph.locator.site_wan_copy import COPIED, ENTRIES, MEMBERS, RUN, RUNNING

    failures = 0
    while True:
        looked = client.call("GET", f"{PATH}/{started.data[RUN]}", query={"member": started.data[MEMBERS]})
        if RUNNING in looked.data:
            failures = 0
            show(int(looked.data[COPIED]), int(looked.data[ENTRIES]))
            if looked.data[RUNNING] == "0":
                return looked
        else:
            failures += 1
            if failures > LOOKS_MAX:
                return looked
        time.sleep(LOOK_S)


COMMANDS = (wan_copy_region,)
