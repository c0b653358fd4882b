"""The NATS client protocol, as much as appends and deliveries need of it: sans-IO.

nats-py spends about 150 us on a publish with its answer and parses headers with the `email` package; this parser and
these encoders are the bare path (architecture §8). Source: NATS "Client Protocol" reference and ADR-4 (headers).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from heliograph.errors import PeerError
from heliograph.model.decoding import MALFORMED

CONTROL_BYTES_MAX = 64 * 1024
"""Longest control line that is taken; the longest one is INFO with the addresses of a large cluster."""
PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
"""Largest message with its headers: no server can be told to take a larger one."""
HEADERS_VERSION = b"NATS/1.0"
PING, PONG = b"PING\r\n", b"PONG\r\n"


class Message(msgspec.Struct, frozen=True, gc=False):
    """A delivered message; `headers` is the raw header block, empty without one."""

    subject: bytes
    sid: int
    reply: bytes
    headers: bytes
    payload: bytes

    @property
    def status(self) -> int:
        """Return the status that the server put into the headers (503: nobody there), 0 without one."""
        code = self.headers[len(HEADERS_VERSION) + 1 : len(HEADERS_VERSION) + 4]
        return int(code) if code.isdigit() else 0

    @property
    def description(self) -> str:
        """Return the words after the status."""
        line = self.headers[: self.headers.find(b"\r\n")]
        return line[len(HEADERS_VERSION) + 5 :].decode(errors="replace")

    def header(self, name: bytes) -> bytes:
        """Return a header's value, or b"" without it. `name` is written as it was sent."""
        start = self.headers.find(b"\r\n" + name + b":")
        if start < 0:
            return b""
        start += len(name) + 3
        return self.headers[start : self.headers.find(b"\r\n", start)].strip()


class Control(msgspec.Struct, frozen=True):
    """A control line without payload: INFO, PING, PONG, +OK, -ERR."""

    verb: bytes
    argument: bytes


class ServerInfo(msgspec.Struct, frozen=True):
    """What heliograph needs of a server's INFO.

    connect_urls: `host:port` of every server of its cluster, told anew when that changes.
    """

    version: str
    max_payload: int
    jetstream: bool = False
    headers: bool = False
    tls_required: bool = False
    connect_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """How a client presents itself."""

    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


class Parser:
    """Cut the bytes that a server sends into messages and control lines, wherever they were split."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = 0  # no frame is complete before so many bytes are here: a large payload is joined only once

    def feed(self, data: bytes) -> list[Message | Control]:
        """Return what `data` completes. Raises PeerError when it is not this protocol."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size < self._needed:
            return []
        buffer = data if len(self._chunks) == 1 else b"".join(self._chunks)
        frames: list[Message | Control] = []
        start = self._cut(buffer, frames)
        rest = buffer[start:]
        self._chunks = [rest] if rest else []
        self._size = len(rest)
        return frames

    def _cut(self, buffer: bytes, frames: list[Message | Control]) -> int:
        """Append the complete frames of `buffer` to `frames`; return where the first incomplete one begins.

        A message is `MSG subject sid [reply] bytes` or `HMSG subject sid [reply] header-bytes bytes`, and its body.
        """
        start, size, find = 0, len(buffer), buffer.find
        try:
            while True:
                end = find(b"\r\n", start)
                if end < 0:
                    if size - start > CONTROL_BYTES_MAX:
                        raise PeerError(f"a control line of the engine exceeds {CONTROL_BYTES_MAX} bytes")
                    self._needed = size - start + 1
                    return start
                verb = buffer[start : start + 4]
                if verb not in (b"HMSG", b"MSG "):
                    name, _, argument = buffer[start:end].partition(b" ")
                    frames.append(Control(name, argument))
                    start = end + 2
                    continue
                fields = buffer[start:end].split(b" ")
                body = end + 2
                length = int(fields[-1])
                stop = body + length
                payload = body + int(fields[-2]) if verb == b"HMSG" else body
                if not (0 <= length <= PAYLOAD_BYTES_MAX and body <= payload <= stop):
                    raise ValueError("a length is out of range")
                if size < stop + 2:
                    self._needed = stop + 2 - start
                    return start
                reply = fields[3] if len(fields) == (6 if verb == b"HMSG" else 5) else b""
                frames.append(Message(fields[1], int(fields[2]), reply, buffer[body:payload], buffer[payload:stop]))
                start = stop + 2
        except (ValueError, IndexError) as exc:
            raise PeerError(f"malformed control line from the engine: {buffer[start : start + 120]!r}") from exc


def parse_info(argument: bytes) -> ServerInfo:
    """Read an INFO. Raises PeerError."""
    try:
        return msgspec.json.decode(argument, type=ServerInfo)
    except MALFORMED as exc:
        raise PeerError(f"malformed INFO from the engine: {exc}") from exc


def connect(identity: Identity) -> bytes:
    """Encode CONNECT and a PING: the PONG says that the server took the client."""
    options: dict[str, object] = {
        "verbose": False,
        "pedantic": False,
        "lang": "python",
        "version": "1",
        "protocol": 1,
        "headers": True,
        "no_responders": True,
        "name": identity.name,
    }
    if identity.token:
        options["auth_token"] = identity.token
    elif identity.user:
        options |= {"user": identity.user, "pass": identity.password}
    return b"CONNECT %b\r\n%b" % (msgspec.json.encode(options), PING)


def subscribe(subject: str, sid: int) -> bytes:
    """Encode SUB."""
    return b"SUB %b %d\r\n" % (subject.encode(), sid)


def unsubscribe(sid: int) -> bytes:
    """Encode UNSUB."""
    return b"UNSUB %d\r\n" % sid


def publish(subject: str, reply: str, payload: bytes) -> bytes:
    """Encode PUB; `reply` may be empty."""
    return b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload)
