"""Small records and parts for tests; the name of a part's event is its key."""

from __future__ import annotations

from heliograph.model.batch import UPDATE, Columns, Part, Record, decode_columns, encode_columns
from heliograph.model.clock import stamp_of_ms
from heliograph.model.keys import Key, encode_value

HERE, THERE, ELSEWHERE = 1, 2, 3


def columns_of(*keys: Key, now_ms: int = 1_000) -> bytes:
    return encode_columns(
        Columns(bytes([UPDATE]) * len(keys), list(keys), [encode_value("v")] * len(keys), stamp_of_ms(now_ms))
    )


def part_of(*keys: Key, origin: int = HERE, recipients: tuple[int, ...] = (), birth: tuple[int, int] = (0, 0)) -> Part:
    return Part(origin, recipients, birth[0], birth[1], len(keys), columns_of(*keys))


def record_of(*parts: Part, epoch: int = 1) -> Record:
    return Record(epoch, parts)


def keys_of(part: Part) -> list[Key]:
    return decode_columns(part.columns).keys
