"""The load: which keys a client puts, and the clients that put them."""

from __future__ import annotations

import asyncio
import os
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

    def __init__(self) -> None:
        keys = [b"flight:%d" % (_STRIDE * position % KEYS) for position in range(KEYS)]
        self._twice = keys + keys

    def batches(self, client: int, size: int) -> Iterator[list[bytes]]:
        """Yield the keys of one put_all of a client after the other, without end; `size` is at most `KEYS`."""
        at = client * _CLIENT_STRIDE * pow(_STRIDE, -1, KEYS) % KEYS
        while True:
            yield self._twice[at : at + size]
            at = (at + size) % KEYS


async def put_load(
    region: Region, sequence: KeySequence, *, clients: Sequence[int], put_alls: int, put_all: int, value_size: int
) -> None:
    """Do `put_alls` put_alls with some concurrent clients, each of which waits for the answer before the next.

    Every put_all has a value of its own, so that a comparison of the sites sees an old one: random bytes, the first of
    which count. Raises what ended the first of the clients.
    """
    left = put_alls
    counted = min(value_size, COUNTER_BYTES)
    random = os.urandom(value_size - counted)

    async def client(number: int) -> None:
        nonlocal left
        for keys in sequence.batches(number, put_all):
            if not left:
                return
            left -= 1
            value = left.to_bytes(COUNTER_BYTES)[-counted:] + random
            entries: dict[Key, bytes] = dict.fromkeys(keys, value)
            await region.put_all(entries)

    try:
        async with asyncio.TaskGroup() as tasks:
            for number in clients:
                tasks.create_task(client(number))
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
