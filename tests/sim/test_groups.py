"""Whole sites under faults whose region only the members of some groups hold; the others forward."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest

from tests.sim.campaign import simulate
from tests.sim.checkers import anomalies
from tests.sim.plan import Plan, SitePlan, draw_plan

HOLDERS = ("data", "more")
SEEDS = range(5)


def draw(rng: random.Random) -> Plan:
    """Draw a run of the campaign, in groups of members; one that is there from the start holds the region."""
    plan = draw_plan(rng)
    return replace(plan, sites=tuple(_grouped(site, rng) for site in plan.sites))


def _grouped(site: SitePlan, rng: random.Random) -> SitePlan:
    groups = [rng.choice(((), ("else",), ("data",), ("more", "else"))) for _ in range(site.members)]
    groups[rng.randrange(site.members - site.late)] = ("data",)
    return replace(site, groups=tuple(groups), region=msgspec.structs.replace(site.region, groups=HOLDERS))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_anomaly_where_some_members_only_forward(seed: int) -> None:
    observed = simulate(seed, draw)
    found = anomalies(observed)
    assert not found, [*observed.story, *(f"{name}: {each}" for name, some in found.items() for each in some)]


def test_some_members_hold_nothing_and_some_everything() -> None:
    sites = [site for seed in SEEDS for site in draw(random.Random(seed)).sites]
    holding = [sum(bool({*groups} & {*HOLDERS}) for groups in site.groups) for site in sites]
    assert any(count < site.members for count, site in zip(holding, sites, strict=True))
    assert any(count > 1 for count in holding)
