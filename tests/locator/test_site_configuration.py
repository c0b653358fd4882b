"""The cluster configuration as a whole: exported, planned and applied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from heliograph.errors import UnavailableError, UsageError
from heliograph.link.messages import Apply
from heliograph.locator.cluster import Cluster
from heliograph.locator.site import SiteAdmin
from heliograph.locator.site_configuration import CONFIGURATION
from heliograph.model.attributes import DiskStoreAttributes, GatewayReceiverAttributes
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.results import Result
from tests.locator.fakes import FakeRegistry, FakeServers, join, member
from tests.model.test_cluster_configuration import EMPTY, FULL, SENDER, with_region


class Site:
    def __init__(self) -> None:
        self.registry = FakeRegistry()
        self.servers = FakeServers()
        self.admin = SiteAdmin(Cluster(self.registry, self.servers, 1)).configuration

    async def exported(self) -> ClusterConfiguration:
        result = await self.admin.export()
        return msgspec.json.decode(result.data[CONFIGURATION], type=ClusterConfiguration)

    def applied(self) -> list[str]:
        return [message.subject for _, message in self.servers.requests(Apply) if isinstance(message, Apply)]


def run(scenario: Callable[[Site], Awaitable[None]]) -> None:
    async def body() -> None:
        site = Site()
        await join(site.registry, member("s1", joined_ms=2))
        await scenario(site)

    asyncio.run(body())


def outcomes(result: Result) -> list[tuple[str, ...]]:
    return [row[:2] for row in result.tables[0].rows]


def test_what_is_applied_is_exported() -> None:
    async def scenario(site: Site) -> None:
        assert await site.exported() == EMPTY
        result = await site.admin.apply(FULL)
        assert result.status == "OK"
        assert outcomes(result)[1] == ("create disk-store wan", "OK")
        assert await site.exported() == FULL
        assert (await site.admin.apply(FULL)).info == ["Nothing to change."]

    run(scenario)


def test_a_plan_changes_nothing() -> None:
    async def scenario(site: Site) -> None:
        result = await site.admin.plan(FULL)
        assert ("create region order", "planned") in outcomes(result)
        assert not site.applied()
        assert await site.exported() == EMPTY

    run(scenario)


def test_what_differs_is_altered() -> None:
    async def scenario(site: Site) -> None:
        await site.admin.apply(FULL)
        endless = msgspec.structs.replace(SENDER, alert_threshold=9)
        want = msgspec.structs.replace(
            with_region(gateway_sender_ids=(), entry_time_to_live_expiration=5),
            gateway_senders=(endless,),
            disk_stores=(DiskStoreAttributes(name="wan", max_disk=3),),
        )
        result = await site.admin.apply(want)
        assert [status for _, status in outcomes(result)] == ["OK", "OK", "OK"]
        assert await site.exported() == want

    run(scenario)


def test_only_pruning_takes_away() -> None:
    async def scenario(site: Site) -> None:
        await site.admin.apply(FULL)
        assert (await site.admin.apply(EMPTY)).info == ["Nothing to change."]
        await site.admin.apply(EMPTY, prune=True)
        assert await site.exported() == EMPTY

    run(scenario)


def test_a_conflict_refuses_the_whole() -> None:
    async def scenario(site: Site) -> None:
        await site.admin.apply(FULL)
        want = msgspec.structs.replace(
            with_region(total_num_buckets=4), disk_stores=(DiskStoreAttributes(name="wan", max_disk=3),)
        )
        for result in (await site.admin.plan(want), await site.admin.apply(want)):
            assert result.status == "ERROR"
            assert "total-num-buckets can't be changed" in result.info[0]
        assert await site.exported() == FULL

    run(scenario)


def test_what_does_not_fit_together_is_refused_before_anything_is_done() -> None:
    async def scenario(site: Site) -> None:
        with pytest.raises(UsageError, match="which does not exist"):
            await site.admin.apply(msgspec.structs.replace(FULL, gateway_senders=()))
        assert not site.applied()
        await site.admin.apply(FULL)
        with pytest.raises(UsageError, match="which does not exist"):
            await site.admin.apply(msgspec.structs.replace(FULL, gateway_senders=()), prune=True)
        await site.admin.apply(msgspec.structs.replace(FULL, gateway_senders=()))

    run(scenario)


def test_a_step_that_fails_ends_it_and_the_same_goes_on_from_there() -> None:
    async def scenario(site: Site) -> None:
        await site.admin.apply(ClusterConfiguration(gateway_receivers=(GatewayReceiverAttributes(),)))
        site.servers.broken["s1"] = UnavailableError("gone")
        result = await site.admin.apply(FULL)
        assert result.status == "ERROR"
        assert outcomes(result)[:2] == [
            ("create gateway-conflict-resolver", "ERROR"),
            ("create disk-store wan", "not begun"),
        ]
        assert "gone" in result.tables[0].rows[0][2]
        site.servers.broken.clear()
        assert (await site.admin.apply(FULL)).status == "OK"
        assert await site.exported() == FULL

    run(scenario)
