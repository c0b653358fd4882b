"""A region that is destroyed and created anew, while a client that knew the old one goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import heliograph
from heliograph.admin.client import AdminClient
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.model.attributes import RegionAttributes
from heliograph.net.link import call_once
from heliograph.net.real import RealNetwork
from tests.api.conftest import start_cache


def admin_of(cache: heliograph.Cache) -> AdminClient:
    """The admin API of the cache's own locator."""
    hello = Hello("operator", "test")
    asked = call_once(RealNetwork(), cache.locators[0], hello, messages.SiteQuery(), timeout_s=5)
    view = asyncio.run(asked)
    assert isinstance(view, messages.SiteView)
    return AdminClient(view.http_url)


def test_a_client_goes_on_in_the_new_region_and_sees_nothing_of_the_old(tmp_path: Path) -> None:
    with start_cache(tmp_path) as cache, heliograph.connect(str(cache.locators[0])) as client:
        cache.create_region("customer", total_num_buckets=16)
        known = client.region("customer")
        known.put_all({f"k{n}": n for n in range(100)})
        with admin_of(cache) as admin:
            assert admin.call("DELETE", "/regions/customer").status == "OK"
            anew = RegionAttributes(name="customer", total_num_buckets=5)
            assert admin.call("POST", "/regions", body=anew).status == "OK"
        assert known.get("k1") is None
        assert len(known) == 0
        known.put_all({f"k{n}": -n for n in range(100)})
        assert known.put_if_absent("new", 1) is None
        assert len(known) == 101
        assert known.get_all(["k7", "new"]) == {"k7": -7, "new": 1}
