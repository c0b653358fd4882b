"""The way of a write to its bucket's primary, wherever that moves.

    attempt at the primary ──answered──> done
        ^         └──certainly not done, or answer lost──> wait a little (for room, when somebody is overloaded)
        └──────────────────────────────────────────────────┘

A write that is sent is tried again where the placement now points, until its caller's time or the write timeout is
over. One whose answer was lost may be sent again too: it carries an id, under which the bucket does it once
(`bucket.requests`). Parts from another site need none, because their versions make a repeat harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TypeAlias, TypeVar, cast

import msgspec

from heliograph.bucket.primary import argument_size, request_size
from heliograph.errors import (
    ForgottenError,
    HeliographError,
    NotPrimaryError,
    OverloadedError,
    PeerError,
    RegionNotFoundError,
    UnavailableError,
    UnreachableError,
)
from heliograph.link import messages
from heliograph.member.backlog import Backlog
from heliograph.member.region import HostedRegion
from heliograph.member.state import SiteState
from heliograph.member.waiters import OneWrite
from heliograph.model.ids import Address
from heliograph.model.requests import Identities
from heliograph.net.links import Links
from heliograph.placement.holders import unheld

RETRY_S = 0.05
"""Between two looks at who is primary, while a take-over is under way."""
LOOK_S = 1.0
"""While a primary has not answered: between two looks at whether it still is that."""
OVERLOADED_S = 0.25
"""Before a member that has too much under way is asked again."""

OnceRequest: TypeAlias = messages.PutAll | messages.Change | messages.Clear
Routed: TypeAlias = OnceRequest | messages.ApplyParts
T = TypeVar("T")


class Primaries:
    """The primaries of all buckets, as one member reaches them: itself, or over a link."""

    def __init__(
        self,
        name: str,
        regions: dict[str, HostedRegion],
        state: Callable[[], SiteState],
        links: Links,
        backlog: Backlog,
        timeout_s: float,
        identities: Identities,
    ) -> None:
        self._name = name
        self._regions = regions
        self._state = state
        self._links = links
        self._backlog = backlog
        self._timeout_s = timeout_s
        self._identities = identities

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def region(self, name: str) -> HostedRegion:
        """Return a region. Raises RegionNotFoundError listing those there are, NotPrimaryError while it is new here."""
        region = self._regions.get(name.removeprefix("/"))
        if region is None:
            if name.removeprefix("/") in self._state().regions:
                raise NotPrimaryError(f"{self._name} has not taken up region {name!r} yet")
            known = ", ".join(sorted(self._regions)) or "none"
            raise RegionNotFoundError(f"region {name!r} does not exist at this site (regions: {known})")
        return region

    def address(self, member: str, region: str) -> Address:
        """Return where a member is reached that is asked of a region. Raises NotPrimaryError when it is gone, or this
        one.
        """
        state = self._state()
        info = state.members.get(member)
        if info is None or member == self._name:
            entry = state.regions.get(region.removeprefix("/"))
            nobody = unheld(entry.attributes, state.members.values()) if entry is not None else ""
            raise NotPrimaryError(nobody or "nobody is primary at the moment")
        return info.address

    async def once(self, request: OnceRequest, kind: type[T], hosted: HostedRegion | None) -> T:
        """Do a write once, under the id that it has or a new one. Raises as `routed`.

        hosted: whose buckets a request without an id means: one created anew under the name may have others.
        """
        if request.id is not None:
            return await self.routed(request, kind)
        if hosted is None:
            hosted = self.region(request.region)
        identity = self._identities.draw(hosted.name, hosted.generation, request.bucket)
        try:
            return await self.routed(msgspec.structs.replace(request, id=identity.wire()), kind)
        finally:
            identity.end()

    async def routed(self, request: Routed, kind: type[T]) -> T:
        """Do a request at the bucket's primary, wherever it moves, as long as its caller and the write timeout allow.

        Raises UnreachableError or NotPrimaryError when it was certainly not done, other UnavailableErrors when that is
        unknown.
        """
        timeout_s = self._timeout_s
        if not isinstance(request, messages.ApplyParts) and request.timeout_ms:
            timeout_s = min(timeout_s, request.timeout_ms / 1000)
        deadline = self._loop.time() + timeout_s
        where = f"bucket {request.bucket} of {request.region}"
        lost: HeliographError | None = None
        while True:
            try:
                return await self._attempt(request, kind, deadline)
            except UnreachableError as exc:
                error: HeliographError = exc
            except HeliographError as exc:
                error = exc
                if isinstance(exc, UnavailableError) and not isinstance(exc, ForgottenError):
                    lost = exc
                    request = _repeated(request)
                elif not isinstance(exc, NotPrimaryError) or self._is_anew(request):
                    if lost is None:
                        raise
                    raise UnavailableError(f"it is unknown whether the write to {where} was done: {exc}") from exc
            elsewhere = isinstance(error, OverloadedError) and not self._backlog.full
            # An attempt for whose answer there is no time would only make it unknown what became of the write.
            if self._loop.time() + (OVERLOADED_S if elsewhere else 0.0) >= deadline:
                if lost is not None:
                    raise UnavailableError(f"it is unknown whether the write to {where} was done: {error}") from error
                if isinstance(error, OverloadedError):
                    raise error
                raise UnreachableError(f"{where} has no primary that answers: {error}") from error
            if isinstance(error, OverloadedError) and not elsewhere:
                await self._room(deadline)
            else:
                await asyncio.sleep(OVERLOADED_S if elsewhere else RETRY_S)

    async def _room(self, deadline: float) -> None:
        """Wait until this member takes more, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._backlog.room()

    async def _attempt(self, request: Routed, kind: type[T], deadline: float) -> T:
        hosted = self.region(request.region)
        if self._is_anew(request):
            raise NotPrimaryError(f"region {request.region} was created anew: look at the site anew")
        if not isinstance(request, messages.ApplyParts):
            left_ms = max(1, int((deadline - self._loop.time()) * 1000))
            request = msgspec.structs.replace(request, timeout_ms=left_ms)
        copy = hosted.copies.get(request.bucket)
        if copy is None or not copy.accepting:
            return await self._ask_primary(hosted, request, kind, deadline)
        waiter = OneWrite(self._loop)
        if isinstance(request, messages.PutAll):
            size = request_size(request.keys, request.values) + argument_size(request.argument)
            copy.put_once(request, size, waiter)
        elif isinstance(request, messages.Change):
            copy.change_once(request, waiter)
        elif isinstance(request, messages.Clear):
            copy.clear_once(request, waiter)
        else:
            copy.apply_parts(request.parts, waiter)
        return cast(T, await waiter.future)

    async def _ask_primary(self, hosted: HostedRegion, request: Routed, kind: type[T], deadline: float) -> T:
        """Ask the bucket's primary, as long as it is that."""
        member = hosted.primary_of(request.bucket)
        address = self.address(member, hosted.name)
        link = self._links.get(address) or await self._links.open(address)
        answer = link.request(request)
        try:
            while not answer.done():
                left_s = deadline - self._loop.time()
                moved = self._regions.get(hosted.name) is not hosted or hosted.primary_of(request.bucket) != member
                if moved or left_s <= 0:
                    raise UnavailableError(f"{member} did not answer{' while it was the primary' if moved else ''}")
                await asyncio.wait((answer,), timeout=min(LOOK_S, left_s))
            reply = answer.result()
        finally:
            answer.cancel()
        if not isinstance(reply, kind):
            raise PeerError(f"{member} answered {type(reply).__name__} to {type(request).__name__}")
        return reply

    def _is_anew(self, request: Routed) -> bool:
        """Say whether the request is for another region of this name: numbers and buckets mean nothing here then."""
        if isinstance(request, messages.ApplyParts) or request.id is None:
            return False
        hosted = self._regions.get(request.region.removeprefix("/"))
        return hosted is not None and hosted.generation != request.id.generation


def _repeated(request: Routed) -> Routed:
    """Return the request as it is sent when another copy of it may be under way."""
    if isinstance(request, messages.ApplyParts) or request.id is None:
        return request
    return msgspec.structs.replace(request, id=msgspec.structs.replace(request.id, repeated=True))
