"""A site's way through the rounds, over a registry in memory and servers that answer as told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from heliograph.engine.seam import Item
from heliograph.errors import ConflictError, UnavailableError
from heliograph.gateway.directory import Directory
from heliograph.link.messages import Exchange, LocatorInfo, SiteRound
from heliograph.locator import rounds
from heliograph.locator.cluster import Cluster
from heliograph.locator.config import LocatorConfig
from heliograph.locator.rounds import MARGIN_MS, RoundKeeper
from heliograph.locator.site import SiteAdmin
from heliograph.model.attributes import GatewaySenderAttributes, RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.registry import ROUNDS, Cursor, Stability, cursor_key, decode_entry, encode_entry
from heliograph.net.sim import SimClock
from tests.locator.fakes import LOG_ENDS, FakeRegistry, FakeServers, join, member


class Site:
    """Site 1 with a region that goes to site 2, and the words of other sites."""

    def __init__(self) -> None:
        self.registry = FakeRegistry()
        self.clock = SimClock()
        self.directory = Directory("l1", 1, Address("l1", 1))
        self.cluster = Cluster(self.registry, FakeServers(), 1)
        self.keeper = self.another_locator()

    def another_locator(self, **options: Any) -> RoundKeeper:
        config = LocatorConfig(name="l1", distributed_system_id=1, **{"tombstone_timeout": 7, **options})
        return RoundKeeper(self.cluster, self.directory, self.clock, config)

    def restart(self, **options: Any) -> None:
        """Start the locator again: it has heard of nobody yet."""
        self.directory = Directory("l1", 1, Address("l1", 1))
        self.keeper = self.another_locator(**options)

    async def begin(self) -> None:
        await join(self.registry, member("s1", joined_ms=2))
        admin = SiteAdmin(self.cluster)
        await admin.senders.create(GatewaySenderAttributes(id="ny", remote_distributed_system_id=2))
        await admin.regions.create(RegionAttributes(name="r", gateway_sender_ids=("ny",), total_num_buckets=3))

    def hear(self, completed: int | None, times: tuple[int, ...] = ()) -> None:
        sender = LocatorInfo("l2", 2, Address("l2", 2), 5)
        words = [] if completed is None else [SiteRound(2, completed, times)]
        self.directory.merge(Exchange(sender, [], [], words))

    async def deliver(self, generation: int) -> None:
        for bucket, end in enumerate(LOG_ENDS):
            if end:
                await self.registry.put(cursor_key("ny", "r", generation, bucket), encode_entry(Cursor(end, 1)))

    async def look(self, keeper: RoundKeeper | None = None) -> Stability:
        await (keeper or self.keeper)._look()
        return decode_entry(self.registry.entries[ROUNDS].value, Stability)

    async def generation(self) -> int:
        return (await self.cluster.region_entries())["r"].generation


def run(scenario: Callable[[Site], Awaitable[None]]) -> None:
    async def body() -> None:
        site = Site()
        await site.begin()
        await scenario(site)

    asyncio.run(body())


def test_a_site_that_knows_no_other_one_takes_no_rounds() -> None:
    async def scenario(site: Site) -> None:
        assert await site.look() == Stability(tombstone_timeout_s=7)
        revision = site.registry.revision
        await site.look()
        assert site.registry.revision == revision, "what is the same is not written again"
        assert site.keeper.details() == {}

    run(scenario)


def test_a_round_is_completed_when_all_is_delivered_and_begun_when_all_others_have_completed_it() -> None:
    async def scenario(site: Site) -> None:
        site.hear(None)
        assert (await site.look()).behind == (2,)
        site.hear(0)
        before_ms = site.clock.now_ms() - MARGIN_MS
        await site.look()
        after_ms = site.clock.now_ms() - MARGIN_MS
        assert (await site.look()).completed == 0, "the queue is not delivered"
        await site.deliver(await site.generation())
        (began_ms,) = (await site.look()).times
        assert before_ms <= began_ms <= after_ms
        after = await site.look()
        assert (after.completed, after.behind, after.alone) == (1, (2,), False)
        assert site.directory.rounds()[1] == SiteRound(1, 1, (began_ms,))
        assert "waits for site 2" in site.keeper.details()["No Event Comes From Before"]
        for number in range(1, 5):
            site.hear(number, tuple(range(1000, 1000 + number)))
            await site.look()
            after = await site.look()
        assert after.completed == 5
        assert after.stable_ms == min(after.times[1], 1001)

    run(scenario)


def test_another_locator_goes_on_and_of_two_at_once_one_writes() -> None:
    async def scenario(site: Site) -> None:
        site.hear(0)
        await site.look()
        other = site.another_locator()
        await site.deliver(await site.generation())
        await site.look(other)
        assert (await site.look(other)).completed == 1
        assert (await site.look()).completed == 1
        site.hear(1)
        await site.look()
        before = decode_entry(site.registry.entries[ROUNDS].value, Stability)
        revision = site.registry.entries[ROUNDS].revision
        await site.look(other)
        after = msgspec.structs.replace(before, completed=2)
        with pytest.raises(ConflictError):
            await other._write(Item(ROUNDS, b"", revision - 1), after)
        await other._write(Item(ROUNDS, b"", revision), after)

    run(scenario)


def test_a_site_that_lost_its_data_takes_up_the_number_of_the_others() -> None:
    async def scenario(site: Site) -> None:
        site.hear(41, (7, 8))
        after = await site.look()
        assert (after.completed, after.times, after.stable_ms) == (41, (), 0)

    run(scenario)


def test_a_locator_that_starts_while_the_others_are_away_does_not_take_its_site_for_the_only_one() -> None:
    """Or all tombstones would go, just when a site that is cut off may come back with older events."""

    async def scenario(site: Site) -> None:
        site.hear(0)
        before = await site.look()
        site.restart()
        after = await site.look()
        assert (before.alone, after.alone, after.behind, after.sites) == (False, False, (2,), (2,))
        assert after.stable_ms == before.stable_ms
        assert (await site.look()).completed == 0, "it waits for the site of which it has heard nothing"

    run(scenario)


def test_a_site_that_is_to_have_others_waits_for_them_before_it_has_heard_of_any() -> None:
    async def scenario(site: Site) -> None:
        site.restart(remote_locators=(Address("l2", 2),))
        assert not (await site.look()).alone

    run(scenario)


def test_two_locators_that_were_told_otherwise_do_not_take_turns() -> None:
    async def scenario(site: Site) -> None:
        await site.look()
        other = site.another_locator(tombstone_timeout=9)
        assert (await site.look(other)).tombstone_timeout_s == 9
        assert (await site.look()).tombstone_timeout_s == 9
        site.restart(tombstone_timeout=None)
        assert (await site.look()).tombstone_timeout_s == 9

    run(scenario)


def test_what_went_wrong_is_told_until_it_is_right_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(site: Site) -> None:
        monkeypatch.setattr(rounds, "LOOK_S", 0)
        site.hear(0)
        await site.look()
        get = site.registry.get

        async def broken(_: str) -> Item | None:
            raise UnavailableError("the engine is away")

        monkeypatch.setattr(site.registry, "get", broken)
        running = asyncio.create_task(site.keeper.run())
        while "the engine is away" not in str(site.keeper.details()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        monkeypatch.setattr(site.registry, "get", get)
        while "the engine is away" in str(site.keeper.details()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        running.cancel()

    run(scenario)
