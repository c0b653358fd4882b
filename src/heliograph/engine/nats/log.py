"""A disk store's log: one JetStream stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from heliograph.engine.nats.append import BATCH, EXPECTED, Appender
from heliograph.engine.nats.connection import Connection
from heliograph.engine.nats.consume import Consumer, Delivered, open_consumer
from heliograph.engine.nats.failures import translated
from heliograph.engine.seam import LogEntry
from heliograph.errors import UnavailableError
from heliograph.model.ids import NO_SEQ, Seq

REOPEN_MIN_S, REOPEN_MAX_S = 0.02, 1.0
READS_AT_ONCE = 64
LAG_HEARTBEATS_MAX = 5
STREAM = "LOG_"
DUPLICATE_WINDOW_S = 0.1
"""The least that JetStream takes: appends are settled by their expected sequence, not by message ids."""

_EXPECTED_LINE, _BATCH_LINE = EXPECTED + b": ", BATCH + b": "

_log = logging.getLogger(__name__)


def stream_name(store: str) -> str:
    """Return the name of a disk store's stream."""
    return STREAM + store


def stream_config(store: str, replicas: int) -> StreamConfig:
    """Return the configuration of a disk store's stream."""
    return StreamConfig(
        name=stream_name(store),
        description=f"heliograph disk store {store}",
        subjects=[f"log.{store}.>"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        num_replicas=replicas,
        discard=DiscardPolicy.NEW,
        duplicate_window=DUPLICATE_WINDOW_S,
        allow_direct=True,
    )


class NatsLog:
    """`seam.Log` on a stream. Appends and deliveries have a connection each, so that a large read delays no append."""

    def __init__(self, store: str, context: JetStreamContext, appender: Appender, deliveries: Connection) -> None:
        self._stream = stream_name(store)
        self._context = context
        self._appender = appender
        self._deliveries = deliveries

    @property
    def append_bytes_max(self) -> int:
        """As `seam.Log.append_bytes_max`."""
        return self._appender.append_bytes_max

    def append(self, subject: str, payload: bytes, *, expected: Seq, batch_id: str) -> asyncio.Future[Seq]:
        """As `seam.Log.append`."""
        return self._appender.append(subject, payload, expected, batch_id)

    async def last(self, subject: str) -> LogEntry | None:
        """As `seam.Log.last`: asked of the stream's primary replica, never of one that may lag."""
        message = await self._last(subject)
        if message is None:
            return None
        headers = message.headers or {}
        return LogEntry(
            subject=subject,
            seq=Seq(message.seq or 0),
            previous=Seq(int(headers.get(EXPECTED.decode(), 0))),
            batch_id=headers.get(BATCH.decode(), ""),
            payload=message.data or b"",
        )

    async def read(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        """As `seam.Log.read`."""
        async for entries in self._read(subjects, after, headers_only=False):
            yield entries

    async def scan(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        """As `seam.Log.scan`."""
        async for entries in self._read(subjects, after, headers_only=True):
            yield entries

    async def follow(self, subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
        """As `seam.Log.follow`."""
        delay_s = REOPEN_MIN_S
        while True:
            try:
                async with await self._consumer(subjects, after, headers_only=False) as consumer:
                    while True:
                        entries = list(map(_entry, await consumer.take()))
                        delay_s = REOPEN_MIN_S
                        if entries:
                            after = entries[-1].seq
                            yield entries
            except UnavailableError as exc:
                _log.debug("follow_interrupted stream=%s after=%d reason=%s", self._stream, after, exc)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, REOPEN_MAX_S)

    async def truncate(self, subject: str, *, below: Seq) -> None:
        """As `seam.Log.truncate`."""
        last = await self._last(subject)
        if last is None or last.seq is None:
            return
        with translated(f"truncate {subject}"):
            await self._context.purge_stream(self._stream, seq=min(below, last.seq), subject=subject)

    async def usage(self) -> int:
        """As `seam.Log.usage`."""
        with translated(f"say how large {self._stream} is"):
            return (await self._context.stream_info(self._stream)).state.bytes

    async def subjects(self) -> list[str]:
        """As `seam.Log.subjects`; the engine shows no more than 100,000 of them."""
        with translated(f"list the subjects of {self._stream}"):
            info = await self._context.stream_info(self._stream, subjects_filter=">")
        return sorted(info.state.subjects or ())

    async def forget(self, subject: str) -> None:
        """As `seam.Log.forget`."""
        with translated(f"forget {subject}"):
            await self._context.purge_stream(self._stream, subject=subject)

    async def _last(self, subject: str) -> RawStreamMsg | None:
        with translated(f"read the last message of {subject}"):
            try:
                return await self._context.get_last_msg(self._stream, subject)
            except NotFoundError:
                return None

    async def _end(self, subjects: Sequence[str]) -> Seq:
        """Return the last sequence of the subjects as the stream's primary replica holds them.

        A consumer's own count of pending messages won't do: it may be placed on a replica that lags.
        """
        end = NO_SEQ
        for start in range(0, len(subjects), READS_AT_ONCE):
            found = await asyncio.gather(*map(self._last, subjects[start : start + READS_AT_ONCE]))
            end = max(end, *(Seq(message.seq or 0) for message in found if message is not None), NO_SEQ)
        return end

    async def _read(
        self, subjects: Sequence[str], after: Seq, *, headers_only: bool
    ) -> AsyncGenerator[list[LogEntry], None]:
        end = await self._end(subjects)
        if end <= after:
            return
        async with await self._consumer(subjects, after, headers_only=headers_only) as consumer:
            silences = 0
            while after < end:
                entries = list(map(_entry, await consumer.take()))
                if not entries:  # the consumer is at a replica that lags
                    silences += 1
                    if silences > LAG_HEARTBEATS_MAX:
                        raise UnavailableError(f"a replica of {self._stream} lags: it has not {end} yet")
                    continue
                after = entries[-1].seq
                if after > end:
                    entries = [entry for entry in entries if entry.seq <= end]
                if entries:
                    yield entries

    async def _consumer(self, subjects: Sequence[str], after: Seq, *, headers_only: bool) -> Consumer:
        return await open_consumer(
            self._context, self._deliveries, self._stream, subjects, after=after, headers_only=headers_only
        )


def _entry(delivered: Delivered) -> LogEntry:
    """Read a message; one that we wrote has its headers where `Appender` put them."""
    message = delivered.message
    lines = message.headers.split(b"\r\n", 3)
    if len(lines) == 4 and lines[1].startswith(_EXPECTED_LINE) and lines[2].startswith(_BATCH_LINE):
        previous, batch_id = lines[1][len(_EXPECTED_LINE) :], lines[2][len(_BATCH_LINE) :]
    else:
        previous, batch_id = message.header(EXPECTED), message.header(BATCH)
    return LogEntry(
        message.subject.decode(), delivered.seq, Seq(int(previous or 0)), batch_id.decode(), message.payload
    )
