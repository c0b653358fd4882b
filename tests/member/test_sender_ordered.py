"""Serial senders that keep the order of threads: what arrives is the log, across its buckets and regions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from heliograph.engine.seam import LogEntry
from heliograph.errors import ClockSkewError
from heliograph.member.sender import GatewaySender
from heliograph.model.batch import UPDATE, Columns, Part, Record, encode_columns
from heliograph.model.clock import stamp_of_ms
from heliograph.model.ids import Seq
from heliograph.model.keys import encode_value
from heliograph.model.registry import cursor_key
from tests.gateway.builders import HERE, THERE, record_of
from tests.member.test_sender import numbers, settled
from tests.member.wan import BUCKETS, SENDER, World, simulate

REGIONS = ("r", "s")


async def ordered(world: World, host: str = "one", **attributes: object) -> GatewaySender:
    """A started sender of two regions, which the member hosts in part; it is not primary yet."""
    world.regions |= set(REGIONS)
    world.remote_regions |= set(REGIONS)
    sender = await world.sender(host, parallel=False, order_policy="thread", **attributes)
    world.host_of(sender).unhosted |= {("r", 1), ("s", 0)}
    return sender


async def append(world: World, number: int, **options: bool) -> None:
    """Append to any region and bucket a record whose key is the number."""
    await world.append(world.rng.choice(REGIONS), world.rng.randrange(BUCKETS), str(number), **options)


async def primary(world: World, sender: GatewaySender) -> None:
    sender.may_hold(True)
    await world.until(lambda: sender.status().policy == "Primary")


def test_what_arrives_is_the_log_over_all_buckets_and_regions() -> None:
    async def scenario(world: World) -> None:
        world.apply_spread = 20
        await world.receiver()
        for number in range(100):
            await append(world, number)
        sender = await ordered(world, batch_size=7)
        await primary(world, sender)
        for number in range(100, 300):
            await append(world, number)
        await settled(world, sender)
        assert world.order == numbers(0, 300), "each once"
        assert len(sender._dispatchers) == 1
        counters = sender.status().counters
        assert (counters["eventsQueued"], counters["eventsAcknowledged"], counters["eventsSentAgain"]) == (300, 300, 0)
        assert counters["logTruncatedTooEarly"] == 0

    simulate(scenario)


@pytest.mark.parametrize("seed", range(12))
def test_a_link_lost_at_any_moment_keeps_the_order(seed: int) -> None:
    async def scenario(world: World) -> None:
        world.apply_spread = 20
        receiver = await world.receiver()
        sender = await ordered(world, batch_size=3)
        await primary(world, sender)
        done = False

        async def crash() -> None:
            while not done:
                await asyncio.sleep(world.rng.expovariate(8))
                world.network.crash("far")
                await receiver.stop()
                await asyncio.sleep(world.rng.choice([0.0, 0.01, 0.3]))
                await receiver.start()

        crashing = asyncio.create_task(crash())
        for number in range(150):
            await append(world, number)
            if world.rng.random() < 0.3:
                await asyncio.sleep(world.rng.expovariate(50))
        done = True
        await crashing
        await settled(world, sender)
        assert world.first_order() == numbers(0, 150)

    simulate(scenario, seed=seed)


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_primary_is_followed_in_order_although_its_receiver_is_still_at_work(seed: int) -> None:
    async def scenario(world: World) -> None:
        world.apply_s, world.apply_spread = 0.01, 20
        await world.receiver()
        first, second = await ordered(world, "one", batch_size=5), await ordered(world, "two", batch_size=5)
        await primary(world, first)
        for number in range(100):
            await append(world, number)
        await world.until(lambda: len(world.sequence) > world.rng.randrange(50))
        world.crash(first)
        assert len(world.sequence) < 100
        second.may_hold(True)
        for number in range(100, 150):
            await append(world, number)
        await world.until(lambda: second.status().policy == "Primary")
        await settled(world, second)
        assert world.first_order() == numbers(0, 150)

    simulate(scenario, seed=seed)


@pytest.mark.parametrize("command", ["stop", "pause"])
def test_stopped_or_paused_in_the_middle_it_goes_on_in_order(command: str) -> None:
    async def scenario(world: World) -> None:
        world.apply_s, world.apply_spread = 0.01, 20
        await world.receiver()
        sender = await ordered(world, batch_size=2)
        await primary(world, sender)
        for number in range(60):
            await append(world, number)
        await world.until(lambda: len(world.sequence) > 10)
        if command == "stop":
            await sender.stop()
        else:
            sender.pause()
        await asyncio.sleep(5)
        assert 10 < len(world.sequence) < 60 or command == "pause"
        for number in range(60, 120):
            await append(world, number)
        if command == "stop":
            await sender.start()
            await primary(world, sender)
        else:
            sender.resume()
        await settled(world, sender)
        assert world.first_order() == numbers(0, 120)

    simulate(scenario)


def test_a_refusal_in_the_middle_holds_up_all_that_follows() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await ordered(world, batch_size=10)
        await primary(world, sender)
        for number in range(20):
            await append(world, number)
        await settled(world, sender)
        world.refusals["s", 2] = ClockSkewError("site 1 is 90000 ms ahead")
        await world.append("s", 2, "20")
        for number in range(21, 60):
            await world.append("r", number % BUCKETS, str(number))
        await world.until(lambda: "90000 ms ahead" in sender.status().error)
        await asyncio.sleep(20)
        assert world.first_order() == numbers(0, 20)
        assert sender.status().counters["batchesRefused"] > 2
        del world.refusals["s", 2]
        await settled(world, sender)
        assert world.first_order() == numbers(0, 60)
        assert sender.status().error == ""

    simulate(scenario)


def test_a_region_missing_there_holds_up_the_others_until_it_is_created() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await ordered(world)
        await primary(world, sender)
        world.remote_regions.remove("s")
        await world.append("r", 0, "0")
        await world.append("s", 0, "1")
        await world.append("r", 1, "2")
        await world.until(lambda: "'s' does not exist" in sender.status().error)
        await asyncio.sleep(20)
        assert world.first_order() == ["0"]
        world.remote_regions.add("s")
        await settled(world, sender)
        assert world.first_order() == ["0", "1", "2"]

    simulate(scenario)


def large(number: int) -> Record:
    """A record of 100 kB whose key is the number."""
    columns = Columns(bytes([UPDATE]), [str(number)], [encode_value("x" * 100_000)], stamp_of_ms(1_000))
    return record_of(Part(HERE, (), 0, 0, 1, encode_columns(columns)))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_backlog_larger_than_the_memory_arrives_in_order_and_is_counted(when: str) -> None:
    """Put before the sender is primary, or while it is paused: then a copy here tells of what there is no room for."""

    async def scenario(world: World) -> None:
        sender = await ordered(world, maximum_queue_memory=1)
        world.host_of(sender).unhosted.clear()
        sender.pause()
        if when == "after":
            await primary(world, sender)
        for number in range(60):
            await world.append_record(world.rng.choice(REGIONS), world.rng.randrange(BUCKETS), large(number))
        await primary(world, sender)
        await world.append_record("r", 0, Record(1, (), "control"))
        await asyncio.sleep(5)
        status = sender.status()
        assert status.uncounted_buckets == 0
        assert status.queued == 60 or when == "before"
        assert status.counters["totalQueueSizeBytesInUse"] < 1 << 20
        await world.receiver()
        sender.resume()
        await settled(world, sender)
        assert world.order == numbers(0, 60)
        assert sender.status().counters["totalQueueSizeBytesInUse"] == 0

    simulate(scenario)


def test_a_region_that_joins_and_one_that_goes_change_nothing_for_the_others() -> None:
    async def scenario(world: World) -> None:
        world.apply_spread = 20
        await world.receiver()
        sender = await ordered(world, batch_size=3)
        world.regions.remove("s")
        await primary(world, sender)
        for number in range(30):
            await world.append("r", number % BUCKETS, str(number))
        world.regions.add("s")
        sender.may_hold(True)
        for number in range(30, 90):
            await append(world, number)
        await settled(world, sender)
        assert world.first_order() == numbers(0, 90)
        world.regions.remove("s")
        sender.may_hold(True)
        for number in range(90, 120):
            await world.append("r", number % BUCKETS, str(number))
        await settled(world, sender)
        assert world.first_order() == numbers(0, 120)

    simulate(scenario)


def test_a_bucket_that_is_fenced_closes_all_and_nothing_overtakes() -> None:
    """Its cursor is deleted while the sender ships; it is opened again when it is assigned the next time."""

    async def scenario(world: World) -> None:
        world.apply_s, world.apply_spread = 0.01, 20
        await world.receiver()
        sender = await ordered(world, batch_size=3)
        await primary(world, sender)
        for number in range(20):
            await append(world, number)
        await world.until(lambda: len(world.sequence) > 5)
        await world.local.registry.delete(cursor_key(SENDER, "r", 0, 0))
        for number in range(20, 60):
            await world.append("r", number % BUCKETS, str(number))
        await world.until(lambda: sender._buckets is not None and sender._buckets.empty)
        left = world.first_order()
        assert left == numbers(0, len(left))
        await asyncio.sleep(5)
        sender.may_hold(True)
        await settled(world, sender)
        assert world.first_order() == numbers(0, 60)

    simulate(scenario)


@pytest.mark.parametrize("seed", range(5))
def test_an_engine_that_restarts_under_it_keeps_the_order(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await ordered(world)
        client = world.host_of(sender).client
        await primary(world, sender)
        for number in range(100):
            await append(world, number, live=world.rng.random() < 0.5)
            if number % 20 == 0:
                client.connection.cut()
                await asyncio.sleep(world.rng.expovariate(2))
                client.connection.heal()
        await world.until(lambda: len(world.first_order()) == 100)
        assert world.first_order() == numbers(0, 100)

    simulate(scenario, seed=seed)


def test_a_cursor_far_behind_the_others_is_not_read_up_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that was written long ago, and one with a single record after its cursor."""

    async def scenario(world: World) -> None:
        await world.receiver()
        first = await ordered(world)
        await primary(world, first)
        for number in range(50):
            await world.append("r", 2 + number % 2, str(number))
        await settled(world, first)
        await world.append("r", 1, "50")
        await world.until(lambda: len(world.sequence) == 51)
        await settled(world, first)
        await first.stop()
        last = await world.append("r", 0, "51")
        second = await ordered(world, "two")
        log, afters = world.host_of(second).logs["DEFAULT"], []
        follow = log.follow

        def followed(subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
            afters.append(after)
            return follow(subjects, after=after)

        monkeypatch.setattr(log, "follow", followed)
        await primary(world, second)
        await settled(world, second)
        assert afters == [last - 1]
        assert world.order == numbers(0, 52)

    simulate(scenario)


def test_what_a_third_site_wrote_keeps_its_order_on_its_way() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await ordered(world)
        await primary(world, sender)
        for number in range(30):
            origin = (HERE, 3, THERE)[number % 3]
            await world.append(world.rng.choice(REGIONS), number % BUCKETS, str(number), origin=origin)
        await settled(world, sender)
        assert world.order == [str(number) for number in range(30) if number % 3 != 2]

    simulate(scenario)


@pytest.mark.parametrize("seed", range(6))
def test_what_can_never_be_taken_is_parked_and_the_rest_keeps_its_order(seed: int) -> None:
    """In records of several events, so that a run is isolated while the next one waits; under lost links, too."""

    async def scenario(world: World) -> None:
        world.apply_spread = 20
        bad = {str(number) for number in world.rng.sample(range(300), 40)}
        world.poison = set(bad)
        receiver = await world.receiver()
        sender = await ordered(world, batch_size=20)
        await primary(world, sender)
        for number in range(0, 300, 3):
            keys = [str(number), str(number + 1), str(number + 2)]
            await world.append(world.rng.choice(REGIONS), world.rng.randrange(BUCKETS), *keys)
            if seed and number % 90 == 0:
                sender._dispatchers[0].disconnect("by the test")
        await settled(world, sender)
        arrived = list(dict.fromkeys(world.order))
        assert arrived == [key for key in numbers(0, 300) if key not in bad]
        assert {info.key.strip("'") for info in (await world.parked()).values()} == bad
        counters = sender.status().counters
        assert (counters["eventsParked"], counters["eventsAcknowledged"]) == (40, 260)
        assert seed or receiver.status().counters["batchesRefused"] == 0

    simulate(scenario, seed=seed)
