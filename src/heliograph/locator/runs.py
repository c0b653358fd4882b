"""Long commands that servers were given: how a run of one is at each of them, as a result.

A start answers the `Run` and its `Members`, which each look is given; the run has ended when `Running` is 0.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from heliograph.errors import HeliographError, UsageError
from heliograph.link.messages import CopyState, Request
from heliograph.locator.cluster import COMMAND_S, STATUS_COLUMNS, Cluster, Row
from heliograph.locator.view import decoded
from heliograph.model.attributes import leader_of
from heliograph.model.members import MemberInfo, RegionPlacement
from heliograph.model.registry import PLACEMENT
from heliograph.model.results import Result, Table
from heliograph.placement.buckets import servers_by_age

RUN, MEMBERS, RUNNING, ENTRIES = "Run", "Members", "Running", "Entries"
"""Names in the data of what a start and a look return: what a look has to be given, servers that still work, entries
that there are (about).
"""
_STATUS = {"running": "RUNNING", "done": "OK", "secondary": "OK", "failed": "ERROR"}
_ids = random.SystemRandom()


def new_run() -> str:
    """Return a name for a run that no other one has."""
    return f"{_ids.getrandbits(64):016x}"


class LongCommand:
    """A kind of long command.

    done: the name of how many entries are done. again: what to do after a failure. nobody: what to say when every
    server left it to another one.
    """

    def __init__(self, cluster: Cluster, done: str, again: str, nobody: str = "") -> None:
        self._cluster = cluster
        self._done = done
        self._again = again
        self._nobody = nobody

    async def begin(self, run: str, requests: Sequence[tuple[MemberInfo, Request]]) -> Result:
        """Have servers begin; returns how it is with each, as `look` does."""
        names = [server.name for server, _ in requests]
        asked = (self._cluster.query([server], each, CopyState, timeout_s=COMMAND_S) for server, each in requests)
        answers = [answer for [(_, answer)] in await asyncio.gather(*asked)]
        # A server that does not answer may have begun: looks tell.
        shown = [CopyState("running", str(each)) if isinstance(each, HeliographError) else each for each in answers]
        result = self.result(names, shown)
        result.data.update({RUN: run, MEMBERS: ",".join(names)})
        return result

    async def look(self, query: Request, members: Sequence[str]) -> Result:
        """Say how a run is at the servers that began it; ERROR once it has ended and failed at one of them."""
        if not members:
            raise UsageError(f"say which servers were asked, as the answer to the start does under {MEMBERS}")
        live = {server.name: server for server in servers_by_age(await self._cluster.members())}
        asked = [live[name] for name in members if name in live]
        answers = dict(await self._cluster.query(asked, query, CopyState))
        return self.result(members, [self._state(name, answers.get(name)) for name in members])

    def _state(self, name: str, answer: CopyState | HeliographError | None) -> CopyState:
        if isinstance(answer, CopyState):
            return answer
        if answer is None:
            return CopyState("failed", f"{name} is gone, and not all of its share may have been done: {self._again}")
        if answer.retriable:
            return CopyState("running", str(answer))  # until it answers, or is seen to be gone
        return CopyState("failed", f"{answer}: {self._again}")

    def result(self, names: Sequence[str], states: Sequence[CopyState]) -> Result:
        """Return the states as a member-status table (gfsh.md §1.4), an ERROR when all have ended and one failed."""
        running = sum(state.status == "running" for state in states)
        failed = any(state.status == "failed" for state in states)
        nobody = all(state.status == "secondary" for state in states)
        rows: list[Row] = [
            (name, _STATUS[state.status], state.message) for name, state in zip(names, states, strict=True)
        ]
        return Result(
            status="ERROR" if nobody or (failed and not running) else "OK",
            info=[self._nobody] if nobody else [],
            data={
                RUNNING: str(running),
                self._done: str(sum(state.copied for state in states)),
                ENTRIES: str(sum(state.total for state in states)),
            },
            tables=[Table(STATUS_COLUMNS, rows)],
        )


async def shares_of(
    cluster: Cluster, region: str, servers: Sequence[MemberInfo], otherwise: MemberInfo
) -> dict[str, list[int]]:
    """Return the buckets of a region by the server that is to see to them: its primary; `otherwise` where that is none.

    Nothing of a region that does not exist.
    """
    parents = {name: each.colocated_with for name, each in (await cluster.regions()).items()}
    placements = decoded(await cluster.registry.items(PLACEMENT), PLACEMENT, RegionPlacement)
    placement = placements.get(leader_of(region, parents))
    if region not in parents or placement is None:
        return {}
    shares: dict[str, list[int]] = {server.name: [] for server in servers}
    for bucket, place in enumerate(placement.buckets):
        shares[place.primary if place.primary in shares else otherwise.name].append(bucket)
    return shares
