"""What operators commanded of gateway senders here, kept in the registry over this member's restarts.

A sender of which nothing was commanded here is as its definition says: it runs unless it has `manual-start`.
"""

from __future__ import annotations

from heliograph.engine.seam import Registry
from heliograph.link.messages import SenderAction
from heliograph.model.registry import Commanded, SenderState, commanded_key, decode_entry, encode_entry

LEAVES: dict[SenderAction, SenderState] = {
    "start": "running",
    "stop": "stopped",
    "pause": "paused",
    "resume": "running",
}
"""Action -> the state that it leaves; load balancing leaves it as it is."""


async def commanded(registry: Registry, sender: str, member: str) -> SenderState | None:
    """Return how a sender was left here, None when nobody has said. Raises UnavailableError."""
    item = await registry.get(commanded_key(sender, member))
    return decode_entry(item.value, Commanded).state if item is not None else None


async def keep_command(registry: Registry, sender: str, member: str, action: SenderAction) -> None:
    """Keep what was done. Raises UnavailableError."""
    if action in LEAVES:
        await registry.put(commanded_key(sender, member), encode_entry(Commanded(LEAVES[action])))
