"""What operators see of parked events, and do with them, over a site in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from heliograph.engine.parked import list_parked, write_parked
from heliograph.errors import UnavailableError, UsageError
from heliograph.gateway.parking import Attempt, events_to_park
from heliograph.link.messages import Gateways, Redrive, Redriven, Rejected, SenderStatus, WanBatch
from heliograph.locator.cluster import Cluster
from heliograph.locator.requests import ParkedChoice
from heliograph.locator.site import SiteAdmin
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.batch import Part
from tests.gateway.builders import part_of
from tests.locator.fakes import FakeRegistry, FakeServers, join, member

ALL = ParkedChoice(all=True)


class Site:
    def __init__(self) -> None:
        self.registry, self.servers = FakeRegistry(), FakeServers()
        self.admin = SiteAdmin(Cluster(self.registry, self.servers, 1))
        self.ids: list[str] = []

    async def start(self) -> None:
        await join(
            self.registry, member("locator", kind="locator"), member("s1", joined_ms=2), member("s2", joined_ms=3)
        )
        for sender in ("ny", "tk"):
            await self.admin.senders.create(GatewaySenderAttributes(id=sender, remote_distributed_system_id=2))

    async def park(self, sender: str, *keys: str, now_ms: int = 1_000) -> None:
        batch = WanBatch("r", 4, [(0, part_of(*keys, recipients=(2,), birth=(0, 7)))])
        events = events_to_park(batch, [Rejected(0, (), "too large")], Attempt("s1", now_ms, "a"))
        self.ids += [each.id for each in events]
        await write_parked(self.registry, sender, events)

    def runs(self, server: str, status: Any = "Running and Connected") -> None:
        state = SenderStatus(
            id="ny",
            member=server,
            remote_dsid=2,
            type="Serial",
            policy="",
            status=status,
            queued=0,
            receiver="",
        )
        self.servers.gateways[server] = Gateways([state], None)


def at_site(scenario: Callable[[Site], Awaitable[None]]) -> None:
    async def main() -> None:
        site = Site()
        await site.start()
        await scenario(site)

    asyncio.run(main())


def test_they_are_listed_by_sender_the_oldest_first() -> None:
    async def scenario(site: Site) -> None:
        await site.park("tk", "z")
        await site.park("ny", "late", now_ms=1_764_178_200_123)
        await site.park("ny", "early")
        [table] = (await site.admin.parked.list()).tables
        assert [row[:5] for row in table.rows] == [
            ("ny", site.ids[2], "r", "'early'", "update"),
            ("ny", site.ids[1], "r", "'late'", "update"),
            ("tk", site.ids[0], "r", "'z'", "update"),
        ]
        assert table.rows[1][5:] == ("too large", "2025-11-26T17:30:00.123+00:00", "s1", "0")
        [table] = (await site.admin.parked.list("tk")).tables
        assert len(table.rows) == 1

    at_site(scenario)


def test_what_can_not_be_read_is_shown_as_such() -> None:
    async def scenario(site: Site) -> None:
        batch = WanBatch("r", 4, [(0, Part(1, (2,), 0, 7, 3, b"?"))])
        await write_parked(
            site.registry, "ny", events_to_park(batch, [Rejected(0, (), "malformed")], Attempt("s1", 1, "a"))
        )
        [table] = (await site.admin.parked.list("ny")).tables
        assert table.rows[0][3:5] == ("can't be read (3 events)", "")

    at_site(scenario)


def test_some_or_all_are_dropped() -> None:
    async def scenario(site: Site) -> None:
        await site.park("ny", "a", "b", "c")
        await site.park("tk", "a")
        result = await site.admin.parked.drop("ny", ParkedChoice(event=(site.ids[1],)))
        assert result.info == ["1 parked events of ny were dropped."]
        with pytest.raises(UsageError, match="has no parked event"):
            await site.admin.parked.drop("ny", ParkedChoice(event=(site.ids[0], site.ids[1])))
        assert len((await list_parked(site.registry, "ny"))["ny"]) == 2
        assert (await site.admin.parked.drop("ny", ALL)).info == ["2 parked events of ny were dropped."]
        assert list(await list_parked(site.registry)) == ["tk"]

    at_site(scenario)


def test_a_server_that_runs_the_sender_and_is_connected_redrives() -> None:
    async def scenario(site: Site) -> None:
        await site.park("ny", "a", "b")
        with pytest.raises(UnavailableError, match="runs on no server"):
            await site.admin.parked.redrive("ny", ALL)
        site.runs("s1", "Running, not Connected")
        site.runs("s2")
        site.servers.redriven = Redriven(1, [(site.ids[1], "still too large")])
        result = await site.admin.parked.redrive("ny", ALL)
        assert (result.status, result.info) == ("OK", ["1 parked events of ny were delivered."])
        assert result.tables[0].rows == [(site.ids[1], "still too large")]
        await site.admin.parked.redrive("ny", ParkedChoice(event=(site.ids[0],)))
        assert site.servers.requests(Redrive) == [("s2", Redrive("ny")), ("s2", Redrive("ny", (site.ids[0],)))]
        site.servers.redriven = Redriven(0, [(site.ids[1], "still too large")])
        assert (await site.admin.parked.redrive("ny", ALL)).status == "ERROR"
        site.servers.redriven = Redriven(2, [])
        assert (await site.admin.parked.redrive("ny", ALL)).tables == []

    at_site(scenario)


def test_they_go_with_their_sender_and_it_is_said() -> None:
    async def scenario(site: Site) -> None:
        await site.park("ny", "a", "b")
        await site.park("tk", "a")
        result = await site.admin.senders.destroy("ny")
        assert result.info[-1] == "2 parked events were dropped."
        assert list(await list_parked(site.registry)) == ["tk"]

    at_site(scenario)
