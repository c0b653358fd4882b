"""When a site begins a new life the queues of gateway senders that are not persistent are empty (`enable-persistence`).

They are emptied once the new life stands in the registry and before any server takes up what such a sender ships, so
nothing of the new life is dropped: `SiteLife.beginning` says that it is still to be done. Whoever becomes the oldest
server meanwhile does it again; what was emptied for this life already is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from heliograph.engine.queues import empty_queue, log_ends
from heliograph.engine.seam import Registry, bucket_subject
from heliograph.member.stores import Stores
from heliograph.model.attributes import GatewaySenderAttributes, RegionAttributes
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.registry import CONFIG_QUEUES, CONFIG_REGIONS, CONFIG_SENDERS, RegionEntry, decode_entry

_log = logging.getLogger(__name__)


def has_fleeting_queue(region: RegionAttributes, senders: Mapping[str, GatewaySenderAttributes]) -> bool:
    """Say whether a gateway sender of the region has a queue that ends with the site's life."""
    return any(name in senders and not senders[name].enable_persistence for name in region.sender_ids)


async def empty_fleeting_queues(registry: Registry, stores: Stores, life: int) -> None:
    """Empty, for the site's new life, the queues that are not persistent. Raises UnavailableError."""
    senders = [
        *(
            decode_entry(item.value, GatewaySenderAttributes)
            for item in (await registry.items(CONFIG_SENDERS)).values()
        ),
        *(
            decode_entry(item.value, AsyncEventQueueAttributes).as_sender()
            for item in (await registry.items(CONFIG_QUEUES)).values()
        ),
    ]
    fleeting = {sender.id for sender in senders if not sender.enable_persistence}
    for item in (await registry.items(CONFIG_REGIONS)).values():
        entry = decode_entry(item.value, RegionEntry)
        region = entry.attributes
        emptied = sorted(fleeting & {*region.sender_ids})
        if not emptied:
            continue
        log = (await stores.open(region.disk_store)).log
        subjects = [
            bucket_subject(region.disk_store, region.name, entry.generation, bucket)
            for bucket in range(region.total_num_buckets)
        ]
        ends = await log_ends(log, subjects)
        for sender in emptied:
            await empty_queue(registry, sender, region.name, entry.generation, ends, life=life)
        _log.info("queues not persistent emptied region=%s senders=%s life=%d", region.name, ",".join(emptied), life)
