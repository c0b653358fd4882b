"""wan-copy region (gfsh.md §6.10)."""

from __future__ import annotations

import click

from heliograph.errors import UsageError
from heliograph.gfsh.following import follow
from heliograph.gfsh.grammar import BOOLEAN, command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result

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
    from heliograph.locator.site_wan_copy import COPIED

    client = session.client
    pair = {"region": region, "sender_id": sender_id}
    if cancel:
        return client.call("DELETE", PATH, query=pair)
    if "*" in (region, sender_id):
        raise UsageError("* stands for all copies, with --cancel only: name a region and a gateway sender")
    request = WanCopyRequest(region=region, sender_id=sender_id, max_rate=max_rate, batch_size=batch_size)
    return follow(
        session,
        "copying",
        COPIED,
        PATH,
        begin=lambda: client.call("POST", PATH, request),
        cancel=lambda _: client.call("DELETE", PATH, query=pair),
    )


COMMANDS = (wan_copy_region,)
