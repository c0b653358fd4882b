"""The awaited region: operations on the entries of one region, over whatever backend stands behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, overload

from heliograph.api.backend import Backend
from heliograph.api.entries import (
    READ_KEYS_MAX,
    UNSET,
    Entries,
    pack_entries,
    pack_key,
    pack_keys,
    unpack_entries,
    unpack_value,
)
from heliograph.api.events import Events
from heliograph.link.messages import Changed, Condition
from heliograph.model.ids import check_region_name
from heliograph.model.keys import Key, encode_argument, encode_value, encode_values


class Region:
    """A region. Made by `Client.region` and `Cache.region`; holds no data and costs nothing to keep.

    Keys are str, int or bytes. Values are what msgpack carries, and never None, which means "no entry": or that the
    entry was invalidated and has no value, which `contains` tells apart. An operation that depends on the entry's value
    takes it for absent then: `put_if_absent` puts, `replace` does not.

    Every operation raises UsageError for an unfit key or value, RegionNotFoundError, and UnavailableError when the
    site can't answer in time. A write is done once, however often it had to be sent. After an UnavailableError it may
    have been done or not: others may have written the entry since, so read it before you write it again.

    `expected` compares encodings: dicts with the same items in another order are not the same value.
    `callback_argument`: anything that msgpack carries, in 32 KiB; it is told to every listener at every site.
    """

    def __init__(self, name: str, backend: Backend) -> None:
        self.name = check_region_name(name)
        self._backend = backend

    def __repr__(self) -> str:
        return f"<heliograph.aio.Region {self.name}>"

    # --- writing

    async def put(self, key: Key, value: Any, *, callback_argument: Any = None) -> None:
        """Put an entry; returns when it is in the log and readable here."""
        argument = encode_argument(callback_argument)
        await self._backend.put_all(self.name, [pack_key(key)], encode_values((value,)), argument)

    async def put_all(self, entries: Entries, *, callback_argument: Any = None) -> None:
        """Put entries, as fast as can be; returns when all are in the log and readable here.

        It is no transaction: when it fails, some of the entries may have been put.
        """
        keys, values = pack_entries(entries)
        if keys:
            await self._backend.put_all(self.name, keys, values, encode_argument(callback_argument))

    async def put_if_absent(self, key: Key, value: Any, *, callback_argument: Any = None) -> Any:
        """Put an entry unless there is one. Returns the value that there is, or None when this call put its own."""
        changed = await self._change("put_if_absent", key, encode_value(value), callback_argument=callback_argument)
        return unpack_value(changed.old)

    @overload
    async def replace(self, key: Key, value: Any, *, callback_argument: Any = ...) -> Any: ...
    @overload
    async def replace(self, key: Key, value: Any, *, expected: Any, callback_argument: Any = ...) -> bool: ...
    async def replace(self, key: Key, value: Any, *, expected: Any = UNSET, callback_argument: Any = None) -> Any:
        """Replace an entry's value. Returns the old value, or None when there is no entry.

        With `expected`: only if that is its value now; returns whether it was.
        """
        if expected is UNSET:
            changed = await self._change("replace", key, encode_value(value), callback_argument=callback_argument)
            return unpack_value(changed.old)
        encoded, wanted = encode_value(value), encode_value(expected)
        return (await self._change("replace_if", key, encoded, wanted, callback_argument=callback_argument)).done

    @overload
    async def remove(self, key: Key, *, callback_argument: Any = ...) -> Any: ...
    @overload
    async def remove(self, key: Key, *, expected: Any, callback_argument: Any = ...) -> bool: ...
    async def remove(self, key: Key, *, expected: Any = UNSET, callback_argument: Any = None) -> Any:
        """Remove an entry. Returns the old value, or None when there was no entry.

        With `expected`: only if that is its value now; returns whether it was.
        """
        if expected is UNSET:
            return unpack_value((await self._change("remove", key, callback_argument=callback_argument)).old)
        wanted = encode_value(expected)
        return (await self._change("remove_if", key, expected=wanted, callback_argument=callback_argument)).done

    async def take(self, key: Key) -> tuple[bool, Any]:
        """Remove an entry. Returns whether there was one, and its old value."""
        changed = await self._change("remove", key)
        return changed.done, unpack_value(changed.old)

    async def invalidate(self, key: Key) -> bool:
        """Take away an entry's value and leave the entry, at this site only. Returns whether there was an entry."""
        return (await self._change("invalidate", key)).done

    async def clear(self) -> None:
        """Take away every entry, at this site only: other sites keep theirs.

        Each bucket is cleared at once, one independently of the other. What other sites wrote later still comes.
        """
        await self._backend.clear(self.name)

    async def popitem(self) -> tuple[Key, Any]:
        """Remove some entry and return its key and value; no other caller gets the same one. KeyError when empty.

        It lists all keys first, which takes its time in a large region.
        """
        while keys := await self.keys():
            for key in keys:
                (encoded,) = await self._backend.get_all(self.name, [key])
                if encoded and (await self._change("remove_if", key, expected=encoded)).done:
                    return key, unpack_value(encoded)
        raise KeyError(f"region {self.name} is empty")

    # --- listening

    def events(self) -> Events:
        """Return the region's events from now on, each once, in order for every key: see `Events`."""
        return Events(self.name, self._backend)

    async def _change(
        self, op: Condition, key: Key, value: bytes = b"", expected: bytes = b"", *, callback_argument: Any = None
    ) -> Changed:
        argument = encode_argument(callback_argument)
        return await self._backend.change(self.name, op, pack_key(key), value, expected, argument)

    # --- reading

    async def get(self, key: Key, default: Any = None) -> Any:
        """Return an entry's value, or `default` when there is no entry."""
        (encoded,) = await self._backend.get_all(self.name, [pack_key(key)])
        return unpack_value(encoded) if encoded else default

    async def get_all(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the entries that exist among the keys; None for one without a value."""
        column = pack_keys(keys)
        if not column:
            return {}
        return unpack_entries(column, await self._backend.get_all(self.name, column))

    async def contains(self, key: Key) -> bool:
        """Say whether there is an entry."""
        (encoded,) = await self._backend.get_all(self.name, [pack_key(key)])
        return bool(encoded)

    async def keys(self) -> list[Key]:
        """Return all keys, in no order."""
        return await self._backend.keys(self.name)

    async def items(self) -> AsyncIterator[tuple[Key, Any]]:
        """Yield the entries of the keys that there are when it begins, each as it is when its turn comes."""
        keys = await self.keys()
        for start in range(0, len(keys), READ_KEYS_MAX):
            for item in (await self.get_all(keys[start : start + READ_KEYS_MAX])).items():
                yield item

    async def size(self) -> int:
        """Return the number of entries."""
        return await self._backend.size(self.name)
