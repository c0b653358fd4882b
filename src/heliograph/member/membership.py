"""A member's entry in the site's registry: taking the name, giving signs of life, leaving."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from heliograph.engine.seam import Registry
from heliograph.errors import ConflictError, HeliographError, UsageError
from heliograph.model.members import MemberInfo
from heliograph.model.registry import encode_entry, member_key

CRASHED_S = 3.0
"""How much longer than `member-timeout` a name is waited for whose last holder crashed."""
SIGNS_PER_TIMEOUT = 4
RETRY_S = 0.1

_log = logging.getLogger(__name__)


class Membership:
    """One member's entry; `info` describes the member as it is now."""

    def __init__(self, registry: Registry, info: Callable[[], MemberInfo], timeout_s: float) -> None:
        self._registry = registry
        self._info = info
        self._timeout_s = timeout_s
        self._told: MemberInfo | None = None

    async def register(self) -> None:
        """Take the name. Raises UsageError when another member has it.

        The entry of a member that crashed moments ago stands until its time is up, so that is waited for.
        """
        info = self._info()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s + CRASHED_S
        while True:
            try:
                await self._registry.create(member_key(info.name), encode_entry(info), ttl_s=self._timeout_s)
            except ConflictError:
                if loop.time() > deadline:
                    message = f"a member named {info.name} runs in this site already: use another name"
                    raise UsageError(message) from None
                await asyncio.sleep(RETRY_S)
            else:
                self._told = info
                return

    async def give_signs_of_life(self) -> None:
        """Renew the entry, until cancelled."""
        while True:
            await asyncio.sleep(self._timeout_s / SIGNS_PER_TIMEOUT)
            await self._tell()

    async def tell_news(self) -> None:
        """Renew the entry at once if what it says is no longer true."""
        if self._info() != self._told:
            await self._tell()

    async def _tell(self) -> None:
        info = self._info()
        try:
            await self._registry.put(member_key(info.name), encode_entry(info), ttl_s=self._timeout_s)
        except HeliographError as exc:
            _log.warning("no sign of life given name=%s error=%s", info.name, exc)
        else:
            self._told = info

    async def leave(self) -> None:
        """Delete the entry, so that others take over at once."""
        name = self._info().name
        try:
            await self._registry.delete(member_key(name))
        except HeliographError as exc:
            _log.warning("entry not deleted, it expires name=%s error=%s", name, exc)
