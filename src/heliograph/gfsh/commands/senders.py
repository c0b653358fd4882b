"""The gateway-sender commands (gfsh.md §6.1 to §6.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from heliograph.errors import UsageError
from heliograph.gfsh.commands.targets import query_of, targets
from heliograph.gfsh.grammar import BOOLEAN, attributes, command, given, refused
from heliograph.gfsh.session import Session
from heliograph.locator.requests import SenderAlteration
from heliograph.model import refusals
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.ids import check_name
from heliograph.model.results import Result

if TYPE_CHECKING:
    from heliograph.link.messages import SenderAction

_HELPS = {
    "id": "Name of the gateway sender.",
    "remote_distributed_system_id": "Site that it feeds.",
    "parallel": "Ship from every member that holds primary buckets, instead of from one.",
    "manual_start": "Do not start it now.",
    "batch_size": "Most events of a batch; -1: no limit.",
    "batch_time_interval": "Longest wait (ms) for a batch to fill; 0 or -1: never wait.",
    "enable_batch_conflation": "Of several updates of a key that wait in the queue, ship only the newest.",
    "enable_persistence": "Keep the queue when no server of the site is left.",
    "disk_store_name": "Has to be that of the sender's regions, whose log is the queue.",
    "alert_threshold": "Warn of events that are older than this (ms) when they are acknowledged; 0: never.",
    "maximum_queue_memory": "Queued events held in memory, in MB.",
    "dispatcher_threads": "Connections that ship at the same time.",
    "order_policy": "What stays in order: events of a key, a bucket, or (of a serial one) a thread.",
    "gateway_event_filters": "What decides which events are shipped: module:object, with parameters as "
    'module:object{"name": value}; several are separated by commas.',
    "gateway_event_substitution_filter": "What gives the values that are shipped in the place of the entries' own.",
    "gateway_transport_filters": "What the bytes of batches go through; the same as of the receivers that it leads to.",
    "socket_buffer_size": "Bytes of the send and receive buffers of its links; 0: the system tunes them.",
    "socket_read_timeout": "Give a link up that brings nothing for so long (ms), at least 30000; 0: after 15 s.",
    "members": "Only on these servers; of a serial one.",
    "groups": "Only on the servers of these groups; of a serial one.",
}
PLUGINS_SPELLED = {
    "gateway_event_filters": ("gateway-event-filter",),
    "gateway_transport_filters": ("gateway-transport-filter",),
}
_id = click.option("--id", "sender", required=True, help=_HELPS["id"])


def _path(sender: str) -> str:
    return f"/gateway-senders/{quote(check_name('gateway sender', sender.strip()))}"


@command("create gateway-sender")
@attributes(
    GatewaySenderAttributes,
    _HELPS,
    spelled={"members": ("member", "members"), "groups": ("group", "groups"), **PLUGINS_SPELLED},
)
@refused(refusals.SENDER)
@click.pass_obj
def create_sender(session: Session, /, **options: Any) -> Result:
    """Create a gateway sender on every server of the site."""
    threads = options["dispatcher_threads"]
    if not options["parallel"] and threads is not None and threads > 1 and options["order_policy"] is None:
        raise UsageError(f"--dispatcher-threads={threads} of a serial gateway sender needs --order-policy, too")
    return session.client.call("POST", "/gateway-senders", GatewaySenderAttributes(**given(options)))


@command("alter gateway-sender")
@_id
@attributes(
    SenderAlteration,
    {**_HELPS, "gateway_event_filters": "The event filters that it has from now on; CLEAR: none."},
    spelled=PLUGINS_SPELLED,
)
@refused(refusals.ALTER_SENDER)
@click.pass_obj
def alter_sender(session: Session, /, sender: str, **options: Any) -> Result:
    """Change a gateway sender while it runs."""
    return session.client.call("PATCH", _path(sender), SenderAlteration(**given(options)))


@command("destroy gateway-sender")
@_id
@targets
@click.option("--if-exists", type=BOOLEAN, default=False, help="Succeed when there is none. [default: false]")
@click.pass_obj
def destroy_sender(
    session: Session, sender: str, members: tuple[str, ...], groups: tuple[str, ...], if_exists: bool
) -> Result:
    """Destroy a gateway sender that no region uses; or, on some servers, a serial one that was created there."""
    query = query_of(members=members, groups=groups)
    return session.client.call("DELETE", _path(sender), query={**query, "if_exists": if_exists})


@command("status gateway-sender")
@_id
@targets
@click.pass_obj
def status_sender(session: Session, sender: str, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
    """Show the state of a gateway sender on every member."""
    return session.client.call("GET", _path(sender), query=query_of(members=members, groups=groups))


_ACTION_HELPS: dict[SenderAction, str] = {
    "stop": "Stop a gateway sender.",
    "pause": "Stop shipping; events are queued.",
    "resume": "Ship again after a pause.",
    "load-balance": "Spread a gateway sender's connections over the receivers anew.",
}


def _action(action: SenderAction) -> click.Command:
    @command(f"{action} gateway-sender")
    @_id
    @targets
    @click.pass_obj
    def act(session: Session, sender: str, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
        return _act(session, sender, action, query_of(members=members, groups=groups))

    act.help = _ACTION_HELPS[action]
    return act


@command("start gateway-sender")
@_id
@targets
@click.option(
    "--clean-queues", type=BOOLEAN, default=False, help="Drop what is queued first; of all servers. [default: false]"
)
@click.pass_obj
def start_sender(
    session: Session, sender: str, members: tuple[str, ...], groups: tuple[str, ...], clean_queues: bool
) -> Result:
    """Start a gateway sender."""
    query = query_of(members=members, groups=groups)
    return _act(session, sender, "start", {**query, "clean_queues": clean_queues})


def _act(session: Session, sender: str, action: SenderAction, query: dict[str, str | bool]) -> Result:
    return session.client.call("POST", f"{_path(sender)}/actions/{action}", query=query)


COMMANDS = (create_sender, alter_sender, destroy_sender, status_sender, start_sender, *map(_action, _ACTION_HELPS))
