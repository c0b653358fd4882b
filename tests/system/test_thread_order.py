"""What a client puts one after the other is applied at the other site in that order, while the primary is killed."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing

import heliograph
from heliograph.engine.nats.engine import connect_engine
from heliograph.errors import UnavailableError
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.model.attributes import DEFAULT_STORE
from heliograph.model.batch import decode_columns, decode_record
from heliograph.model.ids import NO_SEQ
from heliograph.net.link import call_once
from heliograph.net.real import RealNetwork
from tests.system.sites import Site, Sites
from tests.system.waiting import until

REGIONS = ("orders", "items")
BUCKETS = 5
PAUSE_S = 0.002


class Writer(threading.Thread):
    """Puts 0, 1, 2 and so on, each when the one before it is done, into two regions in turn."""

    def __init__(self, locators: str) -> None:
        super().__init__(daemon=True)
        self.done = 0
        self.ended = threading.Event()
        self._locators = locators

    def run(self) -> None:
        """Write until `ended` is set."""
        with heliograph.connect(self._locators) as client:
            regions = [client.region(name) for name in REGIONS]
            while not self.ended.is_set():
                try:
                    regions[self.done % 2].put(self.done, self.done)
                except UnavailableError:
                    continue
                self.done += 1
                time.sleep(PAUSE_S)


async def applied(site: Site) -> list[object]:
    """Return the keys of both regions' events in the order of a site's log."""
    hello = Hello("member", "reader", site.number)
    joined = await call_once(RealNetwork(), site.address, hello, messages.JoinQuery("reader"), timeout_s=5)
    assert isinstance(joined, messages.JoinView)
    engine = await connect_engine(joined.engine_url)
    try:
        log = await engine.open_log(DEFAULT_STORE)
        subjects = await log.subjects()
        assert len(subjects) == len(REGIONS) * BUCKETS, subjects
        keys: list[object] = []
        async with aclosing(log.read(subjects, after=NO_SEQ)) as stream:
            async for entries in stream:
                for entry in entries:
                    for part in decode_record(entry.payload).parts:
                        keys += decode_columns(part.columns).keys
        return keys
    finally:
        await engine.close()


def test_a_client_is_followed_in_its_order_when_the_primary_is_killed(sites: Sites) -> None:
    here, there = sites.start({1: 2, 2: 1})
    there.receive()
    there.do(*(f"create region --name={region} --type=PARTITION --total-num-buckets={BUCKETS}" for region in REGIONS))
    here.do(
        "create gateway-sender --id=wan --remote-distributed-system-id=2 --order-policy=thread --dispatcher-threads=3",
        *(f"create region --name={region} --type=PARTITION_REDUNDANT --gateway-sender-id=wan" for region in REGIONS),
    )
    primary = here.serial_primary("wan")
    writer = Writer(here.everywhere)
    with heliograph.connect(there.everywhere) as client:

        def arrived() -> int:
            return sum(len(client.region(region)) for region in REGIONS)

        writer.start()
        try:
            until(lambda: arrived() > 200, "200 entries there")
            primary.kill()
            before = writer.done
            until(lambda: arrived() > before + 200, "200 more entries there")
            primary.start()
            before = writer.done
            until(lambda: arrived() > before + 200, "200 more entries there")
            assert writer.is_alive()
        finally:
            writer.ended.set()
            writer.join(30)
        until(lambda: arrived() == writer.done, "all entries there")
    here.wait_drained()
    assert here.serial_primary("wan") is not primary
    keys = asyncio.run(applied(there))
    overtook = [(key, number) for number, key in enumerate(keys) if key != number]
    assert not overtook, f"{overtook[0][0]} stands where {overtook[0][1]} should"
    assert len(keys) == writer.done
