"""The site as a locator shows it."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.locator.view import SiteWatch
from heliograph.model.attributes import RegionAttributes
from heliograph.model.registry import RegionEntry, encode_entry, member_key, region_key
from tests.locator.fakes import FakeRegistry, join, member


def test_an_entry_that_can_not_be_read_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        registry = FakeRegistry()
        changes: list[int] = []
        watch = SiteWatch(registry, lambda: changes.append(1))
        await join(registry, member("s1"))
        await registry.put(member_key("s2"), b"\xc1")
        await registry.put(region_key("customer"), encode_entry(RegionEntry(RegionAttributes(name="customer"), 1)))
        await watch.refresh()
        assert list(watch.members) == ["s1"]
        assert list(watch.regions) == ["customer"]
        assert watch.placements == {}
        assert watch.receivers == []
        assert len(changes) == 3
        assert f"registry entry unreadable key={member_key('s2')}" in caplog.text

    asyncio.run(main())
