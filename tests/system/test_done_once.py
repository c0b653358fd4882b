"""Thin clients do conditional writes while primaries are killed: every answer is true, and none is "unknown"."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import heliograph
from heliograph.model.ids import Address
from tests.system.scenarios import connect_sites
from tests.system.sites import Daemon, Site, Sites
from tests.system.waiting import until

REGION = "once"
CLIENTS = 4
COUNTERS = [f"counter-{number}" for number in range(12)]
TOKENS = [f"token-{number}" for number in range(12)]
TIMEOUT_S = 45.0
"""Longer than any outage here."""
KILLS = 4


class Conditional(threading.Thread):
    """Counts up counters that others count up too, and takes and gives back tokens that others want too.

    counted: by how much it was told to have counted up each counter.
    """

    def __init__(self, locator: Address, name: str) -> None:
        super().__init__(name=name)
        self.counted = dict.fromkeys(COUNTERS, 0)
        self.operations = 0
        self.failure: BaseException | None = None
        self._locator = locator
        self._stopping = threading.Event()
        self._numbers = count()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        try:
            with heliograph.connect(str(self._locator), timeout_s=TIMEOUT_S) as client:
                region = client.region(REGION)
                for number in count():
                    if self._stopping.is_set():
                        return
                    self._count_up(region, COUNTERS[number % len(COUNTERS)])
                    self._hold(region, TOKENS[(number * 5) % len(TOKENS)])
                    self._put_own(region)
                    self.operations += 1
        except BaseException as exc:
            self.failure = exc

    def _mark(self) -> str:
        return f"{self.name}#{next(self._numbers)}"

    def _count_up(self, region: heliograph.Region, key: str) -> None:
        """Values are unique, so that nobody's condition holds by accident."""
        before = region.get(key)
        after = [before[0] + 1, self._mark()]
        if region.replace(key, after, expected=before):
            self.counted[key] += 1

    def _hold(self, region: heliograph.Region, key: str) -> None:
        mine = self._mark()
        holder = region.put_if_absent(key, mine)
        assert holder != mine, f"{mine} was told that it is in its own way"
        if holder is None:
            assert region.get(key) == mine, "a token was given to two"
            replaced = region.replace(key, mine + "'")
            assert replaced == mine, f"replaced {replaced!r} and not {mine!r}"
            removed = region.remove(key)
            assert removed == mine + "'", f"took {removed!r} away and not {mine!r}'"

    def _put_own(self, region: heliograph.Region) -> None:
        """A put that a late copy of an older one must not undo."""
        key, value = f"own-{self.name}", self._mark()
        region.put(key, value)
        assert region.replace(key, value + "'", expected=value), "what was put is not there"
        assert region.remove(key, expected=value + "'"), "an older put came back"


def test_answers_are_true_while_primaries_are_killed(sites: Sites) -> None:
    (site,) = sites.start({1: 3})
    connect_sites([site], {}, {REGION: ("PARTITION_REDUNDANT", "")})
    with heliograph.connect(str(site.address)) as client:
        client.region(REGION).put_all({key: [0, "nobody"] for key in COUNTERS})
    clients = [Conditional(site.address, f"client{number}") for number in range(CLIENTS)]
    for each in clients:
        each.start()
    try:
        for number in range(KILLS):
            _progress(clients, 20)
            primaries = sorted(site.primaries(REGION))
            victim = site.server(primaries[number % len(primaries)])
            victim.kill()
            _progress(clients, 20)
            _start_again(site, victim)
    finally:
        for each in clients:
            each.stop()
        for each in clients:
            each.join(2 * TIMEOUT_S)
    _raise_failures(clients)
    entries: dict[Any, Any] = site.entries(REGION)
    told = {key: sum(each.counted[key] for each in clients) for key in COUNTERS}
    assert {key: entries[key][0] for key in COUNTERS} == told
    assert entries.keys() == set(COUNTERS)
    assert sum(told.values()) > CLIENTS * KILLS


def _progress(clients: list[Conditional], operations: int) -> None:
    goals = [each.operations + operations for each in clients]

    def reached() -> bool:
        _raise_failures(clients)
        return all(each.operations >= goal for each, goal in zip(clients, goals, strict=True))

    until(reached, f"{operations} more rounds of every client")


def _raise_failures(clients: list[Conditional]) -> None:
    for each in clients:
        if each.failure is not None:
            raise AssertionError(f"{each.name}: {each.failure!r}") from each.failure


def _start_again(site: Site, server: Daemon) -> None:
    server.start()
    site.wait_joined()
    until(lambda: _redundant(site), "every bucket has its redundant copy")


def _redundant(site: Site) -> bool:
    (placement,) = [each for each in site.view().placements if each.region == REGION]
    return all(bucket.primary and bucket.secondaries for bucket in placement.buckets)
