"""The registry: a JetStream key-value bucket, readable with every NATS tool.

Writes go to the bucket's subjects with the headers that nats-py's `KeyValue` has no options for: a time to live and an
expected revision together. An entry's end is a message too, a *marker*: put by `delete`, or by the engine when the
time to live is over, and itself forgotten after `MARKER_TTL_S`; so that watchers see it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Mapping

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from heliograph.engine.nats.append import EXPECTED, WRONG_LAST_SEQUENCE
from heliograph.engine.nats.connection import Connection
from heliograph.engine.nats.consume import Consumer, Delivered, open_consumer
from heliograph.engine.nats.failures import translated
from heliograph.engine.seam import Change, Item
from heliograph.errors import ConflictError, UnavailableError

MARKER_TTL_S = 600
TTL_MIN_S = 1
CREATE_ATTEMPTS = 8
READS_AT_ONCE = 64
REOPEN_MIN_S, REOPEN_MAX_S = 0.02, 1.0

_OPERATION, _MARKER_REASON, _TTL = "KV-Operation", "Nats-Marker-Reason", "Nats-TTL"

_log = logging.getLogger(__name__)


def stream_of(name: str) -> str:
    """Return the name of the stream that holds a registry."""
    return f"KV_{name}"


def bucket_config(name: str, replicas: int) -> StreamConfig:
    """Return the configuration of a registry's bucket."""
    return StreamConfig(
        name=stream_of(name),
        description=f"heliograph registry {name}",
        subjects=[f"$KV.{name}.>"],
        storage=StorageType.FILE,
        num_replicas=replicas,
        max_msgs_per_subject=1,
        discard=DiscardPolicy.NEW,
        allow_msg_ttl=True,
        subject_delete_marker_ttl=MARKER_TTL_S,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
    )


class NatsRegistry:
    """`seam.Registry` on a key-value bucket; an entry's revision is its sequence in the bucket's stream."""

    def __init__(self, name: str, context: JetStreamContext, deliveries: Connection) -> None:
        self._stream = stream_of(name)
        self._root = f"$KV.{name}."
        self._context = context
        self._deliveries = deliveries
        self._newest = 0
        """The newest revision that was seen here: who lists the bucket has to know as much."""

    async def get(self, key: str) -> Item | None:
        """As `seam.Registry.get`."""
        message = await self._last(key)
        if message is None or _is_marker(message.headers or {}):
            return None
        revision = message.seq or 0
        self._newest = max(self._newest, revision)
        return Item(key, message.data or b"", revision)

    async def create(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """As `seam.Registry.create`. Every attempt that loses shows that another writer won meanwhile."""
        expected = 0
        for _ in range(CREATE_ATTEMPTS):
            try:
                return await self._publish(key, value, expected=expected, ttl_s=ttl_s)
            except ConflictError:
                message = await self._last(key)
                if message is not None and not _is_marker(message.headers or {}):
                    raise
                expected = 0 if message is None else message.seq or 0
        raise ConflictError(f"{key} is being created and deleted by others all the time")

    async def update(self, key: str, value: bytes, *, revision: int, ttl_s: float | None = None) -> int:
        """As `seam.Registry.update`."""
        return await self._publish(key, value, expected=revision, ttl_s=ttl_s)

    async def put(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """As `seam.Registry.put`."""
        return await self._publish(key, value, expected=None, ttl_s=ttl_s)

    async def delete(self, key: str, *, revision: int | None = None) -> None:
        """As `seam.Registry.delete`."""
        item = await self.get(key)
        if item is not None:
            await self._publish(key, b"", expected=revision, ttl_s=MARKER_TTL_S, operation="DEL")

    async def items(self, prefix: str) -> dict[str, Item]:
        """As `seam.Registry.items`: asked of the bucket's primary replica, key by key.

        While there is none any replica says which keys there are, also one that has just begun to copy the others and
        knows of nothing. Who knows less than was seen here already is not believed.
        """
        newest = self._newest
        with translated(f"list {prefix}"):
            info = await self._context.stream_info(self._stream, subjects_filter=f"{self._root}{prefix}.>")
        if info.state.last_seq < newest:
            raise UnavailableError(f"a replica of {self._stream} lags: it has not {newest} yet")
        keys = [prefix, *(subject.removeprefix(self._root) for subject in info.state.subjects or {})]
        found: list[Item | None] = []
        for start in range(0, len(keys), READS_AT_ONCE):
            found += await asyncio.gather(*map(self.get, keys[start : start + READS_AT_ONCE]))
        return {item.key: item for item in sorted(filter(None, found), key=lambda item: item.key)}

    async def watch(self, prefix: str) -> AsyncGenerator[list[Change], None]:
        """As `seam.Registry.watch`. Entries that ended during an interruption are shown as ended after it."""
        known: dict[str, int] | None = None
        subjects = [f"{self._root}{prefix}", f"{self._root}{prefix}.>"]
        delay_s = REOPEN_MIN_S
        while True:
            try:
                async with await open_consumer(
                    self._context, self._deliveries, self._stream, subjects, after=None
                ) as consumer:
                    current = [change for change in await self._current(consumer) if change.value is not None]
                    ended = _ended(known or {}, current)
                    if known is None or current or ended:
                        known = {change.key: change.revision for change in current}
                        yield current + ended
                    while True:
                        changes = list(map(self._change, await consumer.take()))
                        delay_s = REOPEN_MIN_S
                        if changes:
                            _note(known, changes)
                            yield changes
            except UnavailableError as exc:
                _log.debug("watch_interrupted bucket=%s prefix=%s reason=%s", self._stream, prefix, exc)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, REOPEN_MAX_S)

    async def _current(self, consumer: Consumer) -> list[Change]:
        """Return the newest message of every subject, markers too."""
        current: list[Change] = []
        if not consumer.num_pending:
            return current
        while True:
            delivered = await consumer.take()
            current += map(self._change, delivered)
            if not delivered or delivered[-1].pending == 0:  # a heartbeat says too that there is no more
                return current

    def _change(self, delivered: Delivered) -> Change:
        message = delivered.message
        key = message.subject.decode().removeprefix(self._root)
        marker = message.header(_OPERATION.encode()) or message.header(_MARKER_REASON.encode())
        return Change(key, None if marker else message.payload, delivered.seq)

    async def _last(self, key: str) -> RawStreamMsg | None:
        with translated(f"read {key}"):
            try:
                return await self._context.get_last_msg(self._stream, self._root + key)
            except NotFoundError:
                return None

    async def _publish(
        self, key: str, value: bytes, *, expected: int | None, ttl_s: float | None, operation: str = ""
    ) -> int:
        headers: dict[str, str] = {}
        if expected is not None:
            headers[EXPECTED.decode()] = str(expected)
        if ttl_s is not None:
            headers[_TTL] = f"{max(TTL_MIN_S, math.ceil(ttl_s))}s"
        if operation:
            headers[_OPERATION] = operation
        with translated(f"write {key}"):
            try:
                answer = await self._context.publish(self._root + key, value, headers=headers or None)
            except APIError as exc:
                if exc.err_code in WRONG_LAST_SEQUENCE:
                    raise ConflictError(f"{key} is not at revision {expected}: {exc.description}") from exc
                raise
        self._newest = max(self._newest, answer.seq)
        return answer.seq


def _is_marker(headers: Mapping[str, str]) -> bool:
    return _OPERATION in headers or _MARKER_REASON in headers


def _ended(known: Mapping[str, int], current: list[Change]) -> list[Change]:
    """Return the ends of the entries that were known and are not there any more."""
    alive = {change.key for change in current}
    return [Change(key, None, revision) for key, revision in sorted(known.items()) if key not in alive]


def _note(known: dict[str, int], changes: list[Change]) -> None:
    for change in changes:
        if change.value is None:
            known.pop(change.key, None)
        else:
            known[change.key] = change.revision
