"""The events of a region, one after the other: an async iterator over whatever backend stands behind the region.

Whoever iterates does the work: without a waiting reader nothing is asked, and at most one answer of each member, asked
for while the reader had its hands full, is held. So a slow reader holds nobody up, and one that is forgotten leaves
nothing behind.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from itertools import chain
from types import TracebackType
from typing import Self

from heliograph.api.backend import Backend
from heliograph.api.entry_event import EntryEvent, events_of
from heliograph.api.subscription import Subscription
from heliograph.errors import (
    HeliographError,
    NotPrimaryError,
    PeerError,
    RegionNotFoundError,
    UnavailableError,
    UsageError,
)
from heliograph.gateway.retry import Backoff
from heliograph.link.messages import Heard, Listen, Told

BEGIN_S = 15.0
"""How long it may take until every bucket is listened to."""
RETRY_MS_FIRST, RETRY_MS_MAX = 20, 1_000

_log = logging.getLogger(__name__)


class Events:
    """All events of a region from the moment on at which it begins, each once, in order for every key.

    `async for event in region.events()` begins with its first step; `async with region.events() as events` begins
    before the block is entered. It goes on, at the place where it was, through the loss of members, and waits as long
    as the site can't be reached.

    It ends with EventsLostError when the reader was so slow that the log was cut before it had read everything,
    RegionNotFoundError when the region is destroyed, and UsageError when the client or cache is closed. Beginning
    raises UnavailableError after `BEGIN_S`.
    """

    def __init__(self, region: str, backend: Backend, rng: random.Random | None = None) -> None:
        self._backend = backend
        self._subscription = Subscription(region)
        self._asking: dict[asyncio.Task[Heard], tuple[str, Listen]] = {}
        self._holders: list[str] = []
        self._look_anew = False
        self._retry_at = 0.0
        self._backoff = Backoff(RETRY_MS_FIRST, RETRY_MS_MAX)
        self._rng = rng or random.Random()
        self._told: list[Told] = []
        self._events: Iterator[EntryEvent] = iter(())
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EntryEvent:
        while (event := next(self._events, None)) is None:
            records = await self.next_records()
            if not records:
                raise StopAsyncIteration
            self._events = self.events_of(records)
        return event

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def begin(self) -> None:
        """Listen to every bucket: whatever is written from now on is told. Raises UnavailableError after `BEGIN_S`."""
        try:
            async with asyncio.timeout(BEGIN_S):
                while not self._subscription.begun and not self._ended:
                    await self._hear_more()
        except TimeoutError:
            await self.aclose()
            region = self._subscription.region
            raise UnavailableError(
                f"no listening to region {region}: not all buckets answered in {BEGIN_S:g} s"
            ) from None

    async def next_records(self) -> list[Told]:
        """Return what is told next; nothing when it was closed."""
        if not self._subscription.begun:
            await self.begin()
        while not self._told and not self._ended:
            await self._hear_more()
        told, self._told = self._told, []
        return told

    def events_of(self, records: list[Told]) -> Iterator[EntryEvent]:
        """Return the events of some records, each made when its turn comes."""
        region, dsid = self._subscription.region, self._subscription.dsid
        return chain.from_iterable(events_of(region, dsid, told) for told in records)

    async def aclose(self) -> None:
        """End: whoever waits for an event is told that there are no more. A second call does nothing."""
        self._ended = True
        self._told.clear()
        self._events = iter(())
        tasks = list(self._asking)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- asking

    async def _hear_more(self) -> None:
        """Take the answers that are there, or wait for the next one; ask about what was answered."""
        loop = asyncio.get_running_loop()
        try:
            await self._ask()
            timeout_s = max(0.0, self._retry_at - loop.time()) if self._retry_at else None
            if self._asking:
                await asyncio.wait(self._asking, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            elif timeout_s is not None:
                await asyncio.sleep(timeout_s)
            if self._ended:
                return
            for task in [task for task in self._asking if task.done()]:
                self._take(task)
            if not self._retry_at:
                await self._ask()
        except Exception:
            await self.aclose()
            raise

    async def _ask(self) -> None:
        """Ask about every bucket that nobody is being asked about, unless that has to wait a little."""
        loop = asyncio.get_running_loop()
        if self._retry_at > loop.time():
            return
        self._retry_at = 0.0
        subscription = self._subscription
        if self._look_anew or not self._holders:
            try:
                self._holders = await self._backend.holders(
                    subscription.region, subscription.failed, anew=self._look_anew
                )
            except (NotPrimaryError, UnavailableError, PeerError) as exc:
                self._retry_later(exc)
                return
            self._look_anew = False
        for member, ask in subscription.asks(self._holders).items():
            task = loop.create_task(self._backend.hear(member, ask))
            task.add_done_callback(_seen)
            self._asking[task] = (member, ask)

    def _take(self, task: asyncio.Task[Heard]) -> None:
        member, ask = self._asking.pop(task)
        subscription = self._subscription
        try:
            heard = task.result()
        except (NotPrimaryError, RegionNotFoundError, UnavailableError, PeerError) as exc:
            # A region that is not known there may be new; if it is gone, that shows when the site is looked at anew.
            subscription.on_failed(member, ask)
            self._retry_later(exc)
            return
        except asyncio.CancelledError:
            raise UsageError(f"listening to region {subscription.region} was cut short") from None
        try:
            self._told += subscription.on_heard(member, ask, heard)
        except (NotPrimaryError, PeerError) as exc:
            subscription.on_failed(member, ask)
            self._retry_later(exc)
            return
        self._backoff.reset()
        if heard.reached == ask.after:
            self._look_anew = True  # nothing has happened for long: is it still the right one that is asked?

    def _retry_later(self, error: HeliographError) -> None:
        _log.debug("listening interrupted region=%s error=%s", self._subscription.region, error)
        self._look_anew = True
        self._retry_at = asyncio.get_running_loop().time() + self._backoff.next_ms(self._rng.random()) / 1000


def _seen(task: asyncio.Task[Heard]) -> None:
    if not task.cancelled():
        task.exception()
