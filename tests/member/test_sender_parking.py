"""A gateway sender parks what its remote site can never take, whatever happens meanwhile, and sends it again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliograph.engine.parked import list_parked, remove_parked, write_parked
from heliograph.engine.seam import Registry
from heliograph.engine.sim.engine import SimRegistry
from heliograph.errors import ClockSkewError, UnavailableError, UsageError
from heliograph.gateway import parking
from heliograph.gateway.loops import outgoing
from heliograph.gateway.parking import Attempt, events_to_park
from heliograph.link import hello
from heliograph.link.messages import Rejected, WanBatch
from heliograph.member import sender_parking
from heliograph.member.sender import GatewaySender
from heliograph.model.keys import KEY_BYTES_MAX, bucket_of
from heliograph.model.parked import PARKED, PARKED_EVENTS, ParkedInfo
from tests.gateway.builders import THERE, part_of, record_of
from tests.member.wan import BUCKETS, SENDER, World, simulate

KEYS = [str(number) for number in range(20)]


def activate_all(sender: GatewaySender) -> None:
    for bucket in range(BUCKETS):
        sender.activate("r", bucket, 1)


async def parked_keys(world: World) -> list[str]:
    return sorted((info.key.strip("'") for info in (await world.parked()).values()), key=int)


def ledger(sender: GatewaySender) -> tuple[int, int]:
    """Events that the sender took, and those of which it says what became of them."""
    counters = sender.status().counters
    told = counters["eventsAcknowledged"] + counters["eventsParked"] + counters["eventQueueSize"]
    return counters["eventsQueued"] + counters["entriesOverflowedToDisk"], told


async def drained(world: World, sender: GatewaySender, events: int) -> None:
    await world.until(lambda: sender.status().drained and ledger(sender)[1] >= events)
    assert ledger(sender) == (events, events)


@pytest.mark.parametrize(
    "bad",
    [["0"], ["9"], ["19"], ["0", "19"], ["3", "4", "11"], KEYS],
    ids=["first", "middle", "last", "both ends", "several", "all"],
)
@pytest.mark.parametrize("one_record", [True, False])
def test_only_the_bad_events_of_a_batch_are_parked(bad: list[str], one_record: bool) -> None:
    async def scenario(world: World) -> None:
        world.poison = set(bad)
        sender = await world.sender(dispatcher_threads=1)
        activate_all(sender)
        if one_record:
            last = await world.append("r", 0, *KEYS)
        else:
            for key in KEYS:
                last = await world.append("r", 0, key)
        await world.receiver()
        await drained(world, sender, len(KEYS))
        assert world.arrived("r", 0) == [key for key in KEYS if key not in bad]
        assert await parked_keys(world) == bad
        counters = sender.status().counters
        assert (counters["eventsParked"], counters["batchesRefused"]) == (len(bad), 0)
        [receiver] = world.receivers
        assert receiver.status().counters["exceptionsOccurred"] == len(bad)
        await sender.stop()
        cursor = await world.cursor("r", 0)
        assert cursor is not None
        assert cursor.seq == last
        info = next(iter((await world.parked()).values()))
        assert (info.region, info.operation, info.member) == ("r", "update", "one")
        assert info.error.startswith("can't take")

    simulate(scenario)


def test_what_comes_later_flows_on_of_the_same_key_too() -> None:
    async def scenario(world: World) -> None:
        world.poison = {"1"}
        activate_all(sender := await world.sender())
        await world.receiver()
        for key in ("1", "2"):
            await world.append("r", 1, key)
        await drained(world, sender, 2)
        world.poison = set()
        await world.append("r", 1, "1", "3")
        await drained(world, sender, 4)
        assert world.arrived("r", 1) == ["2", "1", "3"]
        assert await parked_keys(world) == ["1"]

    simulate(scenario)


def test_nothing_counts_before_it_is_parked() -> None:
    """The engine is away when the acknowledgement comes: the batch stays in flight, the cursor where it is."""

    async def scenario(world: World) -> None:
        world.poison = {"1"}
        activate_all(sender := await world.sender())
        await world.receiver()
        world.apply_s = 0.5
        await world.append("r", 0, "0", "1")
        await world.until(lambda: sender.status().counters["eventsDistributed"] == 2)
        world.engine.stop()
        await world.until(lambda: world.arrived("r", 0) == ["0"])
        await asyncio.sleep(5)
        assert (sender.status().queued, sender.status().counters["eventsParked"]) == (2, 0)
        assert sender.status().error.startswith("1 events can't be parked yet: ")
        world.engine.start()
        await drained(world, sender, 2)
        assert await parked_keys(world) == ["1"]
        assert world.arrived("r", 0) == ["0"]
        assert sender.status().error == ""

    simulate(scenario)


def test_a_link_that_breaks_while_events_are_parked_costs_a_repeat_and_nothing_else() -> None:
    async def scenario(world: World) -> None:
        world.poison = {"1"}
        activate_all(sender := await world.sender())
        await world.receiver()
        world.apply_s = 0.5
        await world.append("r", 0, "0", "1")
        await world.until(lambda: sender.status().counters["eventsDistributed"] == 2)
        world.engine.stop()
        await world.until(lambda: world.arrived("r", 0) == ["0"])
        sender._dispatchers[0].disconnect("broken by the test")
        world.engine.start()
        await drained(world, sender, 2)
        assert await parked_keys(world) == ["1"]
        assert world.first_arrived("r", 0) == ["0"]
        assert sender.status().counters["eventsParked"] == 1
        assert sender.status().counters["eventsSentAgain"] == 2

    simulate(scenario)


@pytest.mark.parametrize("writes", range(7))
def test_a_sender_that_is_killed_anywhere_loses_no_event_and_parks_none_twice(
    writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process ends after so many writes of parking; the next owner goes on where the cursor is."""

    async def scenario(world: World) -> None:
        world.poison = {"1", "2", "3"}
        first = await world.sender("one")
        mine = world.host_of(first).registry
        killed = asyncio.Event()
        left = writes
        put, create = SimRegistry.put, SimRegistry.create

        async def counted(real: Any, registry: SimRegistry, key: str, *args: Any, **more: Any) -> int:
            nonlocal left
            if registry is mine and key.startswith((f"{PARKED}.", f"{PARKED_EVENTS}.")):
                if left == 0:
                    killed.set()
                    world.crash(first)
                    await asyncio.Event().wait()
                left -= 1
            return await real(registry, key, *args, **more)  # type: ignore[no-any-return]

        monkeypatch.setattr(SimRegistry, "put", lambda *a, **k: counted(put, *a, **k))
        monkeypatch.setattr(SimRegistry, "create", lambda *a, **k: counted(create, *a, **k))
        activate_all(first)
        await world.receiver()
        await world.append("r", 0, *KEYS[:5])
        if writes < 6:
            await world.until(killed.is_set)
            second = await world.sender("two")
            for bucket in range(BUCKETS):
                second.activate("r", bucket, 2)
            await world.until(lambda: second.status().drained and second.status().counters["eventsParked"] == 3)
        else:
            await drained(world, first, 5)
        assert await parked_keys(world) == ["1", "2", "3"]
        assert world.first_arrived("r", 0) == ["0", "4"]

    simulate(scenario)


def test_when_no_more_may_be_parked_the_region_waits_and_other_regions_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "PARKED_EVENTS_MAX", 2)
    monkeypatch.setattr(sender_parking, "LOOK_S", 1.0)

    async def scenario(world: World) -> None:
        world.regions |= {"q"}
        world.remote_regions |= {"q"}
        world.poison = {"0", "1", "2"}
        activate_all(sender := await world.sender())
        sender.activate("q", 0, 1)
        await world.receiver()
        for key in KEYS[:4]:
            await world.append("r", 0, key)
        await world.until(lambda: sender.status().error.startswith("ParkingFullError: 2 events are parked"))
        await world.append("q", 0, "other")
        await world.until(lambda: world.arrived("q", 0) == ["other"])
        assert len(await world.parked()) == 2
        taken, told = ledger(sender)
        assert taken == told
        assert await remove_parked(world.local.registry, SENDER, await world.parked()) == 2
        await drained(world, sender, 5)
        assert sender.status().error == ""
        assert sender.status().counters["eventsParked"] == 3
        assert world.first_arrived("r", 0) == ["3"]

    simulate(scenario)


def test_an_event_that_the_engine_can_not_hold_makes_its_region_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        world.poison = {"1"}
        activate_all(sender := await world.sender())
        await world.receiver()
        put = SimRegistry.put

        async def refuse(registry: SimRegistry, key: str, value: bytes, **more: Any) -> int:
            if key.startswith(f"{PARKED_EVENTS}."):
                raise UsageError("it is too large for the engine")
            return await put(registry, key, value, **more)

        with monkeypatch.context() as patched:
            patched.setattr(SimRegistry, "put", refuse)
            await world.append("r", 0, "0", "1")
            await world.until(lambda: sender.status().error == "UsageError: it is too large for the engine")
            assert (sender.status().queued, await world.parked()) == (2, {})
        await drained(world, sender, 2)
        assert await parked_keys(world) == ["1"]

    simulate(scenario)


def test_counting_what_is_parked_takes_a_tenth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "PARKED_EVENTS_MAX", 1)
    looks: list[float] = []

    async def slowly(registry: Registry, sender: str = "") -> dict[str, dict[str, ParkedInfo]]:
        looks.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3)
        return await list_parked(registry, sender)

    monkeypatch.setattr(sender_parking, "list_parked", slowly)

    async def scenario(world: World) -> None:
        world.poison = {"0", "1"}
        activate_all(sender := await world.sender(dispatcher_threads=1))
        await world.receiver()
        for key in ("0", "1"):
            await world.append("r", 0, key)
        await world.until(lambda: len(looks) == 2)
        assert sender.status().error.startswith("ParkingFullError")
        assert looks[1] - looks[0] >= 3 + 30

    simulate(scenario)


def test_a_condition_of_the_site_parks_nothing() -> None:
    async def scenario(world: World) -> None:
        world.poison = {"1"}
        world.refusals["r", 1] = ClockSkewError("site 1 is ahead")
        activate_all(sender := await world.sender(dispatcher_threads=1))
        await world.append("r", 0, "0", "1")
        await world.append("r", 1, "2")
        await world.receiver()
        await world.until(lambda: sender.status().counters["batchesRefused"] > 3)
        assert "ahead" in sender.status().error
        world.refusals.clear()
        await drained(world, sender, 3)
        assert await parked_keys(world) == ["1"]
        assert (world.first_arrived("r", 0), world.first_arrived("r", 1)) == (["0"], ["2"])

    simulate(scenario)


def test_a_receiver_that_knows_no_parking_refuses_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        world.poison = {"1"}
        activate_all(sender := await world.sender())
        monkeypatch.setattr(hello.Hello.__struct_fields__ and hello, "FEATURES", ())
        receiver = await world.receiver()
        server = receiver._server
        assert server is not None
        plain = hello.Hello("receiver", "far", 2, features=())
        server._hello = lambda: plain
        await world.append("r", 0, "0", "1")
        await world.until(lambda: sender.status().error.startswith("BadEventError"))
        assert await world.parked() == {}
        assert sender.status().queued == 2

    simulate(scenario)


# --- redriving


async def park(world: World, *bad: str) -> GatewaySender:
    world.poison = set(bad)
    activate_all(sender := await world.sender())
    await world.receiver()
    await world.append("r", 0, *KEYS)
    await drained(world, sender, len(KEYS))
    return sender


def test_redriven_events_are_delivered_as_they_were_and_forgotten() -> None:
    async def scenario(world: World) -> None:
        sender = await park(world, "3", "5", "7")
        sent = {key: part for part in world.applied["r", 0] for key in [part.birth_seq]}
        world.poison = set()
        known = await world.parked()
        [five] = [event for event, info in known.items() if info.key == "'5'"]
        done = await sender.redrive([five])
        assert (done.delivered, done.left) == (1, [])
        assert await parked_keys(world) == ["3", "7"]
        assert world.arrived("r", 0)[-1] == "5"
        again = world.applied["r", 0][-1]
        assert {(again.origin, again.recipients, again.birth_bucket, again.birth_seq)} == {
            (part.origin, part.recipients, part.birth_bucket, part.birth_seq) for part in sent.values()
        }
        done = await sender.redrive([])
        assert (done.delivered, done.left) == (2, [])
        assert await world.parked() == {}
        assert sorted(world.arrived("r", 0), key=str) == sorted(KEYS)
        assert sender.status().counters["eventsRedriven"] == 3
        assert ledger(sender) == (20, 20)

    simulate(scenario)


def test_what_is_turned_down_again_stays_parked_with_the_last_error() -> None:
    async def scenario(world: World) -> None:
        sender = await park(world, "3", "5")
        world.poison = {"5"}
        done = await sender.redrive([])
        assert done.delivered == 1
        [(event, error)] = done.left
        assert error == "can't take ['5']"
        info = (await world.parked())[event]
        assert (info.key, info.error, info.redriven) == ("'5'", "can't take ['5']", 1)

    simulate(scenario)


def test_a_site_that_refuses_or_is_away_leaves_all_parked() -> None:
    async def scenario(world: World) -> None:
        sender = await park(world, "3", "5")
        world.remote_regions.clear()
        done = await sender.redrive([])
        assert done.delivered == 0
        assert {error for _, error in done.left} == {"RegionNotFoundError: region 'r' does not exist at this site"}
        assert [info.redriven for info in (await world.parked()).values()] == [0, 0]
        await world.receivers[0].stop()
        with pytest.raises(UnavailableError):
            await sender.redrive([])
        await sender.stop()
        with pytest.raises(UsageError, match="is not running"):
            await sender.redrive([])
        assert await parked_keys(world) == ["3", "5"]

    simulate(scenario)


def test_redriving_ends_in_time_and_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_parking, "CHUNK_EVENTS", 1)

    async def scenario(world: World) -> None:
        sender = await park(world, "3", "5", "7", "9")
        world.poison = set()
        world.apply_s = 8.0
        done = await sender.redrive([])
        assert done.delivered == 2
        assert [error for _, error in done.left] == ["not sent within 20 s: redrive it again"] * 2
        assert len(await world.parked()) == 2
        world.apply_s = 0.001
        assert (await sender.redrive(["unknown", *await world.parked()])).left == [("unknown", "it is not parked")]
        assert await world.parked() == {}

    simulate(scenario)


def test_large_events_are_redriven_in_several_batches() -> None:
    async def scenario(world: World) -> None:
        keys = [f"{number}{'x' * (KEY_BYTES_MAX - 10)}" for number in range(100)]
        world.poison = set(keys)
        activate_all(sender := await world.sender())
        receiver = await world.receiver()
        for key in keys:
            await world.append_record("r", 0, record_of(part_of(key)))
        await drained(world, sender, 100)
        assert len(await world.parked()) == 100
        world.poison = set()
        batches = receiver.status().counters["processBatchRequests"]
        assert (await sender.redrive([])).delivered == 100
        assert receiver.status().counters["processBatchRequests"] - batches == 4
        assert sorted(world.arrived("r", 0), key=str) == sorted(keys)

    simulate(scenario)


def test_events_that_left_a_region_with_other_buckets_are_redriven_into_the_buckets_of_their_keys() -> None:
    """The region was destroyed and created anew with another number of buckets since some were parked."""

    async def scenario(world: World) -> None:
        activate_all(sender := await world.sender())
        await world.receiver()
        left = [("a", BUCKETS), ("b", 16), ("c", 16), ("d", BUCKETS)]
        for number, (key, buckets) in enumerate(left):
            bucket = bucket_of(key, buckets)
            batch = WanBatch("r", buckets, [(bucket, outgoing(part_of(key), bucket, 1, (THERE,)))])
            parked = events_to_park(batch, [Rejected(0, (0,), "bad")], Attempt("one", number, f"{number}"))
            await write_parked(world.local.registry, SENDER, parked)
        assert (await sender.redrive([])).delivered == len(left)
        for key, _ in left:
            assert key in world.arrived("r", bucket_of(key, BUCKETS))
        assert not await world.parked()

    simulate(scenario)
