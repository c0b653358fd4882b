"""Who runs a serial gateway sender: a lease in the registry, with a time to live.

    standing by ──create──> held (refreshed) ──refresh refused, or none got through in time──> standing by
                              └──may_hold = False, or close──> released

The lease only decides who *tries*; what its holder does is fenced by the epoch (architecture §2, §4). The epoch is the
registry's revision of the entry that won: it is larger than that of every holder before. A holder that can't refresh
gives up before its time to live is over, measured from the moment its last refresh was sent, so that two members hold
the lease together only if a clock is broken, and then the fence keeps them apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from heliograph.engine.seam import Registry
from heliograph.errors import ConflictError, HeliographError
from heliograph.model.registry import Lease, encode_entry, lease_key

LEASE_TTL_S = 5.0
REFRESH_S = 1.0
HOLD_S = 4.0
"""A lease not refreshed for so long is given up; the second that is left is for the registry's way back."""
TRY_S = 1.0
RELEASE_S = 2.0

_log = logging.getLogger(__name__)


class LeaseKeeper:
    """Holds, or tries to get, the lease of one gateway sender for one member.

    on_won(epoch) and on_lost() are plain functions, called in turn.
    """

    def __init__(
        self,
        registry: Registry,
        sender: str,
        *,
        member: str,
        incarnation: str,
        on_won: Callable[[int], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._key = lease_key(sender)
        self._member = member
        self._incarnation = incarnation
        self._on_won = on_won
        self._on_lost = on_lost
        self._wanted = False
        self._changed = asyncio.Event()
        self._epoch = 0
        self._revision = 0

    @property
    def held(self) -> bool:
        """Say whether this member runs the sender."""
        return self._epoch > 0

    def may_hold(self, wanted: bool) -> None:
        """Say whether this member should hold the lease (placement decides)."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    async def run(self) -> None:
        """Win, keep and lose the lease until cancelled; whoever cancels it calls `close`."""
        while True:
            self._changed.clear()
            if not self._wanted:
                await self.close()
                await self._changed.wait()
            elif self.held:
                await self._keep()
            elif not await self._win():
                await self._pause(TRY_S)

    async def close(self) -> None:
        """Lose the lease, if it is held, and let the next member have it at once."""
        if not self.held:
            return
        revision = self._revision
        self._lose("released")
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._registry.delete(self._key, revision=revision)
        except (HeliographError, TimeoutError) as exc:
            _log.warning("lease not released key=%s error=%s (it ends by itself)", self._key, exc)

    async def _win(self) -> bool:
        try:
            revision = await self._registry.create(self._key, self._value(0), ttl_s=LEASE_TTL_S)
        except ConflictError:
            return False  # another member holds it
        except HeliographError as exc:
            _log.warning("lease not won key=%s error=%s", self._key, exc)
            return False
        self._epoch = self._revision = revision
        _log.info("lease won key=%s epoch=%d", self._key, revision)
        self._on_won(revision)
        return True

    async def _keep(self) -> None:
        """Refresh until the lease is lost or not wanted any more."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HOLD_S
        while self._wanted:
            await self._pause(REFRESH_S)
            sent = loop.time()
            try:
                async with asyncio.timeout_at(deadline):
                    self._revision = await self._registry.update(
                        self._key, self._value(self._epoch), revision=self._revision, ttl_s=LEASE_TTL_S
                    )
            except (ConflictError, TimeoutError) as exc:
                self._lose(str(exc) or f"not refreshed for {HOLD_S:g} s")
                return
            except HeliographError as exc:
                if loop.time() + REFRESH_S >= deadline:
                    self._lose(f"not refreshed for {HOLD_S:g} s: {exc}")
                    return
                _log.warning("lease not refreshed key=%s error=%s", self._key, exc)
            else:
                deadline = sent + HOLD_S

    def _lose(self, reason: str) -> None:
        _log.info("lease lost key=%s epoch=%d reason=%s", self._key, self._epoch, reason)
        self._epoch = 0
        self._on_lost()

    def _value(self, epoch: int) -> bytes:
        return encode_entry(Lease(self._member, self._incarnation, epoch))

    async def _pause(self, seconds: float) -> None:
        """Wait, unless what is wanted changes meanwhile."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
