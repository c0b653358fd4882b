"""What this member knows of its site, read from the registry.

A watch only says when to look: the entries themselves are read whole, at every hint and once a second besides, so
that nothing rests on a change that a watch may have missed (architecture §2).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from heliograph.engine.seam import Item, Registry
from heliograph.errors import HeliographError, UnavailableError
from heliograph.model.attributes import GatewayReceiverAttributes, GatewaySenderAttributes, RegionAttributes
from heliograph.model.members import MemberInfo, RegionPlacement
from heliograph.model.registry import (
    CONFIG,
    CONFIG_RECEIVER,
    CONFIG_REGIONS,
    CONFIG_SENDERS,
    GENERATIONS,
    MEMBERS,
    PLACEMENT,
    decode_entry,
)

RESCAN_S = 1.0

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True)
class SiteState:
    """The site as its registry shows it."""

    members: dict[str, MemberInfo] = field(default_factory=dict)
    regions: dict[str, RegionAttributes] = field(default_factory=dict)
    senders: dict[str, GatewaySenderAttributes] = field(default_factory=dict)
    receiver: GatewayReceiverAttributes | None = None
    generations: dict[str, int] = field(default_factory=dict)
    placements: dict[str, tuple[RegionPlacement, int]] = field(default_factory=dict)
    """Region -> placement and its revision."""


class StateWatcher:
    """Keeps a `SiteState` current and calls `on_change` after each look that found something new."""

    def __init__(self, registry: Registry, on_change: Callable[[], None]) -> None:
        self.state = SiteState()
        self._registry = registry
        self._on_change = on_change
        self._hints = {prefix: asyncio.Event() for prefix in (MEMBERS, CONFIG, PLACEMENT)}
        self._seen: dict[str, dict[str, Item]] = {}

    async def refresh(self) -> None:
        """Read everything now. Raises UnavailableError."""
        for prefix in self._hints:
            await self._read(prefix)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for prefix in self._hints:
                tasks.create_task(self._hint(prefix))
                tasks.create_task(self._look(prefix))

    async def _hint(self, prefix: str) -> None:
        while True:
            try:
                async for _ in self._registry.watch(prefix):
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
        if prefix == CONFIG:
            generations = await self._registry.items(GENERATIONS)
            items = items | generations
        if items == self._seen.get(prefix):
            return
        self._seen[prefix] = items
        if prefix == MEMBERS:
            self.state.members = _decoded(items, MEMBERS, MemberInfo)
        elif prefix == PLACEMENT:
            placements = _decoded(items, PLACEMENT, RegionPlacement)
            self.state.placements = {
                name: (placement, items[f"{PLACEMENT}.{name}"].revision) for name, placement in placements.items()
            }
        else:
            self._read_config(items)
        self._on_change()

    def _read_config(self, items: dict[str, Item]) -> None:
        state = self.state
        state.regions = _decoded(items, CONFIG_REGIONS, RegionAttributes)
        state.senders = _decoded(items, CONFIG_SENDERS, GatewaySenderAttributes)
        receiver = items.get(CONFIG_RECEIVER)
        state.receiver = decode_entry(receiver.value, GatewayReceiverAttributes) if receiver else None
        prefix = GENERATIONS + "."
        state.generations = {
            key.removeprefix(prefix): int(item.value) for key, item in items.items() if key.startswith(prefix)
        }


def _decoded(items: dict[str, Item], prefix: str, kind: type[T]) -> dict[str, T]:
    start = prefix + "."
    return {
        key.removeprefix(start): decode_entry(item.value, kind) for key, item in items.items() if key.startswith(start)
    }
