"""What becomes of queued events when a sender is stopped, and when a whole site goes down and comes back.

A queue is the log of its regions. Without `enable-persistence` it is emptied when the site starts cold.
"""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.errors import UsageError
from tests.scenarios.sites import Site, passes, scenario

DEAD_S = 10.0
"""Until everyone knows that a member is dead."""


async def paused(ln: Site, ny: Site, events: int, kind: str = "REPLICATE", **options: Any) -> None:
    """Have a sender ny of region r at ln that is paused and has events queued, and the same region at ny."""
    await ny.receives("r", kind=kind)
    await ln.create_sender("ny", to=ny, parallel=kind.startswith("PARTITION"), **options)
    await ln.create_region("r", kind, senders="ny")
    await ln.pause_sender("ny")
    await ln.put("r", range(events), "queued", writers=30)
    await ln.until_queued("ny", events)


async def down(ln: Site) -> None:
    """Kill the whole site, the engine too, and bring back the engine and the locator."""
    ln.kill()
    ln.locator.kill()
    ln.engine.stop()
    await passes(DEAD_S)
    ln.engine.start()
    ln.locator.start()


@scenario(ln=2, ny=1)
async def test_persist_serial_sender_restart(ln: Site, ny: Site) -> None:
    """The sender is paused after the restart as it was before."""
    await paused(ln, ny, 1000, enable_persistence=True)
    await down(ln)
    await ln.join()
    await ln.until_size("r", 0)  # the region is not persistent, its queue is
    assert ln.states("ny") == {"Paused"}
    await ln.resume_sender("ny")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_persist_serial_nonpersistent_sender_restart(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 1000, "REPLICATE_PERSISTENT", enable_persistence=False)
    await down(ln)
    await ln.join()
    await ln.until_size("r", 1000)
    await ln.resume_sender("ny")
    await ln.put("r", range(10), "again")
    await ln.until_drained("ny")
    assert set(await ny.contents("r")) == set(range(10))
    await ln.put("r", range(1000), "again")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")
    assert set((await ny.contents("r")).values()) == {"again"}


@scenario(ln=4, ny=1)
async def test_persist_serial_restart_with_later_members(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 1000, "REPLICATE_PERSISTENT", enable_persistence=True)
    await down(ln)
    await ln.join("a", "b")
    await ln.resume_sender("ny")
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


async def _stopped_and_started(ln: Site, ny: Site, events: int) -> None:
    await ln.stop_sender("ny")
    await ln.start_sender("ny")
    await ny.until_size("r", events)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_persist_serial_stop_start_keeps_queue(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 1000, enable_persistence=True)
    await _stopped_and_started(ln, ny, 1000)


@scenario(ln=2, ny=1)
async def test_persist_serial_start_clean_queue(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 1000, enable_persistence=True)
    await _started_clean(ln, ny)


async def _started_clean(ln: Site, ny: Site) -> None:
    await ln.stop_sender("ny")
    await ln.start_sender("ny", clean_queues=True)
    await ln.until_drained("ny")
    await passes(10)
    await ny.until_size("r", 0)


@pytest.mark.parametrize("threads", [1, 3, 5])
@scenario(ln=2, ny=1)
async def test_persist_serial_stopped_queue_not_visible(ln: Site, ny: Site, threads: int) -> None:
    """A stopped sender refuses to resume."""
    await ny.receives("r")
    await ny.stop_receivers()
    await ln.create_sender("ny", to=ny, enable_persistence=True, dispatcher_threads=threads)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(20))
    await ln.until_queued("ny", 20)
    await ln.stop_sender("ny")
    with pytest.raises(AssertionError, match="gateway sender ny is not running"):
        await ln.resume_sender("ny")
    assert (ln.states("ny"), ln.queued("ny")) == ({"Not Running"}, 0)
    await ln.start_sender("ny")
    await ln.until_queued("ny", 20)
    await ln.put("r", range(110), "again")
    await ln.until_queued("ny", 130)
    await ny.start_receivers()
    await ny.until_size("r", 110)
    await ln.until_drained("ny")


@scenario(ln=1, ny=1)
async def test_persist_serial_queue_is_per_member(ln: Site, ny: Site) -> None:
    """There is one queue, the site's: whoever runs the sender ships what others queued."""
    await ln.create_sender("ny", to=ny, enable_persistence=True)
    await ln.create_region("r", "REPLICATE_PERSISTENT", senders="ny")
    await ln.put("r", range(10))
    await ln.stop_sender("ny", "a")
    await ln.join("b")
    await ln.put("r", range(10, 110), at="b")
    await ln.leave("a")
    await ny.receives("r", kind="REPLICATE_PERSISTENT")
    await ny.until_size("r", 110)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_persist_serial_feature_wan(ln: Site, ny: Site) -> None:
    await ny.receives("r", kind="REPLICATE_PERSISTENT")
    await ln.create_sender("ny", to=ny, enable_persistence=True)
    await ln.create_region("r", "REPLICATE_PERSISTENT", senders="ny")
    await ln.put("r", range(1000))
    await ny.until_size("r", 1000)
    await ln.until_drained("ny")


@scenario(ln=4, ny=2)
async def test_persist_parallel_restart_nonpersistent_region(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 3000, "PARTITION", enable_persistence=True)
    await down(ln)
    await ln.join()
    await ln.until_size("r", 0)
    await ln.resume_sender("ny")
    await ny.until_size("r", 3000)
    await ln.until_drained("ny")


@scenario(ln=4, ny=2)
async def test_persist_parallel_restart_persistent_region(ln: Site, ny: Site) -> None:
    """Nobody has to be waited for: what was acknowledged is in the log."""
    await paused(ln, ny, 3000, "PARTITION_REDUNDANT_PERSISTENT", enable_persistence=True)
    await down(ln)
    await ln.join("a", "b")
    await ln.until_size("r", 3000)
    await ln.join()
    await ln.resume_sender("ny")
    await ny.until_size("r", 3000)
    await ln.until_drained("ny")


@scenario(ln=2, ny=2)
async def test_persist_parallel_restart_then_more_ops(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 1000, "PARTITION_PERSISTENT", enable_persistence=True)
    await down(ln)
    await ln.join()
    await ln.resume_sender("ny")
    await ny.until_size("r", 1000)
    await ln.put("r", range(5000), "more", writers=50)
    await ny.until_size("r", 5000)
    await ln.until_drained("ny")
    assert set((await ny.contents("r")).values()) == {"more"}


@scenario(ln=2, ny=1)
async def test_persist_parallel_restart_one_then_stop(ln: Site, ny: Site) -> None:
    await ny.create_region("r", "PARTITION_PERSISTENT", total_num_buckets=13)
    await ln.create_sender("ny", to=ny, parallel=True, enable_persistence=True, dispatcher_threads=2)
    await ln.create_region("r", "PARTITION_REDUNDANT_PERSISTENT", senders="ny", total_num_buckets=13)
    await ln.put("r", range(10))
    ln.kill("b")
    await ln.join("b")
    await ln.stop_sender("ny")
    ln.kill("b")
    await ln.start_sender("ny", "a")
    await ny.create_receiver()
    await ny.until_size("r", 10)
    await ln.until_drained("ny")


@scenario(ln=4)
async def test_persist_region_with_undefined_sender_recovers(ln: Site) -> None:
    """A region can't name a sender that there is not."""
    with pytest.raises(UsageError, match="create it first"):
        await ln.create_region("r", "PARTITION_PERSISTENT", senders="ny")
    await ln.create_region("r", "PARTITION_PERSISTENT")
    await ln.put("r", range(1000))
    await down(ln)
    await ln.join()
    await ln.until_size("r", 1000)


@scenario(ln=4, ny=2)
async def test_persist_parallel_stop_start_keeps_queue(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 3000, "PARTITION", enable_persistence=True)
    await _stopped_and_started(ln, ny, 3000)


@scenario(ln=3, ny=2)
async def test_persist_parallel_new_member_while_stopped(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 3000, "PARTITION", enable_persistence=True)
    await ln.stop_sender("ny")
    await ln.join("d")
    assert ln.statuses("ny")["d"].status.startswith("Running")
    await ln.start_sender("ny", "a", "b", "c")
    await ny.until_size("r", 3000)
    await ln.until_drained("ny")


@scenario(ln=4, ny=2)
async def test_persist_parallel_start_clean_queue(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 3000, "PARTITION", enable_persistence=True)
    await _started_clean(ln, ny)


@scenario(ln=4, ny=2)
async def test_persist_parallel_clean_queue_then_new_puts(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 3000, "PARTITION")
    await ln.stop_sender("ny")
    await ln.start_sender("ny", clean_queues=True)
    await ln.put("r", range(1000, 4000), "new", writers=50)
    await ny.until_size("r", 3000)
    await ln.until_drained("ny")
    assert set((await ny.contents("r")).values()) == {"new"}


@scenario(ln=4, ny=2)
async def test_persist_parallel_clean_queue_staggered(ln: Site, ny: Site) -> None:
    """The queue is emptied at all servers at once, and refused to be at one."""
    await paused(ln, ny, 3000, "PARTITION", enable_persistence=True)
    await ln.stop_sender("ny")
    with pytest.raises(AssertionError, match="is not targeted"):
        await ln.start_sender("ny", "a", clean_queues=True)
    assert ln.states("ny") == {"Not Running"}
    await ln.start_sender("ny", clean_queues=True)
    await passes(10)
    await ny.until_size("r", 0)


@scenario(ln=2, ny=1)
async def test_persist_parallel_clean_queue_large_no_error(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 0, "PARTITION", enable_persistence=True)
    await ln.put_all("r", range(300_000), "queued")
    await ln.until_queued("ny", 300_000)
    await _started_clean(ln, ny)


@scenario(ln=4, ny=2)
async def test_persist_parallel_nonpersistent_queue_survives_stop(ln: Site, ny: Site) -> None:
    await paused(ln, ny, 100, "PARTITION")
    await _stopped_and_started(ln, ny, 100)
