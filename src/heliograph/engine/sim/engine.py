"""The seam's side of the simulated engine: what one process holds of it.

It has one replica of everything, whatever `replicas` says: losing one of several is not simulated.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence

from heliograph.engine.seam import APPEND_BYTES_MAX, Change, Item, LogEntry
from heliograph.engine.sim.server import SimConnection, SimEngine
from heliograph.engine.sim.store import LogStore, RegistryStore, within
from heliograph.errors import UnavailableError, UsageError
from heliograph.model.ids import Seq

DELIVERY_MAX = 64
TTL_MIN_S = 1


def connect_engine(engine: SimEngine) -> SimClient:
    """Return a client with a connection of its own; its `connection` can be cut and healed."""
    return SimClient(engine.connect())


class SimClient:
    """`seam.Engine` on a `SimEngine`."""

    def __init__(self, connection: SimConnection) -> None:
        self.connection = connection

    @property
    def connected(self) -> bool:
        """As `seam.Engine.connected`."""
        return self.connection.connected

    async def open_log(self, store: str, *, replicas: int = 1) -> SimLog:  # noqa: ARG002
        """As `seam.Engine.open_log`."""
        logs = self.connection.engine.logs
        return SimLog(self.connection, await self.connection.send(lambda: logs.setdefault(store, LogStore())))

    async def stores(self) -> list[str]:
        """As `seam.Engine.stores`."""
        return await self.connection.send(lambda: sorted(self.connection.engine.logs))

    async def open_registry(self, name: str, *, replicas: int = 1) -> SimRegistry:  # noqa: ARG002
        """As `seam.Engine.open_registry`."""
        registries = self.connection.engine.registries
        store = await self.connection.send(lambda: registries.setdefault(name, RegistryStore()))
        return SimRegistry(self.connection, store)

    async def open_blobs(self, name: str, *, replicas: int = 1) -> SimBlobs:  # noqa: ARG002
        """As `seam.Engine.open_blobs`."""
        blobs = self.connection.engine.blobs
        return SimBlobs(self.connection, await self.connection.send(lambda: blobs.setdefault(name, {})))

    async def close(self) -> None:
        """As `seam.Engine.close`."""
        self.connection.close()


class SimLog:
    """`seam.Log` on a `LogStore`."""

    append_bytes_max = APPEND_BYTES_MAX

    def __init__(self, connection: SimConnection, store: LogStore) -> None:
        self._connection = connection
        self._store = store

    def append(self, subject: str, payload: bytes, *, expected: Seq, batch_id: str) -> asyncio.Future[Seq]:
        """As `seam.Log.append`; suffers the engine's faults."""
        engine = self._connection.engine

        def write() -> Seq:
            seq = self._store.append(subject, payload, expected, batch_id)
            engine.tell(self._store, subject)
            return seq

        if len(payload) > APPEND_BYTES_MAX:
            refused: asyncio.Future[Seq] = asyncio.get_running_loop().create_future()
            refused.set_exception(UsageError(f"an append of {len(payload)} bytes to {subject} is too large"))
            return refused
        return self._connection.send(write, engine.faults.draw(engine.rng))

    async def last(self, subject: str) -> LogEntry | None:
        """As `seam.Log.last`."""
        return await self._connection.send(lambda: self._store.last(subject))

    async def read(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        """As `seam.Log.read`."""
        end = await self._connection.send(lambda: self._store.end(subjects))
        while after < end:
            entries = self._store.after(subjects, after, DELIVERY_MAX)
            if not await self._connection.travel():
                raise UnavailableError("the reading was interrupted: the connection to the engine was lost")
            after = entries[-1].seq
            wanted = [entry for entry in entries if entry.seq <= end]
            if wanted:
                yield wanted

    async def scan(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        """As `seam.Log.scan`."""
        async for entries in self.read(subjects, after=after):
            yield [LogEntry(entry.subject, entry.seq, entry.previous, entry.batch_id, b"") for entry in entries]

    async def follow(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        """As `seam.Log.follow`."""
        followed = frozenset(subjects)
        while True:
            entries = self._store.after(subjects, after, DELIVERY_MAX) if self._connection.connected else []
            if not entries:
                await self._connection.engine.news(self._store, followed.__contains__)
            elif await self._connection.travel():
                after = entries[-1].seq
                yield entries

    async def truncate(self, subject: str, *, below: Seq) -> None:
        """As `seam.Log.truncate`."""
        await self._connection.send(lambda: self._store.truncate(subject, below))

    async def usage(self) -> int:
        """As `seam.Log.usage`."""
        return await self._connection.send(lambda: self._store.size)

    async def subjects(self) -> list[str]:
        """As `seam.Log.subjects`."""
        return await self._connection.send(self._store.subjects)

    async def forget(self, subject: str) -> None:
        """As `seam.Log.forget`."""
        await self._connection.send(lambda: self._store.forget(subject))


class SimRegistry:
    """`seam.Registry` on a `RegistryStore`."""

    def __init__(self, connection: SimConnection, store: RegistryStore) -> None:
        self._connection = connection
        self._store = store

    async def get(self, key: str) -> Item | None:
        """As `seam.Registry.get`."""
        return await self._connection.send(lambda: self._store.get(key))

    async def create(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """As `seam.Registry.create`."""
        _check_size(key, value)
        return await self._write(key, lambda: self._store.create(key, value), ttl_s)

    async def update(self, key: str, value: bytes, *, revision: int, ttl_s: float | None = None) -> int:
        """As `seam.Registry.update`."""
        _check_size(key, value)
        return await self._write(key, lambda: self._store.update(key, value, revision), ttl_s)

    async def put(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """As `seam.Registry.put`."""
        _check_size(key, value)
        return await self._write(key, lambda: self._store.put(key, value), ttl_s)

    async def delete(self, key: str, *, revision: int | None = None) -> None:
        """As `seam.Registry.delete`."""

        def write() -> None:
            self._store.delete(key, revision)
            self._connection.engine.tell(self._store, key)

        await self._connection.send(write)

    async def items(self, prefix: str) -> dict[str, Item]:
        """As `seam.Registry.items`."""
        return await self._connection.send(lambda: self._store.items(prefix))

    async def watch(self, prefix: str) -> AsyncGenerator[list[Change], None]:
        """As `seam.Registry.watch`; after a loss every key is shown again, ended ones too."""
        seen_revision, first = 0, True
        lost_count = self._connection.lost_count
        while True:
            if lost_count != self._connection.lost_count:
                lost_count, seen_revision = self._connection.lost_count, 0
            changes = self._store.changes(prefix, seen_revision)
            if not self._connection.connected or not (changes or first):
                await self._connection.engine.news(self._store, lambda key: within(key, prefix))
            elif await self._connection.travel():
                seen_revision = max((change.revision for change in changes), default=seen_revision)
                yield [change for change in changes if change.value is not None] if first else changes
                first = False

    async def _write(self, key: str, write: Callable[[], int], ttl_s: float | None) -> int:
        loop = asyncio.get_running_loop()

        def write_and_tell() -> int:
            revision = write()
            self._connection.engine.tell(self._store, key)
            if ttl_s is not None:
                loop.call_later(max(TTL_MIN_S, math.ceil(ttl_s)), self._expire, key, revision)
            return revision

        return await self._connection.send(write_and_tell)

    def _expire(self, key: str, revision: int) -> None:
        if self._store.expire(key, revision):
            self._connection.engine.tell(self._store, key)


class SimBlobs:
    """`seam.Blobs` in a dict."""

    def __init__(self, connection: SimConnection, blobs: dict[str, bytes]) -> None:
        self._connection = connection
        self._blobs = blobs

    async def put(self, name: str, data: bytes) -> None:
        """As `seam.Blobs.put`."""
        await self._connection.send(lambda: self._blobs.__setitem__(name, data))

    async def get(self, name: str) -> bytes | None:
        """As `seam.Blobs.get`."""
        return await self._connection.send(lambda: self._blobs.get(name))

    async def delete(self, name: str) -> None:
        """As `seam.Blobs.delete`."""
        await self._connection.send(lambda: self._blobs.pop(name, None))

    async def names(self) -> list[str]:
        """As `seam.Blobs.names`."""
        return await self._connection.send(lambda: sorted(self._blobs))

    async def usage(self) -> int:
        """As `seam.Blobs.usage`."""
        return await self._connection.send(lambda: sum(map(len, self._blobs.values())))


def _check_size(key: str, value: bytes) -> None:
    if len(value) > APPEND_BYTES_MAX:
        raise UsageError(f"it is too large for the engine to write {key}: {len(value)} bytes")
