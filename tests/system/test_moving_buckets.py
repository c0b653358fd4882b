"""Servers join, are given their share, and leave in order while clients write; sites start in any order."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import heliograph
from heliograph.errors import UsageError
from tests.system.sites import Site, Sites
from tests.system.waiting import until
from tests.system.writers import Writer, progress, writing

PAUSE_MAX_S = 2.0
"""Of one operation while its bucket moves, on a busy machine; it takes some ten milliseconds on an idle one."""
ALL_S = 120.0


def primaries(site: Site, region: str) -> Counter[str]:
    (placement,) = [each for each in site.view().placements if each.region == region]
    return Counter(bucket.primary for bucket in placement.buckets)


@pytest.mark.timeout(300)
def test_buckets_move_and_servers_leave_while_clients_write_and_no_write_fails(
    sites: Sites, capsys: pytest.CaptureFixture[str]
) -> None:
    (site,) = sites.start({1: 3})
    newcomer = site.servers[2]
    newcomer.stop()
    site.wait_joined()
    site.do("create region --name=plain --type=PARTITION", "create region --name=copied --type=PARTITION_REDUNDANT")
    writers = [Writer(site.address, region, f"{region}-w{n}") for region in ("plain", "copied") for n in range(2)]
    slowest: dict[str, float] = {}

    def note(what: str) -> None:
        progress(writers, 50, within_s=ALL_S)
        slowest[what] = max(writer.slowest_s for writer in writers)
        for writer in writers:
            writer.slowest_s = 0.0

    with writing(writers):
        note("calm")
        newcomer.start()
        site.wait_joined()
        assert newcomer.name not in primaries(site, "plain") + primaries(site, "copied")
        simulated = site.run("rebalance --simulate=true")
        assert [table.title for table in simulated.tables] == [
            "Would be rebalanced: copied",
            "Would be rebalanced: plain",
        ]
        done = site.run("rebalance")
        assert done.status == "OK", done
        for region in ("plain", "copied"):
            assert sorted(primaries(site, region).values()) == [5, 5, 6], region
        note("rebalance")
        for server in site.servers[:2]:
            assert server.stop() == []
            site.wait_joined()
            assert server.name not in primaries(site, "plain") + primaries(site, "copied")
            note(f"stop of {server.name}")
    assert [error for writer in writers for error in writer.errors] == []
    for region in ("plain", "copied"):
        expected = {
            key: value
            for writer in writers
            if writer.region == region
            for key, value in writer.ledger.acknowledged.items()
            if value is not None
        }
        assert site.entries(region) == expected
    with capsys.disabled():
        print("\nslowest operation (s):", {what: round(seconds, 3) for what, seconds in slowest.items()})  # noqa: T201
    assert max(slowest.values()) < PAUSE_MAX_S, slowest


def test_servers_that_are_started_first_wait_for_their_locator(sites: Sites) -> None:
    (site,) = sites.start({1: 2})
    site.do("create region --name=r --type=REPLICATE_PERSISTENT", "put --region=r --key=k --value=v")
    site.stop()
    with ThreadPoolExecutor() as pool:
        starting = [pool.submit(server.start) for server in site.servers]
        until(lambda: all((server.directory / "server.json").exists() for server in site.servers), "both servers start")
        assert not any(start.done() for start in starting)
        site.locator.start()
        for start in starting:
            start.result()
    site.wait_joined()
    assert site.entries("r") == {"k": "v"}


RESOLVER = """
def by_customer(key):
    return key.split("-")[0]
"""


def test_a_client_without_the_partition_resolver_finds_what_servers_keep_together(
    sites: Sites, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "resolving_orders.py").write_text(RESOLVER)
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(modules))
        (site,) = sites.start({1: 2})
    site.do("create region --name=orders --partition-resolver=resolving_orders:by_customer")
    entries: dict[Any, Any] = {f"{customer}-{n}": n for customer in ("ada", "bob", "eve") for n in range(50)}
    with heliograph.connect(str(site.address)) as client:
        orders = client.region("orders")
        orders.put_all(entries)
        assert orders.get_all(list(entries)) == entries
        assert len(orders) == len(entries)
        assert orders.replace("ada-1", "one", expected=1)
        with pytest.raises(UsageError, match="failed for the key 7: AttributeError"):
            orders.put(7, 1)
    assert site.run("get --region=orders --key=ada-1").data["Value"] == "one"
    refused = site.run("create region --name=others --partition-resolver=no_such_module:f")
    assert refused.status == "ERROR"
    assert "no_such_module:f can't be loaded" in str(refused.tables)
    assert site.run("list regions").tables[0].rows == [("orders",)]
