"""A gateway sender that is in one state at one member and in another elsewhere, at whole simulated sites."""

from __future__ import annotations

import pytest

from tests.scenarios.sites import Site, passes, scenario, until
from tests.scenarios.test_propagation_parallel import feeds


@pytest.mark.parametrize("how", ["stop", "kill", "leave"])
@scenario(ln=2, ny=1)
async def test_a_paused_secondary_that_becomes_primary_stays_paused_until_it_is_resumed(
    ln: Site, ny: Site, how: str
) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.until_primary("ny", "a")
    await ln.pause_sender("ny", "b")
    await ln.put("r", range(50), at="b")
    await ln.until_drained("ny")
    if how == "stop":
        await ln.stop_sender("ny", "a")
    elif how == "kill":
        ln.kill("a")
    else:
        await ln.leave("a")
    await ln.until_primary("ny", "b")
    assert ln.statuses("ny")["b"].status == "Paused"
    await ln.put("r", range(50, 100), at="b")
    await ln.until_queued("ny", 50)
    await passes(5)
    assert await ny.sizes("r") == [50]
    await ln.resume_sender("ny", "b")
    await ny.until_size("r", 100)
    await ln.until_drained("ny")


@scenario(ln=2, ny=1)
async def test_a_parallel_sender_stopped_at_one_member_keeps_the_buckets_there_waiting(ln: Site, ny: Site) -> None:
    """Those that come to it by a take-over, too."""
    await feeds(ln, ny, copies=1)
    await ln.put("r", range(200))
    await ny.until_size("r", 200)
    await ln.stop_sender("ny", "a")
    await ln.put("r", range(200), "while stopped", at="a")
    here = {bucket for bucket, copy in ln["a"].member._regions["r"].copies.items() if copy.accepting}
    assert 0 < len(here) < 16
    of = {each.key: each.bucket for each in ln.written("r")}

    async def arrived() -> set[object]:
        return {key for key, value in (await ny.contents("r")).items() if value == "while stopped"}

    async def others_arrived() -> bool:
        return await arrived() == {key for key in range(200) if of[key] not in here}

    await until(others_arrived)
    await passes(5)
    assert await others_arrived()
    ln.kill("b")
    await until(lambda: sum(copy.accepting for copy in ln["a"].member._regions["r"].copies.values()) == 16)
    await ln.put("r", range(200), "after the take-over", at="a")
    await passes(5)
    assert "after the take-over" not in (await ny.contents("r")).values()
    await ln.start_sender("ny", "a")
    await ln.until_drained("ny")
    assert set((await ny.contents("r")).values()) == {"after the take-over"}
    assert len(await ny.contents("r")) == 200
