"""A site whose clock is wrong: what it sends waits, both sites say why, and nothing is lost."""

from __future__ import annotations

import pytest

from heliograph.errors import UsageError
from heliograph.locator.config import LocatorConfig
from tests.scenarios.sites import Site, scenario, until

AHEAD_MS = 120_000


@scenario(ln=1, ny=1)
async def test_a_clock_that_is_ahead_is_named_at_both_sites_and_what_it_stamped_comes_when_it_may(
    ln: Site, ny: Site
) -> None:
    await ny.create_receiver()
    await ny.create_region("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    clock = ln["a"].clock
    clock.ahead_ms += AHEAD_MS
    await ln.put("r", ["k"], "from the future")

    async def refused() -> bool:
        shown = await ny.operate(lambda admin: admin.receivers.list_gateways())
        return any(table.title == "Refused Batches Section" for table in shown.tables)

    await until(refused)
    for site in (ln, ny):
        shown = await site.operate(lambda admin: admin.receivers.list_gateways())
        said = " ".join(cell for table in shown.tables for row in table.rows for cell in row)
        assert "events born at site 1 are 1" in said
        assert "ms ahead of the clock of site 2 (max-clock-skew is 60000 ms): set the clock of site 1 right" in said
    assert await ny.contents("r") == {}
    clock.ahead_ms -= AHEAD_MS
    ny["a"].clock.ahead_ms += AHEAD_MS  # as it is when the time has come
    await ny.until_size("r", 1)
    await ln.until_drained("ny")
    shown = await ny.operate(lambda admin: admin.receivers.list_gateways())
    assert not any(table.title == "Refused Batches Section" for table in shown.tables)


def test_a_site_may_allow_more_or_less() -> None:
    assert LocatorConfig(name="l1", max_clock_skew=500).max_clock_skew == 500
    with pytest.raises(UsageError, match="max-clock-skew 9: use 100 ms or more"):
        LocatorConfig(name="l1", max_clock_skew=9)
