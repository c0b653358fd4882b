"""wan-copy region (gfsh.md §6.10): servers copy a region to a sender's remote site, and are asked how far they are.

Who copies which bucket is decided here, so that none is left out and none is copied twice: its primary; of a bucket
that has none now, the oldest server that is asked, which finds it in the engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.errors import UsageError
from heliograph.link.messages import WanCopy, WanCopyCancel, WanCopyQuery
from heliograph.locator.cluster import COMMAND_S, Cluster, Targets, member_status
from heliograph.locator.requests import WanCopyRequest
from heliograph.locator.runs import LongCommand, new_run, shares_of
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.ids import check_name, check_region_name
from heliograph.model.registry import decode_entry, sender_key
from heliograph.model.results import Result

ALL = "*"
COPIED = "Copied"
"""Name of how many entries are copied, in the data of what a start and a look return."""

AGAIN = "give the command again, which does no harm to what is there"
NOBODY = "Nothing was copied: no server is primary for the serial sender now; give the command again."


class WanCopyAdmin:
    """Copies of one site. Its commands raise UsageError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._command = LongCommand(cluster, COPIED, AGAIN, NOBODY)

    async def start(self, request: WanCopyRequest) -> Result:
        """Have every server that may begin to copy; returns how it is with each, as `look` does."""
        region = check_region_name(request.region)
        sender = check_name("gateway sender", request.sender_id.strip())
        item = await self._cluster.registry.get(sender_key(sender))
        attributes = None if item is None else decode_entry(item.value, GatewaySenderAttributes)
        targets = Targets() if attributes is None else Targets(attributes.members, attributes.groups)
        servers = await self._cluster.servers(targets)
        shares = await shares_of(self._cluster, region, servers, servers[0])
        run = new_run()

        def message(server: str) -> WanCopy:
            return WanCopy(run, region, sender, shares.get(server, []), request.max_rate, request.batch_size)

        return await self._command.begin(run, [(server, message(server.name)) for server in servers])

    async def look(self, run: str, members: Sequence[str]) -> Result:
        """Say how a copy is at the servers that began it; ERROR once it has ended and failed at one of them."""
        return await self._command.look(WanCopyQuery(run), members)

    async def cancel(self, region: str, sender: str) -> Result:
        """Cancel the copy of a region by a sender, or all copies (both `*`); ERROR when none was under way."""
        if (region == ALL) != (sender == ALL):
            raise UsageError("to cancel all copies give * for the region and for the sender")
        if region != ALL:
            region, sender = check_region_name(region), check_name("gateway sender", sender.strip())
        outcomes = await self._cluster.ask(
            await self._cluster.servers(), WanCopyCancel(region, sender), timeout_s=COMMAND_S
        )
        return member_status(outcomes)
