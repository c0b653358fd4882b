"""A disk store that fills while the remote site is away, and an engine that stands still under eager writers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

import heliograph
from heliograph.errors import DiskStoreFullError, HeliographError, UnavailableError
from heliograph.model.ids import Address
from tests.system.scenarios import assert_all_there, connect_sites
from tests.system.sites import Site, Sites
from tests.system.waiting import PATIENCE_S, until
from tests.system.writers import Writer, progress, writing

MAX_DISK_MB = 4
VALUE_BYTES = 1024 * 1024
GROWTH_BYTES_MAX = 250 * 1024 * 1024
"""What a server's memory may grow by while it holds its backlog of 64 MiB: a record under way exists several times."""
HASTY_S = 3.0
"""How long a writer waits until the engine stands still; afterwards it is patient, for a disk may be slow."""
WRITERS = 24


def refused(writers: Sequence[Writer], before: Sequence[int]) -> bool:
    """Say whether a full store has refused each of them once more than `before`."""
    return all(
        any(isinstance(error, DiskStoreFullError) for error in writer.errors[told:])
        for writer, told in zip(writers, before, strict=True)
    )


def writes_of(site: Site, store: str) -> str:
    """Say whether a disk store takes writes, as its operator sees it."""
    return site.run(f"describe disk-store --name={store}").data["Writes"]


def test_a_store_full_of_what_is_queued_refuses_writes_until_the_queue_drains(sites: Sites) -> None:
    here, there = sites.start({1: 2, 2: 1})
    regions = {"alone": ("PARTITION_PERSISTENT", "parallel"), "everywhere": ("REPLICATE_PERSISTENT", "serial")}
    here.do(f"create disk-store --name=small --max-disk={MAX_DISK_MB}")
    there.do("create disk-store --name=small")
    connect_sites([here, there], {1: [2]}, regions, region_options="--disk-store=small")
    here.do("create region --name=elsewhere --type=PARTITION")
    writers = [Writer(here.address, region, f"w{number}", padding=5_000) for region in regions for number in (1, 2)]
    elsewhere = Writer(here.address, "elsewhere", "w1")
    with writing([*writers, elsewhere]):
        progress([*writers, elsewhere], 20, within_s=PATIENCE_S)
        there.stop()
        # A sender that lags on a busy machine may have let the store fill, and drain again, already before.
        before = [len(writer.errors) for writer in writers]
        until(lambda: refused(writers, before), "every writer is refused")
        assert "disk store small is full" in str(writers[0].errors[-1])
        until(lambda: writes_of(here, "small") == "refused", "the operator sees it at whichever server is asked")
        progress([elsewhere], 50, within_s=PATIENCE_S)
        for region in regions:
            assert here.entries(region), "reads go on"
            with heliograph.connect(str(here.address)) as client:
                assert client.region(region).remove("never written") is None
        there.start()
        # Nobody does anything: the senders deliver, the logs are cut, and writes are taken again.
        progress(writers, 50, within_s=PATIENCE_S)
    assert not elsewhere.errors
    assert all(isinstance(error, DiskStoreFullError) for writer in writers for error in writer.errors)
    until(lambda: writes_of(here, "small") == "taken", "the store has room")
    assert_all_there(writers, here, there)


class Pusher(threading.Thread):
    """Puts large values as fast as it can, each under a key of its own; what was acknowledged is in `done`."""

    def __init__(self, locator: Address, number: int) -> None:
        super().__init__(name=f"pusher-{number}")
        self.number = number
        self.done: list[str] = []
        self.errors: list[HeliographError] = []
        self.failure: BaseException | None = None
        self.stopping = threading.Event()
        self.timeout_s = HASTY_S
        self._locator = locator

    def told(self) -> str:
        """What to know of one that does not get on."""
        return f"{self.name}: {len(self.done)} done, {self.failure or self.errors[-1:]!r}"

    def run(self) -> None:
        """Push until stopped."""
        try:
            with heliograph.connect(str(self._locator)) as client:
                count = 0
                while not self.stopping.is_set():
                    key = f"{self.number}.{count}"
                    count += 1
                    try:
                        region = client.region("large", timeout_s=self.timeout_s)
                        region.put(key, key.encode() + bytes(VALUE_BYTES - 100))
                        region.put(key, key.encode())  # so that what is kept stays small
                    except UnavailableError as exc:
                        self.errors.append(exc)
                    else:
                        self.done.append(key)
        except BaseException as exc:
            self.failure = exc


@contextmanager
def pushing(pushers: Sequence[Pusher]) -> Iterator[None]:
    for pusher in pushers:
        pusher.start()
    try:
        yield
    finally:
        for pusher in pushers:
            pusher.stopping.set()
        for pusher in pushers:
            pusher.join(PATIENCE_S)
    assert [pusher.failure for pusher in pushers] == [None] * len(pushers)


def engine_of(site: Site) -> psutil.Process:
    assert site.locator.process is not None
    (engine,) = [each for each in site.locator.process.children() if each.name() == "nats-server"]
    return engine


def test_an_engine_that_stands_still_fills_no_memory_and_all_goes_on_when_it_runs_again(sites: Sites) -> None:
    (site,) = sites.start({1: 1})
    site.do("create region --name=large --type=PARTITION", "create region --name=read --type=PARTITION")
    server = site.servers[0].process
    assert server is not None
    engine = engine_of(site)
    pushers = [Pusher(site.address, number) for number in range(WRITERS)]
    most = 0

    def overloaded() -> bool:
        """Every writer was told twice, and for some the backlog is why."""
        nonlocal most
        most = max(most, server.memory_info().rss)
        assert read.get("k") == "v", "reads go on"
        told = [str(error) for pusher in pushers for error in pusher.errors]
        return all(len(pusher.errors) > 2 for pusher in pushers) and any("wait for the engine" in each for each in told)

    with heliograph.connect(str(site.address)) as client, pushing(pushers):
        read = client.region("read")
        read.put("k", "v")
        until(lambda: all(len(pusher.done) > 2 for pusher in pushers), "writes are done")
        before = server.memory_info().rss
        engine.send_signal(signal.SIGSTOP)
        try:
            until(overloaded, lambda: f"every writer is told: {[pusher.told() for pusher in pushers]}")
        finally:
            engine.send_signal(signal.SIGCONT)
        for pusher in pushers:
            pusher.timeout_s = PATIENCE_S
        assert most - before < GROWTH_BYTES_MAX
        goals = {pusher: len(pusher.done) + 3 for pusher in pushers}
        until(
            lambda: all(len(pusher.done) >= goal for pusher, goal in goals.items()),
            lambda: f"every writer has gone on: {[pusher.told() for pusher in pushers]}",
        )
    assert server.is_running()
    held = site.entries("large")
    assert not [key for pusher in pushers for key in pusher.done if not held.get(key, b"").startswith(key.encode())]
