"""Regions that only the servers of some groups hold, at whole simulated sites."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliograph.errors import UnreachableError, UsageError
from heliograph.locator.cluster import Targets
from heliograph.model.attributes import RegionAttributes
from tests.scenarios.sites import Site, scenario, until

EAST, WEST, BOTH = ("east",), ("west",), ("west", "East")


def held(site: Site, region: str) -> dict[str, int]:
    """Return how many buckets' copies every running member has."""
    return {slot.name[-1]: len(slot.member._regions[region].copies) for slot in site.running}


def settled(site: Site, region: str) -> bool:
    return all(slot.member._regions[region].settled for slot in site.running)


async def join(site: Site) -> None:
    await site.join("a", groups=EAST)
    await site.join("b", groups=WEST)
    await site.join("c", groups=BOTH)
    await site.join("d", groups=())


@scenario(ln=0)
@pytest.mark.parametrize("kind", ["PARTITION_REDUNDANT", "REPLICATE"])
async def test_servers_of_the_groups_hold_it_and_others_forward(ln: Site, kind: str) -> None:
    await join(ln)
    await ln.create_region("r", kind, groups=EAST)
    assert held(ln, "r") == {"a": 16, "b": 0, "c": 16, "d": 0}
    for number, letter in enumerate("abcd"):
        await ln.put("r", [letter], number, at=letter)
    await ln.put_all("r", range(100), at="d")
    await ln.until_size("r", 104)
    assert (await ln.contents("r", at="b"))["c"] == 2
    assert await ln.do(lambda region: region.remove("a"), "r", at="b") == 0
    assert await ln.do(lambda region: region.put_if_absent("b", 9), "r", at="d") == 1
    assert await ln.do(lambda region: region.get("d"), "r", at="d") == 3


@scenario(ln=0)
async def test_who_joins_a_group_later_gets_its_share_and_who_leaves_hands_it_over(ln: Site) -> None:
    await ln.join("a", groups=EAST)
    await ln.join("b", groups=WEST)
    await ln.create_region("all", "REPLICATE", groups=EAST)
    await ln.create_region("some", "PARTITION_REDUNDANT", groups=EAST)
    await ln.put_all("all", range(50), at="b")
    await ln.put_all("some", range(50), at="b")
    await ln.join("c", groups=BOTH)
    await ln.join("d", groups=())
    for region in ("all", "some"):
        await until(lambda: held(ln, region) == {"a": 16, "b": 0, "c": 16, "d": 0})  # noqa: B023
    async with ln.putting("all some", range(50, 100), at="b"):
        await ln.leave("a")
        assert held(ln, "some") == {"b": 0, "c": 16, "d": 0}
    for region in ("all", "some"):
        await ln.until_size(region, 100)


@scenario(ln=0)
async def test_a_region_whose_servers_are_all_gone_says_so_and_is_there_again_with_them(ln: Site) -> None:
    """The log has it: as long as any server of the site lives, nothing of it is lost, persistent or not."""
    await ln.join("a", groups=EAST)
    await ln.join("b", groups=WEST)
    await ln.create_region("r", "PARTITION", groups=("EAST", "north"))
    await ln.put_all("r", range(50), at="b")
    began = asyncio.get_running_loop().time()
    await ln.leave("a")
    assert asyncio.get_running_loop().time() - began < 5.0, "it waited for nobody to take its primaries over"
    await until(lambda: held(ln, "r") == {"b": 0} and settled(ln, "r"))
    with pytest.raises(UnreachableError, match="r is held by servers of EAST, north only, and none of these runs"):
        await ln.put("r", [1], at="b", writers=1)
    with pytest.raises(Exception, match="held by servers of EAST, north only, and none of these runs"):
        await ln.do(lambda region: region.get(1), "r", at="b")
    waiting = asyncio.ensure_future(ln.put("r", ["waits"], at="b", writers=1))
    await ln.join("c", groups=("North",))
    await waiting
    await ln.until_size("r", 51)
    await ln.join("a", groups=WEST)
    assert held(ln, "r") == {"a": 0, "b": 0, "c": 16}, "a is in another group by now"


@scenario(ln=0)
async def test_what_can_not_be_is_refused(ln: Site) -> None:
    await join(ln)

    async def refused(reason: str, **options: Any) -> None:
        with pytest.raises(UsageError, match=reason):
            await ln.create_region("r", "PARTITION", **options)
        region = RegionAttributes(name="r", **options)
        with pytest.raises(UsageError, match=reason):
            await ln.inside(ln["a"], ln["a"].member.configure(region))

    await refused("no members found: no server of this site is in north", groups=("north",))
    await ln.create_region("parent", "PARTITION", groups=EAST)
    await ln.create_region("anywhere", "PARTITION")
    await refused("colocated with parent: give groups east as that one has", groups=WEST, colocated_with="parent")
    await refused("colocated with parent: give groups east as that one has", colocated_with="parent")
    await refused("give groups .none. as that one has", groups=EAST, colocated_with="anywhere")
    await ln.create_region("child", "PARTITION", groups=("EAST",), colocated_with="parent")
    for letter in "ac":
        regions = ln[letter].member._regions
        assert regions["parent"].copies.keys() == regions["child"].copies.keys()


@scenario(ln=0)
async def test_operators_see_who_holds_what(ln: Site) -> None:
    await join(ln)
    await ln.create_region("everywhere")
    regions = ln.locator.locator.site.regions
    result = await ln.inside(ln.locator, regions.create(RegionAttributes(name="eastern", groups=EAST)))
    assert [row[2] for row in result.tables[0].rows] == [
        "region eastern created on 1-a",
        "region eastern created on 1-b, which forwards to servers of east",
        "region eastern created on 1-c",
        "region eastern created on 1-d, which forwards to servers of east",
    ]
    for targets, names in (
        (Targets(), ["eastern", "everywhere"]),
        (Targets(groups=("East",)), ["eastern", "everywhere"]),
        (Targets(groups=("west",)), ["eastern", "everywhere"]),  # c is in both
        (Targets(members=("1-B", "1-d")), ["everywhere"]),
    ):
        listed = await ln.inside(ln.locator, regions.list(targets))
        assert [row[0] for row in listed.tables[0].rows] == names
    nobody = await ln.inside(ln.locator, regions.list(Targets(groups=("north",))))
    assert nobody.info == ["No Members Found"]


# --- over the WAN


@scenario(ln=0, ny=0)
@pytest.mark.parametrize("parallel", [True, False])
async def test_regions_of_groups_are_replicated_between_sites_while_their_servers_change(
    ln: Site, ny: Site, parallel: bool
) -> None:
    """Three servers in two groups at each site; the serial sender runs on one that does not hold the region."""
    for site in (ln, ny):
        await site.join("a", groups=WEST)
        await site.join("b", groups=EAST)
        await site.join("c", groups=EAST)
        await site.create_receiver()
    await ln.create_sender("ny", to=ny, parallel=parallel)
    await ny.create_sender("ln", to=ln, parallel=parallel)
    await ln.create_region("r", "PARTITION_REDUNDANT", senders="ny", groups=EAST)
    await ny.create_region("r", "PARTITION", senders="ln", groups=EAST)
    if not parallel:
        await until(lambda: ln.primary("ny") == "a")
    async with ln.putting("r", range(200), at="a"):
        await ny.put("r", range(200, 300), at="a")
        ln.kill("b")
        await ny.leave("c")
    await until(lambda: held(ln, "r") == {"a": 0, "c": 16} and held(ny, "r") == {"a": 0, "b": 16})
    await ln.join("b")
    for site, sender in ((ln, "ny"), (ny, "ln")):
        await site.until_drained(sender)
        await site.until_size("r", 300)
    assert await ln.contents("r") == await ny.contents("r") == {key: key for key in range(300)}
