"""The cluster configuration as a whole: shown, and brought to what a file says it should be (gfsh.md §3.4).

A change is done as the commands do it, one definition after another; what was done stays when a later step fails, and
the same change given again goes on from there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from heliograph.engine.definitions import read_configuration
from heliograph.errors import HeliographError, UnavailableError
from heliograph.link.messages import Status, StatusQuery
from heliograph.locator.cluster import Cluster, Row
from heliograph.locator.requests import QueueAlteration, RegionAlteration, SenderAlteration, StoreAlteration
from heliograph.locator.site_conflicts import ConflictAdmin
from heliograph.locator.site_queues import QueueAdmin
from heliograph.locator.site_receivers import ReceiverAdmin
from heliograph.locator.site_regions import RegionAdmin
from heliograph.locator.site_senders import SenderAdmin
from heliograph.locator.site_stores import StoreAdmin
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.cluster_configuration import ClusterConfiguration, Plan, Step, merged, plan
from heliograph.model.definitions import Attributes
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.results import Result, Table

CONFIGURATION = "Configuration"
"""Name of the answer that is the cluster configuration, as JSON."""
DSID = "distributed-system-id"
"""Name of the answer that is the site's number; `NO_SITE_ID` when it was given none."""
STATE = "State"
"""In the state block of a locator that is of no use yet, or no more: why."""
COLUMNS = ("Change", "Status", "Message")


class ConfigurationAdmin:
    """The cluster configuration of one site. Operations raise UsageError, ConflictError and UnavailableError."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        regions, senders, queues = RegionAdmin(cluster), SenderAdmin(cluster), QueueAdmin(cluster)
        stores, receivers, conflicts = StoreAdmin(cluster), ReceiverAdmin(cluster), ConflictAdmin(cluster)
        self._create: dict[type[Attributes], Callable[[Any], Awaitable[Result]]] = {
            DiskStoreAttributes: stores.create,
            GatewaySenderAttributes: senders.create,
            AsyncEventQueueAttributes: queues.create,
            RegionAttributes: regions.create,
            GatewayReceiverAttributes: receivers.define,
            GatewayConflictResolverAttributes: conflicts.create,
        }
        self._alter: dict[type[Attributes], Callable[[Any, Any], Awaitable[Result]]] = {
            DiskStoreAttributes: lambda to, new: stores.alter(to.name, StoreAlteration(**new)),
            GatewaySenderAttributes: lambda to, new: senders.alter(to.id, SenderAlteration(**new)),
            AsyncEventQueueAttributes: lambda to, new: queues.alter(to.id, QueueAlteration(**new)),
            RegionAttributes: lambda to, new: regions.alter(to.name, RegionAlteration(**new)),
        }
        self._destroy: dict[type[Attributes], Callable[[Any], Awaitable[Result]]] = {
            DiskStoreAttributes: lambda gone: stores.destroy(gone.name),
            GatewaySenderAttributes: lambda gone: senders.destroy(gone.id),
            AsyncEventQueueAttributes: lambda gone: queues.destroy(gone.id),
            RegionAttributes: lambda gone: regions.destroy(gone.name),
            GatewayReceiverAttributes: receivers.forget,
            GatewayConflictResolverAttributes: lambda _: conflicts.destroy(),
        }

    async def export(self) -> Result:
        """Return the cluster configuration as JSON, a `ClusterConfiguration`."""
        configuration = msgspec.json.encode(await read_configuration(self._cluster.registry)).decode()
        return Result(data={DSID: str(self._cluster.dsid), CONFIGURATION: configuration})

    async def service(self) -> Result:
        """Show for every locator whether it serves the cluster configuration; ERROR when none does."""
        try:
            members, readable = await self._cluster.members(), True
        except UnavailableError:  # its engine has no majority
            members, readable = list(self._cluster.known()), False
        locators = [member for member in members if member.kind == "locator"]
        rows: list[Row] = []
        for name, answer in await self._cluster.query(locators, StatusQuery(), Status):
            if isinstance(answer, HeliographError):
                rows.append((name, "UNDETERMINED"))
            else:
                rows.append((name, "RUNNING" if readable and STATE not in answer.details else "WAITING"))
        running = any(status == "RUNNING" for _, status in rows)
        why = [] if running else ["No locator serves the cluster configuration: a majority of the engines must run."]
        table = Table(("Name", "Status"), sorted(rows), "Status of the cluster configuration service")
        return Result(status="OK" if running else "ERROR", info=why, tables=[table])

    async def plan(self, want: ClusterConfiguration, *, prune: bool = False) -> Result:
        """Show what `apply` would do, and do nothing; ERROR when it would refuse."""
        planned = await self._plan(want, prune=prune)
        rows: list[Row] = [(str(step), "planned", "") for step in planned.steps]
        if planned.conflicts:
            return Result(status="ERROR", info=[*planned.conflicts], tables=[Table(COLUMNS, rows)] if rows else [])
        return Result(tables=[Table(COLUMNS, rows)]) if rows else Result(info=["Nothing to change."])

    async def apply(self, want: ClusterConfiguration, *, prune: bool = False) -> Result:
        """Bring the site to all that `want` defines, and with `prune` to nothing besides; refused as a whole or begun.

        ERROR when a step failed: the rows say which, and those after it were not begun.
        """
        planned = await self._plan(want, prune=prune)
        if planned.conflicts:
            return Result(status="ERROR", info=[*planned.conflicts])
        rows: list[Row] = []
        for position, step in enumerate(planned.steps):
            done, message = await self._take(step)
            rows.append((str(step), "OK" if done else "ERROR", message))
            if not done:
                rows += [(str(later), "not begun", "") for later in planned.steps[position + 1 :]]
                return Result(status="ERROR", tables=[Table(COLUMNS, rows)])
        return Result(tables=[Table(COLUMNS, rows)]) if rows else Result(info=["Nothing to change."])

    async def _plan(self, want: ClusterConfiguration, *, prune: bool) -> Plan:
        have = await read_configuration(self._cluster.registry)
        planned = plan(have, want, prune=prune)
        if not planned.conflicts:
            (want if prune else merged(have, want)).check(self._cluster.dsid)
        return planned

    async def _take(self, step: Step) -> tuple[bool, str]:
        kind = type(step.definition)
        try:
            if step.kind == "alter":
                result = await self._alter[kind](step.definition, step.changes)
            else:
                result = await (self._create if step.kind == "create" else self._destroy)[kind](step.definition)
        except HeliographError as exc:
            return False, str(exc)
        failures = [f"{row[0]}: {row[2]}" for table in result.tables for row in table.rows if row[1] == "ERROR"]
        return result.status == "OK", "; ".join(failures)
