"""Whole sites that any graph connects, under faults at sites and between them: docs/reliability.md, one seed a test."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from heliograph.bucket.view import BucketView
from heliograph.gateway import queue
from heliograph.locator import rounds
from heliograph.member import collector
from heliograph.model.batch import Part
from tests.sim.campaign import simulate
from tests.sim.checkers import anomalies
from tests.sim.graphs import SITES_MAX, draw_graph, draw_ways
from tests.sim.observed import Told
from tests.sim.reach import copies, reach


def test_no_anomaly_on_any_graph(graph_seed: int) -> None:
    observed = simulate(graph_seed, draw_graph)
    found = anomalies(observed)
    if found:
        report = [f"seed {graph_seed}: {observed.story[0]}", *observed.story[1:]]
        report += [f"{name}: {example}" for name, examples in found.items() for example in examples]
        report.append(f"again: pytest tests/sim/test_graphs.py -k any_graph --first-seed={graph_seed} --graphs=1")
        pytest.fail("\n".join(report), pytrace=False)


def test_every_graph_is_connected_and_events_come_everywhere() -> None:
    """By the loop rule too; many graphs have diamonds, and links that lead one way."""
    second_copies = one_way = 0
    for seed in range(600):
        ways = draw_ways(random.Random(seed), 2 + seed % (SITES_MAX - 1))
        assert all(reach(ways, site) == set(ways) for site in ways), ways
        second_copies += any(max(copies(ways, site).values()) > 1 for site in ways)
        one_way += any(site not in ways[remote] for site, remotes in ways.items() for remote in remotes)
    assert second_copies > 20
    assert one_way > 200


def test_enough_happens_to_tell() -> None:
    """Within a few seeds: events come twice and over others, and listeners live through a run and are told much."""
    second_copies = forwarded = 0
    told: list[Told] = []
    for seed in (0, 3, 9, 11):
        observed = simulate(seed, draw_graph)
        times = Counter(observed.arrivals)
        second_copies += sum(
            1 for count in Counter((each.receiver, each.birth) for each in times).values() if count > 1
        )
        forwarded += sum(each.sender != each.birth.origin for each in times)
        told += [each for each in observed.told if each.ended == "listening"]
    assert second_copies > 20
    assert forwarded > 200
    assert sum(len(each.events) for each in told) > 1_000


def test_tombstones_of_a_few_seconds_are_kept_while_an_older_event_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which seeds of the planted bug below would show, were it not so; and they do go when none can."""
    keep_tombstones_shortly(monkeypatch)
    collected: list[int] = []
    collect = BucketView._collect

    def counted(view: BucketView, through: int) -> None:
        collected.append(through)
        collect(view, through)

    monkeypatch.setattr(BucketView, "_collect", counted)
    for seed in (9, 12, 15, 18):
        assert anomalies(simulate(seed, draw_graph)) == {}
    assert collected


# --- planted bugs


def plant_recipients_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every site forwards to every other but the one where the event was born."""
    monkeypatch.setattr(queue, "is_for", lambda part, site: part.origin != site)


def plant_no_loop_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is sent everywhere: it goes round once, for at every site the second copy is a duplicate."""

    def anything(part: Part, site: int) -> bool:
        del part, site
        return True

    monkeypatch.setattr(queue, "is_for", anything)


def plant_tombstones_are_dropped_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tombstones are kept for a few seconds while sites are cut off for longer, whatever may still come."""
    keep_tombstones_shortly(monkeypatch)
    monkeypatch.setattr(collector, "stable_of", lambda _: collector.EVER)


def keep_tombstones_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "TOMBSTONES_KEPT_S", 3.0)
    monkeypatch.setattr(collector, "LOOK_S", 1.0)
    monkeypatch.setattr(rounds, "LOOK_S", 0.2)
    monkeypatch.setattr(rounds, "MARGIN_MS", 12_000)  # more than the clocks of a site's own hosts differ


@pytest.mark.parametrize(
    ("plant", "expected", "seeds"),
    [
        (plant_recipients_are_ignored, {"sent back"}, range(4)),
        (plant_no_loop_rule, {"sent back"}, range(4)),
        (plant_tombstones_are_dropped_early, {"resurrected", "divergence", "duplicate effect"}, range(9, 24)),
    ],
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    expected: set[str],
    seeds: range,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the first of the seeds, as things are."""
    plant(monkeypatch)
    found: set[str] = set()
    for seed in seeds:
        found |= set(anomalies(simulate(seed, draw_graph)))
        if found >= expected:
            return
    raise AssertionError(f"only {found} of {expected} were found")
