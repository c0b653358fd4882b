"""The oldest server sweeps up what destroyed regions leave on the engine's disk: their logs and their snapshots.

A member with an old view of the site must not be able to delete what is in use. So the disk is looked at first and the
registry after it, anew: what was on the disk of a region had an entry in the registry before it was written, and the
generation in its name is never given to another region. Where that entry is gone, it is gone for ever.
A registry that has never drawn the generation is not this data's registry, and nothing is swept.

A member that has not yet heard of a destruction may still write to the log; that is swept the next time.
"""

from __future__ import annotations

import asyncio
import logging

from heliograph.engine.seam import Engine, Registry
from heliograph.errors import HeliographError
from heliograph.member.stores import Store, Stores
from heliograph.model.registry import CONFIG_REGIONS, GENERATIONS, RegionEntry, decode_entry

SWEEP_S = 60.0
SETTLE_S = 5.0
"""Between a destruction and the sweep: the other members hear of it, too, and whoever destroys one region destroys
more."""

_log = logging.getLogger(__name__)


class Sweeper:
    """duty: whether this member is the one that sweeps."""

    def __init__(self, engine: Engine, stores: Stores, registry: Registry) -> None:
        self.duty = False
        self._engine = engine
        self._stores = stores
        self._registry = registry
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """A region was destroyed."""
        self._awake.set()

    async def run(self) -> None:
        """Sweep until cancelled, whatever fails meanwhile."""
        while True:
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._awake.wait()
            except TimeoutError:
                pass  # nobody said so: look anyway
            await asyncio.sleep(SETTLE_S)
            self._awake.clear()
            if self.duty:
                try:
                    await self.sweep()
                except HeliographError as exc:
                    _log.warning("not swept error=%s", exc)

    async def sweep(self) -> None:
        """Drop the logs and snapshots of regions that were destroyed. Raises UnavailableError."""
        for name in await self._engine.stores():
            await self._sweep(await self._stores.open(name))

    async def _sweep(self, store: Store) -> None:
        logs = {subject: region for subject in await store.log.subjects() if (region := _region_of(subject))}
        snapshots = await store.snapshots.regions()
        dead = await self._destroyed({*logs.values(), *snapshots})
        for subject in [subject for subject, region in logs.items() if region in dead]:
            await store.log.forget(subject)
        for region in sorted(dead & snapshots):
            await store.snapshots.forget(*region)
        if dead:
            _log.info("swept store=%s regions=%s", store.name, sorted(dead))
            await store.look()

    async def _destroyed(self, found: set[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return those of the regions (name, generation) that there will never be again."""
        entries = await self._registry.items(CONFIG_REGIONS)
        drawn = await self._registry.items(GENERATIONS)
        living = {
            (key.removeprefix(f"{CONFIG_REGIONS}."), decode_entry(item.value, RegionEntry).generation)
            for key, item in entries.items()
        }
        newest = {key.removeprefix(f"{GENERATIONS}."): item.revision for key, item in drawn.items()}
        return {(name, generation) for name, generation in found - living if generation <= newest.get(name, 0)}


def _region_of(subject: str) -> tuple[str, int] | None:
    """Return the name and generation in a bucket's subject; None for what somebody else has put there."""
    match subject.split("."):
        case ["log", _, name, generation, bucket] if generation.isdecimal() and bucket.isdecimal():
            return name, int(generation)
    return None
