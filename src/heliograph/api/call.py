"""One call of a thin client: asks, waits, and asks again as long as that is safe and there is time.

    round: open links -> send every ask -> wait for the answers --all good--> next round, until nothing is pending
              ^                                                 --some failed--> wait a little, look anew at the site
              └────────────────────────────────────────────────────────────────────┘

An ask that certainly did nothing (UnreachableError, NotPrimaryError, RegionNotFoundError) may always be repeated. One
whose answer was lost may have been done: only a read is sent again then.
"""

from __future__ import annotations

import asyncio
import logging
import random

from heliograph.api.locators import Locators
from heliograph.api.operations import Ask, Operation
from heliograph.api.routes import Routes
from heliograph.errors import (
    HeliographError,
    NotPrimaryError,
    PeerError,
    RegionNotFoundError,
    UnavailableError,
    UnreachableError,
    UsageError,
)
from heliograph.gateway.retry import Backoff
from heliograph.link.messages import Change, Changed, Clear, Done, PutAll, Reply
from heliograph.model.members import MemberInfo
from heliograph.model.routing import Routing, client_routing
from heliograph.net.link import Link
from heliograph.net.links import Links

RETRY_MS_FIRST = 20
RETRY_MS_MAX = 1_000

_log = logging.getLogger(__name__)


class Call:
    """One run of one operation."""

    def __init__(self, operation: Operation, locators: Locators, links: Links, rng: random.Random) -> None:
        self._operation = operation
        self._locators = locators
        self._links = links
        self._rng = rng
        self._backoff = Backoff(RETRY_MS_FIRST, RETRY_MS_MAX)
        self._rounds = 0
        self._failed: dict[str, int] = {}
        self._unanswered = False
        self._last_error: HeliographError | None = None

    async def run(self, timeout_s: float) -> None:
        """Do the operation. Raises UnavailableError after `timeout_s`, and whatever can't be repeated."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._run()
        except TimeoutError:
            raise self._out_of_time(timeout_s) from self._last_error

    async def _run(self) -> None:
        operation = self._operation
        routes = await self._locators.routes()
        routing = _routing(routes, operation.region)
        while operation.pending:
            self._rounds += 1
            if await self._round(routes):
                continue
            await asyncio.sleep(self._backoff.next_ms(self._rng.random()) / 1000)
            try:
                routes = await self._locators.renew(routes)
            except (UnavailableError, PeerError) as exc:
                # The members may well live on without a locator: what is known of them is still worth a try.
                _log.debug("site not seen anew region=%s error=%s", operation.region, exc)
                self._last_error = self._last_error or exc
            else:
                before, routing = routing, _routing(routes, operation.region)
                if routing is not before:
                    operation.rebucket(routing)

    async def _round(self, routes: Routes) -> bool:
        """Send what is to be asked and take the answers; False when some of it failed."""
        try:
            asks = self._operation.asks(routes, self._failed)
        except UnavailableError as exc:
            self._last_error = exc
            return False
        links = await self._open({ask.member.name: ask.member for ask in asks})
        waiting: dict[asyncio.Future[Reply], Ask] = {}
        for ask in asks:
            link = links.get(ask.member.name)
            if link is not None and not link.closed:
                waiting[link.request(ask.message)] = ask
        if waiting:
            await self._answers(waiting)
        errors = [future.exception() for future in waiting]
        good = [
            self._answered(ask, future, error, routes)
            for (future, ask), error in zip(waiting.items(), errors, strict=True)
        ]
        return all(good) and len(good) == len(asks)

    async def _open(self, members: dict[str, MemberInfo]) -> dict[str, Link]:
        """Return the links to the members that are asked, without those that can't be reached."""
        links = {name: link for name, member in members.items() if (link := self._links.get(member.address))}
        missing = [member for name, member in members.items() if name not in links]
        if missing:
            opened = await asyncio.gather(*map(self._open_one, missing))
            links |= {member.name: link for member, link in zip(missing, opened, strict=True) if link is not None}
        return links

    async def _open_one(self, member: MemberInfo) -> Link | None:
        try:
            return await self._links.open(member.address)
        except (UnavailableError, PeerError) as exc:
            self._note(member.name, exc)
            return None

    async def _answers(self, waiting: dict[asyncio.Future[Reply], Ask]) -> None:
        """Wait until all have been answered; when cancelled, nobody waits for the late ones any more."""
        self._unanswered = True
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError:
            for future in waiting:
                if not future.cancel():
                    future.exception()  # seen: it interests nobody any more
            raise
        self._unanswered = False

    def _answered(self, ask: Ask, future: asyncio.Future[Reply], error: BaseException | None, routes: Routes) -> bool:
        """Take an answer; False when it is to be asked again after a while. Raises what can't be repeated."""
        operation = self._operation
        if error is None:
            reply = future.result()
            if not isinstance(reply, operation.reply):
                raise PeerError(f"{ask.member.name} answered {type(reply).__name__} to {type(ask.message).__name__}")
            operation.on_reply(ask, reply)
            if isinstance(reply, Done | Changed) and reply.primary and isinstance(ask.message, PutAll | Change | Clear):
                routes.learn(operation.region, ask.message.bucket, reply.primary)
            return True
        lost = isinstance(error, UnavailableError) and not isinstance(error, UnreachableError)
        if lost and not operation.repeatable:
            raise self._unknown(str(error)) from error
        if isinstance(error, NotPrimaryError | RegionNotFoundError | UnavailableError):
            self._note(ask.member.name, error)
            return False
        if isinstance(error, UsageError) and operation.shrink(ask):
            return True
        raise error

    def _note(self, member: str, error: HeliographError) -> None:
        _log.debug("ask failed member=%s region=%s error=%s", member, self._operation.region, error)
        self._failed[member] = self._rounds
        self._last_error = error

    def _out_of_time(self, timeout_s: float) -> UnavailableError:
        why = f"no answer within {timeout_s:g} s"
        if self._last_error is not None:
            why += f" ({self._last_error})"
        if self._unanswered and not self._operation.repeatable:
            return self._unknown(why)
        return UnavailableError(f"region {self._operation.region}: {why}")

    def _unknown(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"region {self._operation.region}: it is unknown whether the operation was done: {why}; "
            "read the entry before you repeat it"
        )


def _routing(routes: Routes, region: str) -> Routing:
    attributes = routes.attributes(region)
    return client_routing(attributes.total_num_buckets, attributes.partition_resolver)
