"""How a site with one locator gets the data of that one into the cluster of three.

A standalone JetStream server that is started again as one of a cluster deletes its streams as orphans, so the founder's
engine begins in a directory of its own, and the old one is started beside it, which nobody knows how to reach:

    copy every stream but the registry ──> compare every replica ──> copy the registry, compare ──> mark it as grown
        └──(crash)──> the next start deletes what was copied and begins anew      (crash after the mark)──> it is done

Until the registry is marked the engines let in locators only. So nothing can have been written to the copies that are
deleted, and the old directory is removed only when three disks hold everything.
"""

from __future__ import annotations

import logging
import shutil

from heliograph.engine.nats.conf import EngineOptions
from heliograph.engine.nats.engine import NatsEngine, connect_engine
from heliograph.engine.nats.registry import stream_of
from heliograph.engine.nats.server import PrivateEngine
from heliograph.engine.patience import patiently
from heliograph.errors import UnavailableError, UsageError
from heliograph.locator.assembly import Assembly
from heliograph.model.ids import LOOPBACK
from heliograph.model.registry import GROWN, REGISTRY

_log = logging.getLogger(__name__)


async def grow(assembly: Assembly, cluster: NatsEngine, replicas: int) -> None:
    """Return when the data of the time with one locator are in the cluster, whoever brings them, however long it takes.

    Raises UsageError when they are gone.
    """
    plan = assembly.plan
    if plan.grow_from != assembly.node.name:
        await assembly.until(
            f"{plan.grow_from}, to bring the site's data into the cluster", lambda: _grown(assembly, cluster)
        )
    elif not await assembly.until("the registry", lambda: _is_grown(assembly, cluster)):
        await _bring(assembly, cluster, replicas)
    assembly.grown()


def forget_alone(assembly: Assembly) -> None:
    """Remove what the engine kept while this locator was the only one: the cluster holds it."""
    if assembly.alone:
        directory = assembly.alone_directory
        for name in ("nats.conf", "engine.json", "nats.log"):
            (directory / name).unlink(missing_ok=True)
        shutil.rmtree(directory / "jetstream")
        _log.info("data of one locator removed, the cluster holds them directory=%s", directory)


async def _bring(assembly: Assembly, cluster: NatsEngine, replicas: int) -> None:
    if not assembly.alone:
        raise UsageError(
            f"{assembly.alone_directory} does not hold the data any more that were to be brought into the cluster: "
            "start from a backup of it, or start all three locators in empty directories to begin anew"
        )
    private = PrivateEngine(assembly.alone_directory, EngineOptions(LOOPBACK))
    await private.start()
    try:
        old = await connect_engine(private.url)
        try:
            await assembly.until(
                "the other engines, to copy the site's data to them", lambda: _copy(old, cluster, replicas)
            )
        finally:
            await old.close()
    finally:
        await private.stop()
    registry = await cluster.open_registry(REGISTRY, replicas=replicas)
    mark = assembly.plan.id.encode()

    async def put_mark() -> None:
        await registry.put(GROWN, mark)

    await assembly.until("the registry", put_mark)
    _log.info("site grown to %d locators", replicas)


async def _copy(old: NatsEngine, cluster: NatsEngine, replicas: int) -> None:
    """Copy every stream, the registry last. Raises UnavailableError; the next attempt begins anew."""
    registry = stream_of(REGISTRY)
    names = sorted((info.config.name or "" for info in await old.streams()), key=lambda name: (name == registry, name))
    for name in names:  # also one that is not listed, because a crash cut its restoring short
        await cluster.delete_stream(name)
    for name in names:
        _log.info("stream copied into the cluster name=%s", name)
        extent = await old.copy_stream_to(cluster, name)
        await patiently(lambda name=name: cluster.raise_replicas_of(name, replicas))  # type: ignore[misc]
        await cluster.check_copies(name, extent, replicas)


async def _is_grown(assembly: Assembly, cluster: NatsEngine) -> bool:
    """Say whether the cluster's registry is marked. Raises UnavailableError."""
    if not await cluster.holds(stream_of(REGISTRY)):
        return False
    item = await cluster.registry(REGISTRY).get(GROWN)
    return item is not None and item.value == assembly.plan.id.encode()


async def _grown(assembly: Assembly, cluster: NatsEngine) -> None:
    """Raise UnavailableError unless the cluster's registry is marked."""
    if not await _is_grown(assembly, cluster):
        raise UnavailableError("it is not done yet")
