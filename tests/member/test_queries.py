"""What a member tells of its entries, and what a locator makes of it, at a simulated site whose buckets move."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from heliograph.locator.site import SiteAdmin
from heliograph.model.results import Result
from tests.member.test_moving import BUCKETS, Four, until, with_four
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
