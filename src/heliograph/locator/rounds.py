"""Takes this site through the rounds of `gateway.rounds`, so that its members know which tombstones nobody needs.

The site's round stands in its registry, so any of its locators goes on with it, also after a restart. Where its logs
end is noted in memory: another locator, or this one after a restart, notes it anew, which is later and no less true.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

import msgspec

from heliograph.engine.seam import Item
from heliograph.errors import HeliographError
from heliograph.gateway.directory import Directory
from heliograph.gateway.rounds import behind, caught_up, completed, may_begin, stable_ms
from heliograph.link.messages import SiteRound
from heliograph.locator.cluster import Cluster
from heliograph.locator.config import LocatorConfig
from heliograph.model.ids import NO_SITE_ID
from heliograph.model.registry import ROUNDS, Cursor, Stability, cursor_key, decode_entry, encode_entry
from heliograph.net.seam import Clock

LOOK_S = 20.0
"""Often enough for tombstones, which are kept for minutes; a look reads every cursor of the site."""
MARGIN_MS = 60_000
"""A record may be stamped so long before it stands in the log: a process may be frozen in between."""

_log = logging.getLogger(__name__)


class _Begun(NamedTuple):
    """A round that was begun: after which one, when, and where the logs ended: (region, generation) -> by bucket."""

    after: int
    clock_ms: int
    ends: dict[tuple[str, int], list[int]]


class RoundKeeper:
    """See the module."""

    def __init__(self, cluster: Cluster, directory: Directory, clock: Clock, config: LocatorConfig) -> None:
        self.stability = Stability()
        """As it was last seen in the registry."""
        self._cluster = cluster
        self._directory = directory
        self._clock = clock
        self._config = config
        self._begun: _Begun | None = None
        self._problem = ""
        given = {"tombstone_timeout_s": config.tombstone_timeout, "tombstone_max_age_s": config.tombstone_max_age}
        self._given = {name: value for name, value in given.items() if value is not None}
        """What this locator was started with, until it is written: two that were told otherwise must not take turns."""

    async def run(self) -> None:
        """Work until cancelled, whatever fails meanwhile."""
        while True:
            try:
                await self._look()
            except HeliographError as exc:
                self._problem = str(exc)
                _log.debug("round not looked at error=%s", exc)
            else:
                self._problem = ""
            await asyncio.sleep(LOOK_S)

    def details(self) -> dict[str, str]:
        """Return what an operator is told of it; nothing while no other site is known."""
        stability = self.stability
        if stability.alone:
            return {}
        waiting = f"; waits for site {', '.join(map(str, stability.behind))}" if stability.behind else ""
        problem = f"; {self._problem}" if self._problem else ""
        since = f"{stability.stable_ms} ms" if stability.stable_ms else "not known yet"
        return {"No Event Comes From Before": f"{since} (round {stability.completed}{waiting}{problem})"}

    async def _look(self) -> None:
        item = await self._cluster.registry.get(ROUNDS)
        before = decode_entry(item.value, Stability) if item is not None else Stability()
        own = SiteRound(self._directory.dsid, before.completed, before.times)
        self._directory.say_round(own)
        rounds = self._directory.rounds()
        others = {dsid: rounds.get(dsid) for dsid in sorted({*before.sites, *rounds} - {own.dsid})}
        if others and own.dsid != NO_SITE_ID:
            own = await self._go_on(caught_up(own, [*others.values(), rounds[own.dsid]]), others)
        after = msgspec.structs.replace(
            before,
            completed=own.completed,
            times=own.times,
            sites=tuple(others),
            alone=not (others or self._config.remote_locators),
            stable_ms=max(before.stable_ms, stable_ms([own, *others.values()])) if others else 0,
            behind=tuple(behind(own, others.items())),
            **self._given,
        )
        if after != before or item is None:
            await self._write(item, after)
        self._given = {}
        self.stability = after
        self._directory.say_round(own)

    async def _go_on(self, own: SiteRound, others: dict[int, SiteRound | None]) -> SiteRound:
        """Begin the next round if that may be, or end it if it is over; return the site's round then."""
        begun = self._begun
        if begun is None or begun.after != own.completed:
            if may_begin(own, others.values()):
                clock_ms = self._clock.now_ms() - MARGIN_MS
                self._begun = _Begun(own.completed, clock_ms, await self._ends())
            return own
        if not await self._delivered(begun.ends):
            return own
        self._begun = None
        return completed(own, begun.clock_ms, len(others) + 1)

    async def _ends(self) -> dict[tuple[str, int], list[int]]:
        """Return where the logs end of all regions that go to other sites."""
        entries = await self._cluster.region_entries()
        return {
            (name, entry.generation): await self._cluster.log_ends(name)
            for name, entry in entries.items()
            if entry.attributes.gateway_sender_ids
        }

    async def _delivered(self, ends: dict[tuple[str, int], list[int]]) -> bool:
        """Say whether all gateway senders have delivered all logs up to where they ended."""
        for name, entry in (await self._cluster.region_entries()).items():
            for bucket, end in enumerate(ends.get((name, entry.generation), ())):
                for sender in entry.attributes.gateway_sender_ids:
                    item = await self._cluster.registry.get(cursor_key(sender, name, entry.generation, bucket))
                    if end and (item is None or decode_entry(item.value, Cursor).seq < end):
                        return False
        return True

    async def _write(self, item: Item | None, stability: Stability) -> None:
        """Raises ConflictError when another locator of the site was faster."""
        if item is None:
            await self._cluster.registry.create(ROUNDS, encode_entry(stability))
        else:
            await self._cluster.registry.update(ROUNDS, encode_entry(stability), revision=item.revision)
