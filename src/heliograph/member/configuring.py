"""How a member adds to the cluster configuration, and says how it fared with what anybody changed of it.

The configuration is in the registry; becoming what it says is the member's arranging. What is done here begins one and
tells how that went for one subject ("region customer").
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from heliograph.engine.definitions import create_definition, definition_key, read_configuration, read_definition
from heliograph.engine.seam import Registry
from heliograph.errors import ConflictError, HeliographError, UsageError
from heliograph.link import messages
from heliograph.link.messages import Outcome
from heliograph.member.conflicts import OPTION, ConflictJudges
from heliograph.member.gateways import Gateways
from heliograph.member.region import HostedRegion
from heliograph.member.state import StateWatcher
from heliograph.model.attributes import (
    QUEUE_PREFIX,
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
    check_colocation,
    check_region_senders,
    check_region_store,
    check_sender_store,
)
from heliograph.model.cluster_configuration import ClusterConfiguration, merged, plan
from heliograph.model.definitions import Attributes, check_gateway_at_site, exists_already, subject_of
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.placement.holders import check_region_servers, holders_of
from heliograph.placement.senders import check_sender_servers

_log = logging.getLogger(__name__)

TakeUp = Callable[[Callable[[], bool], str], Awaitable[None]]
"""Becomes what the registry says now, until a condition holds; the text says what that is, for UnavailableError."""


class Configuring:
    """Of one member, `name`, of the site `site`."""

    def __init__(
        self,
        name: str,
        site: int,
        *,
        registry: Registry,
        watcher: StateWatcher,
        regions: Mapping[str, HostedRegion],
        gateways: Gateways,
        conflicts: ConflictJudges,
        take_up: TakeUp,
    ) -> None:
        self._name = name
        self._site = site
        self._registry = registry
        self._watcher = watcher
        self._regions = regions
        self._gateways = gateways
        self._conflicts = conflicts
        self._take_up = take_up

    async def create(self, attributes: Attributes) -> None:
        """Add a definition and return when this member has taken it up.

        What exists with the same attributes is left as it is. What this member can't take up is taken back, if this
        call created it. Raises UsageError when it exists with other attributes, does not fit with what there is, or
        can't be taken up.
        """
        await self._watcher.refresh()
        self._check(attributes)
        revision = None
        try:
            revision = await create_definition(self._registry, attributes)
        except ConflictError:
            existing = await read_definition(self._registry, attributes)
            if existing != attributes:
                raise exists_already(existing, attributes) from None
        try:
            outcome = await self.take_up(messages.Apply(subject_of(attributes), revision or 0))
            if not outcome.ok:
                raise UsageError(outcome.message)
        except HeliographError:
            if revision is not None:
                await self._take_back(definition_key(attributes), revision)
            raise

    async def adopt(self, want: ClusterConfiguration) -> None:
        """Add what is wanted and not there; what was altered since it was created stays as it is.

        Raises UsageError as `create`, before anything is added where it can be told.
        """
        have = await read_configuration(self._registry)
        planned = plan(have, want)
        if planned.conflicts:
            raise UsageError("; ".join(planned.conflicts))
        merged(have, want).check(self._site)
        for step in planned.steps:
            if step.kind == "create":
                await self.create(step.definition)
            else:
                _log.warning("left as the site has it step=%r", str(step))

    def _check(self, attributes: Attributes) -> None:
        """Raise UsageError when a definition does not fit with what there is."""
        state = self._watcher.state
        if isinstance(attributes, RegionAttributes):
            check_region_store(attributes, state.stores)
            check_region_servers(attributes, state.members.values())
            check_region_senders(attributes, state.senders)
            check_colocation(attributes, {name: entry.attributes for name, entry in state.regions.items()})
        elif isinstance(attributes, AsyncEventQueueAttributes):
            check_sender_store(attributes.as_sender(), state.stores)
            check_sender_servers(attributes.as_sender(), state.members.values())
        elif not isinstance(attributes, DiskStoreAttributes | GatewayConflictResolverAttributes):
            check_gateway_at_site(attributes, self._site)
            if isinstance(attributes, GatewaySenderAttributes):
                check_sender_store(attributes, state.stores)
                check_sender_servers(attributes, state.members.values())

    async def _take_back(self, key: str, revision: int) -> None:
        try:
            await self._registry.delete(key, revision=revision)
            _log.warning("creation taken back name=%s key=%s", self._name, key)
        except HeliographError as exc:
            _log.warning("creation not taken back name=%s key=%s error=%s", self._name, key, exc)

    async def take_up(self, request: messages.Apply) -> Outcome:
        """Take up the configuration as it stands now and say how that went for one subject of it."""
        kind, _, name = request.subject.partition(" ")

        def done() -> bool:
            if kind != "region" or name not in self._watcher.state.regions:
                return True
            return name in self._regions and self._regions[name].settled

        await self._take_up(done, f"take up {request.subject}")
        if request.change == "destroyed":
            return Outcome(True, f"{request.subject} destroyed on {self._name}")
        problem = self._conflicts.problem if kind == OPTION else self._gateways.problem(kind, name)
        if kind == "region" and name in self._regions:
            problem = self._regions[name].problem
        if problem:
            return Outcome(False, problem)
        return Outcome(True, f"{request.subject} {request.change} on {self._name}{self._running(kind, name)}")

    def _running(self, kind: str, name: str) -> str:
        """Say whether a gateway that was taken up runs, and of a region whose servers hold it, if this one does not."""
        if kind == "region" and name in self._regions:
            region, me = self._regions[name].attributes, self._watcher.state.members.get(self._name)
            forwards = me is not None and not holders_of(region, [me])
            return f", which forwards to servers of {', '.join(region.groups)}" if forwards else ""
        if kind == "gateway-receiver" and self._gateways.port:
            return f", listening on port {self._gateways.port}"
        sender = QUEUE_PREFIX + name if kind == "async-event-queue" else name
        if kind in ("region", "disk-store", OPTION) or sender in self._gateways.running_senders():
            return ""
        return ", not started"
