"""Copies of regions to other sites, as tests speak of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from heliograph.locator.requests import WanCopyRequest
from heliograph.locator.runs import MEMBERS, RUN, RUNNING
from heliograph.locator.site_wan_copy import COPIED
from heliograph.model.results import Result
from tests.scenarios.sites import Site, until

BUCKETS = 16
PARTITION, REPLICATE = "PARTITION", "REPLICATE"


class Copy:
    """A copy that was begun."""

    def __init__(self, site: Site, begun: Result) -> None:
        self._site = site
        self.begun = begun

    async def look(self) -> Result:
        run, members = self.begun.data[RUN], self.begun.data[MEMBERS].split(",")
        admin = self._site.locator.locator.site.wan_copies
        return await self._site.inside(self._site.locator, admin.look(run, members))

    async def copied(self) -> int:
        return int((await self.look()).data[COPIED])

    async def until_copied(self, entries: int) -> None:
        async def there() -> bool:
            return await self.copied() >= entries

        await until(there)

    async def end(self) -> Result:
        """Wait until no server copies any more."""

        async def ended() -> bool:
            return (await self.look()).data[RUNNING] == "0"

        await until(ended, within_s=600)
        return await self.look()


async def begin(site: Site, region: str = "r", sender: str = "s", *, max_rate: int = 0, batch_size: int = 20) -> Copy:
    request = WanCopyRequest(region=region, sender_id=sender, max_rate=max_rate, batch_size=batch_size)
    return Copy(site, await site.inside(site.locator, site.locator.locator.site.wan_copies.start(request)))


async def cancel(site: Site, region: str = "r", sender: str = "s") -> Result:
    return await site.inside(site.locator, site.locator.locator.site.wan_copies.cancel(region, sender))


def messages(result: Result) -> list[str]:
    """Return what the servers say, in order."""
    return sorted(row[2] for row in result.tables[0].rows)


def statuses(result: Result) -> list[str]:
    return sorted(row[1] for row in result.tables[0].rows)


async def seeded(ny: Site, ln: Site, *, parallel: bool, entries: int = 100, region: str = "r") -> None:
    """Have entries at New York that the sender to London never had in its queue: this was emptied."""
    kind = PARTITION if parallel else REPLICATE
    await ln.receives(region, kind=kind, total_num_buckets=BUCKETS)
    await ny.create_sender("s", to=ln, parallel=parallel, manual_start=True)
    await ny.create_region(region, kind, senders="s", total_num_buckets=BUCKETS)
    await ny.put_all(region, range(entries))
    await ny.start_sender("s", clean_queues=True)
    if not parallel:
        await until(lambda: ny.primary("s") != "")


@asynccontextmanager
async def never_queued(ny: Site) -> AsyncIterator[None]:
    """What happens in the block does not go through the queue."""
    before = ny.count("s", "eventsDistributed")
    yield
    assert ny.count("s", "eventsDistributed") == before
