"""The engines of a site with three locators, asked for what they hold."""

from __future__ import annotations

import asyncio

import nats

from heliograph.engine.nats.conf import LOCATOR_USER, locator_password
from heliograph.link.messages import ClusterPlan
from heliograph.locator.assembly import read_kept
from tests.system.sites import Daemon, Site
from tests.system.waiting import until

STREAMS = {"LOG_DEFAULT", "KV_site", "OBJ_snapshots-DEFAULT"}


def plan_of(locator: Daemon) -> ClusterPlan:
    kept = read_kept(locator.directory / "engine" / "cluster.json")
    assert kept is not None
    assert kept.plan is not None
    return kept.plan


def stream_states(site: Site) -> dict[str, list[tuple[str, bool]]]:
    """Ask the engines for every stream: its name -> its replicas, and whether each is current."""

    async def ask() -> dict[str, list[tuple[str, bool]]]:
        plan = plan_of(site.locators[0])
        client = await nats.connect(
            [f"nats://{node.host}:{node.client_port}" for node in plan.nodes],
            user=LOCATOR_USER,
            password=locator_password(plan.password),
            connect_timeout=5,
        )
        try:
            infos = await client.jetstream().streams_info()
        finally:
            await client.close()
        found = {}
        for info in infos:
            assert info.cluster is not None
            others = [(peer.name or "", bool(peer.current)) for peer in info.cluster.replicas or []]
            found[info.config.name or ""] = sorted([(info.cluster.leader or "", True), *others])
        return found

    return asyncio.run(asyncio.wait_for(ask(), 20))


def wait_replicated(site: Site) -> None:
    """Wait until every stream has a current replica at each locator."""
    names = sorted(locator.name for locator in site.locators)
    seen: dict[str, list[tuple[str, bool]]] = {}

    def replicated() -> bool:
        try:
            seen.update(stream_states(site))
        except (TimeoutError, OSError, nats.errors.Error, nats.js.errors.Error):
            return False
        wanted = [(name, True) for name in names]
        return seen.keys() == STREAMS and all(replicas == wanted for replicas in seen.values())

    until(replicated, lambda: f"every stream has current replicas at {names}: {seen}")
