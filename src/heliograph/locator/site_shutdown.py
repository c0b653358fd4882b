"""shutdown (gfsh.md §3.4): in which order a site's processes end, and ending one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from heliograph.errors import UnavailableError, UnreachableError, UsageError
from heliograph.link.messages import Outcome, ShutDown, Status, StatusQuery
from heliograph.locator.cluster import Cluster
from heliograph.model.members import MemberInfo
from heliograph.model.results import Result, Table

TIME_OUT_S_MAX = 80
"""Longer than a process takes in any case, and shorter than an operator's command waits for an answer."""
LOOK_S = 0.05
CONNECTED = "Connected"
"""Name of the answer that is the member to be ended last: it, or a locator inside it, is who answers."""


class ShutdownAdmin:
    """Ending the processes of one site. Operations raise UsageError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def order(self, *, include_locators: bool = False) -> Result:
        """List whom to end, in that order, and whom of them we live in."""
        members = await self._cluster.members()
        ending = ending_order(members, self._cluster.name, include_locators=include_locators)
        own = [member.name for member in ending if self._is_own(member, members)]
        rows: list[tuple[str, ...]] = [(member.name, member.kind) for member in ending]
        return Result(data={CONNECTED: "".join(own)}, tables=[Table(("Member", "Type"), rows)])

    async def end(self, name: str, time_out: int) -> Result:
        """Have a process end in order, and wait until it is gone, but not for our own. time_out: seconds."""
        members = await self._seen()
        member = next((each for each in members if each.name == name), None)
        if member is None:
            raise UsageError(f"member {name!r} does not exist at this site")
        outcome = await self._cluster.call(member, ShutDown(), Outcome)
        if not outcome.ok:
            return Result(status="ERROR", info=[outcome.message])
        if self._is_own(member, members):
            return Result(info=[outcome.message])
        try:
            async with asyncio.timeout(min(max(time_out, 1), TIME_OUT_S_MAX)):
                await self._gone(member)
        except TimeoutError:
            raise UnavailableError(f"{name} was asked to stop, goes on with that, and is not gone yet") from None
        return Result(info=[f"{name} was stopped"])

    async def _seen(self) -> Sequence[MemberInfo]:
        """Return the live members, or who was seen last: without a majority of the locators nobody can be asked."""
        try:
            return await self._cluster.members()
        except UnavailableError:
            return [*self._cluster.known()]

    async def _gone(self, member: MemberInfo) -> None:
        while True:
            try:
                await self._cluster.call(member, StatusQuery(), Status)
            except UnreachableError:
                return
            except UnavailableError:
                pass  # it closes its links just now
            await asyncio.sleep(LOOK_S)

    def _is_own(self, member: MemberInfo, members: Sequence[MemberInfo]) -> bool:
        own = next((each for each in members if each.name == self._cluster.name), None)
        return own is not None and _together(own, member)


def ending_order(members: Sequence[MemberInfo], own: str, *, include_locators: bool = False) -> list[MemberInfo]:
    """Return whom to end, the youngest server first, locators after servers, and whom `own` lives in last.

    own: the locator that asks. A locator inside a server ends with that.
    """
    servers = [member for member in members if member.kind == "server"]
    alone = [
        member
        for member in members
        if member.kind == "locator" and not any(_together(member, server) for server in servers)
    ]
    here = next((member for member in members if member.name == own), None)
    ending = [*servers, *alone] if include_locators else servers
    return sorted(
        ending,
        key=lambda each: (here is not None and _together(each, here), each.kind == "locator", _younger_first(each)),
    )


def _younger_first(member: MemberInfo) -> tuple[int, int, str]:
    order, joined_ms, name = member.age
    return (-order, -joined_ms, name)


def _together(one: MemberInfo, other: MemberInfo) -> bool:
    """Say whether two members are one process."""
    return (one.pid, one.address.host) == (other.pid, other.address.host)
