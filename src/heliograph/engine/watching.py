"""A part of the registry kept in view.

A watch only says when to look: the entries are read whole, at every hint and every `RESCAN_S` besides, so that nothing
rests on a change that a watch may have missed (architecture §2).

Entries with a time to live end while nobody can renew them, because the engine is away or its replicas elect a primary.
So an entry that is missing after an interruption says nothing yet: such entries are held for as long as whoever lives
needs to renew them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from heliograph.engine.seam import Item, Registry
from heliograph.errors import HeliographError

RESCAN_S = 1.0
HOLD_MARGIN_S = 2.0
CURRENT_S = 4.0
RENEWED = 0.75
"""Part of its time to live after which an entry that was not renewed may end: whoever lives renews it four times."""

_log = logging.getLogger(__name__)

Entries = dict[str, Item]


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that are handed on together.

    take: what they are given to, whole. It may raise a HeliographError (an entry that can't be decoded): that is
    logged, and they are given to it again by the next look.
    ttl_s: the entries' time to live; 0 when they have none.
    """

    prefix: str
    take: Callable[[Entries], None]
    ttl_s: float = 0.0


class Watching:
    """Hands on the entries of a group whenever a look shows other ones than the last, then calls `on_change`."""

    def __init__(self, registry: Registry, groups: Sequence[Group], on_change: Callable[[], None]) -> None:
        self._registry = registry
        self._groups = groups
        self._on_change = on_change
        self._hints = {group.prefix: asyncio.Event() for group in groups}
        self._seen: dict[str, Entries] = {}
        self._looked_at: dict[str, float] = {}
        self._hold_until: dict[str, float] = {}

    def is_current(self, prefix: str) -> bool:
        """Say whether the entries of a group that end by themselves were read moments ago."""
        return asyncio.get_running_loop().time() - self._looked_at.get(prefix, float("-inf")) < CURRENT_S

    async def refresh(self) -> None:
        """Read everything now. Raises UnavailableError, and what a group's `take` raises."""
        for group in self._groups:
            await self._read(group)

    async def run(self) -> None:
        """Follow the registry until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for group in self._groups:
                tasks.create_task(self._hint(group.prefix))
                tasks.create_task(self._look(group))

    async def _hint(self, prefix: str) -> None:
        while True:
            try:
                async with aclosing(self._registry.watch(prefix)) as changes:
                    async for _ in changes:
                        self._hints[prefix].set()
            except HeliographError as exc:
                _log.warning("watch interrupted prefix=%s error=%s", prefix, exc)
            await asyncio.sleep(RESCAN_S)

    async def _look(self, group: Group) -> None:
        hint = self._hints[group.prefix]
        while True:
            try:
                async with asyncio.timeout(RESCAN_S):
                    await hint.wait()
            except TimeoutError:
                pass  # nobody hinted: look anyway
            hint.clear()
            try:
                await self._read(group)
            except HeliographError as exc:
                _log.warning("registry unreadable prefix=%s error=%s", group.prefix, exc)

    async def _read(self, group: Group) -> None:
        entries = await self._registry.items(group.prefix)
        if group.ttl_s:
            entries = self._held(group, entries)
        if entries != self._seen.get(group.prefix):
            group.take(entries)
            self._seen[group.prefix] = entries
            self._on_change()

    def _held(self, group: Group, entries: Entries) -> Entries:
        """Return the entries with those that are missing only since an interruption."""
        now = asyncio.get_running_loop().time()
        gap_s = now - self._looked_at.get(group.prefix, now)
        self._looked_at[group.prefix] = now
        if gap_s > max(RENEWED * group.ttl_s, 1.5 * RESCAN_S):
            self._hold_until[group.prefix] = now + group.ttl_s + HOLD_MARGIN_S
            _log.info("registry was out of reach prefix=%s for_s=%.1f", group.prefix, gap_s)
        if now >= self._hold_until.get(group.prefix, now):
            return entries
        return {**self._seen.get(group.prefix, {}), **entries}
