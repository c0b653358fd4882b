"""Who wins when several sites write one entry, at whole sites."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliograph.bucket.conflicts import site_of
from heliograph.model.results import Result
from tests.scenarios.plugins import CONFLICTS
from tests.scenarios.sites import Site, scenario, until

RESOLVER = "tests.scenarios.plugins:Deciding"


def resolver(how: str, name: str) -> str:
    CONFLICTS[name].clear()
    return f'{RESOLVER}{{"how": "{how}", "name": "{name}"}}'


async def linked(one: Site, other: Site, **options: Any) -> None:
    """Link two sites both ways, with a region of one bucket at each."""
    for site, to in ((one, other), (other, one)):
        await site.create_receiver()
        await site.create_sender("to", to=to, **options)
        await site.create_region("r", "PARTITION", senders="to", total_num_buckets=1)


async def settled(*sites: Site) -> None:
    """Wait until every queue is empty and all sites hold the same."""
    for site in sites:
        await site.until_drained("to")
    await until(lambda: len({str(sorted(versions(site).items())) for site in sites}) == 1)


def versions(site: Site) -> dict[Any, int]:
    """The versions of the region's entries at its primary."""
    (view,) = [
        slot.member._regions["r"].copies[0].view for slot in site.running if slot.member._regions["r"].accepting()
    ]
    return view.versions


async def value(site: Site) -> Any:
    return (await site.contents("r")).get("k")


async def write_apart(one: Site, other: Site, *, first: str = "one", second: str = "two", key: str = "k") -> None:
    """Have `other` write a key after `one` did, before either hears of it."""
    for site in (one, other):
        await site.pause_sender("to")
    await one.put("r", [key], first)
    await asyncio.sleep(0.01)
    await other.put("r", [key], second)
    for site in (one, other):
        await site.resume_sender("to")


@scenario(ln=1, ny=1)
async def test_conflict_same_site_older_rejected(ln: Site, ny: Site) -> None:
    """What one site writes is never put to a resolver: a repeat of an older event changes nothing."""
    await linked(ln, ny)
    await ny.create_resolver(resolver("refuse", "same"))
    await ln.put("r", ["k"], "old")
    await settled(ln, ny)
    await ln.put("r", ["k"], "new")
    await settled(ln, ny)
    assert (await value(ny), CONFLICTS["same"]) == ("new", [])


@scenario(ln=1, ny=1)
async def test_conflict_newer_timestamp_wins(ln: Site, ny: Site) -> None:
    await linked(ln, ny)
    await write_apart(ny, ln, first="ny", second="ln")
    await settled(ln, ny)
    assert [await value(site) for site in (ln, ny)] == ["ln", "ln"]


@scenario(ln=1, ny=1)
async def test_conflict_tie_higher_dsid_wins(ln: Site, ny: Site) -> None:
    """At the same millisecond the first stamps are equal, and the greater site wins."""
    await linked(ln, ny)
    for site in (ln, ny):
        await site.pause_sender("to")
    await asyncio.gather(*(site.put("r", ["k"], site.name) for site in (ln, ny)))
    assert versions(ln)["k"] >> 8 == versions(ny)["k"] >> 8
    for site in (ln, ny):
        await site.resume_sender("to")
    await settled(ln, ny)
    assert [await value(site) for site in (ln, ny)] == ["ny", "ny"]


@pytest.mark.parametrize(
    ("how", "expected"), [("allow", "old"), ("refuse", "new"), ("change", "new+old"), ("raise", "new")]
)
@scenario(ln=2, ny=1)
async def test_conflict_resolver_decides(ln: Site, ny: Site, how: str, expected: str) -> None:
    """Site ln hears of an older write; what it decides is what both sites hold."""
    await linked(ln, ny)
    await ln.create_resolver(resolver(how, "decides"))
    await write_apart(ny, ln, first="old", second="new")
    await settled(ln, ny)
    assert [await value(site) for site in (ln, ny)] == [expected, expected]
    (told,) = CONFLICTS["decides"]
    assert (told.old_value, told.new_value) == ("new", "old")
    assert (told.old_distributed_system_id, told.new_distributed_system_id) == (ln.dsid, ny.dsid)
    assert told.old_timestamp_ms > told.new_timestamp_ms
    shown: Result = await ln.operate(lambda admin: admin.conflicts.list("/r", "k"))
    assert [row[2] for row in shown.tables[0].rows] == ["1"]
    assert shown.tables[1].rows[0][:2] == ("r", "k")


@scenario(ln=1, ny=1)
async def test_conflict_resolver_exception(ln: Site, ny: Site) -> None:
    await linked(ln, ny)
    await ln.create_resolver(resolver("raise", "raises"))
    await write_apart(ln, ny, first="old", second="new")
    await settled(ln, ny)
    assert len(CONFLICTS["raises"]) == 1
    assert [await value(site) for site in (ln, ny)] == ["new", "new"]


@scenario(ln=1, ny=1)
async def test_conflict_putall_then_put_order(ln: Site, ny: Site) -> None:
    """A bucket takes its writes in order, so that nothing overtakes; both sites have the version of the put."""
    await linked(ln, ny)
    await ln.put_all("r", ["k", "l"], "all")
    await ln.put("r", ["k"], "one")
    await settled(ln, ny)
    assert versions(ln)["k"] == versions(ny)["k"] > versions(ny)["l"]
    assert await value(ny) == "one"


@scenario(ln=1, ny=2)
async def test_conflict_local_site_id_recorded(ln: Site, ny: Site) -> None:
    await linked(ln, ny)
    await ln.put("r", ["k"], "ln")
    await settled(ln, ny)
    assert {site_of(versions(site)["k"]) for site in (ln, ny)} == {ln.dsid}
    before = versions(ny)["k"]
    await ny.put("r", ["k"], "ny")
    await settled(ln, ny)
    assert versions(ln)["k"] == versions(ny)["k"] > before
    assert site_of(versions(ny)["k"]) == ny.dsid


@scenario(ln=2, ny=1)
async def test_conflict_in_cluster_loser_not_conflating_winner(ln: Site, ny: Site) -> None:
    """The bucket's primary takes the two writes one after the other: the later one is what leaves."""
    await linked(ln, ny, enable_batch_conflation=True)
    await ln.pause_sender("to")
    await asyncio.gather(*(ln.put("r", ["k"], letter, at=letter) for letter in "ab"))
    there = await value(ln)
    await ln.resume_sender("to")
    await settled(ln, ny)
    assert await value(ny) == there
