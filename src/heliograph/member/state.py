"""What this member knows of its site, read from the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from heliograph.engine.definitions import receivers
from heliograph.engine.seam import Registry
from heliograph.engine.watching import Entries, Group, Watching
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    leader_of,
)
from heliograph.model.members import MemberInfo, RegionPlacement
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.registry import (
    CONFIG,
    CONFIG_QUEUES,
    CONFIG_REGIONS,
    CONFIG_RESOLVER,
    CONFIG_RUNTIME,
    CONFIG_SENDERS,
    CONFIG_STORES,
    LIFE,
    MEMBERS,
    PLACEMENT,
    RegionEntry,
    SiteLife,
    decode_entry,
)
from heliograph.model.runtime import RuntimeProperties

T = TypeVar("T")


@dataclass(slots=True)
class SiteState:
    """The site as its registry shows it."""

    members: dict[str, MemberInfo] = field(default_factory=dict)
    regions: dict[str, RegionEntry] = field(default_factory=dict)
    stores: dict[str, DiskStoreAttributes] = field(default_factory=dict)
    senders: dict[str, GatewaySenderAttributes] = field(default_factory=dict)
    """Async event queues among them, as `QueueAttributes`."""
    receivers: list[tuple[GatewayReceiverAttributes, int]] = field(default_factory=list)
    """With the revisions of their entries."""
    resolver: GatewayConflictResolverAttributes | None = None
    runtime: RuntimeProperties | None = None
    runtime_revision: int = 0
    """Grows with every `alter runtime`, also with one that leaves them as they are."""
    life: SiteLife = field(default_factory=SiteLife)
    placements: dict[str, tuple[RegionPlacement, int]] = field(default_factory=dict)
    """Region -> placement and its revision; one that is colocated with another goes by that one's."""

    def groups(self) -> dict[str, list[str]]:
        """Return the regions by the one by whose placement they go, which comes first."""
        parents = {name: entry.attributes.colocated_with for name, entry in self.regions.items()}
        groups: dict[str, list[str]] = {name: [name] for name in parents if leader_of(name, parents) == name}
        for name in parents.keys() - groups.keys():
            groups[leader_of(name, parents)].append(name)
        return {leader: [leader, *sorted(others)] for leader, (_, *others) in groups.items()}


class StateWatcher(Watching):
    """Keeps a `SiteState` current and calls `on_change` after each look that found something new.

    member_timeout_s: the time to live of the members' entries.
    """

    def __init__(self, registry: Registry, on_change: Callable[[], None], member_timeout_s: float = 5.0) -> None:
        groups = (
            Group(MEMBERS, self._take_members, member_timeout_s),
            Group(CONFIG, self._take_config),
            Group(PLACEMENT, self._take_placements),
            Group(LIFE, self._take_life),
        )
        super().__init__(registry, groups, on_change)
        self.state = SiteState()

    def _take_members(self, entries: Entries) -> None:
        self.state.members = _decoded(entries, MEMBERS, MemberInfo)

    def _take_config(self, entries: Entries) -> None:
        regions = _decoded(entries, CONFIG_REGIONS, RegionEntry)
        senders = _decoded(entries, CONFIG_SENDERS, GatewaySenderAttributes)
        queues = _decoded(entries, CONFIG_QUEUES, AsyncEventQueueAttributes)
        senders |= {queue.id: queue for queue in map(AsyncEventQueueAttributes.as_sender, queues.values())}
        stores = _decoded(entries, CONFIG_STORES, DiskStoreAttributes)
        resolver = entries.get(CONFIG_RESOLVER)
        runtime = entries.get(CONFIG_RUNTIME)
        state = self.state
        state.runtime = decode_entry(runtime.value, RuntimeProperties) if runtime else None
        state.runtime_revision = runtime.revision if runtime else 0
        state.resolver = decode_entry(resolver.value, GatewayConflictResolverAttributes) if resolver else None
        state.receivers = [(receiver, entries[key].revision) for key, receiver in receivers(entries).items()]
        state.regions, state.senders, state.stores = regions, senders, stores

    def _take_life(self, entries: Entries) -> None:
        self.state.life = decode_entry(entries[LIFE].value, SiteLife) if LIFE in entries else SiteLife()

    def _take_placements(self, entries: Entries) -> None:
        placements = _decoded(entries, PLACEMENT, RegionPlacement)
        self.state.placements = {
            name: (placement, entries[f"{PLACEMENT}.{name}"].revision) for name, placement in placements.items()
        }


def _decoded(entries: Entries, prefix: str, kind: type[T]) -> dict[str, T]:
    start = prefix + "."
    return {
        key.removeprefix(start): decode_entry(item.value, kind)
        for key, item in entries.items()
        if key.startswith(start)
    }
