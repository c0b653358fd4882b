"""Parking at whole simulated sites: members, operators' commands, and a region that is put right."""

from __future__ import annotations

import pytest

from heliograph.locator.requests import ParkedChoice
from heliograph.model.results import Result
from tests.scenarios.sites import Site, scenario, until

ALL = ParkedChoice(all=True)


async def listed(site: Site) -> list[tuple[str, ...]]:
    result = await site.operate(lambda admin: admin.parked.list("ny"))
    return [row for table in result.tables for row in table.rows]


async def redrive(site: Site, choice: ParkedChoice = ALL) -> Result:
    return await site.inside(site.locator, site.locator.locator.site.parked.redrive("ny", choice))


async def arrange(ln: Site, ny: Site, *, parallel: bool) -> None:
    """New York's partition resolver does not take keys without a `|`."""
    await ny.create_receiver()
    await ny.create_region("r", "PARTITION", partition_resolver="string-prefix")
    await ln.create_sender("ny", to=ny, parallel=parallel, batch_size=10)
    await ln.create_region("r", "PARTITION", senders="ny")


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=2, ny=2)
async def test_bad_keys_are_parked_and_delivered_when_the_region_takes_them(ln: Site, ny: Site, parallel: bool) -> None:
    await arrange(ln, ny, parallel=parallel)
    good = [f"{number}|x" for number in range(100)]
    bad = [f"bad{number}" for number in range(20)]
    await ln.put("r", [key for pair in zip(good, bad * 5, strict=True) for key in pair], "v1")
    await ln.until_drained("ny")
    await ny.until_size("r", 100)
    rows = await listed(ln)
    assert {row[3] for row in rows} == {repr(key) for key in bad}
    assert all(row[2] == "r" and "has no '|'" in row[5] for row in rows)
    assert ln.count("ny", "eventsParked") == len(rows) == 100  # each put of a key is an event
    assert ln.count("ny", "eventsAcknowledged") == 100
    assert ln.count("ny", "eventsQueued") == 200

    result = await redrive(ln)
    assert (result.status, result.info) == ("ERROR", ["0 parked events of ny were delivered."])
    assert {row[8] for row in await listed(ln)} == {"1"}

    await ln.operate(lambda admin: admin.parked.drop("ny", ParkedChoice(event=tuple(row[1] for row in rows[:3]))))
    await ln.remove("r", bad[:1])
    await ln.until_drained("ny")
    assert len(await listed(ln)) == 98
    await ny.destroy_region("r")
    await ny.create_region("r", "PARTITION")
    result = await redrive(ln)
    assert (result.status, result.info) == ("OK", ["98 parked events of ny were delivered."])
    assert await listed(ln) == []
    assert sorted(await ny.contents("r")) == sorted(bad[1:])  # the newest event of the first one is its removal
    assert ln.count("ny", "eventsRedriven") == 98


@scenario(ln=2, ny=1)
async def test_a_sender_that_moves_parks_nothing_twice(ln: Site, ny: Site) -> None:
    await arrange(ln, ny, parallel=False)
    await ln.put("r", ["bad1", "1|x", "bad2"])
    await until(lambda: ln.count("ny", "eventsParked") == 2)
    ln.kill(ln.primary("ny"))
    await ln.put("r", ["2|x", "bad3"])
    await ln.until_drained("ny")
    await ny.until_size("r", 2)
    assert sorted(row[3] for row in await listed(ln)) == ["'bad1'", "'bad2'", "'bad3'"]
    await ln.alter_region("r", senders="")
    result = await ln.operate(lambda admin: admin.senders.destroy("ny"))
    assert result.info[-1] == "3 parked events were dropped."
