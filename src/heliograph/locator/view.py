"""The site as its registry shows it, kept current for whoever asks the locator.

A watch only says when to look: the entries are read whole, at every hint and every `RESCAN_S` besides, so that nothing
rests on a change that a watch may have missed (architecture §2).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import TypeVar

from heliograph.engine.seam import Item, Registry
from heliograph.errors import HeliographError, UnavailableError
from heliograph.model.attributes import RegionAttributes
from heliograph.model.members import MemberInfo, ReceiverInfo, RegionPlacement
from heliograph.model.registry import CONFIG_REGIONS, MEMBERS, PLACEMENT, decode_entry

RESCAN_S = 1.0

_log = logging.getLogger(__name__)
T = TypeVar("T")


class SiteWatch:
    """Live members, regions and placements, each by name. `on_change` is called after every change."""

    def __init__(self, registry: Registry, on_change: Callable[[], None]) -> None:
        self._registry = registry
        self._on_change = on_change
        self._hints = {prefix: asyncio.Event() for prefix in (MEMBERS, CONFIG_REGIONS, PLACEMENT)}
        self._seen: dict[str, dict[str, Item]] = {}
        self.members: Mapping[str, MemberInfo] = {}
        self.regions: Mapping[str, RegionAttributes] = {}
        self.placements: Mapping[str, RegionPlacement] = {}

    @property
    def receivers(self) -> list[ReceiverInfo]:
        """The running gateway receivers of the site."""
        return [member.receiver for member in self.members.values() if member.receiver is not None]

    async def refresh(self) -> None:
        """Read everything now. Raises UnavailableError."""
        for prefix in self._hints:
            await self._read(prefix)

    async def run(self) -> None:
        """Follow the registry until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for prefix in self._hints:
                tasks.create_task(self._hint(prefix))
                tasks.create_task(self._look(prefix))

    async def _hint(self, prefix: str) -> None:
        while True:
            try:
                async with aclosing(self._registry.watch(prefix)) as changes:
                    async for _ in changes:
                        self._hints[prefix].set()
            except UnavailableError as exc:
                _log.warning("watch interrupted prefix=%s error=%s", prefix, exc)
            await asyncio.sleep(RESCAN_S)

    async def _look(self, prefix: str) -> None:
        hint = self._hints[prefix]
        while True:
            try:
                async with asyncio.timeout(RESCAN_S):
                    await hint.wait()
            except TimeoutError:
                pass  # nobody hinted: look anyway
            hint.clear()
            try:
                await self._read(prefix)
            except HeliographError as exc:
                _log.warning("registry unreadable prefix=%s error=%s", prefix, exc)

    async def _read(self, prefix: str) -> None:
        items = await self._registry.items(prefix)
        if items == self._seen.get(prefix):
            return
        self._seen[prefix] = items
        if prefix == MEMBERS:
            self.members = decoded(items, prefix, MemberInfo)
        elif prefix == CONFIG_REGIONS:
            self.regions = decoded(items, prefix, RegionAttributes)
        else:
            self.placements = decoded(items, prefix, RegionPlacement)
        self._on_change()


def decoded(items: Mapping[str, Item], prefix: str, kind: type[T]) -> dict[str, T]:
    """Decode the entries below a prefix, by what follows it; one that can't be read is logged and hides no other."""
    values: dict[str, T] = {}
    for key, item in items.items():
        if key.startswith(prefix + "."):
            try:
                values[key.removeprefix(prefix + ".")] = decode_entry(item.value, kind)
            except HeliographError as exc:
                _log.warning("registry entry unreadable key=%s error=%s", key, exc)
    return values
