"""A member's entry in the site's registry: taking the name, giving signs of life, leaving."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from heliograph.engine.seam import Item, Registry
from heliograph.errors import ConflictError, HeliographError, UsageError
from heliograph.model.members import MemberInfo
from heliograph.model.registry import JOINS, decode_entry, encode_entry, member_key

CRASHED_S = 3.0
"""How much longer than `member-timeout` a name is waited for whose last holder crashed."""
SIGNS_PER_TIMEOUT = 4
RETRY_S = 0.1
TELL_MIN_S = 1.0
"""Least time that a sign of life may take; one that takes longer is repeated, for its answer may be lost."""

_log = logging.getLogger(__name__)


class Membership:
    """One member's entry; `info` describes the member as it is now.

    The entry is renewed only while it is this member's: one that was away for longer than its time to live may find
    that another process runs under its name, and then gives way.

    on_lost: told once, why, when the name is another's. replaces: says of whoever has the name whether that process is
    certainly dead, so that its time need not be waited for.
    """

    def __init__(
        self,
        registry: Registry,
        info: Callable[[], MemberInfo],
        timeout_s: float,
        on_lost: Callable[[HeliographError], None],
        replaces: Callable[[MemberInfo], bool] = lambda _other: False,
    ) -> None:
        self._registry = registry
        self._info = info
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._replaces = replaces
        self.order = 0
        """Of this member's joining, as the registry counts."""
        self._told: MemberInfo | None = None
        self._revision = 0
        self._over = False
        """The name was left or lost."""
        self._turn = asyncio.Lock()

    async def register(self) -> None:
        """Take the name. Raises UsageError when another member has it.

        The entry of a member that crashed moments ago stands until its time is up, so that is waited for.
        """
        self.order = await self._registry.put(JOINS, b"")
        info = self._info()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s + CRASHED_S
        while (revision := await self._take_name(info)) is None:
            if loop.time() > deadline:
                raise UsageError(f"a member named {info.name} runs in this site already: use another name")
            await asyncio.sleep(RETRY_S)
        self._revision, self._told = revision, info

    async def _take_name(self, info: MemberInfo) -> int | None:
        """Return the revision of the entry that is this member's now, None when it is another's."""
        with suppress(ConflictError):
            return await self._create(info)
        item = await self._registry.get(member_key(info.name))
        if item is None:
            return None  # it has just ended
        if _is_of(item, info):
            return item.revision  # the answer to an earlier attempt was lost
        if self._replaces(decode_entry(item.value, MemberInfo)):
            with suppress(ConflictError):
                return await self._update(info, item.revision)
        return None

    async def give_signs_of_life(self) -> None:
        """Renew the entry, until cancelled."""
        while True:
            await asyncio.sleep(self._timeout_s / SIGNS_PER_TIMEOUT)
            await self._tell()

    async def tell_news(self) -> bool:
        """Renew the entry at once if what it says is no longer true; say whether it is."""
        if self._info() != self._told:
            await self._tell()
        return self._info() == self._told

    async def _tell(self) -> None:
        async with self._turn:
            if self._over:
                return
            info = self._info()
            try:
                async with asyncio.timeout(max(TELL_MIN_S, self._timeout_s / 2)):
                    self._revision = await self._renew(info)
            except (HeliographError, TimeoutError) as exc:
                _log.warning("no sign of life given name=%s error=%s", info.name, str(exc) or "no answer")
            else:
                self._told = info

    async def _renew(self, info: MemberInfo) -> int:
        """Return the entry's new revision; 0 when the name was lost."""
        revision: int | None = self._revision
        while True:
            try:
                if revision is None:
                    return await self._create(info)
                return await self._update(info, revision)
            except ConflictError:
                item = await self._registry.get(member_key(info.name))
            if item is None:
                revision = None  # it expired
            elif _is_of(item, info):
                revision = item.revision  # an update of ours whose answer was lost
            else:
                self._over = True
                self._on_lost(UsageError(f"another process runs as member {info.name} by now: this one gives way"))
                return 0

    async def _create(self, info: MemberInfo) -> int:
        return await self._registry.create(member_key(info.name), encode_entry(info), ttl_s=self._timeout_s)

    async def _update(self, info: MemberInfo, revision: int) -> int:
        value = encode_entry(info)
        return await self._registry.update(member_key(info.name), value, revision=revision, ttl_s=self._timeout_s)

    async def leave(self) -> None:
        """Delete the entry, if it is this member's, so that others take over at once."""
        async with self._turn:
            self._over = True
            info = self._info()
            try:
                item = await self._registry.get(member_key(info.name))
                if item is not None and _is_of(item, info):
                    await self._registry.delete(item.key, revision=item.revision)
            except HeliographError as exc:
                _log.warning("entry not deleted, it expires name=%s error=%s", info.name, exc)


def _is_of(item: Item, info: MemberInfo) -> bool:
    return decode_entry(item.value, MemberInfo).incarnation == info.incarnation
