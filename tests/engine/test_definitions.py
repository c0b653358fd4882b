"""How definitions get into the registry, on the simulated engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from heliograph.engine.definitions import create_definition, definition_key, read_definition
from heliograph.engine.seam import Registry
from heliograph.engine.sim import loop
from heliograph.engine.sim.engine import connect_engine
from heliograph.engine.sim.server import SimEngine
from heliograph.errors import ConflictError
from heliograph.model.attributes import (
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.definitions import Attributes
from heliograph.model.registry import RegionEntry, decode_entry

REGION = RegionAttributes(name="customer")


def on_registry(scenario: Callable[[Registry], Awaitable[None]]) -> None:
    async def main(rng: random.Random) -> None:
        client = connect_engine(SimEngine(rng))
        await scenario(await client.open_registry("site"))
        await client.close()

    loop.run(main, seed=1)


@pytest.mark.parametrize(
    "attributes",
    [REGION, GatewaySenderAttributes(id="s2", remote_distributed_system_id=2), GatewayReceiverAttributes()],
)
def test_what_is_created_is_read_and_not_created_again(attributes: Attributes) -> None:
    async def scenario(registry: Registry) -> None:
        assert await read_definition(registry, attributes) is None
        revision = await create_definition(registry, attributes)
        item = await registry.get(definition_key(attributes))
        assert item is not None
        assert item.revision == revision
        assert await read_definition(registry, attributes) == attributes
        with pytest.raises(ConflictError):
            await create_definition(registry, attributes)

    on_registry(scenario)


def test_of_regions_created_at_once_one_is_there_and_its_successor_has_another_generation() -> None:
    async def scenario(registry: Registry) -> None:
        generations = []
        for _ in range(2):
            racing = (create_definition(registry, REGION) for _ in range(5))
            outcomes = await asyncio.gather(*racing, return_exceptions=True)
            assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 4
            item = await registry.get(definition_key(REGION))
            assert item is not None
            generations.append(decode_entry(item.value, RegionEntry).generation)
            await registry.delete(item.key, revision=item.revision)
        assert generations[0] < generations[1]

    on_registry(scenario)
