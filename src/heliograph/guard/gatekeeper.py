"""Who may open a link, or use the admin API, and what for: a security manager at work.

    link ──hello──> Gatekeeper.judge ──credentials──> manager.authenticate (in a thread)
                        └──> Guarded(handler): every request is checked by the link's `Access`

Every second the manager is given a look; when it says that something may have changed, the permissions of every open
link are asked for anew, and a link that lost one is closed: its peer may open another one, and proves itself again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from weakref import WeakKeyDictionary

from heliograph.errors import (
    AuthenticationError,
    AuthenticationExpiredError,
    NotAuthorizedError,
    UnavailableError,
)
from heliograph.guard.access import Access
from heliograph.guard.manager import Manager, Principal
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.net.handler import BaseHandler, LinkHandler
from heliograph.net.link import Link
from heliograph.security.permissions import Permission
from heliograph.security.requirements import is_peer, needed_to_open

LOOK_S = 1.0
AT_ONCE = 2
"""Credentials that are looked at at the same time: hashing takes a processor and 32 MB."""
WAITING_MAX = 32
"""Peers whose credentials wait for that; further ones are turned away until there are fewer."""
LINKS_AT_ONCE = 200
"""Links that are looked at before others get a turn."""
WANTED = "who are you? Give security-username and security-password (commands: connect --user)"

_log = logging.getLogger(__name__)


class Gatekeeper:
    """One process's. Asks its manager, and keeps an eye on the links that it let in."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._links: WeakKeyDictionary[Link, Access] = WeakKeyDictionary()

    # --- who it is

    async def authenticate(self, credentials: Mapping[str, str] | None) -> Principal:
        """Find out whose credentials these are. Raises AuthenticationError, UnavailableError."""
        if not credentials:
            raise AuthenticationError(WANTED)
        principal = self._manager.known(credentials)
        if principal is not None:
            return principal
        if self._waiting >= WAITING_MAX:
            raise UnavailableError(f"{WAITING_MAX} others wait to be authenticated: try again")
        # Who hangs up meanwhile gives no slot free: a thread can't be stopped, and hanging up costs a peer nothing.
        finding = asyncio.ensure_future(self._find_out(dict(credentials)))
        finding.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(finding)

    async def _find_out(self, credentials: Mapping[str, str]) -> Principal:
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(self._manager.authenticate, credentials)
        finally:
            self._waiting -= 1

    def access(self, principal: Principal) -> Access:
        """Return what somebody may do now."""
        return Access(self._manager, principal, None)

    # --- links

    def at(self, dsid: Callable[[], int]) -> Gate:
        """Return the gate of a port of a process of that site."""
        return Gate(self, dsid)

    async def admit(self, link: Link, peer: Hello, base: Permission | None) -> Access:
        """Find out who a peer is, and whether that may open this link. Raises AuthenticationError."""
        principal = await self.authenticate(peer.credentials)
        access = Access(self._manager, principal, base)
        if base is not None:
            try:
                access.demand(base)
            except NotAuthorizedError as exc:
                raise AuthenticationError(f"{exc}, which {peer.bare} needs") from None
        self._links[link] = access
        return access

    async def run(self) -> None:
        """Keep up with what the manager says, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if await asyncio.to_thread(self._manager.look):
                await self.look_at_links()

    async def look_at_links(self) -> None:
        """Close the links of those who lost a permission that they used."""
        for number, (link, access) in enumerate(list(self._links.items()), 1):
            if not link.closed:
                self._look_at(link, access)
            if number % LINKS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _look_at(self, link: Link, access: Access) -> None:
        try:
            reason = "" if access.still_allowed() else f"the rights of user {access.principal} have changed"
        except AuthenticationExpiredError:
            reason = expired(access.principal)
        if reason:
            _log.info("link ended user=%s address=%s reason=%s", access.principal, link.peer_address, reason)
            link.close(reason)


class Gate:
    """One port's; satisfies `net.link.Gate`. dsid: of the own site."""

    def __init__(self, gatekeeper: Gatekeeper, dsid: Callable[[], int]) -> None:
        self._gatekeeper = gatekeeper
        self._dsid = dsid

    async def judge(self, link: Link, peer: Hello, handler: LinkHandler) -> LinkHandler:
        """Return the handler: as it is for the own site's processes and for gateway senders, else guarded."""
        dsid = self._dsid()
        access = await self._gatekeeper.admit(link, peer, needed_to_open(peer, dsid))
        return handler if is_peer(peer, dsid) or peer.role == "sender" else Guarded(handler, access)


class Guarded(BaseHandler):
    """A handler that answers what its peer is allowed to ask."""

    def __init__(self, handler: LinkHandler, access: Access) -> None:
        self._handler = handler
        self._access = access

    def on_request(self, link: Link, message: messages.Request) -> messages.Reply | Awaitable[messages.Reply]:
        """Check, then answer. Raises NotAuthorizedError; who has expired has to open another link."""
        try:
            self._access.check(message)
        except AuthenticationExpiredError:
            reason = expired(self._access.principal)
            asyncio.get_running_loop().call_soon(link.close, reason)
            raise UnavailableError(reason) from None
        return self._handler.on_request(link, message)

    def on_writable(self, link: Link) -> None:
        """Pass it on."""
        self._handler.on_writable(link)

    def on_closed(self, link: Link, reason: str) -> None:
        """Pass it on."""
        self._handler.on_closed(link, reason)


def expired(principal: Principal) -> str:
    """Return what is told of somebody whose time is over."""
    return f"the authentication of user {principal} has expired: authenticate again"
