"""wan-copy region (gfsh.md §6.10): servers copy a region to a sender's remote site, and are asked how far they are.

Who copies which bucket is decided here, so that none is left out and none is copied twice: its primary; of a bucket
that has none now, the oldest server that is asked, which finds it in the engine.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from heliograph.errors import HeliographError, UsageError
from heliograph.link.messages import CopyState, WanCopy, WanCopyCancel, WanCopyQuery
from heliograph.locator.cluster import COMMAND_S, Cluster, Row, Targets
from heliograph.locator.requests import WanCopyRequest
from heliograph.locator.view import decoded
from heliograph.model.attributes import GatewaySenderAttributes, leader_of
from heliograph.model.ids import check_name, check_region_name
from heliograph.model.members import MemberInfo, RegionPlacement
from heliograph.model.registry import PLACEMENT, decode_entry, sender_key
from heliograph.model.results import Result, Table
from heliograph.placement.buckets import servers_by_age

ALL = "*"
RUN, MEMBERS, RUNNING, COPIED, ENTRIES = "Run", "Members", "Running", "Copied", "Entries"
"""Names in the data of what a start and a look return: what a look has to be given, servers that still copy, entries
that are copied, entries that there are (about).
"""
_STATUS = {"running": "RUNNING", "done": "OK", "secondary": "OK", "failed": "ERROR"}


class WanCopyAdmin:
    """Copies of one site. Its commands raise UsageError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._ids = random.SystemRandom()

    async def start(self, request: WanCopyRequest) -> Result:
        """Have every server that may begin to copy; returns how it is with each, as `look` does."""
        region = check_region_name(request.region)
        sender = check_name("gateway sender", request.sender_id.strip())
        item = await self._cluster.registry.get(sender_key(sender))
        attributes = None if item is None else decode_entry(item.value, GatewaySenderAttributes)
        targets = Targets() if attributes is None else Targets(attributes.members, attributes.groups)
        servers = await self._cluster.servers(targets)
        shares = await self._shares(region, servers)
        run = f"{self._ids.getrandbits(64):016x}"

        async def begin(server: MemberInfo) -> CopyState | HeliographError:
            share = shares.get(server.name, [])
            message = WanCopy(run, region, sender, share, request.max_rate, request.batch_size)
            try:
                return await self._cluster.caller.call(server.address, message, CopyState, timeout_s=COMMAND_S)
            except HeliographError as exc:
                return exc

        states = await asyncio.gather(*map(begin, servers))
        names = [server.name for server in servers]
        # A server that does not answer may have begun: looks tell.
        shown = [CopyState("running", str(state)) if isinstance(state, HeliographError) else state for state in states]
        result = _result(names, shown)
        result.data.update({RUN: run, MEMBERS: ",".join(names)})
        return result

    async def look(self, run: str, members: Sequence[str]) -> Result:
        """Say how a copy is at the servers that began it; ERROR once it has ended and failed at one of them."""
        if not members:
            raise UsageError(f"say which servers copy, as the answer to the start does under {MEMBERS}")
        live = {server.name: server for server in servers_by_age(await self._cluster.members())}
        asked = [live[name] for name in members if name in live]
        answers = dict(await self._cluster.query(asked, WanCopyQuery(run), CopyState))
        return _result(members, [_state(name, answers.get(name)) for name in members])

    async def cancel(self, region: str, sender: str) -> Result:
        """Cancel the copy of a region by a sender, or all copies (both `*`); ERROR when none was under way."""
        if (region == ALL) != (sender == ALL):
            raise UsageError("to cancel all copies give * for the region and for the sender")
        if region != ALL:
            region, sender = check_region_name(region), check_name("gateway sender", sender.strip())
        outcomes = await self._cluster.ask(
            await self._cluster.servers(), WanCopyCancel(region, sender), timeout_s=COMMAND_S
        )
        rows: list[Row] = [(name, "OK" if outcome.ok else "ERROR", outcome.message) for name, outcome in outcomes]
        done = any(outcome.ok for _, outcome in outcomes)
        return Result(status="OK" if done else "ERROR", tables=[_table(rows)])

    async def _shares(self, region: str, servers: Sequence[MemberInfo]) -> dict[str, list[int]]:
        """Return the buckets of a region by the server that is to copy them; none of a region that does not exist."""
        parents = {name: each.colocated_with for name, each in (await self._cluster.regions()).items()}
        placements = decoded(await self._cluster.registry.items(PLACEMENT), PLACEMENT, RegionPlacement)
        placement = placements.get(leader_of(region, parents))
        if region not in parents or placement is None:
            return {}
        shares: dict[str, list[int]] = {server.name: [] for server in servers}
        for bucket, place in enumerate(placement.buckets):
            shares[place.primary if place.primary in shares else servers[0].name].append(bucket)
        return shares


def _state(name: str, answer: CopyState | HeliographError | None) -> CopyState:
    if isinstance(answer, CopyState):
        return answer
    if answer is None:
        gone = f"{name} is gone, and not all of its share may have been copied"
        return CopyState("failed", f"{gone}: give the command again, which does no harm to what is there")
    if answer.retriable:
        return CopyState("running", str(answer))  # until it answers, or is seen to be gone
    return CopyState("failed", f"{answer}: give the command again, which does no harm to what is there")


def _result(names: Sequence[str], states: Sequence[CopyState]) -> Result:
    running = sum(state.status == "running" for state in states)
    failed = any(state.status == "failed" for state in states)
    info = []
    if all(state.status == "secondary" for state in states):
        failed = True
        info = ["Nothing was copied: no server is primary for the serial sender now; give the command again."]
    return Result(
        status="ERROR" if failed and not running else "OK",
        info=info,
        data={
            RUNNING: str(running),
            COPIED: str(sum(state.copied for state in states)),
            ENTRIES: str(sum(state.total for state in states)),
        },
        tables=[
            _table([(name, _STATUS[state.status], state.message) for name, state in zip(names, states, strict=True)])
        ],
    )


def _table(rows: list[Row]) -> Table:
    return Table(("Member", "Status", "Message"), rows)
