"""A pull consumer: the messages of some subjects, in order, with bounded prefetch.

One request is under way at a time, and the next leaves when its messages were taken; so no more than `PULL_MESSAGES`
messages or `PULL_BYTES` bytes ever wait in memory, or one message that is larger. The consumer lives in the engine's
memory and asks for no acknowledgements: a reader that lost it creates another one after the last sequence that it has
seen.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from types import TracebackType

import msgspec
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from heliograph.engine.nats import protocol
from heliograph.engine.nats.append import HEADERS_BYTES_MAX
from heliograph.engine.nats.connection import Connection
from heliograph.engine.nats.failures import translated
from heliograph.engine.nats.protocol import Message
from heliograph.engine.seam import APPEND_BYTES_MAX
from heliograph.errors import UnavailableError
from heliograph.model.ids import Seq

PULL_MESSAGES = 4096
PULL_BYTES = 2 * 1024 * 1024
"""Dozens of readers at once stay below what a server keeps for a client until it calls it slow (64 MB)."""
PULL_BYTES_LARGE = APPEND_BYTES_MAX + 4 * HEADERS_BYTES_MAX
"""Asked for when the next message does not fit into `PULL_BYTES`: enough for the largest one with its subjects."""
PULL_EXPIRES_S = 30.0
HEARTBEAT_S = 2.0
SILENCE_MAX_S = 2.5 * HEARTBEAT_S
"""A consumer that says nothing for so long, not even its heartbeat, is given up."""
INACTIVE_S = 60.0
"""The engine forgets a consumer that nobody has pulled from for so long."""

_NS = 1_000_000_000
_IDLE_HEARTBEAT, _TIMEOUT = 100, 408
_TOO_LARGE = "Message Size Exceeds MaxBytes"
_REQUEST_ENDED = ("Batch Completed", _TOO_LARGE)
"""Descriptions of status 409 that end a request, not the consumer."""

_log = logging.getLogger(__name__)


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """A message that a consumer delivered; `pending` messages followed it when it was sent."""

    message: Message
    seq: Seq
    pending: int


async def open_consumer(
    context: JetStreamContext,
    connection: Connection,
    stream: str,
    subjects: Sequence[str],
    *,
    after: Seq | None,
    headers_only: bool = False,
) -> Consumer:
    """Create a consumer of the messages with a sequence > `after`, or of each subject's last one when that is None.

    Use it in an `async with` statement. Raises UnavailableError.
    """
    name = secrets.token_hex(11)
    config = ConsumerConfig(
        name=name,
        deliver_policy=DeliverPolicy.LAST_PER_SUBJECT if after is None else DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=None if after is None else after + 1,
        ack_policy=AckPolicy.NONE,
        filter_subjects=list(subjects),
        headers_only=headers_only or None,
        inactive_threshold=INACTIVE_S,
        mem_storage=True,
        num_replicas=1,
    )
    with translated(f"read {stream}"):
        info = await context.add_consumer(stream, config)
    return Consumer(connection, stream, name, info.num_pending or 0)


class Consumer:
    """Takes the deliveries of one pull consumer.

    num_pending: how many messages there were when it was created.
    """

    def __init__(self, connection: Connection, stream: str, name: str, num_pending: int) -> None:
        self.num_pending = num_pending
        self._connection = connection
        self._stream = stream
        self._name = name
        self._inbox = f"_INBOX.{name}"
        self._pull_bytes = PULL_BYTES
        self._received: list[Message] = []
        self._delivered_count = 0  # the consumer numbers its deliveries, so a lost one shows
        self._open_count = 0  # messages that the request under way may still bring
        self._broken = ""
        self._idle = False
        self._wake = asyncio.Event()
        self._sid = connection.subscribe(self._inbox, self)

    async def __aenter__(self) -> Consumer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget the consumer, here and in the engine."""
        self._connection.unsubscribe(self._sid)
        if self._connection.connected:
            self._connection.send(protocol.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}", "", b""))

    async def take(self) -> list[Delivered]:
        """Wait for messages and return all that came; an empty list when the consumer says that there are none now.

        Raises UnavailableError when the consumer is lost; what was taken before is complete and in order.
        """
        while not self._received:
            if self._broken:
                raise UnavailableError(f"reading {self._stream} was interrupted: {self._broken}")
            if self._idle:
                self._idle = False
                return []
            self._pull()
            self._wake.clear()
            try:
                async with asyncio.timeout(SILENCE_MAX_S):
                    await self._wake.wait()
            except TimeoutError:
                self._broken = f"no sign of life for {SILENCE_MAX_S:g} s"
        received, self._received = self._received, []
        deliveries = self._ordered(received)
        if not self._broken:
            self._pull()
        return deliveries

    def on_message(self, message: Message) -> None:
        """Take a delivery or a status."""
        if message.reply:
            self._received.append(message)
            self._open_count -= 1
        else:
            self._on_status(message)
        if not self._wake.is_set():
            self._wake.set()

    def on_lost(self) -> None:
        """Give the consumer up: deliveries may have been lost with the connection."""
        self._broken = "the connection was lost"
        self._wake.set()

    def _on_status(self, message: Message) -> None:
        status = message.status
        if status == _IDLE_HEARTBEAT:
            self._idle = True
        elif status == _TIMEOUT or message.description in _REQUEST_ENDED:
            # A request whose messages have all come is ended already, and the next one may be under way.
            left_count = int(message.header(b"Nats-Pending-Messages") or 0)
            if left_count:
                self._open_count = 0
            if left_count == PULL_MESSAGES and message.description == _TOO_LARGE:
                self._pull_bytes = PULL_BYTES_LARGE
        else:
            self._broken = f"{status} {message.description}"

    def _pull(self) -> None:
        if self._open_count > 0:
            return
        request = {
            "batch": PULL_MESSAGES,
            "max_bytes": self._pull_bytes,
            "expires": int(PULL_EXPIRES_S * _NS),
            "idle_heartbeat": int(HEARTBEAT_S * _NS),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        self._connection.send(protocol.publish(subject, self._inbox, msgspec.json.encode(request)))
        self._open_count, self._pull_bytes = PULL_MESSAGES, PULL_BYTES

    def _ordered(self, messages: list[Message]) -> list[Delivered]:
        """Number the messages; what follows a lost delivery is dropped and the consumer given up.

        The reply subject tells: `$JS.ACK.[domain.account.]stream.consumer.deliveries.sequence.number.time.pending`,
        and in its long form a random token behind (ADR-15).
        """
        count = self._delivered_count
        deliveries = []
        for message in messages:
            tokens = message.reply.split(b".")
            at = 5 if len(tokens) == 9 else 7
            count += 1
            if int(tokens[at + 1]) != count:
                self._broken = f"delivery {count} was lost"
                _log.warning("engine_delivery_lost stream=%s consumer=%s number=%d", self._stream, self._name, count)
                break
            deliveries.append(Delivered(message, Seq(int(tokens[at])), int(tokens[at + 3])))
        self._delivered_count = count
        return deliveries
