"""The load: which keys a client puts and gets, and the clients that do."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from heliograph.model.keys import Key

if TYPE_CHECKING:
    from heliograph.aio import Region

KEYS = 200_000
"""Different keys; all clients write all of them, each from another one on."""
COUNTER_BYTES = 8
"""At the beginning of a value, as far as it is that long: it differs in every put_all of a client."""
_STRIDE = 7_919
_CLIENT_STRIDE = 1_000_003


class KeySequence:
    """All keys in the order in which they are written, made beforehand: their making is no part of what is measured."""

    def __init__(self, count: int = KEYS) -> None:
        self._count = count
        self._stride = _STRIDE if count % _STRIDE else 1
        keys = [b"flight:%d" % (self._stride * position % count) for position in range(count)]
        self._twice = keys + keys

    def batches(self, client: int, size: int) -> Iterator[list[bytes]]:
        """Yield the keys of one operation of a client after the other, without end; `size` is at most their number."""
        at = client * _CLIENT_STRIDE * pow(self._stride, -1, self._count) % self._count
        while True:
            yield self._twice[at : at + size]
            at = (at + size) % self._count


class Samples:
    """Seconds that the operations took, by kind."""

    def __init__(self) -> None:
        self.puts: list[float] = []
        self.gets: list[float] = []


async def run_load(
    region: Region,
    sequence: KeySequence,
    *,
    clients: Sequence[int],
    operations: int,
    put_all: int,
    value_size: int,
    get_percent: int = 0,
) -> Samples:
    """Do `operations` with some concurrent clients, each of which waits for the answer before the next.

    So many percent of them get as many entries as the others put. Every put_all has a value of its own, so that a
    comparison of sites sees an old one: random bytes, the first of which count. Raises what ended the first client.
    """
    left = operations
    counted = min(value_size, COUNTER_BYTES)
    random = os.urandom(value_size - counted)
    samples = Samples()

    async def client(number: int) -> None:
        nonlocal left
        for keys in sequence.batches(number, put_all):
            if not left:
                return
            left -= 1
            begin = time.monotonic()
            if get_percent and left * get_percent % 100 < get_percent:
                await (region.get(keys[0]) if put_all == 1 else region.get_all(keys))
                samples.gets.append(time.monotonic() - begin)
            else:
                value = left.to_bytes(COUNTER_BYTES)[-counted:] + random
                entries: dict[Key, bytes] = dict.fromkeys(keys, value)
                await region.put_all(entries)
                samples.puts.append(time.monotonic() - begin)

    try:
        async with asyncio.TaskGroup() as tasks:
            for number in clients:
                tasks.create_task(client(number))
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    return samples
