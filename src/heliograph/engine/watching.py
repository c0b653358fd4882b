"""A part of the registry kept in view.

A watch only says when to look: the entries are read whole, at every hint and every `RESCAN_S` besides, so that nothing
rests on a change that a watch may have missed (architecture §2).
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

_log = logging.getLogger(__name__)

Entries = dict[str, Item]


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that are handed on together.

    take: what they are given to, whole. It may raise a HeliographError (an entry that can't be decoded): that is
    logged, and they are given to it again by the next look.
    """

    prefix: str
    take: Callable[[Entries], None]


class Watching:
    """Hands on the entries of a group whenever a look shows other ones than the last, then calls `on_change`."""

    def __init__(self, registry: Registry, groups: Sequence[Group], on_change: Callable[[], None]) -> None:
        self._registry = registry
        self._groups = groups
        self._on_change = on_change
        self._hints = {group.prefix: asyncio.Event() for group in groups}
        self._seen: dict[str, Entries] = {}

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
        if entries != self._seen.get(group.prefix):
            group.take(entries)
            self._seen[group.prefix] = entries
            self._on_change()
