"""The oldest server's duty: write down where buckets should be, and have them get there.

Every server has a placer; the one of the oldest acts. What it goes by is in the registry, so whoever is the oldest next
goes on where it stopped. As long as buckets are on their way it asks every server now and then what it has loaded; a
server that does not answer only keeps what waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from heliograph.engine.seam import Registry
from heliograph.errors import ConflictError, HeliographError, NotPrimaryError, UsageError
from heliograph.link.messages import Copies, CopiesQuery, Moves, Rebalance, Rebalanced, RegionCopies
from heliograph.member.region import HostedRegion
from heliograph.member.state import SiteState
from heliograph.model.members import Buckets, MemberInfo, RegionPlacement
from heliograph.model.registry import encode_entry, placement_key
from heliograph.net.links import Links
from heliograph.placement.buckets import Seen, Server, follow_up, staying
from heliograph.placement.holders import holders_of
from heliograph.placement.rebalance import moves, rebalance

LOOK_S = 0.1
"""Between two looks at what is loaded while buckets are on their way."""
ANSWER_S = 1.0
SIZES_S = 10.0

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Placer:
    """See the module. on_news: called when it is worth placing again."""

    def __init__(
        self,
        name: str,
        registry: Registry,
        links: Links,
        regions: Mapping[str, HostedRegion],
        on_news: Callable[[], None],
    ) -> None:
        self._name = name
        self._registry = registry
        self._links = links
        self._regions = regions
        self._on_news = on_news
        self._servers: Sequence[MemberInfo] = ()
        """Of the last placing, the oldest first; empty while another server is the oldest."""
        self._state = SiteState()
        self._seen: dict[tuple[str, str], Copies] = {}
        """What each server, as it was started last (name, incarnation), said since buckets are on their way."""
        self._open = asyncio.Event()
        """Buckets are on their way."""

    # --- placing

    async def place(self, state: SiteState, servers: Sequence[MemberInfo]) -> None:
        """Write down the next step of every region. servers: the oldest first; it does nothing unless that is this one.

        Every registry call lets the watcher bring in a newer state, so what is walked through is what there was.
        """
        if servers[0].name != self._name:
            self._servers = ()
            self._rest()
            return
        self._servers, self._state = servers, state
        regions, placements = state.regions, state.placements
        under_way = False
        groups = state.groups()
        for name, group in groups.items():
            current, revision = placements.get(name, (None, 0))
            region = regions[name].attributes
            holders = holders_of(region, servers)
            live = {server.name for server in holders}
            wanted = follow_up(region, staying(holders), live, current, self._seen_of(group))
            under_way = under_way or bool(wanted.goal)
            if wanted != current:
                await self._write(state, wanted, None if current is None else revision)
        if under_way:
            self._open.set()
        else:
            self._rest()
        for name in placements.keys() - groups.keys():
            with suppress(ConflictError):  # the region was created anew meanwhile, and placed
                await self._registry.delete(placement_key(name), revision=placements[name][1])
            if state.placements.get(name) == placements[name]:
                state.placements.pop(name)

    def _rest(self) -> None:
        """Nothing is on its way: what servers said of their copies will be old when something is."""
        self._open.clear()
        self._seen = {}

    async def _write(self, state: SiteState, placement: RegionPlacement, revision: int | None) -> bool:
        """Replace a placement, unless it has changed meanwhile; then the next look finds the new one."""
        key, value = placement_key(placement.region), encode_entry(placement)
        try:
            if revision is None:
                revision = await self._registry.create(key, value)
            else:
                revision = await self._registry.update(key, value, revision=revision)
        except ConflictError:
            _log.info("placement changed meanwhile region=%s", placement.region)
            return False
        known = state.placements.get(placement.region)
        if known is None or known[1] < revision:  # else the watcher has brought what another wrote after this
            state.placements[placement.region] = (placement, revision)
        return True

    def _seen_of(self, regions: Sequence[str]) -> dict[str, Seen]:
        """Return what servers said of buckets: what holds for all of some regions."""
        seen = {}
        for server in self._servers:
            copies = self._seen.get((server.name, server.incarnation))
            if copies is None:
                continue
            told = [copies.regions[name] for name in regions if name in copies.regions]
            if len(told) == len(regions):
                loaded, accepting = (
                    _common(each) for each in zip(*((c.loaded, c.accepting) for c in told), strict=True)
                )
                seen[server.name] = Seen(loaded, accepting)
        return seen

    # --- looking at copies

    async def run(self) -> None:
        """Look at the servers' copies while buckets are on their way, until cancelled."""
        while True:
            await self._open.wait()
            await asyncio.sleep(LOOK_S)
            names = tuple(self._state.regions)
            self._seen = await self._ask(CopiesQuery(names), ANSWER_S)
            self._on_news()

    async def _ask(self, query: CopiesQuery, timeout_s: float) -> dict[tuple[str, str], Copies]:
        """Ask every server; who does not answer is left out."""

        async def one(server: MemberInfo) -> Copies | None:
            if server.name == self._name:
                return await self.copies(query)
            try:
                return await self._links.call(server.address, query, Copies, timeout_s=timeout_s)
            except HeliographError as exc:
                _log.info("copies not seen server=%s error=%s", server.name, exc)
                return None

        servers = list(self._servers)
        answers = await asyncio.gather(*map(one, servers))
        return {
            (server.name, server.incarnation): copies
            for server, copies in zip(servers, answers, strict=True)
            if copies is not None
        }

    async def copies(self, query: CopiesQuery) -> Copies:
        """Say what this server has."""
        hosted = [self._regions[name] for name in query.regions if name in self._regions]
        return Copies({region.name: await _copies_of(region, sizes=query.sizes) for region in hosted})

    # --- rebalancing

    async def rebalance(self, request: Rebalance) -> Rebalanced:
        """Begin to give every server its share, or say what that would move; or leave what is under way.

        Raises NotPrimaryError when another server is the oldest, UsageError when there is no such region,
        UnavailableError.
        """
        if not self._servers:
            raise NotPrimaryError(f"{self._name} is not the oldest server any more: ask again")
        groups = _chosen(request, self._state.groups())
        sizes = await self._sizes(groups)
        done = [await self._rebalance(request, group, sizes) for group in groups]
        self._on_news()
        return Rebalanced(done, len({server.name for group in groups for server in self._staying(group[0])}))

    def _staying(self, leader: str) -> list[Server]:
        """Return the servers that may be given buckets of a region and those that are colocated with it."""
        entry = self._state.regions.get(leader)
        return [] if entry is None else staying(holders_of(entry.attributes, self._servers))

    async def _rebalance(
        self, request: Rebalance, group: Sequence[str], sizes: Mapping[str, Mapping[int, int]]
    ) -> Moves:
        told_as = ", ".join(group)
        while True:
            entry = self._state.regions.get(group[0])
            current, revision = self._state.placements.get(group[0], (None, 0))
            if entry is None or current is None:
                return Moves(told_as, 0, 0, 0, 0, 0)
            region = entry.attributes
            size = [sum(sizes[name].get(bucket, 0) for name in group) for bucket in range(region.total_num_buckets)]
            goal: Buckets = ()
            if request.action != "cancel":
                goal = rebalance(region, self._staying(group[0]), current.goal or current.buckets, size)
            wanted = RegionPlacement(region.name, current.buckets, goal)
            told = moves(told_as, current.buckets, goal or current.buckets, size)
            if request.action == "simulate" or wanted == current or await self._write(self._state, wanted, revision):
                return told
            await asyncio.sleep(LOOK_S)  # until the watcher has brought the newer one

    async def _sizes(self, groups: Iterable[Iterable[str]]) -> dict[str, dict[int, int]]:
        """Return the bytes of every bucket of every region, as any server that has loaded it counts them."""
        names = tuple(name for group in groups for name in group)
        answers = await self._ask(CopiesQuery(names, sizes=True), SIZES_S)
        sizes: dict[str, dict[int, int]] = {name: {} for name in names}
        for copies in answers.values():
            for name, told in copies.regions.items():
                sizes[name].update(zip(told.loaded, told.sizes, strict=True))
        return sizes


def _common(sets: Iterable[Iterable[int]]) -> frozenset[int]:
    first, *others = map(frozenset, sets)
    return first.intersection(*others)


async def _copies_of(region: HostedRegion, *, sizes: bool) -> RegionCopies:
    loaded = [copy for _, copy in sorted(region.copies.items()) if copy.loaded]
    counted: list[tuple[int, int]] = []
    for copy in loaded if sizes else ():
        counted.append((copy.view.size, len(copy.view.values)))
        await asyncio.sleep(0)  # counting takes its time, bucket by bucket
    traffic = region.traffic
    return RegionCopies(
        tuple(copy.bucket for copy in loaded),
        tuple(copy.bucket for copy in loaded if copy.accepting),
        tuple(size for size, _ in counted),
        tuple(entries for _, entries in counted),
        traffic.gets,
        traffic.puts,
        traffic.destroys,
    )


def _chosen(request: Rebalance, groups: Mapping[str, Sequence[str]]) -> list[Sequence[str]]:
    """Return the regions that are meant, with all that are colocated with them.

    Raises UsageError when one does not exist, or none is left.
    """
    include = {name.removeprefix("/") for name in request.include}
    exclude = {name.removeprefix("/") for name in request.exclude}
    known = {name for group in groups.values() for name in group}
    unknown = sorted((include | exclude) - known)
    if unknown:
        raise UsageError(f"region {', '.join(unknown)} does not exist at this site")
    chosen = (include or known) - exclude
    meant = [group for _, group in sorted(groups.items()) if not chosen.isdisjoint(group)]
    if not meant:
        raise UsageError("there is no region to rebalance")
    return meant
