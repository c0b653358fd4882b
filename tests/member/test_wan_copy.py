"""Copies of regions at whole simulated sites: what no scenario of GemFire's asks for."""

from __future__ import annotations

import gc
import weakref

from heliograph.errors import BadEventError
from heliograph.link.messages import CopyState, CopyStatus, Done
from heliograph.locator.cluster import Cluster
from heliograph.locator.runs import LongCommand
from heliograph.locator.site_wan_copy import COPIED, NOBODY
from heliograph.member.bucket_reader import VIEW_FRESH_S
from heliograph.model.batch import Part, decode_columns
from heliograph.model.keys import bucket_of
from tests.locator.fakes import FakeRegistry, FakeServers
from tests.scenarios.copying import BUCKETS, PARTITION, begin, messages, seeded
from tests.scenarios.sites import LATE, Site, scenario, until


async def seeded_serial_partitioned(ny: Site, ln: Site) -> None:
    await ln.receives("r", kind=PARTITION, total_num_buckets=BUCKETS)
    await ny.create_sender("s", to=ln, manual_start=True)
    await ny.create_region("r", PARTITION, senders="s", total_num_buckets=BUCKETS)
    await ny.put_all("r", range(100))
    await ny.remove("r", range(10))
    await ny.start_sender("s", clean_queues=True)
    await until(lambda: ny.primary("s") != "")


@scenario(ny=2, ln=1)
async def test_a_serial_sender_copies_what_its_primary_does_not_hold(ny: Site, ln: Site) -> None:
    await seeded_serial_partitioned(ny, ln)
    held = [len(copies) for slot in ny.running for copies in [slot.member._regions["r"].copies]]
    assert min(held) > 0, "one server holds everything"
    result = await (await begin(ny)).end()
    assert "Entries copied: 90" in messages(result)
    assert await ln.contents("r") == await ny.contents("r")


@scenario(ny=2, ln=1)
async def test_it_never_overwrites_what_is_newer(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True)
    await ln.put("r", range(50), "newer")
    await ln.remove("r", range(10))
    await ny.pause_sender("s")  # which stops the queue, not a copy
    result = await (await begin(ny)).end()
    assert result.status == "OK"
    await ln.until_size("r", 90)
    assert set((await ln.contents("r")).items()) >= {(key, "newer") for key in range(10, 50)}
    again = await (await begin(ny)).end()
    assert again.status == "OK"
    assert (await ln.sizes("r")) == [90]


@scenario(ny=1, ln=1)
async def test_what_is_removed_while_it_waits_for_its_rate_is_not_copied(ny: Site, ln: Site) -> None:
    """A batch that waited with its entries could arrive when their tombstones over there are gone."""
    await seeded(ny, ln, parallel=True, entries=40)
    copy = await begin(ny, max_rate=1, batch_size=20)
    await copy.until_copied(20)
    copied = (await ln.contents("r")).keys()
    removed = [key for key in range(40) if key not in copied][:5]
    await ny.remove("r", removed)
    assert messages(await copy.end()) == ["Entries copied: 35"]
    assert await ln.contents("r") == await ny.contents("r")


@scenario(ny=2, ln=1)
async def test_a_bucket_read_from_the_engine_is_read_again_while_it_is_copied_slowly(ny: Site, ln: Site) -> None:
    await ln.receives("r", kind=PARTITION, total_num_buckets=BUCKETS)
    await ny.create_sender("s", to=ln, manual_start=True)
    await ny.create_region("r", PARTITION, senders="s", total_num_buckets=BUCKETS)
    await ny.start_sender("s", "a")  # which is primary by that
    await until(lambda: ny.primary("s") != "")
    elsewhere = set(range(BUCKETS)) - ny["a"].member._regions["r"].copies.keys()
    keys = [key for key in range(3_000) if bucket_of(key, BUCKETS) == min(elsewhere)][:150]
    await ny.put_all("r", keys)
    await ny.until_drained("s")
    copy = await begin(ny, max_rate=1, batch_size=10)
    await copy.until_copied(10)
    await ny.remove("r", keys)
    ended = messages(await copy.end())
    [copied] = [int(text.removeprefix("Entries copied: ")) for text in ended if text.startswith("Entries")]
    assert 10 <= copied <= VIEW_FRESH_S + 20
    assert await ln.sizes("r") == [0]


@scenario(ny=1, ln=1)
async def test_a_copy_that_has_ended_is_told_of_and_keeps_no_region_in_memory(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True, entries=10)
    copy = await begin(ny)
    await copy.end()
    region = weakref.ref(ny["a"].member._regions["r"])
    await ny.destroy_region("r")
    await until(lambda: gc.collect() >= 0 and region() is None)
    assert messages(await copy.look()) == ["Entries copied: 10"]


@scenario(ny=1, ln=1)
async def test_a_sender_that_is_stopped_copies_no_more(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True)
    copy = await begin(ny, max_rate=5, batch_size=10)
    await copy.until_copied(10)
    await ny.stop_sender("s")
    [text] = messages(await copy.end())
    assert text.startswith("Error (Sender s is not running) in operation after having copied ")


@scenario(ny=1, ln=1)
async def test_entries_that_the_other_site_can_never_take_are_told_of(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True, entries=50)
    receiver = ln["a"].member.gateways.receiver
    assert receiver is not None
    host = receiver._host
    apply = host.apply_parts

    async def picky(region: str, bucket: int, parts: tuple[Part, ...], /) -> Done:
        if any(7 in decode_columns(part.columns).keys for part in parts):
            raise BadEventError("it can't take 7")
        return await apply(region, bucket, parts)

    host.apply_parts = picky  # type: ignore[method-assign]
    result = await (await begin(ny)).end()
    assert result.status == "ERROR"
    [text] = messages(result)
    assert text == "Entries copied: 49; 1 more can never be taken by site 2, the first: it can't take 7"
    assert await ln.sizes("r") == [49]


@scenario(ny=2, ln=1)
async def test_without_a_primary_of_a_serial_sender_it_fails(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=False)
    primary = ny.primary("s")
    ny.kill(primary)
    copy = await begin(ny)  # before the other server has the lease
    assert ny.primary("s") == ""
    result = await copy.end()
    assert result.status == "ERROR"
    assert any("is gone" in text for text in messages(result))
    await until(lambda: ny.primary("s") != "")
    assert messages(await (await begin(ny)).end()) == ["Entries copied: 100"]


def test_servers_that_are_all_secondary_make_an_error() -> None:
    secondary = CopyState("secondary", "Sender s is serial and not primary. 0 entries copied.")
    statuses: tuple[CopyStatus, ...] = ("done", "failed", "running")
    done, failed, running = (CopyState(status, "") for status in statuses)
    copies_result = LongCommand(Cluster(FakeRegistry(), FakeServers(), 1), COPIED, "", NOBODY).result
    alone = copies_result(["a", "b"], [secondary, secondary])
    assert (alone.status, "no server is primary" in alone.info[0]) == ("ERROR", True)
    assert copies_result(["a", "b"], [secondary, done]).status == "OK"
    assert copies_result(["a", "b"], [failed, done]).status == "ERROR"
    assert copies_result(["a", "b"], [failed, running]).status == "OK"


@scenario(ny=2, ln=1)
async def test_what_its_primary_does_not_hold_may_stand_in_snapshots(ny: Site, ln: Site) -> None:
    await seeded_serial_partitioned(ny, ln)
    for slot in ny.running:
        region = slot.member._regions["r"]
        for copy in region.accepting():
            store, view = region.store, copy.view
            await ny.inside(slot, store.snapshots.store("r", region.generation, copy.bucket, view))
            await ny.inside(slot, store.log.truncate(copy.subject, below=view.seq))
    await ny.put("r", range(60, 80), "after the snapshots")
    await ny.until_drained("s")
    assert "Entries copied: 90" in messages(await (await begin(ny)).end())
    assert await ln.contents("r") == await ny.contents("r")


@scenario(ny=2, ln=LATE)
async def test_a_site_that_joins_late_is_seeded(ny: Site, ln: Site) -> None:
    """While New York goes on writing; the queue brings what is written since the region names the sender."""
    await ny.create_region("r", PARTITION, redundant_copies=1, total_num_buckets=BUCKETS)
    await ny.put_all("r", range(300))
    await ny.remove("r", range(20))
    await ln.start(2)
    await ln.receives("r", kind=PARTITION, total_num_buckets=BUCKETS)
    await ny.create_sender("s", to=ln, parallel=True)
    await ny.alter_region("r", senders="s")
    async with ny.putting("r", range(250, 400)):
        copy = await begin(ny, max_rate=100, batch_size=10)
        await copy.until_copied(50)
    assert (await copy.end()).status == "OK"
    await ny.until_drained("s")
    assert await ln.contents("r") == await ny.contents("r") == {key: key for key in range(20, 400)}
