"""Member commands: list and describe (gfsh.md §3.4)."""

from __future__ import annotations

from heliograph.errors import HeliographError
from heliograph.link.messages import Status, StatusQuery
from heliograph.locator.cluster import Cluster, Targets
from heliograph.model.attributes import MB, QUEUE_PREFIX
from heliograph.model.results import Result, Table
from heliograph.placement.holders import holders_of

GROUPS = "Groups"
"""Name of the groups of the members that are listed, in the data of a list."""


class MemberAdmin:
    """Member commands of one site. They raise UsageError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def list(self, groups: tuple[str, ...] = ()) -> Result:
        """List the live members, locators too; the oldest is the coordinator."""
        everyone = await self._cluster.members()
        targets = Targets(groups=groups)
        members = [member for member in everyone if targets.includes(member)]
        if not members:
            return Result(info=["No Members Found"])
        rows = [(member.name, member.id + (" [Coordinator]" * (member is everyone[0]))) for member in members]
        in_groups = sorted({group for member in members for group in member.groups})
        return Result(
            info=[f"Member Count : {len(rows)}"],
            data={GROUPS: ",".join(in_groups)} if in_groups else {},
            tables=[Table(("Name", "Id"), sorted(rows))],
        )

    async def describe(self, name: str) -> Result:
        """Show one member, with its own state block when it answers."""
        members = await self._cluster.members()
        member = await self._cluster.member(name)
        regions = await self._cluster.regions()
        data = {
            "Name": member.name,
            "Id": member.id,
            "Host": member.address.host,
            "Regions": ", ".join(sorted(name for name, region in regions.items() if holders_of(region, [member]))),
            "PID": str(member.pid),
            "Groups": ", ".join(member.groups),
            "Locators": ", ".join(str(each.address) for each in members if each.kind == "locator"),
        }
        if member.redundancy_zone:
            data["Redundancy Zone"] = member.redundancy_zone
        if member.kind == "server":
            data |= {"Server Port": str(member.address.port), "Running": "true"}
        if member.receiver is not None:
            data["Gateway Receiver"] = str(member.receiver.address)
        senders = [sender for sender in member.running_senders if not sender.startswith(QUEUE_PREFIX)]
        queues = [each.removeprefix(QUEUE_PREFIX) for each in member.running_senders if each.startswith(QUEUE_PREFIX)]
        if senders:
            data["Gateway Senders"] = ", ".join(senders)
        if queues:
            data["Async Event Queues"] = ", ".join(queues)
        try:
            status = await self._cluster.call(member, StatusQuery(), Status)
        except HeliographError as exc:
            return Result(data=data, info=[f"{member.name} does not answer: {exc}"])
        data |= {"Working Dir": status.directory, "Log file": status.log_file}
        data |= {name: value for name, value in status.details.items() if name not in data}
        data |= {
            "Resident Memory (MB)": f"{status.resident_bytes / MB:.1f}",
            "CPU (s)": f"{status.cpu_ms / 1000:.1f}",
            "Up (s)": str(status.uptime_ms // 1000),
        }
        if member.kind == "server":
            data["Client Connections"] = str(status.links.get("client", 0))
        return Result(data=data)
