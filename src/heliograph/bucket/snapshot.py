"""A bucket's view as bytes: what a copy starts from, so that the log before it need not be read or kept.

A snapshot is a head and slices of the entries, tombstones among them, each an encoding behind its length:

    4 bytes length | Head(seq, epoch, ...) | 4 bytes length | Slice(keys, values, ...) | ...

`slices` takes the columns of the view at once, so that all slices are of one moment; encoding them can take its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from operator import itemgetter
from typing import Any

import msgspec

from heliograph.bucket.requests import Image, RequestMemory
from heliograph.bucket.view import BucketView
from heliograph.errors import PeerError
from heliograph.model.clock import SITE_BITS
from heliograph.model.decoding import decode
from heliograph.model.ids import Epoch, Seq
from heliograph.model.keys import Key

SLICE_ENTRIES = 10_000
"""Entries of a slice: few enough that encoding one does not hold up the loop for long."""
LENGTH_BYTES = 4
_SITE_MASK = (1 << SITE_BITS) - 1


class Head(msgspec.Struct, array_like=True, frozen=True):
    """Everything of a view but its entries. count: entries, tombstones included. marks: as of `Record`."""

    seq: int
    epoch: int
    primary: str
    stamp_max: int
    count: int
    life: int
    requests: Image
    marks: list[tuple[int, int, int, int]] = []
    fence: int = 0


class Slice(msgspec.Struct, array_like=True, frozen=True):
    """Some entries, column by column. An empty value stands for a tombstone; sites has a byte an entry.

    removed: of each tombstone, in the order of the keys, the sequence that it was left at.
    """

    keys: list[Any]
    values: list[bytes]
    stamps: list[int]
    sites: bytes
    removed: list[int]


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_slice = msgspec.msgpack.Decoder(Slice).decode


def slices(view: BucketView) -> Iterator[bytes]:
    """Return the pieces of a snapshot of the view as it is now, each encoded when it is asked for."""
    keys = list(view.versions)
    values = list(map(view.values.get, keys, repeat(b"")))
    versions = list(view.versions.values())
    removed = {key: seq for key, seq in view.tombstones.items() if key not in view.values}
    requests = view.requests.image()
    marks = [(*place, *mark) for place, mark in view.marks.items()]
    head = Head(view.seq, view.epoch, view.primary, view.stamp_max, len(keys), view.life, requests, marks, view.fence)

    def pieces() -> Iterator[bytes]:
        yield _framed(head)
        for start in range(0, len(keys), SLICE_ENTRIES):
            some = slice(start, start + SLICE_ENTRIES)
            yield _framed(
                Slice(
                    keys[some],
                    values[some],
                    [version >> SITE_BITS for version in versions[some]],
                    bytes([version & _SITE_MASK for version in versions[some]]),
                    [removed[key] for key in keys[some] if key in removed],
                )
            )

    return pieces()


def _framed(part: Head | Slice) -> bytes:
    data = _encode(part)
    return len(data).to_bytes(LENGTH_BYTES) + data


def open_snapshot(data: bytes) -> BucketView:
    """Return the view that a snapshot holds. Raises PeerError when it is damaged."""
    parts = _parts(data)
    head = decode(_decode_head, next(parts, b""), "snapshot")
    view = BucketView()
    view.seq, view.epoch, view.primary, view.stamp_max = Seq(head.seq), Epoch(head.epoch), head.primary, head.stamp_max
    view.life, view.fence = head.life, head.fence
    view.marks = {(site, bucket): (seq, stamp) for site, bucket, seq, stamp in head.marks}
    removed: list[tuple[Key, int]] = []
    try:
        view.requests = RequestMemory.restored(head.requests)
    except ValueError as exc:
        raise PeerError(f"malformed snapshot: {exc}") from exc
    for part in parts:
        entries = decode(_decode_slice, part, "snapshot")
        if len({len(entries.keys), len(entries.values), len(entries.stamps), len(entries.sites)}) != 1:
            raise PeerError("malformed snapshot: the columns' lengths differ")
        versions = [stamp << SITE_BITS | site for stamp, site in zip(entries.stamps, entries.sites, strict=True)]
        try:
            view.versions.update(zip(entries.keys, versions, strict=True))
        except TypeError as exc:
            raise PeerError("malformed snapshot: a key is no str, int or bytes") from exc
        tombstones = [key for key, value in zip(entries.keys, entries.values, strict=True) if not value]
        if len(tombstones) != len(entries.removed):
            raise PeerError("malformed snapshot: tombstones without the sequences that they were left at")
        removed += zip(tombstones, entries.removed, strict=True)
        view.values.update((key, value) for key, value in zip(entries.keys, entries.values, strict=True) if value)
    view.tombstones = {key: Seq(seq) for key, seq in sorted(removed, key=itemgetter(1))}
    if len(view.versions) != head.count:
        raise PeerError(f"malformed snapshot: it has {len(view.versions)} entries and counts {head.count}")
    return view


def _parts(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        start = position + LENGTH_BYTES
        position = start + int.from_bytes(data[start - LENGTH_BYTES : start])
        if position > len(data):
            raise PeerError("malformed snapshot: it ends within a part")
        yield data[start:position]
