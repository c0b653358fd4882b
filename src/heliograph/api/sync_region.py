"""The blocking region: a `MutableMapping` whose every operation is right when many programs write at once."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, MutableMapping, ValuesView
from itertools import chain
from typing import Any, overload

from heliograph.api import region as awaited
from heliograph.api.backend import Backend
from heliograph.api.entries import READ_KEYS_MAX, UNSET, Entries, as_dict, pack_entries, pack_keys, unpack_entries
from heliograph.api.entry_event import EntryEvent
from heliograph.api.listener import Listener
from heliograph.api.loop import LoopThread
from heliograph.model.keys import Key, encode_argument


class Region(MutableMapping[Key, Any]):
    """A region, for any number of threads. Made by `Client.region` and `Cache.region`.

    All that `heliograph.aio.Region` says of keys, values, errors and repeated calls holds here too. As a mapping:
    `region[key]`, `del region[key]` and `pop` raise KeyError when there is no entry, `update` is one `put_all`,
    `setdefault` is `put_if_absent`, and `keys()`, `values()` and `items()` iterate over the keys that there were when
    the iteration began. An entry that was invalidated is there, with the value None.
    """

    def __init__(self, name: str, backend: Backend, loop: LoopThread) -> None:
        self._region = awaited.Region(name, backend)
        self._backend = backend
        self._run = loop.run
        self._loop = loop

    @property
    def name(self) -> str:
        """The region's name."""
        return self._region.name

    def __repr__(self) -> str:
        return f"<heliograph.Region {self.name}>"

    # --- writing

    def put(self, key: Key, value: Any, *, callback_argument: Any = None) -> None:
        """Put an entry; returns when it is in the log and readable here."""
        self.put_all({key: value}, callback_argument=callback_argument)

    def put_all(self, entries: Entries, *, callback_argument: Any = None) -> None:
        """Put entries, as fast as can be; returns when all are in the log and readable here.

        It is no transaction: when it fails, some of the entries may have been put.
        """
        keys, values = pack_entries(entries)
        if keys:
            self._run(self._backend.put_all(self.name, keys, values, encode_argument(callback_argument)))

    def put_if_absent(self, key: Key, value: Any, *, callback_argument: Any = None) -> Any:
        """Put an entry unless there is one. Returns the value that there is, or None when this call put its own."""
        return self._run(self._region.put_if_absent(key, value, callback_argument=callback_argument))

    @overload
    def replace(self, key: Key, value: Any, *, callback_argument: Any = ...) -> Any: ...
    @overload
    def replace(self, key: Key, value: Any, *, expected: Any, callback_argument: Any = ...) -> bool: ...
    def replace(self, key: Key, value: Any, *, expected: Any = UNSET, callback_argument: Any = None) -> Any:
        """Replace an entry's value. Returns the old value, or None when there is no entry.

        With `expected`: only if that is its value now; returns whether it was. Encodings are compared: dicts with the
        same items in another order are not the same value.
        """
        return self._run(self._region.replace(key, value, expected=expected, callback_argument=callback_argument))

    @overload
    def remove(self, key: Key, *, callback_argument: Any = ...) -> Any: ...
    @overload
    def remove(self, key: Key, *, expected: Any, callback_argument: Any = ...) -> bool: ...
    def remove(self, key: Key, *, expected: Any = UNSET, callback_argument: Any = None) -> Any:
        """Remove an entry. Returns the old value, or None when there was no entry.

        With `expected`: only if that is its value now, compared as by `replace`; returns whether it was.
        """
        return self._run(self._region.remove(key, expected=expected, callback_argument=callback_argument))

    # --- listening

    def listen(self, function: Callable[[EntryEvent], object]) -> Listener:
        """Have a function called with every event of the region from now on, until the listener is closed.

        Each event comes once, in order for every key, wherever it was written. See `Listener`.
        """
        return Listener(self._region.events(), function, self._loop)

    def invalidate(self, key: Key) -> bool:
        """Take away an entry's value and leave the entry, at this site only. Returns whether there was an entry."""
        return self._run(self._region.invalidate(key))

    def clear(self) -> None:
        """Take away every entry, at this site only: other sites keep theirs.

        Each bucket is cleared at once, one independently of the other. What other sites wrote later still comes.
        """
        self._run(self._backend.clear(self.name))

    # --- reading

    def get(self, key: Key, default: Any = None) -> Any:
        """Return an entry's value, or `default` when there is no entry."""
        return self._run(self._region.get(key, default))

    def get_all(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the entries that exist among the keys; None for one without a value."""
        column = pack_keys(keys)
        if not column:
            return {}
        return unpack_entries(column, self._run(self._backend.get_all(self.name, column)))

    def size(self) -> int:
        """Return the number of entries."""
        return self._run(self._backend.size(self.name))

    # --- as a mapping

    def __setitem__(self, key: Key, value: Any) -> None:
        self.put(key, value)

    def __getitem__(self, key: Key) -> Any:
        value = self.get(key, UNSET)
        if value is UNSET:
            raise KeyError(key)
        return value

    def __delitem__(self, key: Key) -> None:
        self.pop(key)

    def __contains__(self, key: object) -> bool:
        return self._run(self._region.contains(key))  # type: ignore[arg-type]  # an unfit key is refused there

    def __len__(self) -> int:
        return self.size()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._run(self._backend.keys(self.name)))

    def keys(self) -> KeysView[Key]:
        """Return the keys that there are now; later changes don't show."""
        return dict.fromkeys(self).keys()

    def values(self) -> ValuesView[Any]:
        """Return a view whose iteration reads the values `READ_KEYS_MAX` at a time."""
        return _RegionValues(self)

    def items(self) -> ItemsView[Key, Any]:
        """Return a view whose iteration reads the entries `READ_KEYS_MAX` at a time."""
        return _RegionItems(self)

    def update(self, entries: Entries = (), /, **named: Any) -> None:  # type: ignore[override]  # takes more than is asked
        """Put entries, all in one go; keyword names are str keys."""
        self.put_all(as_dict(entries) | named)

    def setdefault(self, key: Key, default: Any = None) -> Any:
        """Return the entry's value; when there is no entry, put `default` and return it. UsageError for None."""
        existing = self.put_if_absent(key, default)
        return default if existing is None else existing

    def pop(self, key: Key, default: Any = UNSET) -> Any:
        """Remove an entry and return its value, or `default` when there is no entry; else raise KeyError."""
        found, value = self._run(self._region.take(key))
        if found:
            return value
        if default is UNSET:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[Key, Any]:
        """Remove some entry and return its key and value; no other caller gets the same one. KeyError when empty."""
        return self._run(self._region.popitem())


def _chunks(region: Region) -> Iterator[dict[Key, Any]]:
    keys = list(iter(region))  # list(region) would ask for its size besides
    for start in range(0, len(keys), READ_KEYS_MAX):
        yield region.get_all(keys[start : start + READ_KEYS_MAX])


class _RegionItems(ItemsView[Key, Any]):
    """Entries read in chunks rather than one by one."""

    def __init__(self, region: Region) -> None:
        super().__init__(region)
        self._region = region

    def __iter__(self) -> Iterator[tuple[Key, Any]]:
        return chain.from_iterable(chunk.items() for chunk in _chunks(self._region))


class _RegionValues(ValuesView[Any]):
    """Values read in chunks rather than one by one."""

    def __init__(self, region: Region) -> None:
        super().__init__(region)
        self._region = region

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(chunk.values() for chunk in _chunks(self._region))
