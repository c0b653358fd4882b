"""One call of a thin client: asks, waits, and asks again as long as that is safe and there is time.

    round: open links -> send every ask -> wait for the answers --all good--> next round, until nothing is pending
              ^                                                 --some failed--> wait a little, look anew at the site
              └────────────────────────────────────────────────────────────────────┘

Every ask may be repeated: a write goes under an id, by which its bucket knows it (`bucket.requests`). What is told to
be "unknown" in the end is a write whose answer was lost, and none came until the caller's time was over.
"""

from __future__ import annotations

import asyncio
import logging
import random

from heliograph.api.locators import Locators
from heliograph.api.operations import Ask, Operation
from heliograph.api.routes import Routes
from heliograph.errors import (
    AuthenticationError,
    ForgottenError,
    HeliographError,
    NotPrimaryError,
    PeerError,
    RegionNotFoundError,
    TooLargeError,
    UnavailableError,
    UnreachableError,
    in_part,
)
from heliograph.gateway.retry import Backoff
from heliograph.link.messages import Change, Changed, Clear, Done, PutAll, Reply
from heliograph.model.members import MemberInfo
from heliograph.net.link import Link
from heliograph.net.links import Links

RETRY_MS_FIRST = 20
RETRY_MS_MAX = 1_000
LOOK_S = 2.0
"""While a member does not answer: between two looks at whether it is still the one to ask."""

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
        self._deadline = 0.0
        self._moved = False
        self._unanswered = False
        self._some_done = False
        """Some of what the operation writes is written."""
        self._last_error: HeliographError | None = None

    async def run(self, timeout_s: float) -> None:
        """Do the operation. Raises UnavailableError after `timeout_s`, and whatever can't be repeated."""
        self._deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._run()
        except TimeoutError:
            raise self._out_of_time(timeout_s) from self._last_error
        except HeliographError as exc:
            if self._operation.unknown and not isinstance(exc, UnavailableError):
                raise self._unknown(str(exc)) from exc
            if self._some_done:
                raise in_part(exc) from exc
            raise
        finally:
            self._operation.end()

    async def _run(self) -> None:
        operation = self._operation
        routes = await self._locators.routes()
        try:
            operation.fit(routes)
        except RegionNotFoundError:
            routes = await self._locators.renew(routes)
            operation.fit(routes)
        while operation.pending:
            self._rounds += 1
            if await self._round(routes):
                continue
            self._links.check_open()
            if not self._moved:
                await asyncio.sleep(self._backoff.next_ms(self._rng.random()) / 1000)
            try:
                routes = await self._locators.renew(routes)
            except AuthenticationError:
                raise
            except (UnavailableError, PeerError) as exc:
                # The members may well live on without a locator: what is known of them is still worth a try.
                _log.debug("site not seen anew region=%s error=%s", operation.region, exc)
                self._last_error = self._last_error or exc
            else:
                operation.fit(routes)

    async def _round(self, routes: Routes) -> bool:
        """Send what is to be asked and take the answers; False when some of it failed."""
        loop = asyncio.get_running_loop()
        self._moved = False
        try:
            asks = self._operation.asks(routes, self._failed, max(1, int((self._deadline - loop.time()) * 1000)))
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
            await self._answers(waiting, routes)
        answers = [(ask, future, _error_of(future, ask)) for future, ask in waiting.items()]
        answers.sort(key=lambda answer: answer[2] is not None)  # what was done is known before an error is raised
        good = [self._answered(*answer, routes) for answer in answers]
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
        except AuthenticationError:
            raise
        except (UnavailableError, PeerError) as exc:
            self._note(member.name, exc)
            return None

    async def _answers(self, waiting: dict[asyncio.Future[Reply], Ask], routes: Routes) -> None:
        """Wait until all have been answered, or those asked are not the ones to ask any more.

        What is given up, here or by the caller, is cancelled: a late answer then reaches nobody.
        """
        self._unanswered = True
        unanswered = set(waiting)
        seen = routes
        try:
            while True:
                _, unanswered = await asyncio.wait(unanswered, timeout=LOOK_S)
                if not unanswered:
                    break
                seen = await self._look(seen)
                if not seen.agrees(routes, self._operation.region):
                    self._moved = True
                    break
        except asyncio.CancelledError:
            for future in waiting:
                if not future.cancel():
                    future.exception()  # seen: it interests nobody any more
            raise
        for future in unanswered:
            future.cancel()
        self._unanswered = False

    async def _look(self, seen: Routes) -> Routes:
        """Look at the site anew while a member does not answer."""
        try:
            return await self._locators.renew(seen)
        except (UnavailableError, PeerError) as exc:
            _log.debug("site not seen anew region=%s error=%s", self._operation.region, exc)
            return seen

    def _answered(self, ask: Ask, future: asyncio.Future[Reply], error: BaseException | None, routes: Routes) -> bool:
        """Take an answer; False when it is to be asked again after a while. Raises what can't be repeated."""
        operation = self._operation
        if error is None:
            reply = future.result()
            if not isinstance(reply, operation.reply):
                raise PeerError(f"{ask.member.name} answered {type(reply).__name__} to {type(ask.message).__name__}")
            operation.on_reply(ask, reply)
            self._some_done = operation.writes
            if isinstance(reply, Done | Changed) and reply.primary and isinstance(ask.message, PutAll | Change | Clear):
                routes.learn(operation.region, ask.message.bucket, reply.primary)
            return True
        if isinstance(error, ForgottenError) and not operation.rename(ask):
            raise UnavailableError(f"region {operation.region}: {error}; read the entry before you repeat it")
        if isinstance(error, NotPrimaryError | RegionNotFoundError | UnavailableError):
            if not isinstance(error, NotPrimaryError | RegionNotFoundError | UnreachableError | ForgottenError):
                operation.on_lost(ask)
            self._note(ask.member.name, error)
            return False
        if isinstance(error, TooLargeError) and operation.shrink(ask):
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
        if self._operation.unknown or (self._unanswered and self._operation.writes):
            return self._unknown(why)
        return UnavailableError(f"region {self._operation.region}: {why}")

    def _unknown(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"region {self._operation.region}: it is unknown whether the operation was done: {why}; "
            "read the entry before you repeat it"
        )


def _error_of(future: asyncio.Future[Reply], ask: Ask) -> BaseException | None:
    if future.cancelled():
        return UnavailableError(f"{ask.member.name} did not answer, and the site has changed meanwhile")
    return future.exception()
