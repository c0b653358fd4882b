"""`query` over servers that answer as told (gfsh.md §4.4, §4.6)."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest

from heliograph.errors import NotPrimaryError, TooLargeError, UnavailableError, UsageError
from heliograph.link.messages import Select
from heliograph.locator import site_queries
from heliograph.model.attributes import RegionAttributes
from heliograph.model.keys import encode_value
from heliograph.model.members import BucketPlacement, RegionPlacement
from heliograph.model.registry import encode_entry, member_key, placement_key
from tests.locator.fakes import BUCKETS, member, unreachable
from tests.locator.test_site import Site, on_site, rows


async def place(site: Site, *primaries: str) -> None:
    """Have servers be primaries of the buckets in turn."""
    buckets = tuple(BucketPlacement(primaries[bucket % len(primaries)]) for bucket in range(BUCKETS))
    await site.registry.put(placement_key("customer"), encode_entry(RegionPlacement("customer", buckets)))


async def with_people(site: Site) -> None:
    await site.with_customer()
    await place(site, "s1", "s2")
    for number in range(40):
        site.servers.data["customer", f"k{number}"] = encode_value({"n": number, "even": number % 2 == 0})


def test_what_the_servers_select_is_merged() -> None:
    async def scenario(site: Site) -> None:
        await with_people(site)
        select = site.admin.queries.select
        found = await select("/customer", "SELECT c.n FROM /customer c WHERE c.even ORDER BY n DESC LIMIT 3")
        assert found.data == {"Result": "true", "Limit": "3", "Rows": "3"}
        assert (found.tables[0].columns, rows(found)) == (("Result",), [("38",), ("36",), ("34",)])
        asked = {name: message for name, message in site.servers.requests(Select) if isinstance(message, Select)}
        assert asked["s1"].buckets == list(range(0, BUCKETS, 2))
        assert asked["s2"].buckets == list(range(1, BUCKETS, 2))
        everything = await select("customer", "SELECT * FROM /customer", 30)
        assert everything.data == {"Result": "true", "Limit": "30", "Rows": "30"}
        assert len({row[0] for row in rows(everything)}) == 30
        assert everything.tables[0].columns == ("n", "even")
        distinct = await select("customer", "SELECT DISTINCT even FROM /customer")
        assert sorted(rows(distinct)) == [("false",), ("true",)]
        none = await select("customer", "SELECT * FROM /customer WHERE n > 99")
        assert (none.data["Rows"], none.tables) == ("0", [])
        assert (await select("customer", "SELECT * FROM /customer LIMIT 0")).data["Rows"] == "0"

    on_site(scenario)


@pytest.mark.parametrize(
    ("limit", "count", "shown"), [("", "40", None), (" LIMIT 7", "7", "7"), (" LIMIT 50", "40", "50")]
)
def test_counts_are_added(limit: str, count: str, shown: str | None) -> None:
    async def scenario(site: Site) -> None:
        await with_people(site)
        found = await site.admin.queries.select("customer", f"SELECT COUNT(*) FROM /customer{limit}", 5)
        assert (found.data.get("Limit"), rows(found)) == (shown, [(count,)])

    on_site(scenario)


def test_what_is_wrong_with_a_query_is_an_answer() -> None:
    async def scenario(site: Site) -> None:
        await with_people(site)
        for region, text, message in (
            ("customer", "SELECT * FROM", "query, column 14: expected a region"),
            ("customer", "SELECT * FROM /other", "the query is over region other, and was asked of customer"),
            ("none", "SELECT * FROM /none", "region 'none' does not exist at this site"),
            ("customer", "SELECT * FROM /customer LIMIT 99999", "the limit 99999 is out of range"),
        ):
            found = await site.admin.queries.select(region, text)
            assert (found.status, found.data["Result"], found.tables) == ("OK", "false", [])
            assert message in found.data["Message"]
        assert site.servers.requests(Select) == []
        site.servers.broken["s2"] = TooLargeError("give a smaller LIMIT")
        found = await site.admin.queries.select("customer", "SELECT * FROM /customer")
        assert found.data == {"Result": "false", "Message": "give a smaller LIMIT"}

    on_site(scenario)


def test_nothing_is_selected_without_a_server() -> None:
    async def scenario(site: Site) -> None:
        with pytest.raises(UsageError, match="no members found"):
            await site.admin.queries.select("customer", "SELECT * FROM /customer")

    on_site(scenario, member("locator", kind="locator"))


def test_a_region_that_no_server_may_hold_now_is_not_waited_for() -> None:
    async def scenario(site: Site) -> None:
        await site.admin.regions.create(RegionAttributes(name="blue", groups=("Blue",)))
        await site.registry.delete(member_key("s2"))
        for asked in (
            site.admin.queries.select("blue", "SELECT * FROM /blue"),
            site.admin.locations.locate("blue", "k"),
        ):
            with pytest.raises(
                UnavailableError, match="region blue is held by servers of Blue only, and none of these"
            ):
                await asked

    on_site(scenario)


async def asked_again(site: Site) -> None:
    asked = len(site.servers.requests(Select))
    async with asyncio.timeout(5):
        while len(site.servers.requests(Select)) == asked:  # noqa: ASYNC110  (nothing tells that it asks again)
            await asyncio.sleep(0.01)


def test_buckets_that_are_not_gone_through_are_asked_for_again_and_only_they() -> None:
    async def scenario(site: Site) -> None:
        await with_people(site)
        site.servers.primaries = {0: "s2", 3: "nobody"}
        site.servers.broken["s2"] = NotPrimaryError("s2 has not taken up region customer yet")
        counting = asyncio.create_task(site.admin.queries.select("customer", "SELECT COUNT(*) FROM /customer"))
        await asked_again(site)
        site.servers.broken["s2"] = unreachable("s2")
        await asked_again(site)
        del site.servers.broken["s2"]
        await place(site, "s2")
        site.servers.primaries = {3: "nobody"}
        await asked_again(site)
        site.servers.primaries = {}
        assert rows(await counting) == [("40",)]
        asked = [message for _, message in site.servers.requests(Select) if isinstance(message, Select)]
        assert [0, *range(1, BUCKETS, 2)] in [each.buckets for each in asked]
        assert asked[-1].buckets == [3]

    on_site(scenario)


def test_a_query_that_misses_a_bucket_fails() -> None:
    async def scenario(site: Site) -> None:
        await with_people(site)
        site.servers.primaries = {5: "nobody"}
        select = site.admin.queries.select
        with patch.object(site_queries, "SELECT_S", 0.05):
            with pytest.raises(UnavailableError, match="1 buckets of customer can't be read: no server that runs is"):
                await select("customer", "SELECT * FROM /customer")
            assert (await select("customer", "SELECT * FROM /customer LIMIT 5")).data["Rows"] == "5"
            site.servers.broken["s1"] = unreachable("s1")
            with pytest.raises(UnavailableError, match="9 buckets of customer can't be read: s1 can't be reached"):
                await select("customer", "SELECT COUNT(*) FROM /customer")

    on_site(scenario)


def test_a_region_that_is_created_anew_meanwhile_is_another_one() -> None:
    async def scenario(site: Site) -> None:
        await with_people(site)
        site.servers.primaries = {5: "nobody"}
        counting = asyncio.create_task(site.admin.queries.select("customer", "SELECT COUNT(*) FROM /customer"))
        await asked_again(site)
        await site.admin.regions.destroy("customer")
        await site.admin.regions.create(RegionAttributes(name="customer"))
        assert (await counting).data["Message"] == "region customer was created anew meanwhile: ask again"

    on_site(scenario)
