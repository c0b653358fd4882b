"""A site of three locators, whose engines form a cluster: started in any order; each killed, wiped and back."""

from __future__ import annotations

import shutil
import threading

import pytest

from tests.system.clusters import plan_of, wait_replicated
from tests.system.ledger import assert_right
from tests.system.sites import Site, Sites
from tests.system.waiting import PATIENCE_S
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
