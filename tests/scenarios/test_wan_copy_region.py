"""wan-copy region: what it copies, what it leaves alone, how it ends."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.errors import UsageError
from heliograph.gfsh.commands.wan_copy import wan_copy_region
from heliograph.locator.runs import RUNNING
from heliograph.locator.site_wan_copy import COPIED
from heliograph.member import wan_copy, wan_courier
from heliograph.member.wan_courier import FarEnd
from tests.scenarios.copying import BUCKETS, PARTITION, begin, cancel, messages, never_queued, seeded, statuses
from tests.scenarios.sites import Site, passes, scenario, until


@pytest.mark.parametrize("parallel", [True, False])
@scenario(ny=3, ln=2)
async def test_wancopy_success(ny: Site, ln: Site, parallel: bool) -> None:
    await seeded(ny, ln, parallel=parallel)
    await ny.remove("r", [7])
    await ny.until_drained("s")
    await passes(1)
    assert await ln.sizes("r") == [0, 0]
    async with never_queued(ny):
        result = await (await begin(ny)).end()
    assert result.status == "OK"
    assert statuses(result) == ["OK"] * 3
    counts = [int(text.removeprefix("Entries copied: ")) for text in messages(result) if "not primary" not in text]
    assert sum(counts) == 99
    if parallel:
        assert min(counts) > 20
    else:
        secondary = "Sender s is serial and not primary. 0 entries copied."
        assert messages(result).count(secondary) == 2
    assert await ln.contents("r") == await ny.contents("r")


@scenario(a=1, b=1, c=1)
async def test_wancopy_not_transitive(a: Site, b: Site, c: Site) -> None:
    """Met differently: a copy may overtake an event in the queue, and so travels on as that would have."""
    await c.receives("r", total_num_buckets=BUCKETS)
    await b.create_sender("s", to=c)
    await b.create_receiver()
    await b.create_region("r", senders="s", total_num_buckets=BUCKETS)
    await a.create_sender("s", to=b, manual_start=True)
    await a.create_region("r", senders="s", total_num_buckets=BUCKETS)
    await a.put_all("r", range(100))
    await a.start_sender("s", clean_queues=True)
    await until(lambda: a.primary("s") != "")
    await (await begin(a)).end()
    await c.until_size("r", 100)
    assert b.count("s", "eventsDistributed") == 100


@scenario(ny=2)
async def test_wancopy_region_not_found(ny: Site) -> None:
    await ny.create_sender("s", to=2)
    copy = await begin(ny, "foo")
    assert (copy.begun.status, messages(copy.begun)) == ("ERROR", ["Region foo not found"] * 2)


@scenario(ny=2)
async def test_wancopy_sender_not_found(ny: Site) -> None:
    await ny.create_region("r")
    copy = await begin(ny, "r", "B")
    assert (copy.begun.status, messages(copy.begun)) == ("ERROR", ["Sender B not found"] * 2)


@scenario(ny=1)
async def test_wancopy_sender_not_attached(ny: Site) -> None:
    await ny.create_sender("s", to=2)
    await ny.create_sender("other", to=3)
    await ny.create_region("r", senders="other")
    copy = await begin(ny)
    assert copy.begun.status == "ERROR"
    assert messages(copy.begun) == ["Region r is not configured to use sender s"]


@scenario(ny=1)
async def test_wancopy_sender_not_running(ny: Site) -> None:
    await ny.create_sender("s", to=2, manual_start=True)
    await ny.create_region("r", senders="s", total_num_buckets=BUCKETS)
    copy = await begin(ny)
    assert (copy.begun.status, messages(copy.begun)) == ("ERROR", ["Sender s is not running"])


@pytest.mark.parametrize("parallel", [True, False])
@scenario(ny=3, ln=1)
async def test_wancopy_exception_at_receiver(ny: Site, ln: Site, parallel: bool) -> None:
    await seeded(ny, ln, parallel=parallel)
    await ln.destroy_region("r")
    result = await (await begin(ny)).end()
    assert result.status == "ERROR"
    failed = [text for text in messages(result) if "not primary" not in text]
    assert len(failed) == (3 if parallel else 1)
    for text in failed:
        assert text.startswith("Error (")
        assert "in operation after having copied 0 entries" in text


@pytest.mark.parametrize("killed", ["parallel", "primary", "secondary"])
@scenario(ny=3, ln=1)
async def test_wancopy_sender_member_down(ny: Site, ln: Site, killed: str) -> None:
    parallel = killed == "parallel"
    await seeded(ny, ln, parallel=parallel, entries=1_000)
    copy = await begin(ny, max_rate=50, batch_size=10)
    await copy.until_copied(30)
    primary = "c" if parallel else ny.primary("s")
    victim = next(letter for letter in "abc" if letter != primary) if killed == "secondary" else primary
    ny.kill(victim)
    assert (await copy.look()).data[RUNNING] != "0"
    result = await copy.end()
    rows = {row[0][-1]: row for row in result.tables[0].rows}
    assert result.status == "ERROR"
    assert "is gone" in rows[victim][2]
    assert [row[1] for letter, row in rows.items() if letter != victim] == ["OK", "OK"]
    if killed == "secondary":
        assert rows[primary][2] == "Entries copied: 1000"
    await until(lambda: parallel or ny.primary("s") != "")
    if not parallel:
        assert (await (await begin(ny)).end()).status == "OK"
    else:
        await until(lambda: _primaries(ny) == BUCKETS)
        assert (await (await begin(ny)).end()).status == "OK"
        # of the killed member's buckets nothing is left at New York, which kept them once
    assert await ln.contents("r") == await ny.contents("r")


@scenario(ny=2, ln=2)
async def test_wancopy_receiver_down(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True, entries=1_000)
    copy = await begin(ny, max_rate=50, batch_size=10)
    await copy.until_copied(50)
    await ln.stop_receivers("a")
    between = await copy.copied()
    assert between < 1_000
    await copy.until_copied(between + 200)
    await ln.start_receivers("a")
    await ln.stop_receivers("b")
    result = await copy.end()
    assert result.status == "OK"
    assert await ln.contents("r") == await ny.contents("r")


@scenario(ny=1, ln=1)
async def test_wancopy_region_destroyed(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True)
    copy = await begin(ny, max_rate=1, batch_size=90)
    await copy.until_copied(90)
    await ny.destroy_region("r")
    await passes(wan_copy.LOOK_S + 0.1)
    assert (await copy.look()).data[RUNNING] == "0", "it waited for its rate"
    result = await copy.end()
    [text] = messages(result)
    assert result.status == "ERROR"
    assert text.startswith("Error (Region destroyed) in operation after having copied ")
    assert int(text.split()[-2]) < 100


@scenario(ny=2, ln=1)
async def test_wancopy_already_running(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True)
    first = await begin(ny, max_rate=5, batch_size=10)
    second = await begin(ny)
    assert second.begun.status == "ERROR"
    assert messages(second.begun) == ["There is already a command running for region r and sender s"] * 2
    assert (await first.look()).data[RUNNING] == "2"
    assert (await first.end()).status == "OK"


@scenario(ny=1, ln=1)
async def test_wancopy_concurrent_other_regions(ny: Site, ln: Site) -> None:
    """Ten at once, the rest wait; the maximum can't be configured."""
    names = [f"r{number}" for number in range(12)]
    await ln.receives(*names, total_num_buckets=4)
    await ny.create_sender("s", to=ln, parallel=True, manual_start=True)
    for name in names:
        await ny.create_region(name, PARTITION, senders="s", total_num_buckets=4)
        await ny.put_all(name, range(8))
    await ny.start_sender("s", clean_queues=True)
    copies = [await begin(ny, name, max_rate=1, batch_size=1) for name in names]
    await copies[9].until_copied(1)
    assert [await copy.copied() for copy in copies[10:]] == [0, 0]
    assert (await copies[0].end()).status == "OK"
    await copies[10].until_copied(1)
    results = [await copy.end() for copy in copies]
    assert {result.status for result in results} == {"OK"}
    assert [result.data[COPIED] for result in results] == ["8"] * 12


@scenario(ny=2, ln=1)
async def test_wancopy_skips_newer_entries(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True, entries=500)
    copy = await begin(ny, max_rate=50, batch_size=10)
    await ny.put_all("r", range(1_000, 1_200))

    async def new_ones_are_there() -> bool:
        return set(range(1_000, 1_200)) <= (await ln.contents("r")).keys()

    await until(new_ones_are_there)
    assert (await copy.look()).data[RUNNING] == "2"
    result = await copy.end()
    assert result.status == "OK"
    assert result.data[COPIED] == "500"
    assert await ln.contents("r") == await ny.contents("r")


@scenario(ny=2, ln=1)
async def test_wancopy_cancel_running(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True)
    copy = await begin(ny, max_rate=1, batch_size=10)
    cancelled = await cancel(ny)
    assert (cancelled.status, messages(cancelled)) == ("OK", ["Execution cancelled"] * 2)
    result = await copy.end()
    assert result.status == "ERROR"
    for text in messages(result):
        assert text.startswith("Operation cancelled before having copied all entries")


@scenario(ny=2, ln=1)
async def test_wancopy_cancel_nothing(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True)
    cancelled = await cancel(ny)
    assert cancelled.status == "ERROR"
    assert messages(cancelled) == ["No running command to be cancelled for region r and sender s"] * 2


@scenario(ny=1, ln=1)
async def test_wancopy_cancel_all(ny: Site, ln: Site) -> None:
    await ln.receives("r", "q", total_num_buckets=BUCKETS)
    await ny.create_sender("s", to=ln, parallel=True, manual_start=True)
    for name in ("r", "q"):
        await ny.create_region(name, PARTITION, senders="s", total_num_buckets=BUCKETS)
        await ny.put_all(name, range(100))
    await ny.start_sender("s", clean_queues=True)
    copies = [await begin(ny, name, max_rate=1, batch_size=10) for name in ("r", "q")]
    assert messages(await cancel(ny, "*", "*")) == ["Executions cancelled: [(q,s), (r,s)]"]
    assert [(await copy.end()).status for copy in copies] == ["ERROR", "ERROR"]
    with pytest.raises(UsageError, match="give \\* for the region and for the sender"):
        await cancel(ny, "*", "s")


@scenario(ny=1)
async def test_wancopy_no_pool(ny: Site) -> None:
    await ny.create_sender("s", to=9, parallel=True)
    await ny.create_region("r", PARTITION, senders="s", total_num_buckets=BUCKETS)
    assert messages(await (await begin(ny)).end()) == ["Entries copied: 0"]
    await ny.put_all("r", range(10))
    [text] = messages(await (await begin(ny)).end())
    assert "nothing is known of site 9" in text
    assert text.endswith("after having copied 0 entries")


@scenario(ny=1, ln=1)
async def test_wancopy_no_connection(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True)
    await ln.stop_receivers()
    began = asyncio.get_running_loop().time()
    [text] = messages(await (await begin(ny)).end())
    assert asyncio.get_running_loop().time() - began >= wan_courier.PATIENCE_S
    assert "no running gateway receiver" in text
    assert "in operation after having copied 0 entries" in text
    await ln.start_receivers()
    copy = await begin(ny, max_rate=10, batch_size=10)
    await copy.until_copied(10)
    await ln.stop_receivers()
    [text] = messages(await copy.end())
    assert "no running gateway receiver" in text
    assert 10 <= int(text.split()[-2]) < 100


@scenario(ny=1, ln=1)
async def test_wancopy_retry_once(ny: Site, ln: Site) -> None:
    """Met differently: again and again, until nothing has moved for 20 s."""
    await seeded(ny, ln, parallel=True)
    copy = await begin(ny, max_rate=10, batch_size=10)
    await copy.until_copied(10)
    for _ in range(3):
        await ln.stop_receivers()
        await passes(2)
        await ln.start_receivers()
        await passes(1)
    assert messages(await copy.end()) == ["Entries copied: 100"]


def test_wancopy_defaults() -> None:
    options = {option.name: option for option in wan_copy_region.params if option.name != "help"}
    assert list(options) == ["region", "sender_id", "max_rate", "batch_size", "cancel"]
    assert [name for name, option in options.items() if option.required] == ["region", "sender_id"]
    assert (options["max_rate"].default, options["batch_size"].default, options["cancel"].default) == (0, 1000, False)


@scenario(ny=1, ln=1)
async def test_wancopy_unexpected_exception(ny: Site, ln: Site) -> None:
    """Met differently: the copy ends there, and the server's row says so."""
    await seeded(ny, ln, parallel=True)

    def broken() -> FarEnd:
        raise RuntimeError("a bug")

    ny["a"].member.gateways._senders["s"].far_end = broken  # type: ignore[method-assign]
    result = await (await begin(ny)).end()
    failed = "Error (internal error: RuntimeError: a bug) in operation after having copied 0 entries"
    assert (result.status, messages(result)) == ("ERROR", [failed])


@scenario(ny=1, ln=1)
async def test_wancopy_rate_limit(ny: Site, ln: Site) -> None:
    await seeded(ny, ln, parallel=True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    copy = await begin(ny, max_rate=10, batch_size=20)
    await copy.until_copied(20)
    assert loop.time() - began < 1, "the first batch waited"
    assert messages(await copy.end()) == ["Entries copied: 100"]
    assert 8 <= loop.time() - began < 10


@pytest.mark.parametrize("max_rate", [0, 10])
@scenario(ny=1, ln=1)
async def test_wancopy_interrupt(ny: Site, ln: Site, max_rate: int) -> None:
    """Between batches and while one is under way, with a rate and without."""
    await seeded(ny, ln, parallel=True)
    if not max_rate:
        ny.cut(ln)  # the first batch can't arrive
    copy = await begin(ny, max_rate=max_rate, batch_size=10)
    await cancel(ny)
    assert (await copy.look()).data[RUNNING] == "0"
    ny.heal(ln)
    await passes(30)
    assert await ln.sizes("r") == [await copy.copied()]


def _primaries(site: Site) -> int:
    return sum(len(slot.member._regions["r"].accepting()) for slot in site.running)
