"""The outermost layer of the link protocol: a preface, then frames.

    connection = preface frame*        preface = magic (7 bytes) major (1 byte)
    frame      = length (u32) kind (u8) id (u64) body (length bytes)        all integers big-endian

`major` changes only when this layout or the hello changes; everything else is negotiated in the hello. `id` ties a
reply to its request, an acknowledgement to its batch and a pong to its ping; it is 0 in a hello and a close.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import TypeAlias

from heliograph.errors import PeerError, TooLargeError

MAGIC = b"\x89HELIO\n"
MAJOR = 1
PREFACE = MAGIC + bytes([MAJOR])
_TLS = b"\x16\x03"
"""What a connection of TLS begins with."""

FRAME_BYTES_MAX = 16 * 1024 * 1024
"""Largest body of a frame: twice the largest append of the engine, so that whatever fits a log fits a frame."""
HELLO_BYTES_MAX = 4096
"""Largest body of a frame until the hellos are said and accepted: a stranger can't make us hold more than this."""
SMALL_CHUNK_BYTES = 4096
GATHERED_BYTES = 64 * 1024
"""Chunks of an incomplete frame that are smaller than the one are gathered in pieces of up to the other."""


class Kind(IntEnum):
    """What a frame is. REFUSAL turns one batch down; CLOSE says why the whole link ends and is the last frame."""

    HELLO = 1
    REQUEST = 2
    REPLY = 3
    BATCH = 4
    ACK = 5
    REFUSAL = 6
    PING = 7
    PONG = 8
    CLOSE = 9


Frame: TypeAlias = tuple[int, int, bytes]
"""(kind, id, body). A plain tuple, because one is made for every frame on the hot path."""

_HEADER = Struct(">IBQ")
_HEADER_BYTES = _HEADER.size
_pack, _unpack_from = _HEADER.pack, _HEADER.unpack_from


def frame_header(kind: int, frame_id: int, body: bytes) -> bytes:
    """Return the header that goes before `body`. Raises TooLargeError when the body is too large for a frame."""
    size = len(body)
    if size > FRAME_BYTES_MAX:
        raise TooLargeError(f"a message of {size} bytes is too large: one may have {FRAME_BYTES_MAX} bytes")
    return _pack(size, kind, frame_id)


class FrameParser:
    """Cuts what one end of a connection sent into frames, however the bytes were chunked on their way.

    Linear in the bytes received, and in memory: an incomplete frame is kept as a list of chunks, small ones together,
    and joined once, when it is complete.
    A PeerError is final: frames of the same chunk that preceded the violation are lost with the connection.
    """

    def __init__(self) -> None:
        self.prefaced = False
        """The peer's preface was received, so it speaks this protocol."""
        self._chunks: list[bytes | bytearray] = []
        self._held = 0
        self._needed = len(PREFACE)
        self._body_max = HELLO_BYTES_MAX

    def trust(self) -> None:
        """Take frames of up to `FRAME_BYTES_MAX` from now on: the peer is known."""
        self._body_max = FRAME_BYTES_MAX

    def receive(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they complete, in order.

        Raises PeerError when they don't begin as a heliograph connection does, or announce too large a frame.
        """
        if self._chunks:
            self._add(data)
            if self._held < self._needed and self.prefaced:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
        if not self.prefaced:
            return self._receive_preface(data)
        return self._cut(data, 0)

    def _receive_preface(self, data: bytes) -> list[Frame]:
        if data.startswith(_TLS):
            raise PeerError("the other end speaks TLS, and this one does not: see ssl-enabled-components at both")
        if not data.startswith(MAGIC[: len(data)]):
            raise PeerError(f"not heliograph: the connection begins with {data[: len(PREFACE)]!r}")
        if len(data) < len(PREFACE):
            self._keep(data, len(PREFACE))
            return []
        self.prefaced = True
        major = data[len(MAGIC)]
        if major != MAJOR:
            older = "this end" if major > MAJOR else "the other end"
            raise PeerError(f"the other end speaks link protocol {major}, this end {MAJOR}: upgrade {older}")
        return self._cut(data, len(PREFACE))

    def _cut(self, data: bytes, start: int) -> list[Frame]:
        frames: list[Frame] = []
        end = len(data)
        needed = _HEADER_BYTES
        while end - start >= _HEADER_BYTES:
            size, kind, frame_id = _unpack_from(data, start)
            if size > self._body_max:
                raise PeerError(f"a frame of {size} bytes is too large: at most {self._body_max} are allowed here")
            body = start + _HEADER_BYTES
            if end - body < size:
                needed = _HEADER_BYTES + size
                break
            start = body + size
            frames.append((kind, frame_id, data[body:start]))
        self._keep(data[start:] if start < end else b"", needed)
        return frames

    def _add(self, data: bytes) -> None:
        """Add to an incomplete frame; a chunk of a few bytes costs no object of its own."""
        self._held += len(data)
        last = self._chunks[-1]
        if len(data) >= SMALL_CHUNK_BYTES:
            self._chunks.append(data)
        elif isinstance(last, bytearray) and len(last) < GATHERED_BYTES:
            last += data
        else:
            self._chunks.append(bytearray(data))

    def _keep(self, rest: bytes, needed: int) -> None:
        if rest:
            self._chunks.append(rest)
        self._held = len(rest)
        self._needed = needed
