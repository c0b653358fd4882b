"""Who listens at simulated sites: in the members' own processes, and thin clients outside of them.

A listener takes its time now and then, so that it falls behind and is told from the log. One that dies with its member,
or is told that it lost events, begins anew.
"""

from __future__ import annotations

import asyncio
import random
from typing import cast

from heliograph.api.backend import Backend
from heliograph.api.client import ClientBackend
from heliograph.api.entry_event import EntryEvent
from heliograph.api.events import Events
from heliograph.errors import EventsLostError, HeliographError, UsageError
from heliograph.locator.config import LOCATOR_PORT
from heliograph.model.ids import Address
from tests.sim.checkers import told as checker
from tests.sim.observed import Observed, Told, ToldEvent
from tests.sim.plan import REGION
from tests.sim.process import Process
from tests.sim.world import MemberSlot, SimSite, World

PAUSE_CHANCE = 0.03
PAUSE_S = 4.0
AGAIN_S = 0.5
TIMEOUT_S = 15.0
LAST_S = 90.0
"""How long after everything is at rest the slowest listener may take to be told all."""


class SiteListener:
    """Listens to one site's region, one subscription after the other."""

    may_be_closed = False
    """The backend ends in order some day, and its listeners with it."""

    def __init__(self, name: str, site: SimSite, rng: random.Random, observed: Observed) -> None:
        self.name = name
        self.site = site
        self.hurries = False
        self._rng = rng
        self._observed = observed

    async def listen(self, backend: Backend) -> None:
        """Listen until cancelled."""
        while True:
            told = Told(self.site.plan.dsid, self.name)
            events = Events(REGION, backend, self._rng)
            try:
                await self._listen(told, events)
            except EventsLostError:
                told.ended = "lost"
                told.lost_rightly = self._cut_after(events._subscription._cursors)
            except HeliographError as exc:
                if isinstance(exc, UsageError) and self.may_be_closed:
                    told.ended = "closed"
                    return
                told.ended = f"failed: {exc!r}" if told.began else "never began"
            except asyncio.CancelledError:
                told.ended = told.ended or "killed"
                raise
            await events.aclose()
            await asyncio.sleep(AGAIN_S)

    async def _listen(self, told: Told, events: Events) -> None:
        await events.begin()
        told.began = dict(enumerate(events._subscription._cursors))
        for record in events._told:  # a bucket may have told something before the last one was begun with
            told.began[record.bucket] = min(told.began[record.bucket], record.seq - 1)
        self._observed.told.append(told)
        async for event in events:
            told.events.append(_brief(event))
            if not self.hurries and self._rng.random() < PAUSE_CHANCE:
                await asyncio.sleep(self._rng.expovariate(1 / PAUSE_S))

    def _cut_after(self, cursors: list[int]) -> bool:
        """Say whether the log lost a record that lies after a cursor."""
        return any(self.site.cut_to(bucket) > cursor for bucket, cursor in enumerate(cursors))


class MemberListener(SiteListener):
    """In the process of a member; begins anew with every process."""

    may_be_closed = True

    def __init__(self, slot: MemberSlot, rng: random.Random, observed: Observed) -> None:
        super().__init__(f"listener in {slot.name}", slot.site, rng, observed)
        self._slot = slot

    async def run(self) -> None:
        """Listen in one process of the member after the other."""
        while True:
            slot = self._slot
            if slot.ready and slot.process is not None:
                await asyncio.wait({slot.process.run(self.listen(cast("Backend", slot.member)))})
            await asyncio.sleep(AGAIN_S)


class ThinListener(SiteListener):
    """A program of its own."""

    def __init__(self, site: SimSite, rng: random.Random, observed: Observed) -> None:
        super().__init__(f"listener of site {site.plan.dsid}", site, rng, observed)
        self._process = Process(site.network, f"{site.plan.dsid}-listener", rng)
        locators = (Address(site.locator.name, LOCATOR_PORT),)
        self._backend = ClientBackend(locators, TIMEOUT_S, self._process, rng)

    async def run(self) -> None:
        """Listen."""
        await self._process.run(self.listen(self._backend))

    async def close(self) -> None:
        """End it."""
        await self._process.run(self._backend.close())
        self._process.kill()


class Listeners:
    """A listener in one member of each site, and one outside of each."""

    def __init__(self, world: World, rng: random.Random, observed: Observed) -> None:
        self._world = world
        self._observed = observed
        self._thin = [ThinListener(site, random.Random(rng.getrandbits(64)), observed) for site in world.sites]
        in_members = [
            MemberListener(rng.choice(site.members), random.Random(rng.getrandbits(64)), observed)
            for site in world.sites
        ]
        self._all: list[MemberListener | ThinListener] = [*self._thin, *in_members]
        self._tasks = [asyncio.get_running_loop().create_task(each.run()) for each in self._all]

    async def finish(self) -> None:
        """Let everyone be told what there is, then end."""
        for each in self._all:
            each.hurries = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LAST_S
        while loop.time() < deadline and any(map(self._open, self._all)):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        for told in self._observed.told:
            told.ended = told.ended or "listening"
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for thin in self._thin:
            await thin.close()

    def _open(self, listener: SiteListener) -> bool:
        """Say whether a listener has not begun, or not been told everything yet."""
        live = [told for told in self._observed.told if told.who == listener.name and not told.ended]
        if not live:
            return True
        logs = {bucket: listener.site.entries(bucket) for bucket in live[-1].began}
        return len(checker.expected(live[-1], logs)) > len(live[-1].events)


def _brief(event: EntryEvent) -> ToldEvent:
    return ToldEvent(
        event.bucket,
        event.sequence,
        event.operation,
        event.key,
        event.encoded_new_value,
        event.version,
        event.encoded_old_value,
    )
