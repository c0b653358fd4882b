"""status redundancy."""

from __future__ import annotations

import pytest

from heliograph.errors import UsageError
from heliograph.link.messages import RegionCopies
from heliograph.model.attributes import RegionAttributes
from tests.locator.fakes import unreachable
from tests.locator.test_site import Site, on_site, rows


def test_regions_show_the_copies_that_they_should_have_and_have() -> None:
    async def scenario(site: Site) -> None:
        assert (await site.admin.redundancy.status()).info == ["No Regions Found"]
        for name, type_ in (("all", "REPLICATE"), ("few", "PARTITION_REDUNDANT"), ("one", "PARTITION")):
            await site.admin.regions.create(RegionAttributes(name=name, type=type_, total_num_buckets=2))
        both, none = RegionCopies((0, 1), (0, 1), (0, 0), (0, 0)), RegionCopies((), ())
        site.servers.copies = {
            "s1": {"all": both, "few": both, "one": both},
            "s2": {"all": both, "few": RegionCopies((0,), (), (0,), (0,)), "one": none},
        }
        shown = await site.admin.redundancy.status()
        assert shown.data == {
            "Number of regions with zero redundancy": "1",
            "Number of regions with partial redundancy": "0",
            "Number of regions with full redundancy": "2",
        }
        assert rows(shown) == [
            ("all", "SATISFIED", "1", "1", "0", "0"),
            ("few", "NO_REDUNDANT_COPIES", "1", "0", "1", "0"),
            ("one", "SATISFIED", "0", "0", "0", "0"),
        ]
        assert [row[0] for row in rows(await site.admin.redundancy.status(["/few", "one"], ["one"]))] == ["few"]
        with pytest.raises(UsageError, match="region none does not exist"):
            await site.admin.redundancy.status(exclude=["none"])
        site.servers.broken["s1"] = unreachable("s1")
        assert (await site.admin.redundancy.status()).info == ["s1 does not answer: s1 can't be reached"]

    on_site(scenario)
