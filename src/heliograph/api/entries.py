"""Between what programs hold (keys, values) and what a backend moves (keys, encodings); shared by both faces.

Plain functions, column by column, so that the sync face runs them in the caller's thread and not in its loop's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import compress
from typing import Any, Final, TypeAlias

from heliograph.model.keys import Key, check_keys, decode_value, encode_values

READ_KEYS_MAX = 1_000
"""Entries that an iteration over a region reads at a time."""

Entries: TypeAlias = (
    Mapping[str, Any] | Mapping[int, Any] | Mapping[bytes, Any] | Mapping[Key, Any] | Iterable[tuple[Key, Any]]
)
"""A mapping or pairs. (A type checker does not take a mapping of str keys for one of any keys.)"""


class Unset:
    """The type of `UNSET`."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()
"""No `expected` was given. None does not say it: `expected=None` is a mistake and shall be refused as one."""


def as_dict(entries: Entries) -> dict[Key, Any]:
    """Return the entries as a dict, the same one if they are one. Of pairs with the same key the last one counts."""
    return entries if isinstance(entries, dict) else dict(entries)  # type: ignore[arg-type]  # a union of mappings


def pack_entries(entries: Entries) -> tuple[list[Key], list[bytes]]:
    """Return keys and encodings, each key once. Raises UsageError for an unfit key or value."""
    mapping = entries if type(entries) is dict else as_dict(entries)
    keys = list(mapping)
    check_keys(keys)
    return keys, encode_values(mapping.values())


def pack_keys(keys: Iterable[Key]) -> list[Key]:
    """Return the keys as a column. Raises UsageError for an unfit key."""
    column = list(keys)
    check_keys(column)
    return column


def pack_key(key: Key) -> Key:
    """Return the key. Raises UsageError when it is unfit."""
    check_keys((key,))
    return key


def unpack_value(encoded: bytes) -> Any:
    """Return a value, or None for no entry."""
    return decode_value(encoded) if encoded else None


def unpack_entries(keys: list[Key], encoded: list[bytes]) -> dict[Key, Any]:
    """Return the entries that exist, in the order of the keys."""
    return dict(zip(compress(keys, encoded), map(decode_value, filter(None, encoded)), strict=True))
