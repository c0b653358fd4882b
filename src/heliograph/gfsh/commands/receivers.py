"""The gateway-receiver commands and `list gateways` (gfsh.md §6.7 to §6.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from heliograph.gfsh.commands.targets import query_of, targets
from heliograph.gfsh.grammar import BOOLEAN, attributes, command, given
from heliograph.gfsh.session import Session
from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.model.results import Result

if TYPE_CHECKING:
    from heliograph.link.messages import ReceiverAction


@command("create gateway-receiver")
@attributes(
    GatewayReceiverAttributes,
    {
        "start_port": "First port that it may listen on.",
        "end_port": "Last port that it may listen on.",
        "bind_address": "Interface that it listens on; by default every one.",
        "hostname_for_senders": "Host that other sites are told; by default the bind address, else what the server "
        "tells clients, else 127.0.0.1: give it when other sites are on other machines.",
        "maximum_time_between_pings": "A sender's connection silent for so long (ms) is closed.",
        "socket_buffer_size": "Bytes of the send and receive buffers of its links; 0: the system tunes them.",
        "manual_start": "Do not start it now.",
        "gateway_transport_filters": "What the bytes of batches go through; the same as of the senders that lead here.",
    },
    spelled={"gateway_transport_filters": ("gateway-transport-filter",)},
    without=("member", "group"),
)
@targets
@click.option("--if-not-exists", type=BOOLEAN, default=False, help="Succeed when there is one. [default: false]")
@click.pass_obj
def create_receiver(
    session: Session, /, if_not_exists: bool, members: tuple[str, ...], groups: tuple[str, ...], **options: Any
) -> Result:
    """Create a gateway receiver on every server of the site, or some."""
    return session.client.call(
        "POST",
        "/gateway-receivers",
        GatewayReceiverAttributes(**given(options)),
        {"if_not_exists": if_not_exists, **query_of(members=members, groups=groups)},
    )


@command("destroy gateway-receiver")
@click.option("--if-exists", type=BOOLEAN, default=False, help="Succeed when there is none. [default: false]")
@targets
@click.pass_obj
def destroy_receiver(session: Session, if_exists: bool, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
    """Stop and destroy the gateway receivers of the site, or of some servers."""
    query = {"if_exists": if_exists, **query_of(members=members, groups=groups)}
    return session.client.call("DELETE", "/gateway-receivers", query=query)


@command("status gateway-receiver")
@targets
@click.pass_obj
def status_receiver(session: Session, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
    """Show the state of every member's gateway receiver."""
    return session.client.call("GET", "/gateway-receivers", query=query_of(members=members, groups=groups))


_ACTION_HELPS: dict[ReceiverAction, str] = {
    "start": "Start the gateway receivers.",
    "stop": "Stop the gateway receivers.",
}


def _action(action: ReceiverAction) -> click.Command:
    @command(f"{action} gateway-receiver")
    @targets
    @click.pass_obj
    def act(session: Session, members: tuple[str, ...], groups: tuple[str, ...]) -> Result:
        return session.client.call(
            "POST", f"/gateway-receivers/actions/{action}", query=query_of(members=members, groups=groups)
        )

    act.help = _ACTION_HELPS[action]
    return act


@command("list gateways")
@click.option("--senders-only", type=BOOLEAN, default=False, help="No receivers. [default: false]")
@click.option("--receivers-only", type=BOOLEAN, default=False, help="No senders. [default: false]")
@targets
@click.pass_obj
def list_gateways(
    session: Session, senders_only: bool, receivers_only: bool, members: tuple[str, ...], groups: tuple[str, ...]
) -> Result:
    """List the gateway senders and receivers of the site."""
    return session.client.call(
        "GET",
        "/gateways",
        query={
            "senders_only": senders_only,
            "receivers_only": receivers_only,
            **query_of(members=members, groups=groups),
        },
    )


COMMANDS = (create_receiver, destroy_receiver, status_receiver, *map(_action, _ACTION_HELPS), list_gateways)
