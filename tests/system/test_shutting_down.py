"""shutdown of a site of three locators, whose engines need a majority that is gone before the last one is."""

from __future__ import annotations

import pytest

from tests.system.sites import Site, Sites
from tests.system.waiting import until


def end(site: Site) -> None:
    """Shut a site down by its own command, locators included, and see that nothing of it runs any more."""
    result = site.run("shutdown --include-locators=true --time-out=20")
    assert (result.status, {row[1] for row in result.tables[0].rows}) == ("OK", {"OK"}), result
    assert len(result.tables[0].rows) == len(site.daemons)
    until(lambda: not any(daemon.running for daemon in site.daemons), "every process is gone")


@pytest.mark.timeout(200)
def test_a_site_of_three_locators_ends_and_comes_back(sites: Sites) -> None:
    (site,) = sites.start({1: 2}, locators={1: 3})
    site.do("create region --name=r --type=PARTITION_REDUNDANT_PERSISTENT", "put --key=k --value=v --region=r")
    end(site)
    site.start()
    site.wait_joined()
    assert site.entries("r") == {"k": "v"}
    end(site)
