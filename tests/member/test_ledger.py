"""The books of a gateway sender balance at any moment, whatever happens to its events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from heliograph.errors import UnavailableError
from heliograph.gateway.plugins import GatewayEvent
from heliograph.member.sender import GatewaySender
from heliograph.model.batch import UPDATE, Columns, Part, encode_columns
from heliograph.model.clock import stamp_of_ms
from heliograph.model.keys import encode_value
from tests.gateway.builders import HERE, THERE, record_of
from tests.member.wan import BUCKETS, World, simulate

STEPS = 250
KEYS = 25
FILTERS = (f"{__name__}:Before", f"{__name__}:OnTheWay")


class Before:
    """Keeps some events from the queue."""

    def before_enqueue(self, event: GatewayEvent) -> bool:
        return not str(event.key).endswith("7")


class OnTheWay:
    """Keeps some events from leaving."""

    def before_transmit(self, event: GatewayEvent) -> bool:
        return not str(event.key).endswith("3")


def books(sender: GatewaySender) -> tuple[int, int]:
    """What the sender took, and what it says became of it."""
    counters = sender.status().counters
    told = (
        "eventsSkippedByLoopRule",
        "eventsFiltered",
        "eventsNotQueuedConflated",
        "eventsAcknowledged",
        "eventsParked",
        "eventQueueSize",
    )
    return counters["eventsReceived"], sum(counters[name] for name in told) - counters["entriesOverflowedToDisk"]


def part(world: World, keys: Sequence[str], stamp: int) -> Part:
    """Updates of keys, a fifth of them born at the remote site."""
    origin = THERE if world.rng.random() < 0.2 else HERE
    value = encode_value("v" * world.rng.choice([10, 10, 30_000]))
    columns = encode_columns(Columns(bytes([UPDATE]) * len(keys), list(keys), [value] * len(keys), stamp))
    return Part(origin, (), 0, 0 if origin == HERE else 1, len(keys), columns)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("conflation", [False, True])
def test_whatever_happens_to_events_the_books_balance(seed: int, conflation: bool) -> None:
    async def scenario(world: World) -> None:
        rng = world.rng
        world.poison = {f"k{number}" for number in rng.sample(range(KEYS), 4)}
        sender = await world.sender(
            dispatcher_threads=2,
            batch_size=10,
            maximum_queue_memory=1,
            enable_batch_conflation=conflation,
            gateway_event_filters=FILTERS,
        )
        epoch = 1
        for bucket in range(BUCKETS):
            sender.activate("r", bucket, epoch)
        await world.receiver()
        for step in range(STEPS):
            bucket = rng.randrange(BUCKETS)
            keys = [f"k{number}" for number in rng.sample(range(bucket, KEYS, BUCKETS), 3)]
            await world.append_record("r", bucket, record_of(part(world, keys, stamp_of_ms(1_000 + step))))
            match rng.randrange(40):
                case 0:
                    sender._dispatchers[0].disconnect("by the test")
                case 1:
                    world.refusals["r", bucket] = UnavailableError("no answer")
                case 2 | 3:
                    world.refusals.clear()
                case 4:
                    sender.deactivate("r", bucket)
                    epoch += 1
                    sender.activate("r", bucket, epoch)
                case 5:
                    await sender.stop()
                    assert books(sender)[0] == books(sender)[1]
                    await sender.start()
                case _:
                    await asyncio.sleep(rng.choice([0, 0.002, 0.05]))
            taken, told = books(sender)
            assert taken == told, f"step {step}"
        world.refusals.clear()
        await world.until(lambda: sender.status().drained)
        taken, told = books(sender)
        assert taken == told
        counters = sender.status().counters
        assert all(counters[name] for name in ("eventsParked", "eventsFiltered", "eventsSkippedByLoopRule"))
        assert bool(counters["eventsNotQueuedConflated"]) is conflation
        assert (counters["eventQueueSize"], counters["logTruncatedTooEarly"]) == (0, 0)

    simulate(scenario, seed=seed)
