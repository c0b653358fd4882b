"""What ends by itself: regions that are not persistent when a site starts cold, and entries that expire."""

from __future__ import annotations

import time

import heliograph
from heliograph.model.keys import Key
from tests.system.scenarios import connect_sites
from tests.system.sites import Site, Sites
from tests.system.waiting import PATIENCE_S, until

REGIONS = {
    "fleeting": ("PARTITION_REDUNDANT", "parallel"),
    "everywhere": ("REPLICATE", "serial"),
    "kept": ("PARTITION_PERSISTENT", "parallel"),
}
FIRST: dict[Key, int] = {f"first.{number}": number for number in range(300)}
QUEUED: dict[Key, int] = {f"queued.{number}": number for number in range(300)}
AFTER: dict[Key, int] = {f"after.{number}": number for number in range(100)}
TTL_S = 3
LATE_S = 1.0
"""More than an entry may expire late."""


def put(site: Site, region: str, entries: dict[Key, int]) -> None:
    with heliograph.connect(site.everywhere) as client:
        client.region(region).put_all(entries)


def test_only_what_is_persistent_survives_a_cold_start_and_what_is_queued_is_still_sent(sites: Sites) -> None:
    here, there = sites.start({1: 2, 2: 1})
    connect_sites([here, there], {1: [2]}, REGIONS)
    for region in REGIONS:
        put(here, region, FIRST)
    until(lambda: all(there.entries(region) == FIRST for region in REGIONS), "the other site has all")
    here.do("pause gateway-sender --id=serial2", "pause gateway-sender --id=parallel2")
    for region in REGIONS:
        put(here, region, QUEUED)
    here.server("server1-1").kill()
    here.server("server1-1").start()
    here.wait_joined()
    for region in REGIONS:
        assert here.entries(region) == FIRST | QUEUED, "one server was left"
    here.kill()
    here.start()
    here.wait_joined()
    assert here.entries("kept") == FIRST | QUEUED
    assert here.entries("fleeting") == here.entries("everywhere") == {}
    here.do("resume gateway-sender --id=serial2", "resume gateway-sender --id=parallel2")
    for region in REGIONS:
        put(here, region, AFTER)
    everything = FIRST | QUEUED | AFTER
    until(
        lambda: all(there.entries(region) == everything for region in REGIONS),
        "the other site keeps what it has, and gets what was queued",
        within_s=PATIENCE_S,
    )
    assert here.entries("fleeting") == here.entries("everywhere") == AFTER
    here.stop()
    here.start()
    assert (here.entries("fleeting"), here.entries("everywhere")) == ({}, {})
    assert here.entries("kept") == everything
    assert there.entries("fleeting") == everything


def test_entries_expire_at_the_site_that_says_so_and_nowhere_else(sites: Sites) -> None:
    here, there = sites.start({1: 2, 2: 1})
    connect_sites([here, there], {1: [2], 2: [1]}, {"r": ("PARTITION_REDUNDANT", "parallel")})
    here.do(
        f"alter region --name=r --entry-time-to-live-expiration={TTL_S} --entry-time-to-live-expiration-action=DESTROY"
    )
    put(here, "r", FIRST)
    written_at = time.monotonic()
    until(lambda: there.entries("r") == FIRST, "the other site has all")
    entries = here.entries("r")
    assert entries == FIRST or time.monotonic() - written_at > TTL_S
    until(lambda: not here.entries("r"), "all have expired", within_s=TTL_S + LATE_S + PATIENCE_S)
    put(there, "r", AFTER)
    until(lambda: here.entries("r") == AFTER, "what is newer is there for its time")
    until(lambda: not here.entries("r"), "that has expired, too", within_s=TTL_S + LATE_S + PATIENCE_S)
    there.wait_drained()
    here.wait_drained()
    assert there.entries("r") == FIRST | AFTER, "no expiry is sent"
    there.do("remove --region=r --all")
    put(there, "r", QUEUED)
    until(lambda: here.entries("r") == QUEUED, "the sites still exchange what is written")
    assert there.entries("r") == QUEUED
