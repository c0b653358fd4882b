"""The commands on parked events, which GemFire has not: what gateway senders keep that their remote site can't take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import click

from heliograph.gfsh.grammar import BOOLEAN, TEXT_LIST, command
from heliograph.gfsh.session import Session
from heliograph.locator.requests import ParkedChoice
from heliograph.model.ids import check_name
from heliograph.model.results import Result

F = TypeVar("F", bound=Callable[..., Any])


def _choice(function: F) -> F:
    sender = click.option("--id", "sender", required=True, help="Name of the gateway sender.")
    events = click.option("--event", "--events", "events", type=TEXT_LIST, default=(), help="Only these, by their ids.")
    every = click.option("--all", "every", type=BOOLEAN, default=False, help="All of them. [default: false]")
    return sender(events(every(function)))


def _path(sender: str) -> str:
    return f"/gateway-senders/{quote(check_name('gateway sender', sender.strip()))}/parked-events"


def _query(events: tuple[str, ...], every: bool) -> dict[str, str | bool]:
    choice = ParkedChoice(event=events, all=every)
    return {"all": True} if choice.all else {"event": ",".join(choice.event)}


@command("list parked-events")
@click.option("--id", "sender", default="", help="Only of this gateway sender.")
@click.pass_obj
def list_parked_events(session: Session, sender: str) -> Result:
    """List the events that gateway senders keep because their remote site can never take them."""
    return session.client.call("GET", _path(sender) if sender else "/parked-events")


@command("redrive parked-events")
@_choice
@click.pass_obj
def redrive_parked_events(session: Session, sender: str, events: tuple[str, ...], every: bool) -> Result:
    """Send parked events again, each with its own version: what is newer by now stays."""
    return session.client.call("POST", f"{_path(sender)}/redrive", query=_query(events, every))


@command("drop parked-events")
@_choice
@click.pass_obj
def drop_parked_events(session: Session, sender: str, events: tuple[str, ...], every: bool) -> Result:
    """Forget parked events: the remote site never gets them."""
    return session.client.call("DELETE", _path(sender), query=_query(events, every))


COMMANDS = (list_parked_events, redrive_parked_events, drop_parked_events)
