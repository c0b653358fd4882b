"""What may stand in a site's configuration: how messages name it, and what they say when it is there already."""

from __future__ import annotations

import msgspec

from heliograph.errors import UsageError
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.ids import NO_SITE_ID
from heliograph.model.queues import AsyncEventQueueAttributes

Attributes = (
    RegionAttributes
    | GatewaySenderAttributes
    | GatewayReceiverAttributes
    | DiskStoreAttributes
    | AsyncEventQueueAttributes
    | GatewayConflictResolverAttributes
)

_REMEDIES: dict[type[Attributes], str] = {
    DiskStoreAttributes: "alter disk-store changes its max-disk",
    RegionAttributes: "alter region changes its gateway senders, destroy region drops it with its data",
    GatewaySenderAttributes: "alter gateway-sender changes its batches, destroy gateway-sender drops it with its queue",
    AsyncEventQueueAttributes: "alter async-event-queue changes its batches, destroy async-event-queue drops it",
    GatewayConflictResolverAttributes: "destroy gateway-conflict-resolver takes it away",
    GatewayReceiverAttributes: "leave it with --if-not-exists, or destroy gateway-receiver first",
}


def subject_of(attributes: Attributes) -> str:
    """Return how commands and messages name what is defined."""
    if isinstance(attributes, RegionAttributes):
        return f"region {attributes.name}"
    if isinstance(attributes, DiskStoreAttributes):
        return f"disk-store {attributes.name}"
    if isinstance(attributes, AsyncEventQueueAttributes):
        return f"async-event-queue {attributes.id}"
    if isinstance(attributes, GatewayConflictResolverAttributes):
        return "gateway-conflict-resolver"
    if isinstance(attributes, GatewaySenderAttributes):
        return f"gateway-sender {attributes.id}"
    return f"gateway-receiver of {attributes.scope}" if attributes.scope else "gateway-receiver"


def differences(there: Attributes, here: Attributes) -> str:
    """Say in which options two definitions of one kind differ; empty when in none."""
    theirs, ours = msgspec.structs.asdict(there), msgspec.structs.asdict(here)
    return ", ".join(
        f"{name.replace('_', '-')}: {_shown(value)} there, {_shown(ours[name])} here"
        for name, value in theirs.items()
        if value != ours[name]
    )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return "unset" if value in (None, "") else str(value)


def exists_already(there: Attributes | None, here: Attributes) -> UsageError:
    """Return the error of a creation whose name is taken by `there`; None when that is gone again."""
    differing = differences(there, here) if there is not None else ""
    others = f" with other attributes ({differing})" if differing else ""
    return UsageError(f"{subject_of(here)} exists already{others}: {_REMEDIES[type(here)]}")


def check_gateway_at_site(gateway: GatewaySenderAttributes | GatewayReceiverAttributes, site: int) -> None:
    """Raise UsageError when a gateway does not fit its site, which has no id or is the one it feeds."""
    if site == NO_SITE_ID:
        raise UsageError(
            f"{subject_of(gateway)}: this site has no distributed-system-id, by which others know its events: "
            "start its locator with --distributed-system-id, 1 or more"
        )
    if isinstance(gateway, GatewaySenderAttributes) and gateway.remote_distributed_system_id == site:
        raise UsageError(
            f"{subject_of(gateway)}: remote-distributed-system-id {site} is this site's own distributed-system-id"
        )
