"""show metrics: what members measure, by scope and category."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.errors import RegionNotFoundError, UnavailableError, UsageError
from heliograph.link.messages import Gateways, ReceiverStatus, RegionCopies, SenderStatus, StatusQuery
from heliograph.locator.metrics import MEASURED, REFUSED
from heliograph.model.attributes import RegionAttributes
from heliograph.model.results import Result
from tests.locator.fakes import member, unreachable
from tests.locator.test_site import SERVERS, Site, on_site


def sender(kind: str, queued: int) -> SenderStatus:
    return SenderStatus(
        id="ny", member="s", remote_dsid=2, type="Serial", policy="Primary", status="Running", queued=queued,
        receiver="", counters={"eventQueueSize": queued, "eventsReceived": 10 * queued},
    )  # fmt: skip


async def with_numbers(site: Site) -> None:
    await site.admin.regions.create(RegionAttributes(name="r", redundant_copies=1, total_num_buckets=3))
    await site.admin.regions.create(RegionAttributes(name="empty", total_num_buckets=1))
    site.servers.copies = {
        "s1": {"r": RegionCopies((0, 1), (0, 1), (10, 20), (1, 2), 5, 6, 7), "empty": RegionCopies((), ())},
        "s2": {
            "r": RegionCopies((1, 2), (2,), (20, 30), (2, 3), 50, 60, 70),
            "empty": RegionCopies((0,), (0,), (0,), (0,)),
        },
    }
    receiver = ReceiverStatus(member="s2", port=1, status="Running", senders=(), counters={"eventsReceived": 9})
    site.servers.gateways = {
        "s1": Gateways([sender("s", 3)], None, [sender("q", 100)]),
        "s2": Gateways([sender("s", 4)], receiver),
    }
    site.servers.asked.clear()


def numbers(result: Result) -> dict[str, dict[str, str]]:
    """Return the values by category and metric."""
    (table,) = result.tables
    assert table.columns == ("Category", "Metric", "Value")
    found: dict[str, dict[str, str]] = {}
    for category, metric, value in table.rows:
        found.setdefault(category, {})[metric] = value
    return found


def test_the_numbers_of_a_site() -> None:
    async def scenario(site: Site) -> None:
        await with_numbers(site)
        shown = await site.admin.metrics.show()
        assert shown.tables[0].title == "Cluster-wide Metrics"
        found = numbers(shown)
        assert list(found) == [
            "cluster",
            "cache",
            "diskstore",
            "gatewaysender",
            "gatewayreceiver",
            "asynceventqueue",
        ]
        assert found["cluster"] == {
            "memberCount": "2", "locatorCount": "1", "totalCpuSeconds": "4.5", "totalResidentBytes": str(9 << 20),
        }  # fmt: skip
        assert found["cache"] == {
            "totalRegionCount": "2", "totalRegionEntryCount": "6", "totalRegionBytes": "60", "totalGets": "55",
            "totalPuts": "66", "totalDestroys": "77", "bucketsWithoutPrimary": "0", "numBucketsWithoutRedundancy": "2",
        }  # fmt: skip
        assert found["diskstore"] == {
            "totalDiskUsage": str(4 << 20), "totalLogBytes": str(3 << 20), "totalSnapshotBytes": str(1 << 20),
            "diskUsage DEFAULT": str(4 << 20),
        }  # fmt: skip
        assert found["gatewaysender"]["eventQueueSize"] == "7"
        assert found["gatewaysender"]["eventsReceived"] == "70"
        assert found["gatewayreceiver"]["eventsReceived"] == "9"
        assert found["asynceventqueue"]["eventQueueSize"] == "100"

    on_site(scenario, member("l", kind="locator"), *SERVERS)


def test_the_numbers_of_a_region_a_member_and_both() -> None:
    async def scenario(site: Site) -> None:
        await with_numbers(site)
        show = site.admin.metrics.show
        assert numbers(await show(region="/r")) == {
            "cluster": {"memberCount": "2", "regionEntryCount": "6"},
            "region": {"regionBytes": "60", "gets": "55", "puts": "66", "destroys": "77"},
            "partition": {
                "bucketCount": "4", "primaryBucketCount": "3", "bucketsWithoutPrimary": "0",
                "numBucketsWithoutRedundancy": "2", "configuredRedundancy": "1", "actualRedundancy": "0",
            },
        }  # fmt: skip
        found = numbers(await show(member="S2", categories=["region", "member", "communication"]))
        assert found == {
            "member": {"upTime": "61", "cpuSeconds": "1.5", "residentBytes": str(3 << 20)},
            "communication": {"links": "3", "links client": "2", "links member": "1"},
            "region": {
                "totalRegionCount": "2", "totalRegionEntryCount": "5", "totalRegionBytes": "50",
                "totalBucketCount": "3", "totalPrimaryBucketCount": "2", "totalGets": "50", "totalPuts": "60",
                "totalDestroys": "70",
            },
        }  # fmt: skip
        assert {*numbers(await show(member="s2"))} == {*MEASURED["member"]}
        both = await show(member="s1", region="r")
        assert both.tables[0].title == "Metrics Of Region r On Member s1"
        assert numbers(both) == {
            "region": {"regionEntryCount": "3", "regionBytes": "30", "gets": "5", "puts": "6", "destroys": "7"},
            "partition": {"bucketCount": "2", "primaryBucketCount": "2"},
        }

    on_site(scenario)


def test_only_what_is_shown_is_asked_for() -> None:
    async def scenario(site: Site) -> None:
        await with_numbers(site)
        assert [*numbers(await site.admin.metrics.show(categories=["cluster"]))] == ["cluster"]
        assert {type(message) for _, message in site.servers.asked} == {StatusQuery}
        assert {name for name, _ in site.servers.asked} == {"l", "s1", "s2"}

    on_site(scenario, member("l", kind="locator"), *SERVERS)


def test_a_locator_has_a_process_and_links() -> None:
    async def scenario(site: Site) -> None:
        await with_numbers(site)
        assert [*numbers(await site.admin.metrics.show(member="l"))] == ["member", "communication"]
        options: list[dict[str, Any]] = [{"region": "r"}, {"categories": ["gatewaysender"]}]
        for each in options:
            with pytest.raises(UsageError, match="l is a locator, which has no regions and gateways"):
                await site.admin.metrics.show(member="l", **each)

    on_site(scenario, member("l", kind="locator"), *SERVERS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"region": "none"}, "region 'none' does not exist"),
        ({"member": "none"}, "member 'none' does not exist"),
        ({"categories": ["jvm"]}, "category jvm is not known for a cluster: use cluster, cache, diskstore, gat"),
        ({"member": "s1", "categories": ["jvm"]}, "category jvm is not offered: there is no JVM"),
        ({"region": "r", "categories": ["cache"]}, "category cache is not known for a region: use cluster, region, p"),
        ({"region": "r", "member": "s1", "categories": ["eviction"]}, "eviction is not offered: nothing is evicted"),
    ],
)
def test_what_does_not_exist_or_is_not_measured_is_refused(options: dict[str, Any], message: str) -> None:
    async def scenario(site: Site) -> None:
        await with_numbers(site)
        with pytest.raises((UsageError, RegionNotFoundError), match=message):
            await site.admin.metrics.show(**options)

    on_site(scenario)


def test_every_category_of_gemfire_is_measured_or_refused_with_a_reason() -> None:
    known = {  # gfsh.md §6.11
        "cluster": "cluster, cache, diskstore, query",
        "region": "callback, cluster, diskstore, eviction, partition, region",
        "member": "communication, diskstore, distribution, eviction, function, jvm, lock, member, offheap, region, "
        "serialization, transaction",
        "member and region": "callback, diskstore, eviction, partition, region",
    }
    for scope, categories in known.items():
        assert {*categories.split(", ")} <= {*MEASURED[scope], *REFUSED[scope]}  # type: ignore[index]
        assert not {*MEASURED[scope]} & {*REFUSED[scope]}  # type: ignore[index]


def test_who_does_not_answer_is_named_and_a_member_alone_has_to() -> None:
    async def scenario(site: Site) -> None:
        await with_numbers(site)
        site.servers.broken["s1"] = unreachable("s1")
        shown = await site.admin.metrics.show()
        assert shown.info == ["s1 does not answer: s1 can't be reached"]
        assert numbers(shown)["cache"]["totalRegionEntryCount"] == "5"
        with pytest.raises(UnavailableError, match="s1 does not answer"):
            await site.admin.metrics.show(member="s1")

    on_site(scenario)
