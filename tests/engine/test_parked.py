"""Parked events in the registry, on both engines where that may matter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from heliograph.engine.parked import (
    forget_parked,
    list_parked,
    note_redriven,
    read_parked,
    remove_parked,
    write_parked,
)
from heliograph.gateway.parking import Attempt, events_to_park
from heliograph.link.messages import Rejected, WanBatch
from heliograph.model.parked import PARKED_EVENTS, ToPark
from tests.engine.worlds import Scenario, World, play_on_nats, play_on_sim
from tests.gateway.builders import part_of

KEYS = [f"k{number}" for number in range(70)]


def events(copy: str = "a", *keys: str) -> list[ToPark]:
    batch = WanBatch("r", 4, [(0, part_of(*(keys or KEYS), recipients=(2,), birth=(0, 7)))])
    return events_to_park(batch, [Rejected(0, (), "bad")], Attempt("m", 5, copy))


@pytest.mark.parametrize("play", [play_on_nats, play_on_sim])
def test_what_is_parked_is_listed_read_and_forgotten(play: Callable[[Scenario, Path], None], tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        registry = await (await world.client()).open_registry("site")
        assert await list_parked(registry) == {}
        parked = events()
        await write_parked(registry, "s", parked)
        await write_parked(registry, "s2", parked[:1])
        known = (await list_parked(registry, "s"))["s"]
        assert known == {each.id: each.info for each in parked}
        assert {owner: len(each) for owner, each in (await list_parked(registry)).items()} == {"s": 70, "s2": 1}
        assert await read_parked(registry, "s", known) == {each.id: each.event for each in parked}
        assert await remove_parked(registry, "s", [parked[0].id, "unknown"]) == 1
        await note_redriven(registry, "s", parked[1].id, "still bad")
        await note_redriven(registry, "s", parked[0].id, "still bad")
        known = (await list_parked(registry, "s"))["s"]
        assert parked[0].id not in known
        assert (known[parked[1].id].error, known[parked[1].id].redriven) == ("still bad", 1)
        assert await forget_parked(registry, "s") == 69
        assert list(await list_parked(registry)) == ["s2"]
        assert list(await registry.items(f"{PARKED_EVENTS}.s")) == []

    play(scenario, tmp_path)


def test_parking_again_leaves_what_is_parked_as_it_is(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        registry = await (await world.client()).open_registry("site")
        await write_parked(registry, "s", events("a", "k"))
        await write_parked(registry, "s", events("b", "k", "l"))
        known = (await list_parked(registry, "s"))["s"]
        assert sorted((info.key, info.copy) for info in known.values()) == [("'k'", "a"), ("'l'", "b")]
        assert len(await registry.items(PARKED_EVENTS)) == 2

    play_on_sim(scenario, tmp_path)


def test_of_attempts_at_one_moment_one_wins_and_leaves_no_copies(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        registry = await (await world.client()).open_registry("site")
        await asyncio.gather(*(write_parked(registry, "s", events(copy, "k")) for copy in "abcde"))
        known = (await list_parked(registry, "s"))["s"]
        assert len(known) == len(await registry.items(PARKED_EVENTS)) == 1
        assert len(await read_parked(registry, "s", known)) == 1

    play_on_sim(scenario, tmp_path)


def test_an_event_that_is_forgotten_and_parked_at_one_moment_is_whole_or_gone(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        registry = await (await world.client()).open_registry("site")
        for number in range(30):
            [event] = events("a", "k")
            await write_parked(registry, "s", [event])

            async def later(delay: int, work: object) -> None:
                await asyncio.sleep(delay / 5_000)
                await work  # type: ignore[misc]

            await asyncio.gather(
                later(number, remove_parked(registry, "s", [event.id])), write_parked(registry, "s", events("b", "k"))
            )
            known = (await list_parked(registry, "s")).get("s", {})
            assert len(await read_parked(registry, "s", known)) == len(known)
            await forget_parked(registry, "s")

    play_on_sim(scenario, tmp_path)


def test_what_an_interrupted_attempt_left_goes_with_its_sender(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        registry = await (await world.client()).open_registry("site")
        await registry.put(f"{PARKED_EVENTS}.s.someid.x", b"half")
        assert await list_parked(registry, "s") == {}
        assert await forget_parked(registry, "s") == 0
        assert list(await registry.items(PARKED_EVENTS)) == []

    play_on_sim(scenario, tmp_path)
