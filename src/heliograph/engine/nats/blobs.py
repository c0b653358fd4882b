"""Blobs: a JetStream object store.

nats-py writes them. Reading goes through our own consumer, which is a good deal faster and can't wait for ever for
chunks that a newer blob of the same name has replaced.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib

from nats.js import JetStreamContext
from nats.js.api import ObjectInfo
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from heliograph.engine.nats.connection import Connection
from heliograph.engine.nats.consume import open_consumer
from heliograph.engine.nats.failures import translated
from heliograph.errors import UnavailableError
from heliograph.model.ids import NO_SEQ

TRANSFER_TIMEOUT_S = 120.0
DIGEST = "SHA-256="


class NatsBlobs:
    """`seam.Blobs` on an object store."""

    def __init__(self, name: str, store: ObjectStore, context: JetStreamContext, deliveries: Connection) -> None:
        self._name = name
        self._stream = f"OBJ_{name}"
        self._store = store
        self._context = context
        self._deliveries = deliveries

    async def put(self, name: str, data: bytes) -> None:
        """As `seam.Blobs.put`."""
        with translated(f"store blob {name}"):
            async with asyncio.timeout(TRANSFER_TIMEOUT_S):
                await self._store.put(name, data)

    async def get(self, name: str) -> bytes | None:
        """As `seam.Blobs.get`; UnavailableError also when the blob is replaced while it is read."""
        with translated(f"load blob {name}"):
            try:
                info = await self._store.get_info(name)
            except NotFoundError:
                return None
            async with asyncio.timeout(TRANSFER_TIMEOUT_S):
                data = await self._chunks(info) if info.size else b""
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
        if info.digest != DIGEST + digest:
            raise UnavailableError(f"blob {name} was replaced while it was read")
        return data

    async def delete(self, name: str) -> None:
        """As `seam.Blobs.delete`."""
        with translated(f"delete blob {name}"):
            try:
                await self._store.delete(name)
            except NotFoundError:
                return
            # nats-py leaves a mark for everyone who watches; nobody does, and a name never comes back.
            encoded = base64.urlsafe_b64encode(name.encode()).decode()
            await self._context.purge_stream(self._stream, subject=f"$O.{self._name}.M.{encoded}")

    async def names(self) -> list[str]:
        """As `seam.Blobs.names`."""
        with translated("list blobs"):
            try:
                async with asyncio.timeout(TRANSFER_TIMEOUT_S):
                    found = await self._store.list(ignore_deletes=True)
            except NotFoundError:
                return []
        return sorted(info.name for info in found)

    async def usage(self) -> int:
        """As `seam.Blobs.usage`."""
        with translated(f"say how large {self._stream} is"):
            return (await self._context.stream_info(self._stream)).state.bytes

    async def _chunks(self, info: ObjectInfo) -> bytes:
        """Return the chunks that there are; short of some when the blob was replaced."""
        chunks: list[bytes] = []
        subject = f"$O.{self._name}.C.{info.nuid}"
        async with await open_consumer(
            self._context, self._deliveries, self._stream, [subject], after=NO_SEQ
        ) as consumer:
            while len(chunks) < (info.chunks or 0):
                delivered = await consumer.take()
                if not delivered:
                    break
                chunks += [delivery.message.payload for delivery in delivered]
        return b"".join(chunks)
