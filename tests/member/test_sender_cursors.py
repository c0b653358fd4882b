from __future__ import annotations

import pytest

from heliograph.engine.queues import empty_queue
from heliograph.errors import FencedError
from heliograph.member.sender_cursors import Cursors
from heliograph.model.ids import Seq
from heliograph.model.registry import Cursor, cursor_key, encode_entry
from tests.member.wan import SENDER, World, simulate

KEY = cursor_key(SENDER, "r", 0, 0)


def test_a_missing_cursor_is_created_at_the_begin_and_an_existing_one_is_read() -> None:
    async def scenario(world: World) -> None:
        cursors = Cursors(world.local.registry, SENDER)
        cursor = await cursors.open("r", 0, 0, epoch=1, begin=Seq(5))
        assert (cursor.seq, await world.cursor("r", 0)) == (5, Cursor(5, 1))
        await cursors.store(cursor, Seq(9))
        assert (await cursors.open("r", 0, 0, epoch=2, begin=Seq(0))).seq == 9

    simulate(scenario)


def test_a_newer_owner_takes_over_and_the_older_one_is_fenced() -> None:
    async def scenario(world: World) -> None:
        cursors = Cursors(world.local.registry, SENDER)
        old = await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))
        new = await cursors.open("r", 0, 0, epoch=2, begin=Seq(0))
        await cursors.store(new, Seq(3))
        with pytest.raises(FencedError, match="belongs to epoch 2"):
            await cursors.store(old, Seq(8))
        with pytest.raises(FencedError, match="belongs to epoch 2"):
            await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))
        assert await world.cursor("r", 0) == Cursor(3, 2)

    simulate(scenario)


def test_the_first_owner_claims_a_cursor_and_the_next_one_knows_that_events_may_have_left() -> None:
    """A cursor that a command wrote belongs to nobody; its first owner may be killed before it stores a floor."""

    async def scenario(world: World) -> None:
        await world.local.registry.create(KEY, encode_entry(Cursor(7, 0, 2, 3)))
        cursors = Cursors(world.local.registry, SENDER)
        first = await cursors.open("r", 0, 0, epoch=4, begin=Seq(0))
        assert (first.seq, first.owned_before) == (7, False)
        assert await world.cursor("r", 0) == Cursor(7, 4, 2, 3)
        second = await cursors.open("r", 0, 0, epoch=5, begin=Seq(0))
        assert (second.seq, second.owned_before) == (7, True)
        await cursors.store(first, Seq(8))
        await cursors.store(second, Seq(9))
        assert await world.cursor("r", 0) == Cursor(9, 5, 2, 3)

    simulate(scenario)


def test_a_cursor_never_moves_back() -> None:
    async def scenario(world: World) -> None:
        cursors = Cursors(world.local.registry, SENDER)
        old = await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))
        new = await cursors.open("r", 0, 0, epoch=2, begin=Seq(0))
        await cursors.store(old, Seq(8))
        await cursors.store(new, Seq(3))
        assert (new.seq, await world.cursor("r", 0)) == (8, Cursor(8, 1))
        await cursors.store(new, Seq(9))
        assert await world.cursor("r", 0) == Cursor(9, 2)

    simulate(scenario)


def test_the_cursor_of_a_destroyed_sender_is_not_written_again() -> None:
    async def scenario(world: World) -> None:
        cursors = Cursors(world.local.registry, SENDER)
        cursor = await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))
        await world.local.registry.delete(KEY)
        with pytest.raises(FencedError, match="destroyed"):
            await cursors.store(cursor, Seq(1))
        assert await world.cursor("r", 0) is None

    simulate(scenario)


def test_two_owners_that_create_at_once_agree() -> None:
    async def scenario(world: World) -> None:
        cursors = Cursors(world.local.registry, SENDER)
        get = world.local.registry.get
        calls: list[str] = []

        async def late(key: str) -> object:
            item = await get(key)
            if not calls:
                calls.append(key)
                await world.local.registry.put(key, encode_entry(Cursor(4, 1)))
            return item

        world.local.registry.get = late  # type: ignore[method-assign, assignment]
        assert (await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))).seq == 4

    simulate(scenario)


def test_whoever_ships_since_before_a_queue_was_emptied_is_fenced_and_begins_at_its_end() -> None:
    async def scenario(world: World) -> None:
        cursors = Cursors(world.local.registry, SENDER)
        slow = await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))
        await cursors.store(slow, Seq(3))
        await empty_queue(world.local.registry, SENDER, "r", 0, [9, 4])
        assert (await world.cursor("r", 0), await world.cursor("r", 1)) == (Cursor(9, 1, 1), Cursor(4, 0, 1))
        for seq in (5, 12):
            with pytest.raises(FencedError, match="was emptied"):
                await cursors.store(slow, Seq(seq))
        anew = await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))
        assert anew.seq == 9
        await cursors.store(anew, Seq(12))
        assert await world.cursor("r", 0) == Cursor(12, 1, 1)

    simulate(scenario)


def test_emptying_again_with_the_same_ends_drops_nothing_more_and_never_moves_back() -> None:
    async def scenario(world: World) -> None:
        cursors = Cursors(world.local.registry, SENDER)
        await empty_queue(world.local.registry, SENDER, "r", 0, [4])
        owner = await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))
        await cursors.store(owner, Seq(7))
        await empty_queue(world.local.registry, SENDER, "r", 0, [4])
        assert (await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))).seq == 7

    simulate(scenario)


def test_a_queue_is_emptied_once_for_a_life_however_often_that_is_tried() -> None:
    """Of two servers that both take themselves for the oldest, the slow one drops nothing of the life that goes on."""

    async def scenario(world: World) -> None:
        registry = world.local.registry
        cursors = Cursors(registry, SENDER)
        await cursors.store(await cursors.open("r", 0, 0, epoch=1, begin=Seq(0)), Seq(2))
        await empty_queue(registry, SENDER, "r", 0, [5, 0], life=2)
        owner = await cursors.open("r", 0, 0, epoch=3, begin=Seq(0))
        await cursors.store(owner, Seq(7))
        await empty_queue(registry, SENDER, "r", 0, [9, 9], life=2)
        assert (await world.cursor("r", 0), await world.cursor("r", 1)) == (Cursor(7, 3, 1, 2), Cursor(0, 0, 1, 2))
        await empty_queue(registry, SENDER, "r", 0, [9, 9], life=3)
        assert await world.cursor("r", 0) == Cursor(9, 3, 2, 3)

    simulate(scenario)


def test_a_cursor_that_is_stored_while_it_is_emptied_is_emptied_all_the_same() -> None:
    async def scenario(world: World) -> None:
        registry = world.local.registry
        cursors = Cursors(registry, SENDER)
        owner = await cursors.open("r", 0, 0, epoch=1, begin=Seq(0))
        get = registry.get

        async def late(key: str) -> object:
            item = await get(key)
            if owner.seq < 2:
                await cursors.store(owner, Seq(2))
            return item

        registry.get = late  # type: ignore[method-assign, assignment]
        await empty_queue(registry, SENDER, "r", 0, [5])
        assert await world.cursor("r", 0) == Cursor(5, 1, 1)

    simulate(scenario)
