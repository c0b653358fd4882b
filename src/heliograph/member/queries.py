"""What a member tells of the entries in its own copies, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from heliograph.errors import NotPrimaryError, UnavailableError, UsageError
from heliograph.link.messages import Locate, Located, Select, Selected
from heliograph.member.region import HostedRegion
from heliograph.model.keys import check_keys
from heliograph.query.parser import parse_query
from heliograph.query.selection import Selection, limit_of

QUERIES_AT_ONCE = 4
"""Others wait."""
SELECT_S_MAX = 60.0
PAUSE_BYTES = 512 * 1024
"""After so many bytes of entries a query lets others go on: some milliseconds."""
ENTRY_BYTES = 1024
"""What it takes to look at an entry, however small, as bytes."""


class Queries:
    """Answers of one member. region: returns a region, or raises as `Operations.region`."""

    def __init__(self, region: Callable[[str], HostedRegion]) -> None:
        self._region = region
        self._turns = asyncio.Semaphore(QUERIES_AT_ONCE)

    def locate(self, request: Locate) -> Located:
        """Say whether an entry is in this member's copy. Raises UsageError when the key finds no bucket."""
        check_keys([request.key])
        hosted = self._region(request.region)
        bucket = hosted.routing.bucket_of(request.key)
        copy = hosted.copies.get(bucket)
        if copy is None or not copy.readable:
            return Located(bucket, False)
        return Located(bucket, request.key in copy.view.values, copy.epoch if copy.accepting else 0)

    async def select(self, request: Select) -> Selected:
        """Go through the buckets of a query whose primary this member is, each as it is at one moment.

        Raises UsageError, TooLargeError, NotPrimaryError for another generation of the region, and UnavailableError
        when it takes too long.
        """
        query = parse_query(request.query)
        if query.region != request.region:
            raise UsageError(f"the query is over region {query.region}, and was asked of {request.region}")
        selection = Selection(query, limit_of(query, request.limit))
        hosted = self._region(request.region)
        if hosted.generation != request.generation:
            raise NotPrimaryError(f"region {request.region} was created anew: look at the site anew")
        timeout_s = min(request.timeout_ms / 1000, SELECT_S_MAX)
        try:
            async with asyncio.timeout(timeout_s), self._turns:
                buckets = await _go_through(hosted, request.buckets, selection)
        except TimeoutError:
            raise UnavailableError(f"a query over {request.region} took longer than {timeout_s:g} s here") from None
        return Selected(buckets, selection.rows.first(), selection.count)


async def _go_through(hosted: HostedRegion, buckets: Iterable[int], selection: Selection) -> list[int]:
    """Return the buckets of which every entry was looked at; it ends early when no other entry matters."""
    done: list[int] = []
    spent = 0
    for bucket in buckets:
        copy = hosted.copies.get(bucket)
        if copy is None or not copy.accepting or not copy.readable:
            continue
        for key, value in list(copy.view.values.items()):
            selection.add(key, value)
            if selection.full:
                return done
            spent += len(value) + ENTRY_BYTES
            if spent > PAUSE_BYTES:
                spent = 0
                await asyncio.sleep(0)
        done.append(bucket)
    return done
