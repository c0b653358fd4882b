"""The matrix of failures between a gateway sender and receivers: whatever breaks, and when, all arrives in order.

A batch may come twice, which versions make harmless; so order is that of first arrivals. Most of it plays with and
without events that the remote site can never take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from heliograph.errors import (
    ClockSkewError,
    DiskStoreFullError,
    HeliographError,
    NotPrimaryError,
    OverloadedError,
    UnavailableError,
)
from heliograph.gateway.lanes import REFUSED_FIRST_MS, REFUSED_LIMIT_MS
from heliograph.gateway.retry import JITTER
from heliograph.member.receiver import GatewayReceiver
from heliograph.member.sender import GatewaySender
from heliograph.member.sender_dispatcher import RECONNECT_FIRST_MS, RECONNECT_LIMIT_MS
from heliograph.model.ids import Address
from heliograph.model.members import ReceiverInfo
from tests.member.wan import BUCKETS, World, simulate

EVENTS = 12
LATENCY_S = 0.2
GONE = ReceiverInfo(member="gone", address=Address("gone", 5000), port=5000, bind_address="")
Phase = Callable[[World, GatewaySender], Awaitable[None]]


def activate_all(sender: GatewaySender, region: str = "r") -> None:
    for bucket in range(BUCKETS):
        sender.activate(region, bucket, 1)


async def write(world: World, first: int, count: int = EVENTS) -> None:
    """Append events, round the buckets; the key is the number."""
    for number in range(first, first + count):
        await world.append("r", number % BUCKETS, str(number))


def keys_of(bucket: int, events: int, bad: set[str] = frozenset()) -> list[object]:  # type: ignore[assignment]
    return [str(number) for number in range(bucket, events, BUCKETS) if str(number) not in bad]


async def all_is_well(world: World, sender: GatewaySender, events: int, bad: set[str]) -> None:
    """Wait until nothing is queued; then everything is there in order, or parked, and the books balance."""
    await world.until(lambda: sender.status().drained and sender.status().counters["eventsReceived"] >= events)
    for bucket in range(BUCKETS):
        assert world.first_arrived("r", bucket) == keys_of(bucket, events, bad)
    assert {info.key.strip("'") for info in (await world.parked()).values()} == bad
    counters = sender.status().counters
    assert (counters["eventsAcknowledged"], counters["eventsParked"]) == (events - len(bad), len(bad))
    assert counters["eventsQueued"] == counters["eventsReceived"] == events
    await sender.stop()
    for bucket in range(BUCKETS):
        cursor = await world.cursor("r", bucket)
        assert cursor is not None
        assert cursor.seq == world._lasts["r", bucket]


# --- the link breaks


async def before_it_is_sent(world: World, sender: GatewaySender) -> None:
    world.network.crash("far")
    await write(world, EVENTS)


async def on_its_way(world: World, sender: GatewaySender) -> None:
    sent = sender.status().counters["batchesDistributed"]
    await write(world, EVENTS)
    await world.until(lambda: sender.status().counters["batchesDistributed"] > sent)
    assert not arrived_more(world)
    world.network.crash("far")


async def while_it_is_applied(world: World, sender: GatewaySender) -> None:
    world.apply_s = 1.0
    [receiver] = world.receivers
    await write(world, EVENTS)
    await world.until(lambda: receiver.status().counters["eventsReceived"] > EVENTS)
    assert not arrived_more(world)
    world.network.crash("far")


async def applied_and_not_acknowledged(world: World, sender: GatewaySender) -> None:
    await write(world, EVENTS)
    acknowledged = sender.status().counters["eventsAcknowledged"]
    await world.until(lambda: arrived_more(world))
    world.network.crash("far")
    assert sender.status().counters["eventsAcknowledged"] == acknowledged


async def acknowledgement_on_its_way(world: World, sender: GatewaySender) -> None:
    [receiver] = world.receivers
    answered = receiver.status().counters["processBatchResponses"]
    acknowledged = sender.status().counters["eventsAcknowledged"]
    await write(world, EVENTS)
    await world.until(lambda: receiver.status().counters["processBatchResponses"] > answered)
    await asyncio.sleep(LATENCY_S / 2)
    world.network.crash("far")
    assert sender.status().counters["eventsAcknowledged"] == acknowledged


def arrived_more(world: World) -> bool:
    """Say whether an event of the second lot was applied."""
    return any(int(str(key)) >= EVENTS for bucket in range(BUCKETS) for key in world.arrived("r", bucket))


@pytest.mark.parametrize("bad", [set(), {"17"}, {"3", "12", "23"}], ids=["no bad event", "one", "several"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "phase",
    [before_it_is_sent, on_its_way, while_it_is_applied, applied_and_not_acknowledged, acknowledgement_on_its_way],
    ids=lambda phase: phase.__name__,
)
def test_a_link_that_breaks_in_any_phase_of_a_batch_loses_nothing(phase: Phase, threads: int, bad: set[str]) -> None:
    async def scenario(world: World) -> None:
        world.poison = set(bad)
        world.network.set_latency("one", "far", LATENCY_S)
        activate_all(sender := await world.sender(dispatcher_threads=threads))
        await world.receiver()
        await write(world, 0)
        await world.until(lambda: sender.status().drained)
        await phase(world, sender)
        world.apply_s = 0.001
        await world.receiver("elsewhere")
        await all_is_well(world, sender, 2 * EVENTS, bad)

    simulate(scenario)


# --- the receiver refuses


@pytest.mark.parametrize("bad", [set(), {"0", "5"}], ids=["no bad event", "two"])
@pytest.mark.parametrize(
    "error",
    [
        ClockSkewError("events born at site 1 are 90000 ms ahead"),
        UnavailableError("the engine gave no answer"),
        DiskStoreFullError("disk store DEFAULT is full"),
        NotPrimaryError("the bucket has moved"),
        OverloadedError("too much waits for the engine"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_site_refuses_for_reasons_of_its_own_is_tried_until_it_is_taken(
    error: HeliographError, bad: set[str]
) -> None:
    async def scenario(world: World) -> None:
        world.poison = set(bad)
        for bucket in range(BUCKETS):
            world.refusals["r", bucket] = error
        activate_all(sender := await world.sender())
        receiver = await world.receiver()
        await write(world, 0)
        await world.until(lambda: receiver.status().counters["batchesRefused"] > 10)
        assert sender.status().error == f"{type(error).__name__}: {error}"
        assert await world.parked() == {}
        assert sender.status().queued == EVENTS
        world.refusals.clear()
        await all_is_well(world, sender, EVENTS, bad)

    simulate(scenario)


def test_a_region_that_is_absent_is_tried_until_it_is_there() -> None:
    async def scenario(world: World) -> None:
        world.remote_regions.clear()
        activate_all(sender := await world.sender())
        receiver = await world.receiver()
        await write(world, 0)
        await world.until(lambda: receiver.status().counters["batchesRefused"] > 10)
        assert "does not exist" in sender.status().error
        await write(world, EVENTS)
        world.remote_regions.add("r")
        await all_is_well(world, sender, 2 * EVENTS, set())

    simulate(scenario)


def test_a_refused_region_is_tried_with_growing_pauses_drawn_at_random() -> None:
    """And with one record at a time, so that nothing is moved for nothing."""

    def pauses(seed: int) -> list[float]:
        found: list[float] = []

        async def scenario(world: World) -> None:
            world.remote_regions.clear()
            activate_all(sender := await world.sender(dispatcher_threads=1))
            receiver = await world.receiver()
            await write(world, 0)
            times: list[float] = []
            for _ in range(14):
                refused = receiver.status().counters["batchesRefused"]
                await world.until(lambda: receiver.status().counters["batchesRefused"] > refused)  # noqa: B023
                times.append(asyncio.get_running_loop().time())
            found.extend(after - before for before, after in pairwise(times))
            assert sender.status().counters["eventsDistributed"] <= EVENTS + 14

        simulate(scenario, seed=seed)
        return found

    first, second = pauses(1), pauses(2)
    assert first != second
    longest_s = REFUSED_LIMIT_MS / 1000
    for each in (first, second):
        assert each[0] <= 2 * REFUSED_FIRST_MS / 1000 + 0.1
        assert all((1 - JITTER) * longest_s <= pause <= longest_s + 0.1 for pause in each[-4:])
        assert len({round(pause, 3) for pause in each[-4:]}) == 4


# --- there is no receiver


def test_receivers_that_can_not_be_reached_are_tried_with_growing_pauses_drawn_at_random() -> None:
    def attempts(seed: int) -> list[float]:
        times: list[float] = []

        async def scenario(world: World) -> None:
            world.dead_receivers = [
                ReceiverInfo(member="gone", address=Address("gone", 5000), port=5000, bind_address="")
            ]
            sender = await world.sender(dispatcher_threads=1)
            network = world.host_of(sender).network
            open_connection = network.open

            async def noted(*address: Any) -> Any:
                times.append(asyncio.get_running_loop().time())
                return await open_connection(*address)

            network.open = noted  # type: ignore[method-assign, assignment]
            activate_all(sender)
            await write(world, 0)
            await world.until(lambda: len(times) > 12)
            assert "connection refused" in sender.status().error
            assert sender.status().queued == EVENTS
            world.dead_receivers = []
            await world.receiver()
            await all_is_well(world, sender, EVENTS, set())

        simulate(scenario, seed=seed)
        return times

    first, second = attempts(1), attempts(2)
    for times in (first, second):
        pauses = [after - before for before, after in pairwise(times[:12])]
        assert pauses[0] <= RECONNECT_FIRST_MS / 1000 + 0.1
        longest_s = RECONNECT_LIMIT_MS / 1000
        assert all((1 - JITTER) * longest_s <= pause <= longest_s + 0.1 for pause in pauses[-3:])
    assert [round(time, 2) for time in first[:12]] != [round(time, 2) for time in second[:12]]


@pytest.mark.parametrize("bad", [set(), {"4"}], ids=["no bad event", "one"])
def test_receivers_that_are_all_gone_and_back_elsewhere_are_found(bad: set[str]) -> None:
    async def scenario(world: World) -> None:
        world.poison = set(bad)
        activate_all(sender := await world.sender(dispatcher_threads=4))
        for host in ("far", "farther"):
            await world.receiver(host)
        await write(world, 0)
        await world.until(lambda: sender.status().drained)
        for receiver in list(world.receivers):
            await receiver.stop()
        world.receivers.clear()
        await write(world, EVENTS)
        await world.until(lambda: "nothing is known of site 2" in sender.status().error)
        assert sender.status().queued == EVENTS
        for host in ("there", "elsewhere"):
            await world.receiver(host)
        await all_is_well(world, sender, 2 * EVENTS, bad)

    simulate(scenario)


def test_a_site_whose_receivers_are_stopped_is_waited_for() -> None:
    async def scenario(world: World) -> None:
        receiver: GatewayReceiver = await world.receiver()
        await receiver.stop()
        activate_all(sender := await world.sender())
        await write(world, 0)
        await asyncio.sleep(60)
        assert sender.status().queued == EVENTS
        await receiver.start()
        await all_is_well(world, sender, EVENTS, set())

    simulate(scenario)


# --- the receiver is slow


def test_a_slow_receiver_is_neither_left_nor_flooded() -> None:
    """It takes 40 s for a batch, longer than any link may be silent; the sender has no more out than its window."""

    async def scenario(world: World) -> None:
        world.poison = {"7"}
        world.apply_s = 40.0
        activate_all(sender := await world.sender(dispatcher_threads=1, batch_size=1))
        receiver = await world.receiver()
        await write(world, 0)
        await asyncio.sleep(35)
        assert (sender.status().status, sender.status().error) == ("Running and Connected", "")
        assert receiver.status().counters["processBatchResponses"] == 0
        async with asyncio.timeout(600):
            while not sender.status().drained:  # noqa: ASYNC110  (on virtual time)
                await asyncio.sleep(1)
        assert sender.status().counters["batchesRedistributed"] == 0
        await all_is_well(world, sender, EVENTS, {"7"})
        assert all(len(world.arrived("r", bucket)) == len(set(world.arrived("r", bucket))) for bucket in range(BUCKETS))

    simulate(scenario)
