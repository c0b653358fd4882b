"""`locate entry` over servers that answer as told (gfsh.md §4.4, §4.6)."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest

from heliograph.errors import UnavailableError, UsageError
from heliograph.link.messages import Locate, Located
from heliograph.locator import site_locations
from heliograph.model.members import BucketPlacement, RegionPlacement
from heliograph.model.registry import encode_entry, placement_key
from tests.locator.fakes import member, unreachable
from tests.locator.test_site import Site, on_site, rows

PLACED = RegionPlacement("customer", (BucketPlacement("s1"),) * 3 + (BucketPlacement("s1", ("s2",), ("s3",)),))


async def with_entry(site: Site) -> None:
    await site.with_customer()
    await site.registry.put(placement_key("customer"), encode_entry(PLACED))
    await site.admin.entries.put("customer", "k", "v")


def test_every_server_that_has_the_entry_is_shown() -> None:
    async def scenario(site: Site) -> None:
        await with_entry(site)
        located = await site.admin.locations.locate("/customer", "k")
        assert located.data == {"Result": "true", "Key": "k", "Locations Found": "2"}
        assert located.tables[0].columns == ("MemberName", "MemberId", "Primary", "BucketId")
        assert rows(located) == [
            ("s1", "s1(s1:2:server):2", "true", "3"),
            ("s2", "s2(s2:3:server):3", "false", "3"),
        ]
        assert located.info == ["s3 is given a copy of the bucket, too, and is gone."]
        assert len(site.servers.requests(Locate)) == 2

    on_site(scenario)


def test_a_copy_counts_when_its_server_says_that_it_has_the_entry() -> None:
    async def scenario(site: Site) -> None:
        await with_entry(site)
        site.servers.located["s2"] = Located(3, False)
        site.servers.broken["s3"] = unreachable("s3")
        located = await site.admin.locations.locate("customer", "k")
        assert [row[0] for row in rows(located)] == ["s1"]
        assert located.info == [
            "s2 is given a copy of the bucket, too, and does not have the entry yet.",
            "s3 is given a copy of the bucket, too, and does not answer: s3 can't be reached",
        ]

    on_site(scenario, member("s1", joined_ms=2), member("s2", joined_ms=3), member("s3", joined_ms=4))


def test_of_two_that_take_themselves_for_primaries_the_newer_one_is() -> None:
    async def scenario(site: Site) -> None:
        await with_entry(site)
        site.servers.located["s2"] = Located(3, True, 2)
        located = await site.admin.locations.locate("customer", "k")
        assert [row[2] for row in rows(located)] == ["false", "true"]
        site.servers.located["s2"] = Located(3, False, 2)
        assert (await site.admin.locations.locate("customer", "k")).data["Result"] == "false"

    on_site(scenario)


def test_what_is_not_there_is_an_answer() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        for region, key, message in (
            ("customer", "none", "the key does not exist in the region"),
            ("nowhere", "k", "region 'nowhere' does not exist at this site"),
            ("a b", "k", "can't name a region"),
            ("customer", "\ud800", "can't be encoded"),
        ):
            located = await site.admin.locations.locate(region, key)
            assert (located.status, located.data["Result"], located.tables) == ("OK", "false", [])
            assert message in located.data["Message"]
        site.servers.broken = dict.fromkeys(("s1", "s2"), UsageError("the partition resolver failed"))
        assert (await site.admin.locations.locate("customer", "k")).data["Message"] == "the partition resolver failed"

    on_site(scenario)


def test_a_bucket_without_primary_is_looked_for_again_and_then_given_up() -> None:
    async def scenario(site: Site) -> None:
        await with_entry(site)
        site.servers.located = {"s1": Located(3, True)}
        looking = asyncio.create_task(site.admin.locations.locate("customer", "k"))
        while len(site.servers.requests(Locate)) < 2:  # noqa: ASYNC110  (nothing tells that it asks again)
            await asyncio.sleep(0)
        del site.servers.located["s1"]
        assert (await looking).data["Locations Found"] == "2"
        site.servers.broken["s1"] = unreachable("s1")
        with (
            patch.object(site_locations, "LOCATE_S", 0.0),
            pytest.raises(UnavailableError, match="no server is primary of the bucket of 'k' now: s1 can't be reached"),
        ):
            await site.admin.locations.locate("customer", "k")

    on_site(scenario)
