"""`wan-copy region` at one member: entries of a region brought to a gateway sender's remote site, beside its queue.

    buckets it was given ──(copies here, or snapshot and log)──> Copier ──WanBatch──> Courier, WINDOW at once

A sender's ledger and cursors are not touched: what is copied carries its own versions, so that the remote site judges
it as it judges a repeat. A copy is known by the id of its run, and remembered for some time when it has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial

from heliograph.errors import RegionNotFoundError, UsageError
from heliograph.gateway.wan_copy import ANY_STAMP, Copier, pause_s
from heliograph.link.messages import (
    CopyState,
    Outcome,
    WanBatch,
    WanCopy,
    WanCopyCancel,
    WanCopyQuery,
)
from heliograph.member.bucket_reader import BucketReader
from heliograph.member.region import HostedRegion
from heliograph.member.runs import Run, Runs
from heliograph.member.sender import GatewaySender
from heliograph.member.sender_host import SenderHost
from heliograph.member.wan_courier import Courier
from heliograph.model.batch import Part

COPIES_AT_ONCE = 10
WINDOW = 4
"""Batches of a copy that are under way at once."""
LOOK_S = 1.0
"""Between two looks, while a copy waits for its rate, at whether its region and sender are still there."""
ALL = "*"

_log = logging.getLogger(__name__)


class _Copy(Run):
    """A copy that is under way here."""

    def __init__(self, request: WanCopy, region: HostedRegion, sender: GatewaySender) -> None:
        super().__init__(request.run, f"copy of {request.region} by {request.sender}", "copied")
        self.request = request
        self.region = region
        self.sender = sender
        self.began_at = 0.0
        self.sent = 0
        self.rejected = 0
        self.first_error = ""

    @property
    def pair(self) -> tuple[str, str]:
        return self.request.region, self.request.sender

    def end_in_order(self) -> None:
        if not self.rejected:
            self.end("done", self.progress)
            return
        site = self.sender.attributes.remote_distributed_system_id
        more = f"{self.rejected} more can never be taken by site {site}, the first: {self.first_error}"
        self.end("failed", f"{self.progress}; {more}")


class WanCopies:
    """All copies of one member; see the module."""

    def __init__(
        self, host: SenderHost, regions: Mapping[str, HostedRegion], senders: Mapping[str, GatewaySender]
    ) -> None:
        self._host = host
        self._regions = regions
        self._senders = senders
        self._runs: Runs[_Copy] = Runs(host.name)
        self._slots = asyncio.Semaphore(COPIES_AT_ONCE)

    # --- commands

    def start(self, request: WanCopy) -> CopyState:
        """Begin to copy, or say why not; a run that is known already is only told of."""
        known = self._runs.known(request.run)
        if known is not None:
            return known
        begun = self._begin(request)
        if isinstance(begun, CopyState):
            return self._runs.refuse(request.run, begun)
        return self._runs.begin(begun, partial(self._run, begun))

    def _begin(self, request: WanCopy) -> _Copy | CopyState:
        """Return a copy that may begin, or why none may (gfsh.md §6.10, in its order)."""
        region, sender = self._regions.get(request.region), self._senders.get(request.sender)
        if region is None:
            return CopyState("failed", f"Region {request.region} not found")
        if sender is None:
            return CopyState("failed", f"Sender {request.sender} not found")
        if request.sender not in region.attributes.gateway_sender_ids:
            return CopyState("failed", f"Region {request.region} is not configured to use sender {request.sender}")
        if not sender.running:
            return CopyState("failed", f"Sender {request.sender} is not running")
        if not sender.attributes.parallel and not sender.primary:
            return CopyState("secondary", f"Sender {request.sender} is serial and not primary. 0 entries copied.")
        copy = _Copy(request, region, sender)
        if any(other.pair == copy.pair for other in self._runs):
            there_is = f"There is already a command running for region {request.region} and sender {request.sender}"
            return CopyState("failed", there_is)
        return copy

    def look(self, query: WanCopyQuery) -> CopyState:
        """Say how a run is. Raises UsageError when it is not known here: this member was started since."""
        return self._runs.look(query.run)

    def cancel(self, request: WanCopyCancel) -> Outcome:
        """Cancel the copy of a region by a sender, or all copies."""
        every = (request.region, request.sender) == (ALL, ALL)
        found = [copy for copy in self._runs if every or copy.pair == (request.region, request.sender)]
        for copy in found:
            copy.cancel()
        if every:
            listed = ", ".join(f"({region},{sender})" for region, sender in sorted(copy.pair for copy in found))
            return Outcome(True, f"Executions cancelled: [{listed}]")
        if found:
            return Outcome(True, "Execution cancelled")
        of = f"region {request.region} and sender {request.sender}"
        return Outcome(False, f"No running command to be cancelled for {of}")

    async def close(self) -> None:
        """Cut everything short."""
        await self._runs.close()

    # --- copying

    async def _run(self, copy: _Copy) -> None:
        async with self._slots:
            _log.info("copy begins region=%s sender=%s buckets=%d", *copy.pair, len(copy.request.buckets))
            await self._copy_all(copy)
        copy.end_in_order()

    async def _copy_all(self, copy: _Copy) -> None:
        loop = asyncio.get_running_loop()
        copy.began_at = loop.time()
        courier = Courier(self._host, copy.sender.far_end())
        under_way: deque[asyncio.Task[None]] = deque()
        try:
            async with aclosing(self._batches(copy)) as batches:
                async for items in batches:
                    self._check(copy)
                    copy.sent += sum(part.count for _, part in items)
                    under_way.append(loop.create_task(self._bring(copy, courier, items)))
                    if len(under_way) >= WINDOW:
                        await under_way.popleft()
            while under_way:
                await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            await courier.close()

    async def _bring(self, copy: _Copy, courier: Courier, items: list[tuple[int, Part]]) -> None:
        routing = copy.region.routing
        rejected = await courier.deliver(WanBatch(copy.request.region, routing.total, items, routing.resolver))
        bad = sum(len(each.positions) or items[each.item][1].count for each in rejected)
        copy.done += sum(part.count for _, part in items) - bad
        copy.rejected += bad
        if rejected and not copy.first_error:
            copy.first_error = rejected[0].error

    def _check(self, copy: _Copy) -> None:
        """Raise UsageError when there is nothing to be copied from, or by, any more."""
        region, sender = copy.pair
        if self._regions.get(region) is not copy.region:
            raise RegionNotFoundError("Region destroyed")
        if self._senders.get(sender) is not copy.sender or not copy.sender.running:
            raise UsageError(f"Sender {sender} is not running")

    async def _pace(self, copy: _Copy) -> None:
        """Wait until the next batch may leave."""
        loop = asyncio.get_running_loop()
        leaves_at = loop.time() + pause_s(copy.sent, loop.time() - copy.began_at, copy.request.max_rate)
        while (left_s := leaves_at - loop.time()) > 0:
            await asyncio.sleep(min(left_s, LOOK_S))
            self._check(copy)

    async def _batches(self, copy: _Copy) -> AsyncGenerator[list[tuple[int, Part]], None]:
        """Yield batches of what the buckets held when the copy began, as it is when a batch is made."""
        region, request = copy.region, copy.request
        # This site, too: it has the entries, also those that were born over there.
        recipients = {self._host.dsid, *self._host.remote_dsids(request.region)}
        copier = Copier(request.batch_size, tuple(sorted(recipients)))
        buckets = request.buckets if copy.sender.attributes.parallel else range(region.routing.total)
        here = {number: bucket.view for number, bucket in region.copies.items() if bucket.readable}
        newest = {bucket: here[bucket].stamp_max for bucket in buckets if bucket in here}
        copy.total = sum(len(here[bucket].values) for bucket in newest)
        reader = BucketReader(region)
        for bucket in buckets:
            self._check(copy)
            copier.begin(bucket, await reader.view(bucket), newest.get(bucket, ANY_STAMP))
            if bucket not in newest:
                copy.total += copier.held
            while copier.more:
                if not copier.count:
                    await self._pace(copy)  # now, so that a batch leaves with its entries as they are then
                    copier.go_on(await reader.view(bucket))
                if copier.fill():
                    yield copier.take()
                    await asyncio.sleep(0)
        if copier.count:
            yield copier.take()
