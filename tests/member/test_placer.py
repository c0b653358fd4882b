"""The oldest server's duty, on the simulated engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from heliograph.engine.sim import loop
from heliograph.engine.sim.engine import connect_engine
from heliograph.engine.sim.server import SimEngine
from heliograph.errors import NotPrimaryError, UsageError
from heliograph.link.hello import Hello
from heliograph.link.messages import Copies, Rebalance, RegionCopies
from heliograph.member.placer import Placer
from heliograph.member.state import SiteState
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.members import BucketPlacement, MemberInfo, RegionPlacement
from heliograph.model.registry import PLACEMENT, RegionEntry, decode_entry, encode_entry, placement_key
from heliograph.net.links import Links
from heliograph.net.sim import SimNetwork


def server(name: str, order: int = 1) -> MemberInfo:
    address = Address(name, 1)
    return MemberInfo(name=name, kind="server", incarnation=name, joined_ms=0, address=address, pid=1, order=order)


def with_placer(scenario: Callable[[Placer, Any], Coroutine[Any, Any, None]]) -> None:
    async def main(rng: random.Random) -> None:
        client = connect_engine(SimEngine(rng))
        registry = await client.open_registry("site")
        links = Links(SimNetwork().host("s1"), Hello("member", "s1"))
        await scenario(Placer("s1", registry, links, {}, lambda: None), registry)
        await client.close()

    loop.run(main, seed=1)


def test_placing_goes_on_while_the_watcher_brings_in_a_newer_state() -> None:
    async def scenario(placer: Placer, registry: Any) -> None:
        regions = {name: RegionEntry(RegionAttributes(name=name), 1) for name in ("r1", "r2")}
        gone = {
            name: (RegionPlacement(name, ()), await registry.put(placement_key(name), b"")) for name in ("r8", "r9")
        }
        state = SiteState(regions=regions, placements=dict(gone))
        delete, create = registry.delete, registry.create

        async def deleting(key: str, *, revision: int | None = None) -> None:
            await delete(key, revision=revision)
            state.placements = {}

        async def creating(key: str, value: bytes, *, ttl_s: float | None = None) -> Any:
            state.regions = {**state.regions, "r3": RegionEntry(RegionAttributes(name="r3"), 2)}
            return await create(key, value, ttl_s=ttl_s)

        registry.delete = deleting
        registry.create = creating
        await placer.place(state, [server("s1")])
        assert list(await registry.items(PLACEMENT)) == [placement_key("r1"), placement_key("r2")]

    with_placer(scenario)


def test_a_placement_whose_answer_is_late_does_not_hide_a_newer_one() -> None:
    """Found by the simulation: another server had been the oldest meanwhile, and the two fought for ever."""

    async def scenario(placer: Placer, registry: Any) -> None:
        state = SiteState(regions={"r": RegionEntry(RegionAttributes(name="r", total_num_buckets=1), 1)})
        await placer.place(state, [server("s1")])
        newer = RegionPlacement("r", (BucketPlacement("s2"),))
        update = registry.update

        async def late(key: str, value: bytes, *, revision: int, ttl_s: float | None = None) -> Any:
            answer = await update(key, value, revision=revision, ttl_s=ttl_s)
            state.placements = {"r": (newer, await registry.put(key, encode_entry(newer)))}
            return answer

        registry.update = late
        state.placements = {"r": (RegionPlacement("r", (BucketPlacement("gone"),)), state.placements["r"][1])}
        await placer.place(state, [server("s1")])
        assert state.placements["r"][0] == newer

    with_placer(scenario)


def test_only_the_oldest_server_places_and_rebalances() -> None:
    async def scenario(placer: Placer, registry: Any) -> None:
        state = SiteState(regions={"r": RegionEntry(RegionAttributes(name="r"), 1)})
        await placer.place(state, [server("s2"), server("s1", 2)])
        assert not await registry.items(PLACEMENT)
        with pytest.raises(NotPrimaryError, match="not the oldest"):
            await placer.rebalance(Rebalance("start"))

    with_placer(scenario)


def test_a_rebalance_is_written_down_unless_it_is_only_asked_what_it_would_move_and_can_be_given_up() -> None:
    async def scenario(placer: Placer, registry: Any) -> None:
        region = RegionAttributes(name="r", total_num_buckets=4)
        state = SiteState(regions={"r": RegionEntry(region, 1)})
        await placer.place(state, [server("s1")])
        await placer.place(state, [server("s1"), server("s2", 2)])

        async def stored() -> RegionPlacement:
            item = await registry.get(placement_key("r"))
            return decode_entry(item.value, RegionPlacement)

        assert (await stored()).goal == ()
        told = await placer.rebalance(Rebalance("simulate"))
        assert (told.servers, told.regions[0].moved, told.regions[0].primaries) == (2, 2, 2)
        assert (await stored()).goal == ()
        assert await placer.rebalance(Rebalance("start")) == told
        goal = (await stored()).goal
        assert sorted(bucket.primary for bucket in goal) == ["s1", "s1", "s2", "s2"]
        await placer.place(state, [server("s1"), server("s2", 2)])
        assert [bucket.loading for bucket in (await stored()).buckets].count(("s2",)) == 2
        await placer.rebalance(Rebalance("cancel"))
        await placer.place(state, [server("s1"), server("s2", 2)])
        assert await stored() == RegionPlacement("r", (BucketPlacement("s1"),) * 4)

    with_placer(scenario)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Rebalance("start", include=("r", "x")), "region x does not exist"),
        (Rebalance("start", exclude=("y",)), "region y does not exist"),
        (Rebalance("start", include=("/r",), exclude=("r",)), "no region to rebalance"),
    ],
)
def test_what_is_to_be_rebalanced_must_exist(request_: Rebalance, reason: str) -> None:
    async def scenario(placer: Placer, registry: Any) -> None:
        state = SiteState(regions={"r": RegionEntry(RegionAttributes(name="r"), 1)})
        await placer.place(state, [server("s1")])
        with pytest.raises(UsageError, match=reason):
            await placer.rebalance(request_)

    with_placer(scenario)


def test_a_server_that_does_not_answer_keeps_only_what_waits_for_it() -> None:
    async def scenario(placer: Placer, registry: Any) -> None:
        region = RegionAttributes(name="r", redundant_copies=1, total_num_buckets=2)
        state = SiteState(regions={"r": RegionEntry(region, 1)})
        await placer.place(state, [server("s1")])
        looking = asyncio.get_running_loop().create_task(placer.run())
        await placer.place(state, [server("s1"), server("s2", 2)])
        await asyncio.sleep(5)
        await placer.place(state, [server("s1"), server("s2", 2)])
        assert state.placements["r"][0].buckets == (BucketPlacement("s1", (), ("s2",)),) * 2
        looking.cancel()
        await asyncio.wait([looking])

    with_placer(scenario)


def test_what_a_server_had_loaded_before_it_was_started_again_does_not_count() -> None:
    async def scenario(placer: Placer, registry: Any) -> None:
        region = RegionAttributes(name="r", type="REPLICATE", total_num_buckets=1)
        state = SiteState(regions={"r": RegionEntry(region, 1)})
        loaded = Copies({"r": RegionCopies((0,), (0,))})
        await placer.place(state, [server("s1")])
        servers = [server("s1"), server("s2", 2)]
        await placer.place(state, servers)
        assert state.placements["r"][0].buckets[0].loading == ("s2",)
        placer._seen = {("s1", "s1"): loaded, ("s2", "before"): loaded}
        await placer.place(state, servers)
        assert state.placements["r"][0].buckets[0].loading == ("s2",), "it is another process by now"
        placer._seen = {("s1", "s1"): loaded, ("s2", "s2"): loaded}
        await placer.place(state, servers)
        assert not state.placements["r"][0].buckets[0].loading
        assert not placer._seen, "it is forgotten at rest"

    with_placer(scenario)


def test_the_placement_of_a_region_that_was_created_anew_is_left_alone() -> None:
    async def scenario(placer: Placer, registry: Any) -> None:
        old = await registry.put(placement_key("r"), encode_entry(RegionPlacement("r", ())))
        state = SiteState(placements={"r": (RegionPlacement("r", ()), old)})
        anew = encode_entry(RegionPlacement("r", (BucketPlacement("s2"),)))
        await registry.put(placement_key("r"), anew)
        await placer.place(state, [server("s1")])
        item = await registry.get(placement_key("r"))
        assert item.value == anew

    with_placer(scenario)
