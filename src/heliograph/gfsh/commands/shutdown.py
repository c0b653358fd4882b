"""shutdown (gfsh.md §3.4)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from heliograph.errors import HeliographError, UnavailableError
from heliograph.gfsh.consent import agreed
from heliograph.gfsh.grammar import BOOLEAN, command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, Table, failed

if TYPE_CHECKING:
    from heliograph.admin.client import AdminClient

TIME_OUT_S_MIN = 10
LOOK_S = 0.1
QUESTION = "Every server of the site ends, and with them what is not persistent. Do you really want to shut it down?"


@command("shutdown")
@click.option("--time-out", type=click.INT, default=TIME_OUT_S_MIN, help="Seconds that each may take. [default: 10]")
@click.option("--include-locators", type=BOOLEAN, default=False, help="The locators end, too. [default: false]")
@click.pass_obj
def shutdown(session: Session, time_out: int, include_locators: bool) -> Result:
    """End every server of the site, one after the other, and, if told to, the locators, the connected one last."""
    client = session.client
    if time_out < TIME_OUT_S_MIN:
        return Result(info=[f"Nothing was stopped: --time-out is {TIME_OUT_S_MIN} seconds at least."])
    order = client.call("GET", "/shutdown", query={"include_locators": include_locators})
    if order.status == "ERROR":
        return order
    members = [(name, kind) for name, kind in order.tables[0].rows]
    if not members:
        return Result(info=["There is no server to stop; --include-locators=true stops the locators."])
    if not agreed(QUESTION):
        return failed("nothing was stopped")
    rows = _end_all(client, members, time_out, order.data["Connected"])
    if rows[-1][0] == order.data["Connected"] and rows[-1][1] == "OK":
        session.disconnect()
    stopped = all(status == "OK" for _, status, _ in rows)
    return Result(status="OK" if stopped else "ERROR", tables=[Table(("Member", "Status", "Message"), rows)])


def _end_all(
    client: AdminClient, members: Sequence[tuple[str, str]], time_out: int, connected: str
) -> list[tuple[str, ...]]:
    """Have members end, one after the other, and return their rows; an interrupt leaves the others running."""
    rows: list[tuple[str, ...]] = []
    interrupted = False
    for name, kind in members:
        if interrupted:
            rows.append((name, "ERROR", "left running, after the interrupt"))
            continue
        if kind == "locator" and any(status != "OK" for _, status, _ in rows):
            rows.append((name, "ERROR", "left running, for a member before it is"))
            continue
        try:
            rows.append((name, *_end(client, name, time_out, last=name == connected)))
        except KeyboardInterrupt:
            interrupted = True
            rows.append((name, "ERROR", f"interrupted while {name} was stopping, which it may go on with"))
    return rows


def _end(client: AdminClient, name: str, time_out: int, *, last: bool) -> tuple[str, str]:
    """Have a member end; return the row's status and message. last: who answers us ends with it."""
    try:
        path = f"/members/{quote(name, safe='')}/shutdown"
        result = client.call("POST", path, query={"time_out": str(time_out)})
        if result.status == "ERROR":
            return "ERROR", "; ".join(result.info)
        if last:
            gone = _unreachable(client, time_out)
            return (
                ("OK", f"{name} no longer answers")
                if gone
                else ("ERROR", f"{name} was asked to stop and answers still")
            )
    except HeliographError as exc:
        return "ERROR", str(exc)
    return "OK", f"{name} was stopped"


def _unreachable(client: AdminClient, time_out: int) -> bool:
    deadline = time.monotonic() + time_out
    while time.monotonic() < deadline:
        try:
            client.call("GET", "/ping")
        except UnavailableError:
            return True
        time.sleep(LOOK_S)
    return False


COMMANDS = (shutdown,)
