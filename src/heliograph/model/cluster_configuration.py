"""A site's cluster configuration as one value, and the steps from what a site has to what it should have.

Commands, cache.xml files, topology files and exports all speak of the same definitions (`model.attributes`,
`model.queues`); whichever brings them, what may be changed, what has to come first and what can't be changed is decided
here. Order of creation is that of cache-xml.md §5: what is named comes before what names it, and the gateway receiver
last, so that regions exist before remote events arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from heliograph.errors import UsageError
from heliograph.model.attributes import (
    DEFAULT_STORE,
    EXPIRATION_OPTIONS,
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
    check_colocation,
    check_region_senders,
    check_region_store,
    check_sender_store,
)
from heliograph.model.definitions import Attributes, check_gateway_at_site, differences, subject_of
from heliograph.model.groups import folded
from heliograph.model.ids import check_region_name
from heliograph.model.queues import AsyncEventQueueAttributes

A = TypeVar("A", bound=Attributes)
Kind = Literal["create", "alter", "destroy"]

ALTERABLE: dict[type[Attributes], tuple[str, ...]] = {
    DiskStoreAttributes: ("max_disk",),
    GatewaySenderAttributes: ("batch_size", "batch_time_interval", "alert_threshold", "gateway_event_filters"),
    AsyncEventQueueAttributes: ("batch_size", "batch_time_interval", "max_queue_memory", "pause_event_processing"),
    RegionAttributes: (
        "gateway_sender_ids",
        "async_event_queue_ids",
        *(f"{option}{ending}" for option in EXPIRATION_OPTIONS for ending in ("", "_action")),
    ),
    GatewayReceiverAttributes: (),
    GatewayConflictResolverAttributes: (),
}
"""The fields that an `alter` command changes; two definitions that differ in others can't follow each other."""


class ClusterConfiguration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is defined at a site. Raises UsageError when two definitions have one name.

    The lists come sorted by name, and definitions in one spelling (see `_canonical`), so that equal configurations are
    equal values. The store `DEFAULT` stands there only with a limit.
    """

    disk_stores: tuple[DiskStoreAttributes, ...] = ()
    gateway_senders: tuple[GatewaySenderAttributes, ...] = ()
    async_event_queues: tuple[AsyncEventQueueAttributes, ...] = ()
    regions: tuple[RegionAttributes, ...] = ()
    gateway_receivers: tuple[GatewayReceiverAttributes, ...] = ()
    gateway_conflict_resolver: GatewayConflictResolverAttributes | None = None

    def __post_init__(self) -> None:
        stores = [store for store in self.disk_stores if store != DiskStoreAttributes(name=DEFAULT_STORE)]
        for field, definitions in (
            ("disk_stores", _by_name(stores)),
            ("gateway_senders", _by_name(self.gateway_senders)),
            ("async_event_queues", _by_name(self.async_event_queues)),
            ("regions", _by_name(map(_canonical, self.regions))),
            ("gateway_receivers", _by_name(self.gateway_receivers)),
        ):
            msgspec.structs.force_setattr(self, field, tuple(definitions.values()))

    def check(self, site: int) -> None:
        """Check what definitions say of each other, at a site of that distributed-system-id. Raises UsageError."""
        stores = {store.name for store in self.disk_stores}
        for sender in self.gateway_senders:
            check_gateway_at_site(sender, site)
        for receiver in self.gateway_receivers:
            check_gateway_at_site(receiver, site)
        senders = self.senders
        for sender in senders.values():
            check_sender_store(sender, stores)
        regions = {region.name: region for region in self.regions}
        for region in self.regions:
            check_region_store(region, stores)
            check_region_senders(region, senders)
            check_colocation(region, regions)
        list(_parents_first(regions))

    @property
    def senders(self) -> dict[str, GatewaySenderAttributes]:
        """The gateway senders by id, async event queues as such among them."""
        queues = [queue.as_sender() for queue in self.async_event_queues]
        return {sender.id: sender for sender in (*self.gateway_senders, *queues)}

    def definitions(self) -> Iterator[Attributes]:
        """Yield all definitions in the order in which they are created.

        Of gateway receivers every server's comes last, so that no server takes it up that has one of its own.
        """
        if self.gateway_conflict_resolver is not None:
            yield self.gateway_conflict_resolver
        yield from self.disk_stores
        yield from self.gateway_senders
        yield from self.async_event_queues
        yield from _parents_first({region.name: region for region in self.regions})
        yield from reversed(self.gateway_receivers)


class Step(msgspec.Struct, frozen=True):
    """One change of a site: `create` and `alter` lead to the definition, `destroy` takes it away.

    before: the definition that is altered.
    """

    kind: Kind
    definition: Attributes
    before: Attributes | None = None

    @property
    def changes(self) -> dict[str, Any]:
        """What an alteration changes: field -> its new value."""
        return {field: getattr(self.definition, field) for field in _unlike(self.before, self.definition)}

    def __str__(self) -> str:
        said = f"{self.kind} {subject_of(self.definition)}"
        return said if self.before is None else f"{said} ({differences(self.before, self.definition)})"


class Plan(msgspec.Struct, frozen=True):
    """How a site gets from what it has to what it should have.

    steps: in the order in which they can be done. conflicts: what no step can do, each with what to do instead.
    """

    steps: tuple[Step, ...]
    conflicts: tuple[str, ...]


def plan(have: ClusterConfiguration, want: ClusterConfiguration, *, prune: bool = False) -> Plan:
    """Return what leads from `have` to all that `want` defines; with `prune` also to nothing besides."""
    there = {subject_of(each): each for each in have.definitions()}
    wanted = {subject_of(each): each for each in want.definitions()}
    creating: list[Step] = []
    conflicts: list[str] = []
    for subject, definition in wanted.items():
        before = there.get(subject)
        if before is None:
            creating.append(Step("create", definition))
        elif before != definition:
            _change(before, definition, creating, conflicts)
    gone = [there[subject] for subject in reversed(there) if subject not in wanted] if prune else []
    return Plan((*creating, *(Step("destroy", each) for each in gone)), tuple(conflicts))


def merged(have: ClusterConfiguration, want: ClusterConfiguration) -> ClusterConfiguration:
    """Return what a site has when all that `want` defines was added to what it has."""
    return ClusterConfiguration(
        disk_stores=_united(have.disk_stores, want.disk_stores),
        gateway_senders=_united(have.gateway_senders, want.gateway_senders),
        async_event_queues=_united(have.async_event_queues, want.async_event_queues),
        regions=_united(have.regions, want.regions),
        gateway_receivers=_united(have.gateway_receivers, want.gateway_receivers),
        gateway_conflict_resolver=want.gateway_conflict_resolver or have.gateway_conflict_resolver,
    )


def _change(before: Attributes, after: Attributes, steps: list[Step], conflicts: list[str]) -> None:
    fixed = [field for field in _unlike(before, after) if field not in ALTERABLE[type(after)]]
    if fixed:
        named = ", ".join(field.replace("_", "-") for field in fixed)
        conflicts.append(
            f"{subject_of(after)} exists with other attributes ({differences(before, after)}), and {named} can't be "
            "changed: write what is there, or destroy it first"
        )
    else:
        steps.append(Step("alter", after, before))


def _unlike(before: Attributes | None, after: Attributes) -> list[str]:
    return [field for field in after.__struct_fields__ if getattr(before, field) != getattr(after, field)]


def _canonical(region: RegionAttributes) -> RegionAttributes:
    """Return a region in the one spelling that is kept: names without `/`, one copy as a type, groups sorted."""
    type_, copies = region.type, region.redundant_copies
    if not region.replicated:
        type_ = "_".join(["PARTITION"] + ["REDUNDANT"] * (region.copies == 1) + ["PERSISTENT"] * region.persistent)
        copies = region.copies if region.copies > 1 else None
    return msgspec.structs.replace(
        region,
        name=check_region_name(region.name),
        colocated_with=region.colocated_with and check_region_name(region.colocated_with),
        type=type_,
        redundant_copies=copies,
        groups=tuple(sorted(folded(region.groups))),
    )


def _by_name(definitions: Iterable[A]) -> dict[str, A]:
    named: dict[str, A] = {}
    for definition in definitions:
        subject = subject_of(definition)
        if subject in named:
            raise UsageError(f"{subject} is defined twice: keep one of the two")
        named[subject] = definition
    return dict(sorted(named.items()))


def _united(have: Sequence[A], want: Sequence[A]) -> tuple[A, ...]:
    return tuple((_by_name(have) | _by_name(want)).values())


def _parents_first(regions: Mapping[str, RegionAttributes]) -> Iterator[RegionAttributes]:
    """Yield regions, each after the one that it is colocated with. Raises UsageError when that goes in a circle."""
    left = dict(regions)
    while left:
        ready = [region for region in left.values() if region.colocated_with not in left]
        if not ready:
            raise UsageError(f"regions {', '.join(left)} are colocated with each other in a circle: leave one out")
        for region in ready:
            del left[region.name]
        yield from ready
