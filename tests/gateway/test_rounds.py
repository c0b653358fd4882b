"""Rounds: that no event comes that is older than what all sites agreed on, on any graph, with any clocks."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.gateway import rounds
from heliograph.gateway.rounds import behind, caught_up, completed, may_begin, stable_ms
from heliograph.link.messages import SiteRound


@dataclass(frozen=True)
class Event:
    number: int
    stamp: int
    way: frozenset[int]


@dataclass
class Site:
    """A log, a cursor for each way that leaves here, a clock of its own, and what it has heard of rounds."""

    dsid: int
    clock: int
    log: list[Event] = field(default_factory=list)
    cursors: dict[int, int] = field(default_factory=dict)
    own: SiteRound = field(init=False)
    heard: dict[int, SiteRound | None] = field(default_factory=dict)
    begun: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        self.own = SiteRound(self.dsid, 0, ())

    @property
    def stable(self) -> int:
        return stable_ms([self.own, *self.heard.values()])


class World:
    """Sites that are linked at random. Raises AssertionError when an event comes that is older than what is stable."""

    def __init__(self, rng: random.Random, sites: int) -> None:
        self.rng = rng
        self.sites = {dsid: Site(dsid, rng.randrange(1, 10_000)) for dsid in range(1, sites + 1)}
        ways = [(a, b) for a in self.sites for b in self.sites if a != b and rng.random() < 0.4]
        order = rng.sample(list(self.sites), sites)
        ways += [(a, b) for a, b in zip(order, [*order[1:], order[0]], strict=True) if rng.random() < 0.9]
        for a, b in ways:
            self.sites[a].cursors[b] = 0
        for site in self.sites.values():
            site.heard = dict.fromkeys(self.sites.keys() - {site.dsid})
        self.born = 0
        self.latest = 0
        """The greatest that was ever stable."""

    def step(self) -> None:
        site = self.rng.choice(list(self.sites.values()))
        action = self.rng.choice(
            [self.bear, self.send, self.send, self.hear, self.hear, self.look, self.look, self.look]
        )
        action(site)

    def bear(self, site: Site) -> None:
        site.clock += self.rng.randrange(3)
        self.born += 1
        site.log.append(Event(self.born, site.clock, frozenset({site.dsid})))

    def send(self, site: Site) -> None:
        """Deliver some events over a way."""
        if site.cursors:
            to = self.rng.choice(sorted(site.cursors))
            for _ in range(self.rng.randrange(20)):
                self.deliver(site, to)

    def deliver(self, site: Site, to: int) -> None:
        """Deliver the next event, or skip it by the loop rule. What is there already comes all the same."""
        place = site.cursors[to]
        if place == len(site.log):
            return
        event, other = site.log[place], self.sites[to]
        if to not in event.way:
            assert event.stamp >= other.stable, f"{event} came to {to}, where {other.stable} was stable"
            if event.number not in {each.number for each in other.log}:
                other.log.append(Event(event.number, event.stamp, event.way | {to}))
        site.cursors[to] = place + 1

    def hear(self, site: Site) -> None:
        """Take up the words of another site, of all sites."""
        other = self.rng.choice([each for each in self.sites.values() if each is not site])
        for word in (other.own, *other.heard.values()):
            if word is not None and word.dsid != site.dsid:
                known = site.heard[word.dsid]
                if known is None or word.completed > known.completed:
                    site.heard[word.dsid] = word

    def look(self, site: Site) -> None:
        others = list(site.heard.values())
        site.own = caught_up(site.own, others)
        if site.begun is None or site.begun[0] != site.own.completed:
            if may_begin(site.own, others):
                site.begun = (site.own.completed, site.clock, len(site.log))
        elif all(cursor >= site.begun[2] for cursor in site.cursors.values()):
            site.own = completed(site.own, site.begun[1], len(self.sites))
            site.begun = None
        self.latest = max(self.latest, site.stable)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 5))
def test_nothing_comes_that_is_older_than_what_is_stable(seed: int, sites: int) -> None:
    world = World(random.Random(seed), sites)
    for _ in range(1500):
        world.step()


def test_what_is_stable_goes_on() -> None:
    world = World(random.Random(4), 4)
    stable = []
    for _ in range(4):
        for _ in range(3000):
            world.step()
        stable.append(world.latest)
    assert 0 < stable[0] < stable[1] < stable[2] < stable[3]


def test_fewer_rounds_than_an_event_takes_steps_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the model finds what the number of rounds is for."""
    monkeypatch.setattr(rounds, "_rounds_needed", lambda sites: 0)
    with pytest.raises(AssertionError, match="was stable"):  # noqa: PT012
        for seed in range(200):
            world = World(random.Random(seed), 4)
            for _ in range(1500):
                world.step()


def test_a_silent_site_holds_up_all() -> None:
    one, two = SiteRound(1, 5, (1, 2, 3, 4, 5)), SiteRound(2, 5, (11, 12, 13, 14, 15))
    assert may_begin(one, [two])
    assert stable_ms([one, two]) == 3
    assert not may_begin(one, [two, None])
    assert stable_ms([one, two, None]) == 0
    assert behind(one, [(2, two), (3, None), (4, SiteRound(4, 4, ()))]) == [3, 4]
    assert not may_begin(SiteRound(1, 6, ()), [two])


def test_a_new_site_takes_up_the_number_and_knows_no_clocks_from_before() -> None:
    new, old = SiteRound(1, 0, ()), SiteRound(2, 7, (1, 2, 3, 4))
    assert caught_up(new, [old, None]) == SiteRound(1, 7, ())
    assert caught_up(SiteRound(1, 6, (9,)), [old]) == SiteRound(1, 6, (9,))
    assert stable_ms([SiteRound(1, 8, (9,)), SiteRound(2, 8, (1, 2, 3, 4, 5))]) == 0
    assert stable_ms([SiteRound(1, 10, (7, 8, 9)), SiteRound(2, 10, (3, 4, 5))]) == 3
    assert stable_ms([]) == 0


def test_few_clocks_are_kept() -> None:
    word = SiteRound(1, 0, ())
    for clock in range(100):
        word = completed(word, clock, 3)
    assert word.completed == 100
    assert len(word.times) == 5
    assert stable_ms([word]) == word.times[-2]
