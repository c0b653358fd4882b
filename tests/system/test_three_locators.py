"""A site of three locators, whose engines form a cluster: started in any order; each killed, wiped and back."""

from __future__ import annotations

import shutil
import threading

import pytest

from tests.system.clusters import plan_of, wait_replicated
from tests.system.ledger import assert_right
from tests.system.scenarios import KEPT, SETTLE_S, connect_sites
from tests.system.sites import Site, Sites
from tests.system.waiting import PATIENCE_S, eventually, until
from tests.system.writers import Writer, ledgers, progress, writing

REGIONS = {"redundant": "PARTITION_REDUNDANT", "everywhere": "REPLICATE"}


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


@pytest.mark.timeout(300)
def test_a_killed_site_comes_back_and_other_sites_find_it_by_any_of_its_locators(sites: Sites) -> None:
    here, there = sites.start({1: 2, 2: 1}, locators={1: 3})
    connect_sites([here, there], {1: [2], 2: [1]}, KEPT)
    near = [Writer(here.everywhere, region, "near") for region in KEPT]
    far = [Writer(there.everywhere, region, "far") for region in KEPT]
    with writing([*near, *far]):
        progress([*near, *far], 20, within_s=PATIENCE_S)
        here.kill()
        here.start()
        progress([*near, *far], 20, within_s=PATIENCE_S)
        here.locators[0].kill()  # the others exchange with the other site, and answer here
        there.locator.kill()
        there.locator.start()
        progress([*near, *far], 20, within_s=PATIENCE_S)
    here.wait_joined()
    for site in (here, there):
        site.wait_drained()

    def alike() -> None:
        for site in (here, there):
            for region in KEPT:
                assert_right(ledgers([*near, *far], region), site.entries(region), f"site {site.number} in {region}")

    eventually(alike, within_s=SETTLE_S)
    late = "put --region=alone --key=late --value=1"
    until(lambda: here.run(late).status == "OK", "a command finds the engine again, which elects for some seconds")
    until(lambda: there.entries("alone").get("late") == "1", "what is written later arrives too")
