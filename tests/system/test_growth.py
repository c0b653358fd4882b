"""A site with one locator gets two more, while clients write; the first one is killed in the middle of it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

import heliograph
from heliograph.errors import UnavailableError
from heliograph.gfsh.local_sites import free_ports
from heliograph.gfsh.processes import wait_gone
from heliograph.model.ids import Address
from tests.system.clusters import wait_replicated
from tests.system.ledger import assert_right
from tests.system.sites import GONE_S, HOST, Daemon, Site, Sites, locator_daemon
from tests.system.waiting import PATIENCE_S, until
from tests.system.writers import Writer, ledgers, progress, writing

REGIONS = {"redundant": "PARTITION_REDUNDANT", "everywhere": "REPLICATE"}
OLD = {f"old.{number}": "v" * 1000 for number in range(20_000)}
LOCATORS = 3
COPYING = "stream copied into the cluster"


def with_two_more(site: Site) -> None:
    """Give the site the locators that it has when it is grown; the first one is the one there was, as it is then."""
    addresses = [*site.addresses, *(Address(HOST, free_ports(1)) for _ in range(LOCATORS - 1))]
    names = [site.locator.name, "locator1-2", "locator1-3"]
    place = site.locator.directory.parent
    site.addresses = addresses
    site.locators = [
        locator_daemon(place, name, site.number, address, addresses)
        for name, address in zip(names, addresses, strict=True)
    ]


def start_in_vain(locator: Daemon) -> None:
    """Start a locator that is killed meanwhile."""
    with pytest.raises(UnavailableError):
        locator.start()


def kill_starting(locator: Daemon) -> None:
    """Kill -9 a locator that is not ready yet; its engines go with it."""
    process = psutil.Process(int((locator.directory / f"{locator.name}.pid").read_text()))
    family = [process, *process.children(recursive=True)]
    process.kill()
    assert not wait_gone(family, GONE_S)


@pytest.mark.timeout(300)
def test_a_site_grows_from_one_locator_to_three_and_loses_nothing(sites: Sites) -> None:
    (site,) = sites.start({1: 2})
    site.do(*(f"create region --name={region} --type={kind}" for region, kind in REGIONS.items()))
    site.do("create region --name=old --type=PARTITION")
    with heliograph.connect(site.everywhere) as client:
        client.region("old").put_all(OLD)
    writers = [Writer(site.everywhere, region, f"w{number}") for region in REGIONS for number in (1, 2)]
    with writing(writers):
        progress(writers, 20, within_s=PATIENCE_S)
        site.locator.stop()
        with_two_more(site)
        first, *others = site.locators
        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(other.start) for other in others]
            killed = pool.submit(start_in_vain, first)
            log = first.directory / f"{first.name}.log"
            until(lambda: COPYING in log.read_text(errors="replace"), "the data are being copied")
            kill_starting(first)
            killed.result()
            first.start()
            for other in waiting:
                other.result()
        progress(writers, 20, within_s=PATIENCE_S)
        wait_replicated(site)
        assert not (first.directory / "engine" / "jetstream").exists()

        first.kill()
        shutil.rmtree(first.directory)
        progress(writers, 20, within_s=PATIENCE_S)
        first.start()
        wait_replicated(site)
    site.wait_joined()
    for region in REGIONS:
        assert_right(ledgers(writers, region), site.entries(region), region)
    assert site.entries("old") == OLD
