"""The options of a region that a program creates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict

from heliograph.api.options import checked, read_names
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import check_region_name


class RegionOptions(TypedDict, total=False):
    """What a region may be created with besides its name and type; see `model.attributes.RegionAttributes`.

    gateway_sender_ids: names, or a text with commas; the gateway senders have to exist.
    async_event_queue_ids: the same of async event queues.
    redundant_copies: 0 to 3; by default what the type says. colocated_with: a partitioned region that exists.
    partition_resolver: `module:function` or `string-prefix`. disk_store: one that exists.
    groups: names, or a text with commas; the servers that hold it are those of any of them, by default all.
    entry_time_to_live_expiration, entry_idle_time_expiration: seconds; 0, the default: never.
    entry_..._action: "destroy", or "invalidate", the default.
    """

    gateway_sender_ids: str | Iterable[str]
    async_event_queue_ids: str | Iterable[str]
    redundant_copies: int | None
    total_num_buckets: int
    colocated_with: str
    partition_resolver: str
    disk_store: str
    groups: str | Iterable[str]
    entry_time_to_live_expiration: int
    entry_time_to_live_expiration_action: str
    entry_idle_time_expiration: int
    entry_idle_time_expiration_action: str


def read_region_options(name: str, type_: str, options: RegionOptions) -> RegionAttributes:
    """Check the options and make the region's attributes. Raises UsageError for one that is unknown or unfit."""
    given: dict[str, Any] = {"name": check_region_name(name), "type": type_, **options}
    if given.get("colocated_with"):
        given["colocated_with"] = check_region_name(given["colocated_with"])
    for option in {"gateway_sender_ids", "async_event_queue_ids", "groups"} & given.keys():
        given[option] = read_names(option, given[option])
    return checked(RegionAttributes, "create_region", given)
