"""What a member tells of its entries, and what a locator makes of it, at a simulated site whose buckets move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from heliograph.errors import NotPrimaryError, RegionNotFoundError, UnavailableError, UsageError
from heliograph.link.messages import Select, Selected
from heliograph.locator.site import SiteAdmin
from heliograph.member.leaving import HAND_OVER_S
from heliograph.member.queries import ENTRY_BYTES, PAUSE_BYTES, QUERIES_AT_ONCE
from heliograph.model.results import Result
from heliograph.query.selection import ROWS_MAX
from tests.member.test_moving import BUCKETS, Four, in_process, until, with_four
from tests.sim.plan import REGION


async def operate(four: Four, command: Callable[[SiteAdmin], Coroutine[Any, Any, Result]]) -> Result:
    """Do an operator's command at the locator."""
    process = four.site.locator.process
    assert process is not None
    return await process.run(command(four.site.locator.locator.site))


def test_an_entry_is_located_at_every_copy_wherever_its_bucket_moves() -> None:
    async def scenario(four: Four) -> None:
        keys = [f"k{number}" for number in range(4 * BUCKETS)]
        await four.region.put_all(dict.fromkeys(keys, 1))
        await four.region.invalidate("k0")

        async def check() -> None:
            await until(four.at_rest)
            for key in keys:
                located = await operate(four, lambda site: site.locations.locate(REGION, key))  # noqa: B023
                bucket = four.placement().buckets[int(located.tables[0].rows[0][3])]
                shown = {row[0]: row[2] == "true" for row in located.tables[0].rows}
                assert shown == {name: name == bucket.primary for name in bucket.holders}
                assert located.info == []

        await check()
        await four.join(1, 2)
        await check()
        await four.rebalance()
        await until(lambda: len(four.primaries()) == 3)
        await check()
        four.site.members[1].kill()
        await until(lambda: len(four.members) == 2)
        await check()
        await four.region.remove("k1")
        gone = await operate(four, lambda site: site.locations.locate(REGION, "k1"))
        assert gone.data["Message"] == "the key does not exist in the region"

    with_four(scenario, redundant_copies=1)


# --- queries


async def select(four: Four, text: str, limit: int = 100) -> Result:
    return await operate(four, lambda site: site.queries.select(REGION, text, limit))


@asynccontextmanager
async def querying(four: Four, keys: list[str]) -> Any:
    """Ask all the time while buckets move: every answer is whole, and has nothing twice."""
    asked = 0
    stopping = False
    where = f"FROM /{REGION}.entries WHERE key LIKE 'k%'"

    async def ask() -> None:
        nonlocal asked
        while not stopping:
            counted = await select(four, f"SELECT COUNT(*) {where}")
            assert counted.tables[0].rows == [(str(len(keys)),)]
            found = await select(four, f"SELECT key {where} ORDER BY key DESC LIMIT 20")
            assert found.tables[0].rows == [(key,) for key in sorted(keys, reverse=True)[:20]]
            some = await select(four, f"SELECT key {where}", 15)
            assert len({row[0] for row in some.tables[0].rows} & {*keys}) == 15
            asked += 1

    task = asyncio.get_running_loop().create_task(ask())
    yield
    stopping = True
    await task
    assert asked


@pytest.mark.parametrize("seed", range(3))
def test_no_entry_is_missed_or_counted_twice_while_its_bucket_moves(seed: int) -> None:
    async def scenario(four: Four) -> None:
        keys = [f"k{number:03}" for number in range(100)]
        await four.region.put_all(dict.fromkeys(keys, 1))
        async with four.writing(), querying(four, keys):
            await four.join(1, 2, 3)
            await until(four.at_rest)
            await four.rebalance()
            await until(lambda: four.at_rest() and len(four.primaries()) == 4)
            await four.site.members[seed].stop(HAND_OVER_S)
            await until(lambda: four.at_rest() and len(four.members) == 3)
            await four.rebalance()
            await until(four.at_rest)
        async with querying(four, keys):
            four.site.members[3].kill()
            await until(lambda: four.at_rest() and len(four.members) == 2)

    with_four(scenario, redundant_copies=1)


def test_what_is_wrong_with_a_request_is_named() -> None:
    async def scenario(four: Four) -> None:
        member = four.member(0)
        generation = member._regions[REGION].generation
        good = Select(REGION, generation, f"SELECT COUNT(*) FROM /{REGION}", 1, [0, BUCKETS], 1000)

        async def ask(number: int = 0, **changes: Any) -> Selected:
            asked = four.member(number)._queries.select(msgspec.structs.replace(good, **changes))
            selected: Selected = await in_process(four.site.members[number], asked)
            return selected

        assert await ask() == Selected([0], [], 0)
        await four.join(1)
        await until(four.at_rest)
        assert all(bucket.secondaries == ("1-b",) for bucket in four.placement().buckets)
        assert await ask(1) == Selected([], [], 0), "a copy that is not the primary's may lag"
        for changes, kind, message in (
            ({"query": "SELECT *"}, UsageError, "expected FROM"),
            ({"query": "SELECT * FROM /other"}, UsageError, f"over region other, and was asked of {REGION}"),
            ({"query": f"SELECT * FROM /{REGION}", "limit": ROWS_MAX + 1}, UsageError, "out of range"),
            ({"region": "other", "query": "SELECT * FROM /other"}, RegionNotFoundError, "'other' does not exist"),
            ({"generation": generation + 1}, NotPrimaryError, "created anew"),
        ):
            with pytest.raises(kind, match=message):
                await ask(**changes)
        for _ in range(QUERIES_AT_ONCE):
            await member._queries._turns.acquire()
        with pytest.raises(UnavailableError, match="took longer than 1 s here"):
            await ask()

    with_four(scenario, redundant_copies=1)


def test_a_large_region_lets_others_go_on() -> None:
    async def scenario(four: Four) -> None:
        await four.region.put_all({f"k{number}": number for number in range(4_000)})
        loop = asyncio.get_running_loop()
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = loop.create_task(others())
        request = Select(REGION, four.member(0)._regions[REGION].generation,
                         f"SELECT COUNT(*) FROM /{REGION} WHERE this >= 0", 1, list(range(BUCKETS)), 1000)  # fmt: skip
        selected = await in_process(four.site.members[0], four.member(0)._queries.select(request))
        task.cancel()
        assert selected.count == 4_000
        assert turns >= 4_000 * ENTRY_BYTES // PAUSE_BYTES

    with_four(scenario)
