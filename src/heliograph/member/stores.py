"""The site's disk stores as one member has them: opened, their limits known, how full they are looked at.

A disk store is a log and the snapshots of the buckets whose log it is. Its limit is kept by the members (`bucket.space`
says how), so the engine is asked how large a store with a limit is, once a second and after every cut.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from heliograph.bucket.space import Space
from heliograph.engine.seam import Engine, Log
from heliograph.errors import DiskStoreFullError, HeliographError, UsageError
from heliograph.member.snapshots import SnapshotStore
from heliograph.model.attributes import DEFAULT_STORE, MB, DiskStoreAttributes

LOOK_S = 1.0
SNAPSHOTS = "snapshots-"

_log = logging.getLogger(__name__)


class Store:
    """One disk store."""

    def __init__(self, name: str, log: Log, snapshots: SnapshotStore) -> None:
        self.name = name
        self.log = log
        self.snapshots = snapshots
        self.space = Space()

    def refuse(self) -> DiskStoreFullError:
        """Return what a write is told while the store is full."""
        space = self.space
        return DiskStoreFullError(
            f"disk store {self.name} is full: it takes {space.used_bytes / MB:.1f} MB of max-disk "
            f"{space.limit_bytes // MB} MB, and the write was not done. Room comes back as gateway senders ship what "
            f"they have queued and as entries are removed; or raise it: alter disk-store --name={self.name} --max-disk"
        )

    async def usage(self) -> tuple[int, int]:
        """Ask the engine for the bytes of the log and of the snapshots. Raises UnavailableError."""
        return await self.log.usage(), await self.snapshots.usage()

    async def look(self) -> None:
        """Ask the engine how full the store is, if that matters. Raises UnavailableError."""
        space = self.space
        if space.limit_bytes:
            asked_at, was_full = space.appended_bytes, space.full
            space.measured(sum(await self.usage()), asked_at)
            if space.full != was_full:
                state = "full" if space.full else "has room"
                _log.warning("disk store %s name=%s used=%d", state, self.name, space.used_bytes)


class Stores:
    """All disk stores that were ever opened here."""

    def __init__(self, engine: Engine, replicas: int) -> None:
        self._engine = engine
        self._replicas = replicas
        self._stores: dict[str, Store] = {}
        self._limits: dict[str, int] = {}

    def __getitem__(self, name: str) -> Store:
        """Return a store that was opened here. Raises UsageError."""
        store = self._stores.get(name)
        if store is None:
            raise UsageError(f"disk store {name!r} does not exist")
        return store

    async def open(self, name: str) -> Store:
        """Return a store, opened (and made, when it is new) if it was not yet. Raises UnavailableError."""
        store = self._stores.get(name)
        if store is None:
            log = await self._engine.open_log(name, replicas=self._replicas)
            blobs = await self._engine.open_blobs(SNAPSHOTS + name, replicas=self._replicas)
            store = self._stores.setdefault(name, Store(name, log, SnapshotStore(blobs)))
            await self._limit(store)
        return store

    async def arrange(self, definitions: Mapping[str, DiskStoreAttributes], used: Iterable[str]) -> None:
        """Open the stores there are and those that regions use, each with its limit. Raises UnavailableError."""
        self._limits = {name: store.limit_bytes for name, store in definitions.items()}
        for name in sorted({DEFAULT_STORE, *definitions, *used}):
            await self._limit(await self.open(name))

    async def _limit(self, store: Store) -> None:
        limit_bytes = self._limits.get(store.name, 0)
        if limit_bytes != store.space.limit_bytes:
            store.space.limit(limit_bytes)
            await store.look()

    async def look_always(self) -> None:
        """Look at how full the stores with a limit are, until cancelled, whatever fails meanwhile."""
        while True:
            await asyncio.sleep(LOOK_S)
            for store in list(self._stores.values()):
                try:
                    await store.look()
                except HeliographError as exc:
                    _log.warning("disk store not looked at name=%s error=%s", store.name, exc)
