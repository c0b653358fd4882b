"""The locator's links to members, opened when first needed and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from heliograph.errors import HeliographError, PeerError, UnavailableError
from heliograph.link.hello import Hello
from heliograph.link.messages import Reply, Request
from heliograph.model.members import MemberInfo
from heliograph.net.link import BaseHandler, Link, connect_link
from heliograph.net.seam import Network

CONNECT_S = 2.0

T = TypeVar("T", bound=Reply)


class UnreachableError(UnavailableError):
    """A member can't be reached: what it was asked did certainly not happen."""


class Caller(Protocol):
    """What the admin operations need: to ask a member."""

    async def call(self, member: MemberInfo, message: Request, kind: type[T], *, timeout_s: float) -> T:
        """Ask a member and return its answer of that kind.

        Raises UnreachableError when it can't be reached, UnavailableError when it does not answer in time, else the
        error it answered.
        """
        ...


class MemberLinks:
    """One link to each member's incarnation."""

    def __init__(self, network: Network, hello: Callable[[], Hello]) -> None:
        self._network = network
        self._hello = hello
        self._links: dict[str, tuple[str, Link]] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    async def call(self, member: MemberInfo, message: Request, kind: type[T], *, timeout_s: float) -> T:
        """Ask a member; see `Caller.call`."""
        link = await self._link(member)
        reply = await link.call(message, timeout_s=timeout_s)
        if not isinstance(reply, kind):
            raise PeerError(f"{member.name} answered {type(reply).__name__} to {type(message).__name__}")
        return reply

    async def _link(self, member: MemberInfo) -> Link:
        async with self._opening.setdefault(member.name, asyncio.Lock()):
            incarnation, link = self._links.get(member.name, ("", None))
            if link is not None and incarnation == member.incarnation and not link.closed:
                return link
            if link is not None:
                link.close("the member was started again")
            try:
                link = await connect_link(
                    self._network, member.address, self._hello(), BaseHandler(), timeout_s=CONNECT_S
                )
            except HeliographError as exc:
                raise UnreachableError(f"{member.name} can't be reached at {member.address}: {exc}") from exc
            self._links[member.name] = (member.incarnation, link)
            return link

    async def close(self) -> None:
        """Close every link."""
        links = [link for _, link in self._links.values()]
        self._links.clear()
        for link in links:
            link.close("the locator stops")
        await asyncio.gather(*(link.wait_closed() for link in links))
