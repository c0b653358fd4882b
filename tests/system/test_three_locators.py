"""A site of three locators, whose engines form a cluster: started in any order; each killed, wiped and back."""

from __future__ import annotations

import asyncio
import shutil
import threading

import nats
import pytest

from heliograph.engine.nats.conf import LOCATOR_USER, locator_password
from heliograph.link.messages import ClusterPlan
from heliograph.locator.assembly import read_kept
from tests.system.ledger import assert_right
from tests.system.sites import Daemon, Site, Sites
from tests.system.waiting import PATIENCE_S, until
from tests.system.writers import Writer, ledgers, progress, writing

REGIONS = {"redundant": "PARTITION_REDUNDANT", "everywhere": "REPLICATE"}
STREAMS = {"LOG_DEFAULT", "KV_site", "OBJ_snapshots-DEFAULT"}


def plan_of(locator: Daemon) -> ClusterPlan:
    kept = read_kept(locator.directory / "engine" / "cluster.json")
    assert kept is not None
    assert kept.plan is not None
    return kept.plan


def stream_states(site: Site) -> dict[str, list[tuple[str, bool]]]:
    """Ask the engines for every stream: its name -> its replicas, and whether each is current."""

    async def ask() -> dict[str, list[tuple[str, bool]]]:
        plan = plan_of(site.locators[0])
        client = await nats.connect(
            [f"nats://{node.host}:{node.client_port}" for node in plan.nodes],
            user=LOCATOR_USER,
            password=locator_password(plan.password),
            connect_timeout=5,
        )
        try:
            infos = await client.jetstream().streams_info()
        finally:
            await client.close()
        found = {}
        for info in infos:
            assert info.cluster is not None
            others = [(peer.name or "", bool(peer.current)) for peer in info.cluster.replicas or []]
            found[info.config.name or ""] = sorted([(info.cluster.leader or "", True), *others])
        return found

    return asyncio.run(asyncio.wait_for(ask(), 20))


def wait_replicated(site: Site) -> None:
    """Wait until every stream has a current replica at each locator."""
    names = sorted(locator.name for locator in site.locators)
    seen: dict[str, list[tuple[str, bool]]] = {}

    def replicated() -> bool:
        try:
            seen.update(stream_states(site))
        except (TimeoutError, OSError, nats.errors.Error, nats.js.errors.Error):
            return False
        wanted = [(name, True) for name in names]
        return seen.keys() == STREAMS and all(replicas == wanted for replicas in seen.values())

    until(replicated, lambda: f"every stream has current replicas at {names}: {seen}")


def create_regions(site: Site) -> None:
    site.do(*(f"create region --name={region} --type={kind}" for region, kind in REGIONS.items()))


@pytest.mark.timeout(300)
def test_each_locator_is_killed_wiped_and_comes_back(sites: Sites) -> None:
    (site,) = sites.make({1: 3}, locators={1: 3})
    starting = [threading.Thread(target=server.start) for server in site.servers]
    for thread in starting:  # the servers wait for the locators, and these for each other
        thread.start()
    for locator in site.locators:
        locator.start()
    for thread in starting:
        thread.join()
    site.wait_joined()
    create_regions(site)
    wait_replicated(site)
    writers = [Writer(site.everywhere, region, f"w{number}") for region in REGIONS for number in (1, 2)]
    with writing(writers):
        progress(writers, 20, within_s=PATIENCE_S)
        for locator in site.locators:
            locator.kill()
            progress(writers, 20, within_s=PATIENCE_S)
            shutil.rmtree(locator.directory)
            locator.start()
            wait_replicated(site)
            progress(writers, 20, within_s=PATIENCE_S)
    assert [error for writer in writers for error in writer.errors] == []
    site.wait_joined()
    for region in REGIONS:
        assert_right(ledgers(writers, region), site.entries(region), region)
    (password,) = {plan_of(locator).password for locator in site.locators}
    assert not [log for log in sites.logs() if password in log.read_text(errors="replace")]
