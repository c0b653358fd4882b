"""How the locators of a site agree on one engine cluster: what each decides from what all of them say.

    no plan ──(a peer has one)──> joins it
       └──(all are heard, none has one)──> the founder makes it, the others join it

A plan is made when every locator is heard, because engines that hold nothing elect a primary only when all of them are
there; and made by one of them: the one whose engine stood alone and holds the site's data, else the first by name. Once
made it changes only in where an engine is found, and in that the data have been brought in, which any of them may have
seen first. Whoever has lost it (a wiped disk) is told it by the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import msgspec

from heliograph.errors import UsageError
from heliograph.link.messages import ClusterPlan, EngineNode, EngineView
from heliograph.model.ids import Address


def agreed(own: EngineView, heard: Mapping[Address, EngineView], expected: Collection[Address]) -> ClusterPlan | None:
    """Return the plan that a locator follows, or None while it has to wait for others.

    own: how its own engine stands. heard: what the others say, by address; expected: the addresses of all others.
    The plan of a locator that has none yet may be a new one: it names the founder's engine, and counts once stored.
    Raises UsageError when the locators can't form a cluster; the message names what to change.
    """
    views = [own, *heard.values()]
    for view in views:
        if view.dsid != own.dsid:
            raise UsageError(
                f"locator {view.node.name} has distributed-system-id {view.dsid}, this one {own.dsid}: the locators of "
                "one site have the same"
            )
    name, count = Counter(view.node.name for view in views).most_common(1)[0]
    if count > 1:
        raise UsageError(f"{count} of the site's locators are named {name}: give each a name of its own")
    plans = {view.plan.id: view.plan for view in views if view.plan is not None}
    if len(plans) > 1:
        raise UsageError(
            "the locators hold the data of different clusters: "
            + ", ".join(f"{view.node.name} of {view.plan.id}" for view in views if view.plan is not None)
        )
    if own.plan is not None:
        plan = with_nodes(own.plan, [view.node for view in views])
        if not all(view.plan.grow_from for view in views if view.plan is not None):
            plan = msgspec.structs.replace(plan, grow_from="")  # somebody has seen that it is done
        return plan
    if plans:
        return _joined(own, next(iter(plans.values())))
    if not set(expected) <= heard.keys():
        return None
    return _founded(own, views)


def with_nodes(plan: ClusterPlan, told: Collection[EngineNode]) -> ClusterPlan:
    """Return the plan with what its engines say now about where they are found."""
    news = {node.name: node for node in told}
    return msgspec.structs.replace(plan, nodes=tuple(news.get(node.name, node) for node in plan.nodes))


def _joined(own: EngineView, plan: ClusterPlan) -> ClusterPlan:
    names = [node.name for node in plan.nodes]
    if own.node.name not in names:
        raise UsageError(
            f"the site's locators are {', '.join(names)}: start this one under the name of the one that it replaces, "
            f"not as {own.node.name}"
        )
    if own.alone and plan.grow_from != own.node.name:
        raise UsageError(
            f"locator {own.node.name} holds the data of a site of its own, and the others form a cluster already: "
            "start it in an empty directory to have it join them"
        )
    return with_nodes(plan, [own.node])


def _founded(own: EngineView, views: list[EngineView]) -> ClusterPlan | None:
    """Return a new plan without id and password, for the founder to fill in; None at every other locator."""
    alone = [view.node.name for view in views if view.alone]
    if len(alone) > 1:
        raise UsageError(
            f"{' and '.join(alone)} hold the data of a site each: start all but one of them in empty directories"
        )
    founder = alone[0] if alone else min(view.node.name for view in views)
    if founder != own.node.name:
        return None
    nodes = sorted((view.node for view in views), key=lambda node: node.name)
    return ClusterPlan("", "", tuple(nodes), grow_from=founder if alone else "")
