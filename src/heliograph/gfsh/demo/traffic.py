"""What the demo's programs do at each site: load, follow and update, remove; and what every site holds afterwards.

Site 1 loads every airport. The other sites update at the same time: each its own share, and all of them one more share
that they have in common, so that sites write the same keys at the same moment. Each site removes some of its share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heliograph.errors import UnavailableError
from heliograph.model.keys import Key

if TYPE_CHECKING:
    from heliograph.aio import Region

CHUNK = 500
"""Entries in one put_all."""
CONTESTED_PART = 10
"""One key in so many is updated by every site."""
REMOVED_PART = 20
"""One key in so many of a site's own share is removed by it."""
ARRIVAL_TIMEOUT_S = 60.0
"""How long a site waits for entries that another one has written."""
ARRIVAL_POLL_S = 0.02

Airports = Mapping[str, Mapping[str, Any]]
OnProgress = Callable[[int], None]
"""Called with the number of entries that were written since the last call."""


@dataclass(frozen=True, slots=True)
class Share:
    """The keys that one site updates, and those of them that it removes afterwards."""

    updates: tuple[str, ...]
    removals: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.updates) + len(self.removals)


def shares(codes: Sequence[str], sites: Sequence[int]) -> dict[int, Share]:
    """Divide the codes among the sites that update. A contested code is in every share and is removed by none."""
    contested = set(codes[::CONTESTED_PART])
    own = [code for code in codes if code not in contested]
    result = {}
    for place, site in enumerate(sites):
        mine = set(own[place :: len(sites) + 1])  # one share is left as it was loaded
        updates = tuple(code for code in codes if code in mine or code in contested)
        result[site] = Share(updates, tuple(code for code in updates if code in mine)[::REMOVED_PART])
    return result


def chunks(codes: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut codes into the pieces that are written together."""
    return (codes[start : start + CHUNK] for start in range(0, len(codes), CHUNK))


async def load(region: Region, airports: Airports, on_progress: OnProgress) -> None:
    """Put every airport."""
    for codes in chunks(tuple(airports)):
        entries: dict[Key, Any] = {code: {**airports[code], "seen_by": 1} for code in codes}
        await region.put_all(entries)
        on_progress(len(codes))


async def update(region: Region, site: int, share: Share, on_progress: OnProgress) -> None:
    """Update a share's entries as they arrive from site 1, then remove some."""
    for codes in chunks(share.updates):
        found = await arrived(region, codes)
        await region.put_all({code: {**airport, "seen_by": site} for code, airport in found.items()})
        on_progress(len(codes))
    for code in share.removals:
        await region.remove(code)
        on_progress(1)


async def arrived(region: Region, codes: Sequence[str]) -> dict[Key, Any]:
    """Wait until all the entries are readable here, and return them. Raises UnavailableError."""
    found: dict[Key, Any] = {}
    try:
        async with asyncio.timeout(ARRIVAL_TIMEOUT_S):
            while len(found := await region.get_all(codes)) < len(codes):  # noqa: ASYNC110  (another site's doing)
                await asyncio.sleep(ARRIVAL_POLL_S)
    except TimeoutError:
        missing = len(codes) - len(found)
        raise UnavailableError(f"{missing} of {len(codes)} entries did not come in {ARRIVAL_TIMEOUT_S:g} s") from None
    return found
