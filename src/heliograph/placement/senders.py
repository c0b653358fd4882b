"""Which servers have an instance of a gateway sender (`GatewaySenderAttributes.members`, `.groups`), and run it."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.errors import UsageError
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.members import MemberInfo


def hosts(sender: GatewaySenderAttributes, member: MemberInfo) -> bool:
    """Say whether a member has an instance of the sender."""
    return member.kind == "server" and sender.runs_on(member.name, member.groups)


def leads_out(sender: GatewaySenderAttributes, servers: Iterable[MemberInfo], at: str = "") -> bool:
    """Say whether events leave through the sender as things are: one that is stopped where they would is no way out.

    A serial one ships everything from any one server that runs it. A parallel one ships a bucket from its primary:
    that is `at`, or, "", any of those that have an instance, and then it has to run at all of them. A paused one runs.
    """
    running = {server.name: sender.id in server.running_senders for server in servers if hosts(sender, server)}
    if not sender.parallel:
        return any(running.values())
    return running.get(at, False) if at else bool(running) and all(running.values())


def check_sender_servers(sender: GatewaySenderAttributes, members: Iterable[MemberInfo]) -> None:
    """Raise UsageError when a sender names a server that is not there, or only groups that no server is in."""
    servers = [member for member in members if member.kind == "server"]
    live = {server.name.lower() for server in servers}
    missing = [name for name in sender.members if name.lower() not in live]
    if missing:
        raise UsageError(f"no members found: no server of this site is called {', '.join(missing)}; start it first")
    if sender.groups and not any(hosts(sender, server) for server in servers):
        raise UsageError(f"no members found: no server of this site is in {', '.join(sender.groups)}")
