"""Fenced appends over a bare connection: the hot path of a site (architecture §8).

`append` is a plain function, its answer a future. All answers come through one wildcard subscription and find their
future by a token; one sweep timer, not one timer an append, fails what waits for too long.
"""

from __future__ import annotations

import asyncio
import secrets

import msgspec

from heliograph.engine.nats.connection import Connection
from heliograph.engine.nats.protocol import Message
from heliograph.engine.seam import APPEND_BYTES_MAX
from heliograph.errors import DiskStoreFullError, FencedError, HeliographError, UnavailableError, UsageError
from heliograph.model.decoding import MALFORMED
from heliograph.model.ids import Seq

APPEND_TIMEOUT_S = 5.0
SWEEP_INTERVAL_S = 0.5
HEADERS_BYTES_MAX = 1024
EXPECTED = b"Nats-Expected-Last-Subject-Sequence"
BATCH = b"Heliograph-Batch"

# Error codes of JetStream's answers (nats-server, server/errors.json).
WRONG_LAST_SEQUENCE = {10071, 10164}
MESSAGE_TOO_LARGE = 10054
STORE_FAILED = 10077
NO_ROOM = {10002, 10023, 10028, 10047}
"""The account's or the server's limits of storage are reached."""
SEQ_DIGITS_MAX = 20
"""Of 64 bits."""
_LIMITS = ("maximum bytes exceeded", "maximum messages exceeded", "no space left on device")


class _Error(msgspec.Struct):
    description: str = ""
    err_code: int = 0


class _Ack(msgspec.Struct):
    seq: int = 0
    error: _Error | None = None


_decode_ack = msgspec.json.Decoder(_Ack).decode


class Appender:
    """Appends of any number of logs over one connection.

    What is pending is bounded by the callers: a bucket has one append in flight.
    """

    def __init__(self, connection: Connection, *, timeout_s: float = APPEND_TIMEOUT_S) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._timeout_s = timeout_s
        inbox = f"_INBOX.{secrets.token_hex(11)}."
        self._inbox = inbox.encode()
        self._token = 0
        self._pending: dict[bytes, tuple[float, asyncio.Future[Seq]]] = {}  # by answer subject, oldest first
        self._sweep: asyncio.TimerHandle | None = None
        connection.subscribe(f"{inbox}*", self)

    @property
    def append_bytes_max(self) -> int:
        """Largest payload that an append takes; an engine of the operator may allow less than the private one."""
        allowed = self._connection.max_payload - HEADERS_BYTES_MAX
        return min(APPEND_BYTES_MAX, allowed) if allowed > 0 else APPEND_BYTES_MAX

    def append(self, subject: str, payload: bytes, expected: Seq, batch_id: str) -> asyncio.Future[Seq]:
        """As `seam.Log.append`."""
        future: asyncio.Future[Seq] = self._loop.create_future()
        size = len(payload)
        if size > self.append_bytes_max:
            future.set_exception(
                UsageError(
                    f"an append of {size} bytes to {subject} is too large: the engine takes {self.append_bytes_max}"
                )
            )
            return future
        if not self._connection.connected:
            # Made here and not raised and caught: the traceback would hold on to what was to be sent, and the future to
            # the traceback, until the collector comes by, while every attempt to settle the append adds another.
            future.set_exception(UnavailableError("there is no connection to the engine"))
            return future
        self._token += 1
        reply = b"%b%d" % (self._inbox, self._token)
        headers = b"NATS/1.0\r\n%b: %d\r\n%b: %b\r\n\r\n" % (EXPECTED, expected, BATCH, batch_id.encode())
        command = b"HPUB %b %b %d %d\r\n%b%b\r\n" % (
            subject.encode(), reply, len(headers), len(headers) + size, headers, payload
        )  # fmt: skip
        self._connection.send(command)
        self._pending[reply] = (self._loop.time() + self._timeout_s, future)
        if self._sweep is None:
            self._sweep = self._loop.call_later(SWEEP_INTERVAL_S, self._fail_overdue)
        return future

    def on_message(self, message: Message) -> None:
        """Resolve the append that this answers."""
        _, future = self._pending.pop(message.subject, (0.0, None))
        if future is None or future.done():  # overdue, or the caller gave up
            return
        answer = read_ack(message)
        if isinstance(answer, HeliographError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def on_lost(self) -> None:
        """Fail everything pending: its outcome is unknown."""
        pending, self._pending = self._pending, {}
        for _, future in pending.values():
            if not future.done():
                future.set_exception(UnavailableError("the connection to the engine was lost before the answer"))
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _fail_overdue(self) -> None:
        now = self._loop.time()
        overdue = []
        for reply, (deadline, future) in self._pending.items():
            if deadline > now:
                break
            overdue.append((reply, future))
        for reply, future in overdue:
            del self._pending[reply]
            if not future.done():
                future.set_exception(UnavailableError(f"the engine gave no answer within {self._timeout_s:g} s"))
        self._sweep = self._loop.call_later(SWEEP_INTERVAL_S, self._fail_overdue) if self._pending else None


def read_ack(message: Message) -> Seq | HeliographError:
    """Return the sequence that a publish answer tells, or the error that it means.

    The common shape `{"stream":"...","seq":N}` is read without a JSON parser.
    """
    payload = message.payload
    if payload.startswith(b'{"stream":'):
        start = payload.find(b',"seq":') + 7
        digits = payload[start:-1]
        if start > 6 and len(digits) <= SEQ_DIGITS_MAX and digits.isdigit() and digits != b"0":
            return Seq(int(digits))
    if message.status:
        return UnavailableError(f"no disk store takes the append now (status {message.status})")
    try:
        ack = _decode_ack(payload)
    except MALFORMED as exc:
        return UnavailableError(f"an answer of the engine can't be read: {exc}")
    if ack.error is None:
        return Seq(ack.seq) if ack.seq else UnavailableError("an answer of the engine tells no sequence")
    return _append_error(ack.error)


def _append_error(error: _Error) -> HeliographError:
    if error.err_code in WRONG_LAST_SEQUENCE:
        return FencedError(f"the log refused the append: {error.description}")
    if error.err_code == MESSAGE_TOO_LARGE:
        return UsageError(f"the append is too large for the disk store: {error.description}")
    if error.err_code in NO_ROOM or (error.err_code == STORE_FAILED and error.description in _LIMITS):
        return DiskStoreFullError(f"the engine has no room for the write: {error.description}")
    return UnavailableError(f"the engine could not append: {error.description} (code {error.err_code})")
