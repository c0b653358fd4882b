"""What members count of the reads and writes of a region, and what operators see of it, at whole simulated sites."""

from __future__ import annotations

from heliograph.locator.site import SiteAdmin
from heliograph.member.traffic import Traffic
from heliograph.model.batch import CREATE, DESTROY, UPDATE, Columns
from heliograph.model.results import Result
from tests.scenarios.sites import Site, scenario, until


async def metrics(site: Site, *, region: str = "", member: str = "") -> dict[str, str]:
    """Return the values by metric, of all categories."""
    admin: SiteAdmin = site.locator.locator.site
    shown: Result = await site.inside(site.locator, admin.metrics.show(member=member, region=region))
    return {metric: value for _, metric, value in shown.tables[0].rows}


def test_events_are_counted_by_what_they_do() -> None:
    traffic = Traffic()
    for ops in ([CREATE, UPDATE, DESTROY, UPDATE], [DESTROY], [CREATE]):
        count = len(ops)
        traffic.wrote([(Columns(bytes(ops), list(range(count)), [b""] * count, [1] * count), {})])
    assert (traffic.puts, traffic.destroys) == (4, 2)


@scenario(ln=3, ny=2)
async def test_every_operation_counts_once_wherever_it_was_asked_for(ln: Site, ny: Site) -> None:
    await ny.receives("r", kind="PARTITION")
    await ln.create_sender("ny", to=ny, parallel=True)
    await ln.create_region("r", "PARTITION_REDUNDANT", senders="ny")
    await ln.put("r", range(20), at="b")
    await ln.put_all("r", range(15, 25), at="c")
    await ln.remove("r", range(5), at="a")
    assert await ln.do(lambda region: region.get(99), "r", at="b") is None
    assert len(await ln.do(lambda region: region.get_all(range(10)), "r", at="c")) == 5
    await ny.until_size("r", 20)
    await ln.until_drained("ny")
    here, there = await metrics(ln, region="r"), await metrics(ny, region="r")
    counted = ("regionEntryCount", "gets", "puts", "destroys", "primaryBucketCount", "bucketCount", "actualRedundancy")
    assert [here[name] for name in counted] == ["20", "11", "30", "5", "16", "32", "1"]
    assert [there[name] for name in counted] == ["20", "0", "30", "5", "16", "16", "0"]
    whole = await metrics(ln)
    assert (whole["totalPuts"], whole["totalGets"], whole["memberCount"]) == ("30", "11", "3")
    parts = [await metrics(ln, region="r", member=slot.name) for slot in ln.members]
    assert sum(int(part["puts"]) for part in parts) == 30
    assert sum(int(part["regionEntryCount"]) for part in parts) == 40, "redundant copies count at their members"


@scenario(ln=0)
async def test_operators_see_how_a_region_is_and_what_it_lacks(ln: Site) -> None:
    await ln.join("a", groups=("east",))
    await ln.join("b", groups=("east",))
    await ln.join("c", groups=("west",))
    await ln.create_region("r", "PARTITION_REDUNDANT", groups=("east",))
    await ln.put_all("r", range(100), at="c")
    admin: SiteAdmin = ln.locator.locator.site

    async def described() -> dict[str, str]:
        return (await ln.inside(ln.locator, admin.regions.describe("r"))).data

    data = await described()
    assert (data["Hosting Members"], data["Accessor Members"], data["Entries"]) == ("1-a, 1-b", "1-c", "100")
    assert data["Redundancy"] == "SATISFIED: 1 of 1 redundant copies"
    assert (data["Buckets With Fewer Copies"], data["Buckets Without Primary"]) == ("0", "0")
    assert int(data["Bytes"]) > 100
    member = await ln.inside(ln.locator, admin.members.describe("1-c"))
    assert (member.data["Regions"], member.data["Server Bind"]) == ("", "1-c")
    assert int(member.data["Client Connections"]) == 0
    ln.kill("b")

    async def alone() -> bool:
        return "1-b" not in (await described())["Hosting Members"]

    await until(alone)
    data = await described()
    assert data["Redundancy"] == "NO_REDUNDANT_COPIES: 0 of 1 redundant copies"
    assert (data["Entries"], data["Buckets With Fewer Copies"]) == ("100", "16")
    status = await ln.inside(ln.locator, admin.redundancy.status())
    assert status.tables[0].rows == [("r", "NO_REDUNDANT_COPIES", "1", "0", "16", "0")]
    ln.kill("a")
    await until(lambda: all(slot.member._regions["r"].primary_of(0) == "" for slot in ln.running))
    data = await described()
    assert (data["Hosting Members"], data["Accessor Members"], data["Entries"]) == ("", "1-c", "0")
    assert data["Buckets Without Primary"] == "16"
