"""Parked events in the site's registry (`model.parked`): written, listed, read and removed.

Everything may be repeated. What is interrupted leaves at worst a copy of an event that nobody refers to, which goes
with the last of its sender's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

import msgspec

from heliograph.engine.seam import Registry
from heliograph.errors import ConflictError
from heliograph.model.parked import (
    PARKED,
    PARKED_EVENTS,
    ParkedEvent,
    ParkedInfo,
    ToPark,
    parked_event_key,
    parked_key,
)
from heliograph.model.registry import decode_entry, encode_entry

AT_ONCE = 32
T = TypeVar("T")


async def write_parked(registry: Registry, sender: str, events: Iterable[ToPark]) -> None:
    """Park events; one that is parked already is left as it is. Raises UnavailableError: some may be parked then."""

    async def write(each: ToPark) -> None:
        copy_key = parked_event_key(sender, each.id, each.info.copy)
        if await registry.get(parked_key(sender, each.id)) is not None:
            return
        await registry.put(copy_key, encode_entry(each.event))
        try:
            await registry.create(parked_key(sender, each.id), encode_entry(each.info))
        except ConflictError:
            item = await registry.get(parked_key(sender, each.id))
            if item is None or decode_entry(item.value, ParkedInfo).copy != each.info.copy:
                await registry.delete(copy_key)

    await _at_once(write, events)


async def list_parked(registry: Registry, sender: str = "") -> dict[str, dict[str, ParkedInfo]]:
    """Return what is known of the parked events of a sender, or of every one: sender -> id -> what is known.

    Raises UnavailableError.
    """
    prefix = f"{PARKED}.{sender}" if sender else PARKED
    found: dict[str, dict[str, ParkedInfo]] = {}
    for key, item in (await registry.items(prefix)).items():
        _, owner, event = key.split(".")
        found.setdefault(owner, {})[event] = decode_entry(item.value, ParkedInfo)
    return found


async def read_parked(registry: Registry, sender: str, known: Mapping[str, ParkedInfo]) -> dict[str, ParkedEvent]:
    """Return parked events by id, without those that are not parked any more. Raises UnavailableError."""
    found: dict[str, ParkedEvent] = {}

    async def read(event: str) -> None:
        item = await registry.get(parked_event_key(sender, event, known[event].copy))
        if item is not None:
            found[event] = decode_entry(item.value, ParkedEvent)

    await _at_once(read, known)
    return {event: found[event] for event in known if event in found}


async def remove_parked(registry: Registry, sender: str, events: Iterable[str]) -> int:
    """Forget parked events; returns how many there were. Raises UnavailableError: some may be forgotten then."""
    removed = 0

    async def remove(event: str) -> None:
        nonlocal removed
        key = parked_key(sender, event)
        while (item := await registry.get(key)) is not None:
            try:
                await registry.delete(key, revision=item.revision)
            except ConflictError:
                continue  # its error was changed meanwhile
            removed += 1
            await registry.delete(parked_event_key(sender, event, decode_entry(item.value, ParkedInfo).copy))

    await _at_once(remove, events)
    return removed


async def forget_parked(registry: Registry, sender: str) -> int:
    """Forget everything of a sender that is no more; returns how many events were parked. Raises UnavailableError."""
    removed = await remove_parked(registry, sender, (await list_parked(registry, sender)).get(sender, {}))
    await _at_once(registry.delete, await registry.items(f"{PARKED_EVENTS}.{sender}"))
    return removed


async def note_redriven(registry: Registry, sender: str, event: str, error: str) -> None:
    """Write down that an event was redriven in vain; one that is gone is left so. Raises UnavailableError."""
    while (item := await registry.get(parked_key(sender, event))) is not None:
        known = decode_entry(item.value, ParkedInfo)
        changed = msgspec.structs.replace(known, error=error, redriven=known.redriven + 1)
        try:
            await registry.update(item.key, encode_entry(changed), revision=item.revision)
        except ConflictError:
            continue
        return


async def _at_once(work: Callable[[T], Awaitable[None]], each: Iterable[T]) -> None:
    todo = list(each)
    for start in range(0, len(todo), AT_ONCE):
        await asyncio.gather(*map(work, todo[start : start + AT_ONCE]))
