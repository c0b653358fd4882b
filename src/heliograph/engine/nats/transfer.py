"""Streams carried from one engine to another with their sequences: JetStream's own snapshot, restored over there.

A sequence is all that fences, cursors and snapshots rest on, so messages are never published anew. A snapshot streams
in chunks that are acknowledged one by one, and nothing is held in memory. The source must not be written to meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamInfo, StreamState

from heliograph.engine.nats.failures import translated
from heliograph.errors import UnavailableError

CHUNK_BYTES = 128 * 1024
REQUEST_S = 30.0
RESTORED_S = 600.0
"""How long the engine may take to put a stream together that it was sent."""
COPIED_S = 600.0
"""How long the replicas may take to be sent a copy."""
CHECK_S = 0.5
_END = ("", "204")

_log = logging.getLogger(__name__)


class Extent(msgspec.Struct, frozen=True):
    """How much a stream holds."""

    first_seq: int
    last_seq: int
    messages: int


async def copy_stream(source: Client, target: Client, name: str) -> Extent:
    """Copy a stream that the target does not have, into one replica, and return what was copied.

    Raises UnavailableError; what came of it has to be deleted then.
    """
    with translated(f"copy {name}"):
        inbox = source.new_inbox()
        chunks = await source.subscribe(inbox)
        try:
            offer = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES}
            snapshot = await _ask(source, f"$JS.API.STREAM.SNAPSHOT.{name}", msgspec.json.encode(offer))
            wanted = {"config": {**snapshot["config"], "num_replicas": 1}, "state": snapshot["state"]}
            restore = await _ask(target, f"$JS.API.STREAM.RESTORE.{name}", msgspec.json.encode(wanted))
            subject = restore["deliver_subject"]
            while (chunk := await chunks.next_msg(timeout=REQUEST_S)).data:
                await _ask(target, subject, chunk.data)
                if chunk.reply:
                    await source.publish(chunk.reply, b"")
            _check_end(name, chunk)
            await _ask(target, subject, b"", timeout_s=RESTORED_S)
        finally:
            await chunks.unsubscribe()
    extent = msgspec.convert(snapshot["state"], Extent)
    _log.info("stream_copied name=%s messages=%d last=%d", name, extent.messages, extent.last_seq)
    return extent


async def check_copies(target: Client, name: str, original: Extent, replicas: int) -> None:
    """Have every replica of a copy be primary once, and compare what it holds then with what was copied.

    Waits for replicas that are not current yet. Raises UnavailableError when one is not within `COPIED_S`, or holds
    something else: the copy has to be made anew then.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + COPIED_S
    checked: set[str] = set()
    while True:
        try:
            with translated(f"check the copies of {name}"):
                info = await target.jetstream().stream_info(name)
            primary, *others = _replicas(info, replicas)
        except UnavailableError as exc:
            if loop.time() > deadline:
                raise
            _log.debug("stream_copies_incomplete name=%s reason=%s", name, exc)
        else:
            if not _same(original, info.state, expires=bool(info.config.allow_msg_ttl)):
                raise UnavailableError(f"{primary} holds another {name}: {info.state} instead of {original}")
            checked.add(primary)
            left = [other for other in others if other not in checked]
            if not left:
                break
            await _make_primary(target, name, left[0])
        await asyncio.sleep(CHECK_S)
    _log.info("stream_copies_checked name=%s replicas=%s", name, ",".join(sorted(checked)))


async def _make_primary(target: Client, name: str, replica: str) -> None:
    """Have the primary replica of a stream hand over to another one, which may not succeed."""
    order = msgspec.json.encode({"placement": {"preferred": replica}})
    try:
        with translated(f"have {replica} be primary of {name}"):
            await _ask(target, f"$JS.API.STREAM.LEADER.STEPDOWN.{name}", order)
    except UnavailableError as exc:
        _log.info("stream_primary_stays name=%s reason=%s", name, exc)


def _replicas(info: StreamInfo, count: int) -> list[str]:
    """Return the names of a stream's replicas, the primary first.

    Raises UnavailableError unless there are so many and all are current.
    """
    cluster = info.cluster
    if cluster is None or not cluster.leader:
        raise UnavailableError(f"{info.config.name} has no primary replica yet")
    others = cluster.replicas or []
    behind = [str(peer.name) for peer in others if not peer.current or peer.offline or peer.lag]
    if behind or len(others) + 1 != count:
        raise UnavailableError(f"the replicas of {info.config.name} are not current yet: {', '.join(behind)}")
    return [cluster.leader, *sorted(str(peer.name) for peer in others)]


def _same(original: Extent, copy: StreamState, *, expires: bool) -> bool:
    """Compare two states; of a stream whose entries expire by themselves only that nothing is behind."""
    if expires:
        return copy.last_seq >= original.last_seq
    if not original.messages:
        return (copy.last_seq, copy.messages) == (original.last_seq, 0)
    return (copy.first_seq, copy.last_seq, copy.messages) == (original.first_seq, original.last_seq, original.messages)


def _check_end(name: str, end: Msg) -> None:
    status = (end.headers or {}).get("Status", "")
    if status not in _END:
        raise UnavailableError(
            f"the snapshot of {name} was cut short: {(end.headers or {}).get('Description', status)}"
        )


async def _ask(client: Client, subject: str, payload: bytes, *, timeout_s: float = REQUEST_S) -> dict[str, Any]:
    """Ask the engine; an error in its answer is UnavailableError."""
    answer = await client.request(subject, payload, timeout=timeout_s)
    if not answer.data:
        return {}
    told: dict[str, Any] = msgspec.json.decode(answer.data, type=dict[str, Any])
    error = told.get("error")
    if error:
        raise UnavailableError(f"the engine refused {subject.split('.')[0:4]}: {error.get('description', error)}")
    return told
