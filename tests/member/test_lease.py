from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from heliograph.member.lease import HOLD_S, LEASE_TTL_S, REFRESH_S, LeaseKeeper
from heliograph.model.registry import lease_key
from tests.member.wan import SENDER, Host, World, simulate


class Candidate:
    """A keeper of one member, and what it was told: epochs won, 0 for a loss."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.told: list[int] = []
        self.keeper = LeaseKeeper(
            host.registry,
            SENDER,
            member=host.name,
            incarnation="1",
            on_won=self.told.append,
            on_lost=lambda: self.told.append(0),
        )


@asynccontextmanager
async def candidate(world: World, name: str) -> AsyncIterator[Candidate]:
    found = Candidate(await Host(world, name).open())
    task = asyncio.create_task(found.keeper.run())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.wait([task])
        await found.keeper.close()


def test_one_holds_it_and_keeps_it() -> None:
    async def scenario(world: World) -> None:
        async with candidate(world, "one") as one, candidate(world, "two") as two:
            one.keeper.may_hold(True)
            await world.until(lambda: one.keeper.held)
            two.keeper.may_hold(True)
            await asyncio.sleep(10 * LEASE_TTL_S)
            assert one.keeper.held
            assert (len(one.told), two.told) == (1, [])

    simulate(scenario)


def test_nobody_holds_it_unasked() -> None:
    async def scenario(world: World) -> None:
        async with candidate(world, "one") as one:
            await asyncio.sleep(10)
            assert one.told == []

    simulate(scenario)


def test_a_released_lease_passes_on_at_once_with_a_larger_epoch() -> None:
    async def scenario(world: World) -> None:
        async with candidate(world, "one") as one, candidate(world, "two") as two:
            one.keeper.may_hold(True)
            await world.until(lambda: one.keeper.held)
            one.keeper.may_hold(False)
            two.keeper.may_hold(True)
            await world.until(lambda: two.keeper.held)
            assert asyncio.get_running_loop().time() < LEASE_TTL_S
            assert one.told == [one.told[0], 0]
            assert two.told[0] > one.told[0]

    simulate(scenario)


def test_a_holder_that_is_cut_off_gives_up_before_the_next_one_wins() -> None:
    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        async with candidate(world, "one") as one, candidate(world, "two") as two:
            one.keeper.may_hold(True)
            two_wins = asyncio.create_task(world.until(lambda: two.keeper.held))
            await world.until(lambda: one.keeper.held)
            two.keeper.may_hold(True)
            one.host.client.connection.cut()
            cut = loop.time()
            await world.until(lambda: not one.keeper.held)
            assert loop.time() - cut <= HOLD_S
            assert not two.keeper.held
            await two_wins
            one.host.client.connection.heal()
            await asyncio.sleep(5)
            assert (one.keeper.held, two.keeper.held) == (False, True)

    simulate(scenario)


def test_a_holder_whose_lease_was_taken_away_stops() -> None:
    async def scenario(world: World) -> None:
        async with candidate(world, "one") as one:
            one.keeper.may_hold(True)
            await world.until(lambda: one.keeper.held)
            await world.local.registry.put(lease_key(SENDER), b"another's")
            await world.until(lambda: not one.keeper.held)

    simulate(scenario)


def test_a_short_absence_of_the_engine_costs_nothing() -> None:
    async def scenario(world: World) -> None:
        async with candidate(world, "one") as one:
            one.keeper.may_hold(True)
            await world.until(lambda: one.keeper.held)
            one.host.client.connection.cut()
            await asyncio.sleep(1.5)
            one.host.client.connection.heal()
            await asyncio.sleep(20)
            assert len(one.told) == 1

    simulate(scenario)


def test_who_wavers_refreshes_no_more_often_than_others() -> None:
    async def scenario(world: World) -> None:
        async with candidate(world, "one") as one:
            one.keeper.may_hold(True)
            await world.until(lambda: one.keeper.held)
            one.keeper.may_hold(False)
            one.keeper.may_hold(True)
            revision = world.engine.registries["site"].revision
            await asyncio.sleep(10)
            assert world.engine.registries["site"].revision - revision <= 10 / REFRESH_S + 1
            assert one.keeper.held

    simulate(scenario)
