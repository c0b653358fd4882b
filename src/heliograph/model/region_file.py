"""The format of a file that `export data` writes and `import data` reads (`.gfd`): entries of one region.

    file    = magic (8 bytes) version (u16) frame*             all integers big-endian
    frame   = kind (u8) length (u32) check (u32) head check (u32) body (length bytes)
    frames  = HEAD entries* END                                 and nothing after it

The body is msgpack: of the one HEAD a `FileHead`, of each ENTRIES the columns of some entries, of the END how many
entries the file has. A record of it is a key and its value, as the bytes of its msgpack encoding: neither a bucket, a
version nor an operation, so that a file can be read into a region of any number of buckets, at any site.

The check is a CRC-32 of the body that goes on from the check of the frame before (the first from that of magic and
version), so that a frame that is missing, stands twice or is of another file shows; the head check is one of the nine
bytes before it, so that a length is known to be right before it is believed. A byte that differs anywhere, and an end
that is missing, are refused with the offset of the frame that is damaged: nothing of it is ever passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any
from zlib import crc32

import msgspec

from heliograph.errors import PeerError, UsageError
from heliograph.model.decoding import decode
from heliograph.model.ids import check_region_name
from heliograph.model.keys import INT_MAX, KEY_BYTES_MAX, NO_VALUE, VALUE_BYTES_MAX, Key, check_keys

SUFFIX = ".gfd"
"""What the name of a file ends with."""
MAGIC = b"\x89HGFD\r\n\n"
"""Damaged by whatever takes the file for text."""
VERSION = 1
HEAD, ENTRIES, END = 1, 2, 3
"""Kinds of frames."""
CHUNK_BYTES, CHUNK_ENTRIES = 1024 * 1024, 10_000
"""A frame takes no further entry beyond so many bytes, and has no more entries: encoding one takes little time."""
FRAME_BYTES_MAX = CHUNK_BYTES + VALUE_BYTES_MAX + KEY_BYTES_MAX + 32 * CHUNK_ENTRIES
"""Largest body of a frame: the last entry may be as large as one can be."""
INT_BYTES, CHARACTER_BYTES = 9, 4
"""Of a key, at most."""
PARTS_MAX = 10_000
NAME_BYTES_MAX = 64

_START = Struct(">8sH")
_FRAME = Struct(">BIII")
_CHECKED = Struct(">BII")


class FileHead(msgspec.Struct, array_like=True, frozen=True):
    """What a file is of.

    region: its name, without `/`. run: names the export, unlike any other. part, parts: of an export in several files
    this one's number from 0 on, and how many there are. at_ms: when the export began, by the clock of who wrote it.
    """

    region: str
    run: str
    part: int
    parts: int
    at_ms: int


class FileEntries(msgspec.Struct, array_like=True, frozen=True):
    """Some entries, column by column."""

    keys: list[Any]
    values: list[bytes]


class _End(msgspec.Struct, array_like=True, frozen=True):
    count: int


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(FileHead).decode
_decode_entries = msgspec.msgpack.Decoder(FileEntries).decode
_decode_end = msgspec.msgpack.Decoder(_End).decode


class FileEncoder:
    """The bytes of a file, to be written one after the other: `begin`, any number of `entries`, `end`."""

    def __init__(self) -> None:
        self.count = 0
        """Entries so far."""
        self._check = 0

    def begin(self, head: FileHead) -> bytes:
        """Return the first bytes."""
        start = _START.pack(MAGIC, VERSION)
        self._check = crc32(start)
        return start + self._frame(HEAD, head)

    def entries(self, keys: list[Key], values: list[bytes]) -> bytes:
        """Return the bytes of some entries, cut as `chunks` cuts them."""
        self.count += len(keys)
        return self._frame(ENTRIES, FileEntries(keys, values))

    def end(self) -> bytes:
        """Return the last bytes."""
        return self._frame(END, _End(self.count))

    def _frame(self, kind: int, content: msgspec.Struct) -> bytes:
        body = _encode(content)
        self._check = crc32(body, self._check)
        checked = _CHECKED.pack(kind, len(body), self._check)
        return checked + crc32(checked).to_bytes(4) + body


def chunks(keys: Sequence[Key], values: Sequence[bytes]) -> Iterator[tuple[list[Key], list[bytes]]]:
    """Cut entries into such as fit into a frame each; a key is reckoned with as many bytes as it can have."""
    start = size = 0
    for position, (key, value) in enumerate(zip(keys, values, strict=True)):
        size += len(value) + (INT_BYTES if isinstance(key, int) else CHARACTER_BYTES * len(key))
        if size >= CHUNK_BYTES or position + 1 - start >= CHUNK_ENTRIES:
            yield list(keys[start : position + 1]), list(values[start : position + 1])
            start, size = position + 1, 0
    if start < len(keys):
        yield list(keys[start:]), list(values[start:])


class FileParser:
    """Reads the bytes of a file, however they are cut: `receive` them in order, then `end`.

    head: None until it was received. count: entries so far. Raises UsageError naming the offset of what is damaged;
    nothing of the frame that is damaged was returned, and the parser is of no more use.
    """

    def __init__(self) -> None:
        self.head: FileHead | None = None
        self.count = 0
        self._held = bytearray()
        self._offset = 0
        """Of the first byte that is held."""
        self._check = 0
        self._started = False
        self._ended = False

    def receive(self, data: bytes) -> list[FileEntries]:
        """Take the next bytes and return the entries that they complete."""
        self._held += data
        found: list[FileEntries] = []
        position = 0
        if not self._started:
            if len(self._held) < _START.size:
                return found
            self._start()
            position = _START.size
        while (frame := self._next(position)) is not None:
            kind, check, body, end = frame
            self._take(kind, check, body, self._offset + position, found)
            position = end
        del self._held[:position]
        self._offset += position
        return found

    def end(self) -> int:
        """There are no more bytes: return how many entries there are. Raises UsageError when the file is cut short."""
        if not self._started:
            raise UsageError("it is no file of `export data`, or cut short within its first bytes")
        if self._held:
            raise _damaged(self._offset, "it is cut short there")
        if not self._ended:
            raise _damaged(self._offset, "it is cut short there: its end is missing")
        return self.count

    def _start(self) -> None:
        magic, version = _START.unpack_from(self._held)
        if magic != MAGIC:
            raise UsageError("it is no file of `export data`: it begins with something else")
        if version != VERSION:
            raise UsageError(f"it has version {version} of the format, and this release reads version {VERSION}")
        self._started = True
        self._check = crc32(self._held[: _START.size])

    def _next(self, position: int) -> tuple[int, int, bytes, int] | None:
        """Return kind, check and body of the frame at a position, and where it ends; None until all of it is held."""
        body = position + _FRAME.size
        offset = self._offset + position
        if self._ended and len(self._held) > position:
            raise _damaged(offset, "there is something after its end")
        if len(self._held) < body:
            return None
        kind, size, check, head_check = _FRAME.unpack_from(self._held, position)
        if crc32(self._held[position : position + _CHECKED.size]) != head_check:
            raise _damaged(offset, "the head of a frame has another checksum")
        if size > FRAME_BYTES_MAX:
            raise _damaged(offset, f"a frame of {size} bytes is larger than any may be ({FRAME_BYTES_MAX})")
        if len(self._held) < body + size:
            return None
        return kind, check, bytes(self._held[body : body + size]), body + size

    def _take(self, kind: int, check: int, body: bytes, offset: int, found: list[FileEntries]) -> None:
        self._check = crc32(body, self._check)
        if self._check != check:
            raise _damaged(offset, "a frame has another checksum, or is not where it was written")
        if (kind == HEAD) != (self.head is None):
            raise _damaged(offset, "its frames are in another order than can be")
        try:
            if kind == HEAD:
                self.head = _head(body)
            elif kind == ENTRIES:
                found.append(entries := _entries(body))
                self.count += len(entries.keys)
            elif kind == END:
                self._ended = True
                if (count := decode(_decode_end, body, "end").count) != self.count:
                    raise UsageError(f"it says that there are {count} entries, and has {self.count}")
            else:
                raise UsageError(f"there is no frame of kind {kind}")
        except (PeerError, UsageError) as exc:
            raise _damaged(offset, str(exc)) from exc


def _head(body: bytes) -> FileHead:
    head = decode(_decode_head, body, "head")
    check_region_name(head.region)
    if not 0 <= head.part < head.parts <= PARTS_MAX or not 0 <= head.at_ms <= INT_MAX:
        raise UsageError(f"there is no part {head.part} of {head.parts}")
    if not 1 <= len(head.run) <= NAME_BYTES_MAX or not head.run.isalnum():
        raise UsageError("the name of the export is none")
    return head


def _entries(body: bytes) -> FileEntries:
    entries = decode(_decode_entries, body, "entries")
    if not 1 <= len(entries.keys) == len(entries.values):
        raise UsageError(f"there are {len(entries.keys)} keys and {len(entries.values)} values")
    check_keys(entries.keys)
    if NO_VALUE in entries.values or b"" in entries.values or max(map(len, entries.values)) > VALUE_BYTES_MAX:
        raise UsageError(f"a value is none, or larger than {VALUE_BYTES_MAX} bytes")
    return entries


def _damaged(offset: int, what: str) -> UsageError:
    return UsageError(f"it is damaged at offset {offset}: {what}; nothing from there on can be trusted")
