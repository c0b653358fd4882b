"""Which servers have an instance of a gateway sender (`GatewaySenderAttributes.members`, `.groups`)."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.errors import UsageError
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.members import MemberInfo


def hosts(sender: GatewaySenderAttributes, member: MemberInfo) -> bool:
    """Say whether a member has an instance of the sender."""
    return member.kind == "server" and sender.runs_on(member.name, member.groups)


def check_sender_servers(sender: GatewaySenderAttributes, members: Iterable[MemberInfo]) -> None:
    """Raise UsageError when a sender names a server that is not there, or only groups that no server is in."""
    servers = [member for member in members if member.kind == "server"]
    live = {server.name.lower() for server in servers}
    missing = [name for name in sender.members if name.lower() not in live]
    if missing:
        raise UsageError(f"no members found: no server of this site is called {', '.join(missing)}; start it first")
    if sender.groups and not any(hosts(sender, server) for server in servers):
        raise UsageError(f"no members found: no server of this site is in {', '.join(sender.groups)}")
