"""Leaving a site in order: others take over this member's primaries while it still serves.

The member says that it leaves (`MemberInfo.leaving`), and the oldest server moves its primaries away as it moves any
bucket; then it turns away who asks, which sends them elsewhere, and answers what it was asked before. No write fails
because of it. All of it is bounded: what is not handed over in time is taken over when the member is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from heliograph.member.region import HostedRegion
from heliograph.member.service import MemberService
from heliograph.member.state import SiteState
from heliograph.model.members import RegionPlacement
from heliograph.net.link import LinkServer
from heliograph.placement.holders import holders_of

HAND_OVER_S = 20.0
"""How long a stopping member may take to hand its primaries over."""
TELL_S = 2.0
"""How long telling the others that this member leaves may take."""
ANSWER_S = 5.0
"""How long it goes on to answer what it was asked."""
LOOK_S = 0.02

_log = logging.getLogger(__name__)


async def hand_over(
    name: str,
    state: Callable[[], SiteState],
    regions: Mapping[str, HostedRegion],
    tell: Callable[[], Awaitable[bool]],
) -> None:
    """Have others take over this member's primaries, if there are others; `tell` says that it leaves."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(TELL_S):
            told = await tell()
    except TimeoutError:
        told = False
    while told and _leads(name, state(), regions):
        if loop.time() > began + HAND_OVER_S:
            _log.warning("primaries left behind name=%s", name)
            break
        await asyncio.sleep(LOOK_S)
    _log.info("handed over name=%s seconds=%.3f", name, loop.time() - began)


async def turn_away(service: MemberService, server: LinkServer) -> None:
    """Take no more requests, and answer those that are open."""
    service.turn_away()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ANSWER_S
    while server.busy and loop.time() < deadline:  # noqa: ASYNC110  (links of any number)
        await asyncio.sleep(LOOK_S)


def _leads(name: str, state: SiteState, regions: Mapping[str, HostedRegion]) -> bool:
    """Say whether the member is the primary, or should be, of something that another server may take over."""
    for leader, group in state.groups().items():
        holders = holders_of(state.regions[leader].attributes, state.members.values())
        if all(server.leaving or server.name == name for server in holders):
            continue
        placement, _ = state.placements.get(leader, (RegionPlacement(leader, ()), 0))
        hosted = (regions[each] for each in group if each in regions)
        if any(bucket.primary == name for bucket in placement.buckets) or any(
            not copy.retired for region in hosted for copy in region.copies.values()
        ):
            return True
    return False
