"""What the locators of a site agree on, from what they say of themselves."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.link.messages import ClusterPlan, EngineNode, EngineView
from heliograph.locator.forming import agreed
from heliograph.model.ids import Address

NAMES = ("l1", "l2", "l3")
PLACES = {name: Address(name, 10334) for name in NAMES}
NODES = {name: EngineNode(name, name, 4222, 6222) for name in NAMES}
PLAN = ClusterPlan("heliograph-1", "secret", tuple(NODES.values()))


def view(name: str, *, alone: bool = False, plan: ClusterPlan | None = None, dsid: int = 1) -> EngineView:
    return EngineView(dsid, NODES[name], alone, plan)


def decide(own: str, views: dict[str, EngineView]) -> ClusterPlan | None:
    """What the locator `own` makes of the views; one that is not there is not heard."""
    heard = {PLACES[name]: told for name, told in views.items() if name != own}
    return agreed(views[own], heard, [PLACES[name] for name in NAMES if name != own])


def test_the_first_by_name_makes_the_plan_once_all_are_heard() -> None:
    views = {name: view(name) for name in NAMES}
    made = decide("l1", views)
    assert made == ClusterPlan("", "", tuple(NODES.values()))
    assert [decide(name, views) for name in ("l2", "l3")] == [None, None]
    for missing in ("l2", "l3"):
        assert decide("l1", {name: told for name, told in views.items() if name != missing}) is None


def test_who_holds_data_makes_the_plan() -> None:
    views = {name: view(name, alone=name == "l3") for name in NAMES}
    made = decide("l3", views)
    assert made is not None
    assert made.grow_from == "l3"
    assert decide("l1", views) is None


def test_a_plan_is_joined_whoever_tells_it_and_kept_for_ever() -> None:
    assert decide("l3", {"l3": view("l3"), "l2": view("l2", plan=PLAN)}) == PLAN
    assert decide("l2", {"l2": view("l2", plan=PLAN)}) == PLAN


def test_engines_that_moved_are_taken_up() -> None:
    moved = EngineNode("l3", "l3", 4300, 6300)
    told = EngineView(1, moved, alone=False, plan=None)
    plan = decide("l2", {"l2": view("l2", plan=PLAN), "l3": told})
    assert plan is not None
    assert plan.nodes == (NODES["l1"], NODES["l2"], moved)
    joined = agreed(told, {PLACES["l2"]: view("l2", plan=PLAN)}, list(PLACES.values()))
    assert joined is not None
    assert joined.nodes[2] == moved


def test_that_the_data_are_in_the_cluster_is_heard_by_all_and_never_forgotten() -> None:
    growing = msgspec.structs.replace(PLAN, grow_from="l1")
    views = {"l1": view("l1", plan=growing), "l2": view("l2", plan=growing)}
    assert decide("l1", views) == growing
    assert decide("l1", views | {"l3": view("l3", plan=PLAN)}) == PLAN
    assert decide("l2", {"l2": view("l2", plan=PLAN), "l1": view("l1", plan=growing)}) == PLAN


@pytest.mark.parametrize(
    ("views", "reason"),
    [
        ({"l1": view("l1"), "l2": view("l2", dsid=2)}, "l2 has distributed-system-id 2"),
        ({"l1": view("l1"), "l2": view("l1")}, "2 of the site's locators are named l1"),
        ({"l1": view("l1", alone=True), "l2": view("l2", plan=PLAN)}, "l1 holds the data of a site of its own"),
        (
            {"l1": view("l1", alone=True), "l2": view("l2", alone=True), "l3": view("l3")},
            "l1 and l2 hold the data of a site each",
        ),
        (
            {"l1": view("l1", plan=PLAN), "l2": view("l2", plan=msgspec.structs.replace(PLAN, id="heliograph-2"))},
            "different clusters: l1 of heliograph-1, l2 of heliograph-2",
        ),
    ],
)
def test_what_does_not_fit_is_refused(views: dict[str, EngineView], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        decide("l1", views)


def test_a_stranger_is_told_whom_to_replace() -> None:
    stranger = EngineView(1, EngineNode("l4", "l4", 1, 2), alone=False, plan=None)
    with pytest.raises(UsageError, match=r"l1, l2, l3: start this one under the name of the one that it replaces"):
        agreed(stranger, {PLACES["l1"]: view("l1", plan=PLAN)}, list(PLACES.values()))


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["look", "wipe", "miss1", "miss2"])), max_size=40))
def test_there_is_never_more_than_one_plan(steps: list[tuple[str, str]]) -> None:
    """Whatever is heard when, and whoever forgets everything, as long as one of those that know the plan remains."""
    views = {name: view(name) for name in NAMES}
    made = itertools.count(1)
    for name, step in steps:
        others = [other for other in NAMES if other != name]
        if step == "wipe":
            if any(views[other].plan for other in others) or not views[name].plan:
                views[name] = view(name)
            continue
        heard = others[{"miss1": 1, "miss2": 0}.get(step, 0) : {"miss2": 1}.get(step, 2)]
        plan = decide(name, {each: views[each] for each in (name, *heard)})
        if plan is not None:
            plan = plan if plan.id else msgspec.structs.replace(plan, id=f"heliograph-{next(made)}")
            views[name] = view(name, plan=plan)
        assert len({told.plan.id for told in views.values() if told.plan}) <= 1
