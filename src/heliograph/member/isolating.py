"""Finding, at a gateway receiver, which events of a batch this site can never take; see `gateway.isolation`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from heliograph.gateway.isolation import Isolation, is_to_blame, pieces_of
from heliograph.link.messages import Done, Rejected, WanBatch
from heliograph.model.batch import Part
from heliograph.model.routing import Routing


class IsolatingHost(Protocol):
    """What it takes of the receiver's host; see `receiver.ReceiverHost`."""

    record_bytes_max: int

    def routing(self, region: str) -> Routing:
        """Return how a region's keys find their buckets. Raises RegionNotFoundError."""
        ...

    def apply_parts(self, region: str, bucket: int, parts: tuple[Part, ...], /) -> Awaitable[Done]:
        """Have a bucket's primary judge and append parts."""
        ...


async def isolate(host: IsolatingHost, batch: WanBatch, place: int | None) -> list[Rejected]:
    """Bring all of a batch into the log that can be, and return what can't.

    place: of the run in which something was turned down, see `Runs`; None for all of the batch, of which nothing was
    tried yet. Raises whatever is not the fault of an event: then the batch is refused, and comes again.
    """
    runs, rejected = pieces_of(batch, host.routing(batch.region))
    for here, (bucket, pieces) in sorted(runs.by_place.items()):
        if place is not None and place != here:
            continue
        isolation = Isolation(pieces, host.record_bytes_max)
        while (run := isolation.run()) is not None:
            try:
                await host.apply_parts(batch.region, bucket, run)
            except Exception as exc:
                if not is_to_blame(exc):
                    raise
                isolation.on_bad(exc)
            else:
                isolation.on_taken()
        rejected += isolation.rejected
    return rejected
