"""How definitions (of disk stores, regions, gateways) get into the registry and out of it, whoever does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from heliograph.engine.seam import Item, Registry
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.definitions import Attributes
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.registry import (
    CONFIG,
    CONFIG_QUEUES,
    CONFIG_RECEIVER,
    CONFIG_REGIONS,
    CONFIG_RESOLVER,
    CONFIG_SENDERS,
    CONFIG_STORES,
    RegionEntry,
    decode_entry,
    encode_entry,
    generation_key,
    queue_key,
    receiver_key,
    region_key,
    sender_key,
    store_key,
)

T = TypeVar("T")


def definition_key(attributes: Attributes) -> str:
    """Return the key that a definition stands at."""
    if isinstance(attributes, RegionAttributes):
        return region_key(attributes.name)
    if isinstance(attributes, DiskStoreAttributes):
        return store_key(attributes.name)
    if isinstance(attributes, AsyncEventQueueAttributes):
        return queue_key(attributes.id)
    if isinstance(attributes, GatewayConflictResolverAttributes):
        return CONFIG_RESOLVER
    if isinstance(attributes, GatewayReceiverAttributes):
        return receiver_key(attributes.scope)
    return sender_key(attributes.id)


async def create_definition(registry: Registry, attributes: Attributes) -> int:
    """Write a new definition and return its revision. Raises ConflictError when its key is taken.

    A region is given its generation here. It is the revision of a write made only to draw it, so no two attempts ever
    get the same one; of two that race, one creates the entry, and the other's number is never used.
    """
    entry: msgspec.Struct = attributes
    if isinstance(attributes, RegionAttributes):
        entry = RegionEntry(attributes, await registry.put(generation_key(attributes.name), b""))
    return await registry.create(definition_key(attributes), encode_entry(entry))


async def read_definition(registry: Registry, like: Attributes) -> Attributes | None:
    """Return the definition of the name and kind of `like`, or None when there is none."""
    item = await registry.get(definition_key(like))
    if item is None:
        return None
    if isinstance(like, RegionAttributes):
        return decode_entry(item.value, RegionEntry).attributes
    return decode_entry(item.value, type(like))


async def read_configuration(registry: Registry) -> ClusterConfiguration:
    """Return all definitions. Raises UnavailableError."""
    items = await registry.items(CONFIG)
    resolver = items.get(CONFIG_RESOLVER)
    return ClusterConfiguration(
        disk_stores=_below(items, CONFIG_STORES, DiskStoreAttributes),
        gateway_senders=_below(items, CONFIG_SENDERS, GatewaySenderAttributes),
        async_event_queues=_below(items, CONFIG_QUEUES, AsyncEventQueueAttributes),
        regions=tuple(entry.attributes for entry in _below(items, CONFIG_REGIONS, RegionEntry)),
        gateway_receivers=tuple(receivers(items).values()),
        gateway_conflict_resolver=(
            decode_entry(resolver.value, GatewayConflictResolverAttributes) if resolver else None
        ),
    )


def receivers(items: Mapping[str, Item]) -> dict[str, GatewayReceiverAttributes]:
    """Return the gateway receivers among entries of the registry, by their keys."""
    return {
        key: decode_entry(item.value, GatewayReceiverAttributes)
        for key, item in items.items()
        if key == CONFIG_RECEIVER or key.startswith(f"{CONFIG_RECEIVER}.")
    }


def _below(items: Mapping[str, Item], prefix: str, kind: type[T]) -> tuple[T, ...]:
    return tuple(decode_entry(item.value, kind) for key, item in items.items() if key.startswith(f"{prefix}."))
