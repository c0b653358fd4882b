"""What a member does with the registry while the registry changes under it, on the simulated engine."""

from __future__ import annotations

import random

from heliograph.engine.sim import loop
from heliograph.engine.sim.engine import connect_engine
from heliograph.engine.sim.server import SimEngine
from heliograph.member.config import MemberConfig
from heliograph.member.member import Member
from heliograph.member.state import SiteState
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.members import RegionPlacement
from heliograph.model.registry import PLACEMENT, RegionEntry, placement_key


def test_placing_goes_on_while_the_watcher_brings_in_a_newer_state() -> None:
    async def main(rng: random.Random) -> None:
        client = connect_engine(SimEngine(rng))
        registry = await client.open_registry("site")
        member = Member(MemberConfig(name="s1", locators=(Address("h", 1),)))
        member._registry = registry
        regions = {name: RegionEntry(RegionAttributes(name=name), 1) for name in ("r1", "r2")}
        gone = {name: (RegionPlacement(name, ()), 1) for name in ("r8", "r9")}
        for name in gone:
            await registry.put(placement_key(name), b"")
        state = SiteState(regions=regions, placements=dict(gone))
        delete, create = registry.delete, registry.create

        async def deleting(key: str, *, revision: int | None = None) -> None:
            await delete(key, revision=revision)
            state.placements = {}

        async def creating(key: str, value: bytes, *, ttl_s: float | None = None) -> int:
            state.regions = {**state.regions, "r3": RegionEntry(RegionAttributes(name="r3"), 2)}
            return await create(key, value, ttl_s=ttl_s)

        registry.delete = deleting  # type: ignore[method-assign]
        registry.create = creating  # type: ignore[method-assign]
        await member._place(state, ["s1"])
        assert list(await registry.items(PLACEMENT)) == [placement_key("r1"), placement_key("r2")]
        await client.close()

    loop.run(main, seed=1)
