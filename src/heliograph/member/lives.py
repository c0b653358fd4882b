"""What a member has to do with the lives of its site (see `placement.lives`): the oldest server writes down the life.

No server takes up a region that is not persistent before it stands in the life's entry: what is in such a region's log
may be of a life that is over. Whoever is the oldest compares and writes the entry at one revision, so two servers that
both take themselves for the oldest can't begin two lives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from heliograph.engine.seam import Item, Registry
from heliograph.errors import ConflictError, HeliographError
from heliograph.member.state import SiteState
from heliograph.model.members import MemberInfo
from heliograph.model.registry import LIFE, SiteLife, decode_entry, encode_entry
from heliograph.placement.lives import next_life, without

LEAVE_TRIES = 10

_log = logging.getLogger(__name__)


class Lives:
    """See the module. member_timeout_s: how long the entry of a member stands that gives no sign of life.

    empty: ends, for the life of a number, the queues that are not persistent.
    """

    def __init__(
        self,
        name: str,
        incarnation: str,
        registry: Registry,
        member_timeout_s: float,
        empty: Callable[[int], Awaitable[None]],
    ) -> None:
        self._name = name
        self._incarnation = incarnation
        self._registry = registry
        self._member_timeout_s = member_timeout_s
        self._empty = empty
        self._known = False
        self._waiting: tuple[SiteLife, float] | None = None
        """The life whose end is waited for, and since when."""

    def number(self, state: SiteState) -> int | None:
        """Return the number of the site's life; None while it begins, or it is unknown whether this member is in it."""
        self._known = self._known or state.life.servers.get(self._name) == self._incarnation
        return state.life.number if self._known and not state.life.beginning else None

    async def keep(self, state: SiteState, servers: Sequence[MemberInfo]) -> None:
        """Write down who is in the site's life, if this is the oldest server. servers: all, the oldest first.

        Raises UnavailableError.
        """
        live = {server.name: server.incarnation for server in servers}
        if servers[0].name != self._name or (state.life.servers == live and not state.life.beginning):
            self._waiting = None
            return
        try:
            item = await self._registry.get(LIFE)
            current = decode_entry(item.value, SiteLife) if item is not None else SiteLife()
            life = next_life(current, live, waited=self._has_waited(current))
            if life is None or (life == current and not life.beginning):
                return
            revision = await self._write(life, item)
            if life.beginning:
                await self._empty(life.number)
                life = SiteLife(life.number, life.servers)
                await self._registry.update(LIFE, encode_entry(life), revision=revision)
        except ConflictError:
            _log.info("life written by another meanwhile name=%s", self._name)
        except HeliographError:
            self._waiting = None  # whoever lives may have been kept from saying so, too
            raise
        else:
            state.life = life
            if life.number != current.number:
                _log.info("life begun number=%d servers=%s", life.number, ",".join(sorted(live)))

    async def _write(self, life: SiteLife, item: Item | None) -> int:
        if item is None:
            return await self._registry.create(LIFE, encode_entry(life))
        return await self._registry.update(LIFE, encode_entry(life), revision=item.revision)

    def _has_waited(self, current: SiteLife) -> bool:
        now = asyncio.get_running_loop().time()
        if self._waiting is None or self._waiting[0] != current:
            self._waiting = (current, now)
        return now - self._waiting[1] >= self._member_timeout_s

    async def leave(self) -> None:
        """Leave the life, so that the next one need not be waited for if nobody is left."""
        try:
            for _ in range(LEAVE_TRIES):
                item = await self._registry.get(LIFE)
                if item is None:
                    return
                current = decode_entry(item.value, SiteLife)
                left = without(current, self._name, self._incarnation)
                if left == current:
                    return
                try:
                    await self._registry.update(LIFE, encode_entry(left), revision=item.revision)
                except ConflictError:
                    continue
                return
        except HeliographError as exc:
            _log.warning("life not left name=%s error=%s", self._name, exc)
