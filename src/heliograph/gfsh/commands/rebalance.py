"""rebalance (gfsh.md §4.8)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import msgspec

from heliograph.gfsh.grammar import BOOLEAN, TEXT_LIST, command
from heliograph.gfsh.progress import shown
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, failed

if TYPE_CHECKING:
    from heliograph.admin.client import AdminClient

LOOK_S = 0.2
PATH = "/rebalance"
TIME = "Total time (in milliseconds) for this rebalance"


@command("rebalance")
@click.option("--include-region", type=TEXT_LIST, default=(), help="Only these regions.")
@click.option("--exclude-region", type=TEXT_LIST, default=(), help="All but these regions.")
@click.option("--simulate", type=BOOLEAN, default=False, help="Only show what would be moved. [default: false]")
@click.option(
    "--time-out", type=click.INT, default=-1,
    help="Seconds after which the command returns, while buckets go on being moved; -1 waits. [default: -1]",
)  # fmt: skip
@click.pass_obj
def rebalance(
    session: Session, include_region: tuple[str, ...], exclude_region: tuple[str, ...], simulate: bool, time_out: int
) -> Result:
    """Give every server its share of the buckets. An interrupt leaves them where they are by then."""
    from heliograph.locator.requests import RebalanceRequest

    request = RebalanceRequest(include_region=include_region, exclude_region=exclude_region, simulate=simulate)
    client = session.client
    began = time.monotonic()
    result = client.call("POST", PATH, request)
    if simulate or result.status == "ERROR":
        return result
    try:
        with shown(not session.printer.json, "rebalancing") as show:
            left = wait_until_placed(client, show, began + time_out if time_out > 0 else None)
    except KeyboardInterrupt:
        stopped = client.call("DELETE", PATH)
        return failed("\n".join(["rebalance was interrupted", *stopped.info]))
    if left:
        again = f"{left} steps are left, and buckets go on being moved; `rebalance --simulate=true` shows what is left"
        return msgspec.structs.replace(result, info=[f"not done within {time_out} s: {again}"])
    took_ms = str(round((time.monotonic() - began) * 1000))
    tables = [msgspec.structs.replace(table, rows=[*table.rows, (TIME, took_ms)]) for table in result.tables]
    return msgspec.structs.replace(result, tables=tables)


def wait_until_placed(client: AdminClient, show: Callable[[int, int], None], deadline: float | None = None) -> int:
    """Wait until every bucket is where it should be or the time is over; return how many steps are left."""
    from heliograph.locator.requests import REMAINING

    total = 0
    while True:
        looked = client.call("GET", PATH)
        left = int(looked.data[REMAINING]) if looked.status == "OK" else None
        if left is not None:
            total = max(total, left)
            show(total - left, total)
        if left == 0 or (deadline is not None and time.monotonic() >= deadline):
            return left or 0
        time.sleep(LOOK_S)


COMMANDS = (rebalance,)
