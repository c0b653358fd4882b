"""Every topology: connected, as GemFire draws it, and every event reaches every site by the loop rule."""

from __future__ import annotations

from collections import Counter, deque

import pytest

from heliograph.errors import UsageError
from heliograph.gateway.loops import is_for, outgoing
from heliograph.gfsh.demo.topology import SITES_MAX, SITES_MIN, TOPOLOGIES, Plan, plan_of, plan_of_links
from heliograph.model.batch import Part

COUNTS = range(SITES_MIN, SITES_MAX + 1)


def deliveries(plan: Plan, birth: int) -> Counter[int]:
    """Send one event born at `birth` along every gateway sender; return how often each site received it."""
    received: Counter[int] = Counter()
    logs = deque([(birth, Part(birth, (), 0, 0, 1, b""))])
    while logs:
        site, part = logs.popleft()
        for remote in plan.sends_to[site]:
            if is_for(part, remote):
                received[remote] += 1
                assert received[remote] < 10, "the event goes round for ever"
                logs.append((remote, outgoing(part, 1, 1, plan.sends_to[site])))
    return received


@pytest.mark.parametrize("sites", COUNTS)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_event_reaches_every_other_site_once(topology: str, sites: int) -> None:
    plan = plan_of(topology, sites)
    for birth in plan.sites:
        assert deliveries(plan, birth) == dict.fromkeys(set(plan.sites) - {birth}, 1)


@pytest.mark.parametrize("topology", ["ring", "star"])
def test_without_one_of_its_senders_a_topology_does_not_reach_every_site(topology: str) -> None:
    plan = plan_of(topology, 4)
    for site, remotes in plan.sends_to.items():
        for remote in remotes:
            cut = {**plan.sends_to, site: tuple(other for other in remotes if other != remote)}
            broken = Plan(topology, cut)
            assert any(deliveries(broken, birth).keys() | {birth} != set(plan.sites) for birth in plan.sites)


def test_the_four_topologies_of_four_sites() -> None:
    assert {topology: str(plan_of(topology, 4)) for topology in TOPOLOGIES} == {
        "mesh": "1 <-> 2, 1 <-> 3, 1 <-> 4, 2 <-> 3, 2 <-> 4, 3 <-> 4",
        "ring": "1 -> 2, 2 -> 3, 3 -> 4, 4 -> 1",
        "hybrid": "1 -> 2, 1 <-> 4, 2 -> 3, 3 -> 4",
        "star": "1 <-> 2, 1 <-> 3, 1 <-> 4",
    }


def test_a_hybrid_of_three_sites_is_as_gemfire_draws_it() -> None:
    """A ring with an additional link from the first site to the third."""
    assert str(plan_of("hybrid", 3)) == "1 -> 2, 1 <-> 3, 2 -> 3"


def test_two_sites_are_a_pair_in_every_topology() -> None:
    assert {str(plan_of(topology, 2)) for topology in TOPOLOGIES} == {"1 <-> 2"}


@pytest.mark.parametrize("sites", COUNTS)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_neighbours_are_mutual_so_that_locators_find_each_other(topology: str, sites: int) -> None:
    plan = plan_of(topology, sites)
    for site in plan.sites:
        assert site not in plan.sends_to[site]
        assert all(site in plan.neighbours(other) for other in plan.neighbours(site))
        assert set(plan.feeders(site)) <= set(plan.neighbours(site))


def test_an_unknown_topology_and_a_wrong_number_of_sites_are_refused() -> None:
    with pytest.raises(UsageError, match="'tree' is not known: use mesh, ring, hybrid, star"):
        plan_of("tree", 3)
    for sites in (1, 10):
        with pytest.raises(UsageError, match="use 2 to 9"):
            plan_of("mesh", sites)


def test_links_make_any_graph() -> None:
    assert plan_of_links("1-2, 2>3,3>1").sends_to == {1: (2,), 2: (1, 3), 3: (1,)}
    diamond = plan_of_links("1-2,1-3,2-4,3-4")
    assert str(diamond) == "1 <-> 2, 1 <-> 3, 2 <-> 4, 3 <-> 4"
    assert deliveries(diamond, 1)[4] == 2


@pytest.mark.parametrize(
    ("links", "why"),
    [
        ("1-2,2", "'2' can't be read"),
        ("1-1", "'1-1' can't be read"),
        ("", "can't be read"),
        ("1-3", "links between sites 1, 3: number them from 1 on"),
        ("1-2,2>3", "site 1 never hears of site 3"),
        ("1-2,3>1", "site 3 never hears of site 1"),
    ],
)
def test_links_that_make_no_plan_are_refused(links: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        plan_of_links(links)
