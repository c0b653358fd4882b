"""Comparing one region at several sites, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heliograph.model.keys import Key

if TYPE_CHECKING:
    from heliograph.aio import Region


@dataclass(frozen=True, slots=True)
class Difference:
    """How a site's entries differ from the reference site's.

    missing: keys that only the reference has. extra: keys that it has not. unequal: keys of entries with other values.
    """

    missing: frozenset[Key]
    extra: frozenset[Key]
    unequal: frozenset[Key]

    def __len__(self) -> int:
        return len(self.missing) + len(self.extra) + len(self.unequal)


def compare(reference: Mapping[Key, Any], entries: Mapping[Key, Any]) -> Difference:
    """Compare every key and every value; the result is empty (false) when both hold the same."""
    both = reference.keys() & entries.keys()
    return Difference(
        missing=frozenset(reference.keys() - both),
        extra=frozenset(entries.keys() - both),
        unequal=frozenset(key for key in both if reference[key] != entries[key]),
    )


async def contents(region: Region) -> dict[Key, Any]:
    """Return every entry of a region."""
    return {key: value async for key, value in region.items()}
