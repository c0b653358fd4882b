"""What a `Region` needs of whatever stands behind it: a thin client's connection pool, or a member in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from heliograph.link.messages import Changed, Condition, Heard, Listen
from heliograph.model.attributes import RegionAttributes
from heliograph.model.keys import Key


class Backend(Protocol):
    """Operations on the regions of one site. Values and callback arguments are msgpack encodings; an empty one means
    that there is none.

    All raise RegionNotFoundError, and UnavailableError when no primary can be reached in time (the outcome of a write
    is then unknown).
    """

    async def attributes(self, region: str) -> RegionAttributes:
        """Return a region's attributes."""
        ...

    async def put_all(self, region: str, keys: list[Key], values: list[bytes], argument: bytes = b"") -> None:
        """Put entries; returns when all are in the log and readable here."""
        ...

    async def change(
        self, region: str, op: Condition, key: Key, value: bytes, expected: bytes, argument: bytes = b""
    ) -> Changed:
        """Do an operation whose result depends on the entry."""
        ...

    async def clear(self, region: str) -> None:
        """Take away every entry, at this site only."""
        ...

    async def get_all(self, region: str, keys: list[Key]) -> list[bytes]:
        """Return the values in the order of the keys."""
        ...

    async def keys(self, region: str) -> list[Key]:
        """Return all keys."""
        ...

    async def size(self, region: str) -> int:
        """Return the number of entries."""
        ...

    async def holders(self, region: str, failed: Mapping[str, int], *, anew: bool) -> list[str]:
        """Return the member to ask for the events of each bucket, by its name.

        failed: member -> when it failed last, in any growing count. anew: what was said before has not worked.
        Raises UsageError when closed.
        """
        ...

    async def hear(self, member: str, request: Listen) -> Heard:
        """Ask a member for events. Raises, besides those, NotPrimaryError and EventsLostError."""
        ...
