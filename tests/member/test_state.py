"""What a member reads from the registry, on the simulated engine."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from heliograph.engine.sim import loop
from heliograph.engine.sim.engine import SimRegistry, connect_engine
from heliograph.engine.sim.server import SimEngine
from heliograph.errors import PeerError
from heliograph.member.state import SiteState, StateWatcher
from heliograph.model.attributes import GatewayReceiverAttributes, GatewaySenderAttributes, RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo, RegionPlacement
from heliograph.model.registry import (
    CONFIG_RECEIVER,
    RegionEntry,
    encode_entry,
    member_key,
    placement_key,
    receiver_key,
    region_key,
    sender_key,
)

REGION = RegionEntry(RegionAttributes(name="customer"), 3)
SENDER = GatewaySenderAttributes(id="s2", remote_distributed_system_id=2)
RECEIVER = GatewayReceiverAttributes()
OF_GROUP = GatewayReceiverAttributes(group="WAN")
SERVER = MemberInfo(name="s1", kind="server", incarnation="1", joined_ms=1, address=Address("h", 1), pid=7)
PLACEMENT = RegionPlacement("customer", ())


def on_registry(scenario: Callable[[SimRegistry, StateWatcher, list[int]], Awaitable[None]]) -> None:
    async def main(rng: random.Random) -> None:
        client = connect_engine(SimEngine(rng))
        registry = await client.open_registry("site")
        changes: list[int] = []
        await scenario(registry, StateWatcher(registry, lambda: changes.append(1)), changes)
        await client.close()

    loop.run(main, seed=1)


def test_everything_that_a_member_needs_is_read() -> None:
    async def scenario(registry: SimRegistry, watcher: StateWatcher, changes: list[int]) -> None:
        await watcher.refresh()
        assert watcher.state == SiteState()
        await registry.put(member_key("s1"), encode_entry(SERVER))
        await registry.put(region_key("customer"), encode_entry(REGION))
        await registry.put(sender_key("s2"), encode_entry(SENDER))
        received = await registry.put(CONFIG_RECEIVER, encode_entry(RECEIVER))
        await registry.put(receiver_key(OF_GROUP.scope), encode_entry(OF_GROUP))
        revision = await registry.put(placement_key("customer"), encode_entry(PLACEMENT))
        changes.clear()
        await watcher.refresh()
        assert watcher.state == SiteState(
            members={"s1": SERVER},
            regions={"customer": REGION},
            senders={"s2": SENDER},
            receivers=[(RECEIVER, received), (OF_GROUP, received + 1)],
            placements={"customer": (PLACEMENT, revision)},
        )
        assert len(changes) == 3
        await registry.delete(region_key("customer"))
        await registry.delete(CONFIG_RECEIVER)
        await watcher.refresh()
        assert watcher.state.regions == {}
        assert watcher.state.receivers == [(OF_GROUP, received + 1)]
        assert watcher.state.senders == {"s2": SENDER}

    on_registry(scenario)


def test_an_entry_that_can_not_be_read_changes_nothing() -> None:
    """A region that seems to be gone would be given up, with its data."""

    async def scenario(registry: SimRegistry, watcher: StateWatcher, changes: list[int]) -> None:
        await registry.put(region_key("customer"), encode_entry(REGION))
        await watcher.refresh()
        await registry.put(region_key("customer"), b"\xc1")
        await registry.put(sender_key("s2"), encode_entry(SENDER))
        with pytest.raises(PeerError):
            await watcher.refresh()
        assert watcher.state.regions == {"customer": REGION}
        assert watcher.state.senders == {}

    on_registry(scenario)
