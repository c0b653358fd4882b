"""Async event queues, which have everything of gateway senders but the other site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.exporting import export, import_data
from tests.scenarios.plugins import LISTENERS, TOLD, listening
from tests.scenarios.sites import Site, passes, queue_of, scenario, until

Q = queue_of("q")


@pytest.mark.parametrize("options", [{}, {"enable_batch_conflation": True}, {"persistent": True}])
@scenario(ln=3, ny=2)
async def test_async_serial_queue_basics(ln: Site, ny: Site, options: dict[str, Any]) -> None:
    """What is queued outlives a restart of every member but the last."""
    await ny.create_queue("q", listening("there"))
    await ny.receives("r", queues="q")
    await ln.create_sender("ny", to=ny)
    await ln.create_queue("q", listening("here"), **options)
    await ln.create_region("r", senders="ny", queues="q")
    await ln.put("r", range(100))
    await ln.until_drained(Q)
    assert sorted(event.key for event in TOLD["here"]) == [*range(100)]
    assert sorted(len(each.events) for each in LISTENERS["here"]) == [0, 0, 100]
    await until(lambda: len(TOLD["there"]) == 100)
    assert {event.origin for event in TOLD["there"]} == {1}
    await ln.pause_queue("q")
    await ln.put("r", range(100, 200))
    for letter in "ab":
        await ln.leave(letter)
        await ln.join(letter)
    assert len(TOLD["here"]) == 100
    await ln.resume_queue("q")
    await ln.until_drained(Q)
    assert {event.key for event in TOLD["here"]} == {*range(200)}


@scenario(ln=3)
async def test_async_parallel_queue_basics(ln: Site) -> None:
    """Every server may host data; one that hosts no bucket of the region takes puts, and its listener gets nothing."""
    await ln.create_queue("q", listening("parallel"), parallel=True, batch_size=5)
    await ln.create_region("r", "PARTITION_REDUNDANT", queues="q", total_num_buckets=4)
    await ln.put("r", range(100))
    await ln.until_drained(Q)
    assert sorted(event.key for event in TOLD["parallel"]) == [*range(100)]
    assert sum(bool(each.events) for each in LISTENERS["parallel"]) > 1
    await ln.pause_queue("q")
    await ln.put("r", range(100, 200), at="b")
    ln.kill("a")
    await ln.join("d")
    await ln.resume_queue("q", "b", "c")
    await ln.until_drained(Q)
    assert {event.key for event in TOLD["parallel"]} == {*range(200)}
    again = [event for event in TOLD["parallel"] if event.possible_duplicate]
    assert again, "those of buckets that others took over"
    assert all(event.key >= 100 for event in again)


@pytest.mark.parametrize(
    ("policy", "parallel"),
    [*((policy, parallel) for policy in (None, "key", "partition") for parallel in (False, True)), ("thread", False)],
)
@scenario(ln=2)
async def test_async_order_policies(ln: Site, parallel: bool, policy: str | None) -> None:
    """Each of them keeps the order of a bucket, and so that of a key; `thread` that of all that one thread puts."""
    options = {} if policy is None else {"order_policy": policy}
    await ln.create_queue("q", listening("policies"), parallel=parallel, dispatcher_threads=3, batch_size=3, **options)
    await ln.create_region("r", "PARTITION", queues="q")
    await ln.put("r", range(30), 0)
    for value in range(1, 6):
        await ln.put("r", range(30), value)
    await ln.until_drained(Q)
    assert len(TOLD["policies"]) == 180
    for key in range(30):
        assert [event.value for event in TOLD["policies"] if event.key == key] == [*range(6)]
    await ln.put("r", range(100, 150), writers=1)
    await ln.until_drained(Q)
    if policy == "thread":
        assert [event.key for event in TOLD["policies"][180:]] == [*range(100, 150)]


@scenario(ln=3)
async def test_async_listener_exception(ln: Site) -> None:
    await ln.create_queue("q", listening("throws", failures=2))
    await ln.create_region("r", queues="q")
    await ln.pause_queue("q")
    await ln.put("r", range(100))
    await ln.until_queued(Q, 100)
    await passes(1.0)
    assert not any(each.batches for each in LISTENERS["throws"])
    await ln.resume_queue("q")
    await ln.until_drained(Q)
    assert sorted(len(each.events) for each in LISTENERS["throws"]) == [0, 0, 100]
    assert sorted(event.key for event in TOLD["throws"]) == [*range(100)]
    assert ln.count(Q, "pluginFailures") == 1


@scenario(ln=2, ny=1)
async def test_snapshot_import_no_wan_events(ln: Site, ny: Site, tmp_path: Path) -> None:
    await ny.create_queue("q", listening("at the other site"))
    await ny.receives("r", queues="q")
    await ln.create_sender("ny", to=ny)
    await ln.create_queue("q", listening("imported"))
    await ln.create_region("r", senders="ny", queues="q")
    await ln.pause_queue("q")
    await ln.put("r", range(1_000))
    await ln.until_queued(Q, 1_000)
    await export(ln, file=str(tmp_path / "r.gfd"))
    await ln.do(lambda region: region.clear(), "r")
    await ln.resume_queue("q")
    for sender in ("ny", Q):
        await ln.until_drained(sender)
    await until(lambda: len(TOLD["at the other site"]) == 1_000)
    before = ln.count("ny", "eventsReceived"), ln.count(Q, "eventsReceived")
    result = await import_data(ln, file=str(tmp_path / "r.gfd"))
    assert result.data["Imported"] == "1000"
    assert await ln.sizes("r") == [1_000, 1_000]
    await passes(30)
    assert (ln.count("ny", "eventsReceived"), ln.count(Q, "eventsReceived")) == before
    assert len(TOLD["imported"]) == len(TOLD["at the other site"]) == 1_000
