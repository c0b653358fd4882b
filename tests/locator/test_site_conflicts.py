"""The conflict resolver's commands, and what is shown of conflicts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from heliograph.errors import UnavailableError, UsageError
from heliograph.link.messages import Conflicts, ToldConflict
from heliograph.locator.cluster import Cluster
from heliograph.locator.site import SiteAdmin
from heliograph.locator.site_conflicts import ConflictAdmin
from heliograph.model.attributes import GatewayConflictResolverAttributes
from tests.locator.fakes import FakeRegistry, FakeServers, join, member

RESOLVER = GatewayConflictResolverAttributes(resolver="shop:Greatest")


def run(scenario: Callable[[ConflictAdmin, FakeServers], Awaitable[None]]) -> None:
    async def body() -> None:
        registry, servers = FakeRegistry(), FakeServers()
        await join(registry, member("s1", joined_ms=2), member("s2", joined_ms=3))
        await scenario(SiteAdmin(Cluster(registry, servers, 1)).conflicts, servers)

    asyncio.run(body())


def told(at_ms: int, key: str = "k") -> ToldConflict:
    return ToldConflict("r", key, "older, lost", 1_000, 1, 2_000, 2, at_ms)


def test_a_site_has_one_resolver() -> None:
    async def scenario(admin: ConflictAdmin, _: FakeServers) -> None:
        with pytest.raises(UsageError, match="there is no gateway conflict resolver"):
            await admin.destroy()
        assert (await admin.destroy(if_exists=True)).info == ["Skipping: there is no gateway conflict resolver."]
        assert (await admin.create(RESOLVER)).status == "OK"
        with pytest.raises(UsageError, match="gateway-conflict-resolver exists already with other attributes"):
            await admin.create(GatewayConflictResolverAttributes(resolver="shop:Other"))
        assert (await admin.destroy()).status == "OK"

    run(scenario)


def test_conflicts_of_all_members_are_shown_the_newest_first() -> None:
    async def scenario(admin: ConflictAdmin, servers: FakeServers) -> None:
        assert (await admin.list()).info == ["No Conflicts Found"]
        servers.conflicts["s1"] = Conflicts({"r": {"older, lost": 3}}, [told(5000), told(3000)])
        servers.conflicts["s2"] = Conflicts({"r": {"older, lost": 2, "resolver refused": 1}}, [told(4000)], "no module")
        counts, newest, silent = (await admin.list(limit=2)).tables
        assert counts.rows == [("r", "older, lost", "5"), ("r", "resolver refused", "1")]
        assert [row[-1] for row in newest.rows] == ["s1", "s2"]
        assert newest.rows[0] == (
            "r", "k", "older, lost", "1970-01-01 00:00:01.000+00:00", "1",
            "1970-01-01 00:00:02.000+00:00", "2", "1970-01-01 00:00:05.000+00:00", "s1",
        )  # fmt: skip
        assert silent.rows == [("s2", "no module")]
        servers.broken["s1"] = UnavailableError("gone")
        assert ("s1", "gone") in (await admin.list()).tables[-1].rows

    run(scenario)


def test_a_time_beyond_all_calendars_is_shown_as_it_is() -> None:
    async def scenario(admin: ConflictAdmin, servers: FakeServers) -> None:
        servers.conflicts["s1"] = Conflicts({"r": {"older, lost": 1}}, [told(1 << 60)])
        assert f"{1 << 60} ms" in (await admin.list()).tables[1].rows[0]

    run(scenario)


@pytest.mark.parametrize("limit", [0, 1001])
def test_the_limit_has_bounds(limit: int) -> None:
    async def scenario(admin: ConflictAdmin, _: FakeServers) -> None:
        with pytest.raises(UsageError, match=f"limit {limit}"):
            await admin.list(limit=limit)

    run(scenario)
