"""What heliograph asks of its engine: an ordered log with fenced appends, blobs, and a registry.

Two implementations pass one conformance suite (`tests/engine/conformance.py`): `engine.nats`, the product, and
`engine.sim`, in memory on the event loop's (virtual) time with faults on demand. Nothing outside `engine` may rely on
anything that is not written here.

Subjects are dot-separated tokens of `[A-Za-z0-9_-]`. Every subject belongs to exactly one log.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from heliograph.model.ids import Seq

APPEND_BYTES_MAX = 8 * 1024 * 1024
"""Largest payload that an append may have at any engine."""


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One message of a log.

    previous: the sequence that the append expected to be the subject's last, so a reader can see a gap.
    payload: empty in a headers-only scan.
    """

    subject: str
    seq: Seq
    previous: Seq
    batch_id: str
    payload: bytes


class Log(Protocol):
    """One disk store: messages of many subjects in one order, numbered from 1."""

    @property
    def append_bytes_max(self) -> int:
        """Largest payload that `append` takes: `APPEND_BYTES_MAX`, or less where the engine's operator allows less."""
        ...

    def append(self, subject: str, payload: bytes, *, expected: Seq, batch_id: str) -> Future[Seq]:
        """Append if the subject's last sequence is `expected`; the future gives the new sequence.

        A plain function, so that the hot path needs no task. One attempt, no retry. The future fails with
        FencedError when the subject's last sequence is another one, with UnavailableError when the answer was lost or
        the engine can't be reached (the outcome is unknown: see `engine.append.append_settled`), with UsageError when
        the payload exceeds `append_bytes_max`, and with DiskStoreFullError when the engine has no room for it (in both
        cases nothing was written).
        """
        ...

    async def last(self, subject: str) -> LogEntry | None:
        """Return the subject's last message. Raises UnavailableError."""
        ...

    def read(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        """Yield, in log order, every message of the subjects with a sequence > `after`, up to what the log held when
        the reading began. Lists are never empty. Raises UnavailableError.
        """
        ...

    def follow(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        """Yield, in log order and without end, every message of the subjects with a sequence > `after`.

        Gaps are never shown: after a lost connection the follower goes on where it was. Close it with `aclose()`.
        """
        ...

    def scan(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        """As `read`, with empty payloads: what is there, without moving it."""
        ...

    async def truncate(self, subject: str, *, below: Seq) -> None:
        """Drop the subject's messages with a sequence < `below`, but never its last one (architecture §2)."""
        ...

    async def usage(self) -> int:
        """Return the bytes that the log takes on disk, once, as the engine counts them. Raises UnavailableError."""
        ...

    async def subjects(self) -> list[str]:
        """Return the subjects that have messages, sorted. Raises UnavailableError."""
        ...

    async def forget(self, subject: str) -> None:
        """Drop all of a subject's messages: its last sequence falls back to 0, so only where nobody writes any more."""
        ...


class Blobs(Protocol):
    """Named byte strings of any size (snapshots)."""

    async def put(self, name: str, data: bytes) -> None:
        """Store or replace a blob as a whole."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return a blob, or None."""
        ...

    async def delete(self, name: str) -> None:
        """Delete a blob; a missing one is no error."""
        ...

    async def names(self) -> list[str]:
        """Return the names of all blobs, sorted."""
        ...

    async def usage(self) -> int:
        """Return the bytes that the blobs take on disk, once, as the engine counts them. Raises UnavailableError."""
        ...


class Item(msgspec.Struct, frozen=True):
    """A registry entry; `revision` grows with every change of the registry."""

    key: str
    value: bytes
    revision: int


class Change(msgspec.Struct, frozen=True):
    """A registry entry that changed; `value` None means deleted or expired."""

    key: str
    value: bytes | None
    revision: int


class Registry(Protocol):
    """Small shared state: keys with compare-and-set, time to live and watch. Keys are subjects.

    A time to live is rounded up to whole seconds. A value that is larger than an append may be is refused with
    UsageError. Everything raises UnavailableError when the engine can't be reached; the outcome of a write is then
    unknown. While there is no connection that happens at once.
    """

    async def get(self, key: str) -> Item | None:
        """Return an entry, or None. Reads what the registry's primary replica holds, never a stale copy."""
        ...

    async def create(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """Create an entry that does not exist and return its revision. Raises ConflictError when it does."""
        ...

    async def update(self, key: str, value: bytes, *, revision: int, ttl_s: float | None = None) -> int:
        """Replace the entry whose revision is `revision`; returns the new one. Raises ConflictError otherwise."""
        ...

    async def put(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """Create or replace an entry whatever it is; returns its revision. Without `ttl_s` it stays for ever."""
        ...

    async def delete(self, key: str, *, revision: int | None = None) -> None:
        """Delete an entry; a missing one is no error. Raises ConflictError when `revision` is not its revision."""
        ...

    async def items(self, prefix: str) -> dict[str, Item]:
        """Return the entries whose key is `prefix` or begins with `prefix` and a dot, sorted by key."""
        ...

    def watch(self, prefix: str) -> AsyncGenerator[list[Change], None]:
        """Yield first the entries there are (one list, possibly empty), then every change, without end.

        An expiry is shown within 2 s. After a lost connection every current entry is yielded again, and
        the entries that ended meanwhile as ended. Close it with `aclose()`.
        """
        ...


class Engine(Protocol):
    """A connection to a site's engine. Several logs (disk stores), blob stores and registries live in one engine."""

    async def open_log(self, store: str, *, replicas: int = 1) -> Log:
        """Open the disk store, created when it is new: it holds the subjects `log.<store>.>`."""
        ...

    async def stores(self) -> list[str]:
        """Return the names of the disk stores that have a log, sorted. Raises UnavailableError."""
        ...

    async def open_registry(self, name: str, *, replicas: int = 1) -> Registry:
        """Open the registry, created when it is new."""
        ...

    async def open_blobs(self, name: str, *, replicas: int = 1) -> Blobs:
        """Open the blob store, created when it is new."""
        ...

    @property
    def connected(self) -> bool:
        """Say whether the engine can be reached now."""
        ...

    async def close(self) -> None:
        """Close the connection; pending appends fail with UnavailableError."""
        ...


def bucket_subject(store: str, region: str, generation: int, bucket: int) -> str:
    """Return the subject of a bucket's log; `generation` tells it from older ones of its name."""
    return f"log.{store}.{region}.{generation}.{bucket}"
