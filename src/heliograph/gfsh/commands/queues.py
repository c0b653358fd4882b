"""The async-event-queue commands (gfsh.md §7)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from heliograph.errors import UsageError
from heliograph.gfsh.commands.senders import PLUGINS_SPELLED
from heliograph.gfsh.commands.targets import query_of, targets
from heliograph.gfsh.grammar import BOOLEAN, attributes, command, given, refused
from heliograph.gfsh.session import Session
from heliograph.locator.requests import QueueAction, QueueAlteration
from heliograph.model import refusals
from heliograph.model.ids import check_name
from heliograph.model.plugins import with_parameters
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.results import Result

_HELPS = {
    "id": "Name of the queue.",
    "listener": 'What processes its events: module:object, with parameters as module:object{"name": value}.',
    "parallel": "Process events at every member that holds primary buckets, instead of at one.",
    "batch_size": "Most events that the listener is given at once; -1: no limit.",
    "batch_time_interval": "Longest wait (ms) for events to be so many; 0 or -1: never wait.",
    "enable_batch_conflation": "Of several updates of a key that wait, process only the newest.",
    "persistent": "Keep the queue when no server of the site is left.",
    "disk_store": "Has to be that of the queue's regions, whose log is the queue.",
    "max_queue_memory": "Queued events held in memory, in MB.",
    "dispatcher_threads": "Batches that are processed at the same time.",
    "order_policy": "What stays in order between them.",
    "gateway_event_filters": "What decides which events are processed: plug-ins, separated by commas.",
    "gateway_event_substitution_filter": "What gives the values that are processed in the place of the entries' own.",
    "pause_event_processing": "Begin paused.",
    "groups": "Only on the servers of these groups; of a serial one.",
}
_id = click.option("--id", "queue", required=True, help=_HELPS["id"])


def _path(queue: str) -> str:
    return f"/async-event-queues/{quote(check_name('async event queue', queue.strip()))}"


@command("create async-event-queue")
@attributes(AsyncEventQueueAttributes, _HELPS, spelled={"groups": ("group", "groups"), **PLUGINS_SPELLED})
@click.option(
    "--listener-param", "parameters", multiple=True,
    help="A parameter of the listener that is a text: name#value; may be given several times.",
)  # fmt: skip
@refused(refusals.QUEUE)
@click.pass_obj
def create_queue(session: Session, /, parameters: tuple[str, ...], **options: Any) -> Result:
    """Create an async event queue on every server of the site."""
    options["listener"] = with_parameters("listener", options["listener"], _read(parameters))
    return session.client.call("POST", "/async-event-queues", AsyncEventQueueAttributes(**given(options)))


def _read(parameters: tuple[str, ...]) -> dict[str, Any]:
    """Read `name#value`, several of which may be separated by commas. Raises UsageError."""
    read: dict[str, Any] = {}
    for each in (part for some in parameters for part in some.split(",") if part.strip()):
        name, found, value = each.strip().partition("#")
        if not found or not name:
            raise UsageError(f"--listener-param={each}: write name#value")
        if name in read:
            raise UsageError(f"--listener-param={each}: {name} is given twice")
        read[name] = value
    return read


@command("alter async-event-queue")
@_id
@attributes(QueueAlteration, _HELPS)
@click.option("--if-exists", type=BOOLEAN, default=False, help="Succeed when there is none. [default: false]")
@click.pass_obj
def alter_queue(session: Session, /, queue: str, if_exists: bool, **options: Any) -> Result:
    """Change an async event queue while it works."""
    alteration = QueueAlteration(**given(options))
    return session.client.call("PATCH", _path(queue), alteration, {"if_exists": if_exists})


@command("destroy async-event-queue")
@_id
@click.option("--if-exists", type=BOOLEAN, default=False, help="Succeed when there is none. [default: false]")
@refused(refusals.DESTROY_QUEUE)
@click.pass_obj
def destroy_queue(session: Session, queue: str, if_exists: bool) -> Result:
    """Destroy an async event queue that no region uses."""
    return session.client.call("DELETE", _path(queue), query={"if_exists": if_exists})


@command("list async-event-queues")
@click.pass_obj
def list_queues(session: Session) -> Result:
    """List the async event queues of the site."""
    return session.client.call("GET", "/async-event-queues")


@command("status async-event-queue")
@_id
@targets
@click.pass_obj
def status_queue(session: Session, queue: str, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
    """Show the state of an async event queue on every member."""
    return session.client.call("GET", _path(queue), query=query_of(members=members, groups=groups))


_ACTION_HELPS: dict[QueueAction, str] = {
    "pause": "Give the listener no events; they are queued.",
    "resume": "Give the listener events again.",
}


def _action(action: QueueAction) -> click.Command:
    @command(f"{action} async-event-queue-dispatcher")
    @_id
    @targets
    @click.pass_obj
    def act(session: Session, queue: str, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
        query = query_of(members=members, groups=groups)
        return session.client.call("POST", f"{_path(queue)}/actions/{action}", query=query)

    act.help = _ACTION_HELPS[action]
    return act


COMMANDS = (create_queue, alter_queue, destroy_queue, list_queues, status_queue, *map(_action, _ACTION_HELPS))
