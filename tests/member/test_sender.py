from __future__ import annotations

import asyncio
import logging

import pytest

from heliograph.engine.queues import empty_queue
from heliograph.errors import ClockSkewError, RegionNotFoundError, UsageError
from heliograph.member.receiver import GatewayReceiver
from heliograph.member.sender import GatewaySender
from heliograph.member.sender_dispatcher import Dispatcher
from heliograph.member.sender_feed import Feed
from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.model.batch import Part, Record
from heliograph.model.ids import Address
from heliograph.model.members import ReceiverInfo
from heliograph.model.registry import Cursor, cursor_key, encode_entry
from heliograph.net.link import BaseHandler
from tests.gateway.builders import HERE, THERE, columns_of, record_of
from tests.member.wan import BUCKETS, OTHER_STORE, SENDER, RemoteHost, World, simulate


def activate_all(sender: GatewaySender, region: str = "r", epoch: int = 1) -> None:
    for bucket in range(BUCKETS):
        sender.activate(region, bucket, epoch)


async def settled(world: World, sender: GatewaySender) -> None:
    await world.until(lambda: sender.status().drained)


def numbers(first: int, last: int) -> list[object]:
    return [str(number) for number in range(first, last)]


# --- the ordinary way


def test_every_event_arrives_in_order_and_the_cursor_follows() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender()
        activate_all(sender)
        for number in range(100):
            last = await world.append("r", number % BUCKETS, str(number))
        await settled(world, sender)
        for bucket in range(BUCKETS):
            assert world.arrived("r", bucket) == [str(number) for number in range(bucket, 100, BUCKETS)]
        await sender.stop()
        assert await world.cursor("r", 3) == Cursor(last, 1)
        counters = sender.status().counters
        assert (counters["eventsQueued"], counters["eventsDistributed"], counters["eventsAcknowledged"]) == (100,) * 3
        assert (counters["eventsSentAgain"], counters["logTruncatedTooEarly"]) == (0, 0)

    simulate(scenario)


def test_a_part_arrives_with_its_birth_and_way() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender())
        seq = await world.append("r", 2, "k")
        await settled(world, sender)
        (part,) = world.applied["r", 2]
        assert (part.origin, part.recipients, part.birth_bucket, part.birth_seq) == (HERE, (THERE,), 2, seq)

    simulate(scenario)


def test_what_the_loop_rule_skips_is_not_sent_but_moves_the_cursor() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender())
        await world.append("r", 0, "born there", origin=THERE)
        seq = await world.append_record("r", 0, Record(2, (), "two"))
        await settled(world, sender)
        await sender.stop()
        assert world.arrived("r", 0) == []
        assert await world.cursor("r", 0) == Cursor(seq, 1)

    simulate(scenario)


@pytest.mark.parametrize("live", [True, False])
def test_the_cursor_is_stored_although_nothing_had_to_be_sent(live: bool) -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        seq = await world.append("r", 0, "born there", origin=THERE, live=live)
        activate_all(await world.sender())
        if live:
            seq = await world.append("r", 0, "born there too", origin=THERE)
        await asyncio.sleep(1)
        assert await world.cursor("r", 0) == Cursor(seq, 1)

    simulate(scenario)


def test_events_that_are_in_the_log_before_the_sender_are_read_from_it() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        for number in range(200):
            await world.append("r", 0, str(number))
        sender = await world.sender()
        sender.activate("r", 0, 1)
        for number in range(200, 300):
            await world.append("r", 0, str(number))
        await settled(world, sender)
        assert world.arrived("r", 0) == numbers(0, 300)

    simulate(scenario)


def test_queued_counts_events_only_however_much_is_unknown() -> None:
    """What lies in the log before the sender is a control record in each bucket, and one event in one of them."""

    async def scenario(world: World) -> None:
        for bucket in range(BUCKETS):
            await world.append_record("r", bucket, Record(1, (), "one"))
        await world.append("r", 0, "k")
        sender = await world.sender()
        activate_all(sender)
        seen = set()
        while sender.status().uncounted_buckets:
            seen.add(sender.status().queued)
            await asyncio.sleep(0.001)
        assert seen <= {0, 1}
        assert (sender.status().queued, sender.status().drained) == (1, False)
        await world.receiver()
        await settled(world, sender)

    simulate(scenario)


def test_a_single_record_before_the_sender_takes_no_pass_through_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "wake", None)
    monkeypatch.setattr(Feed, "on_missed", None)

    async def scenario(world: World) -> None:
        await world.receiver()
        await world.append("r", 0, "k")
        sender = await world.sender()
        sender.activate("r", 0, 1)
        await world.until(lambda: world.arrived("r", 0) == ["k"])

    simulate(scenario)


def test_a_cursor_is_created_before_anything_is_shipped() -> None:
    async def scenario(world: World) -> None:
        sender = await world.sender()
        sender.activate("r", 0, 3)
        await asyncio.sleep(1)
        assert await world.cursor("r", 0) == Cursor(0, 3)

    simulate(scenario)


def test_a_full_memory_overflows_into_the_log_and_nothing_is_lost() -> None:
    async def scenario(world: World) -> None:
        sender = await world.sender(maximum_queue_memory=1)
        activate_all(sender)
        big = Part(HERE, (), 0, 0, 1, b"x" * 200_000)
        for number in range(40):
            await world.append_record("r", number % 2, record_of(big))
        memory = sender._buckets._memory  # type: ignore[union-attr]
        assert memory.used_bytes <= memory.limit_bytes < 1 << 20
        assert sender.status().queued == 40
        await world.receiver()
        await settled(world, sender)
        assert [len(world.applied["r", bucket]) for bucket in (0, 1)] == [20, 20]
        seqs = [part.birth_seq for part in world.applied["r", 0]]
        assert seqs == sorted(seqs)
        assert memory.used_bytes == 0

    simulate(scenario)


def test_a_queue_that_gets_long_is_warned_of_once_and_so_are_late_events(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, alarms := "heliograph.member.sender_alarms")

    def told() -> list[str]:
        return [record.message for record in caplog.records if record.name == alarms]

    async def scenario(world: World) -> None:
        sender = await world.sender(alert_threshold=1_000)
        sender.activate("r", 0, 1)
        now_ms = world.host_of(sender).clock.now_ms()
        for _ in range(60):
            columns = columns_of(*[f"k{number}" for number in range(100)], now_ms=now_ms)
            await world.append_record("r", 0, record_of(Part(HERE, (), 0, 0, 100, columns)))
        await asyncio.sleep(10)
        assert told() == [f"queue is long sender={SENDER} events=6000"]
        counters = sender.status().counters
        assert (counters["eventQueueSize"], counters["entriesOverflowedToDisk"]) == (6000, 0)
        assert counters["totalQueueSizeBytesInUse"] > 6000
        await world.receiver()
        await settled(world, sender)
        await asyncio.sleep(2)
        _, late, short = told()
        assert late.startswith(f"late sender={SENDER} events=")
        assert short == f"queue is short again sender={SENDER} events=0"
        assert sender.status().counters["eventsExceedingAlertThreshold"] == 6000
        assert sender.status().counters["totalQueueSizeBytesInUse"] == 0

    simulate(scenario)


@pytest.mark.parametrize("held_up", ["paused", "refused"])
def test_what_the_log_holds_is_counted_although_there_is_no_memory_to_read_it(held_up: str) -> None:
    """Two buckets whose logs hold more than one record when they are opened, with nothing left to hold them in."""

    async def scenario(world: World) -> None:
        for bucket in (1, 2):
            for number in range(5):
                await world.append("r", bucket, f"{bucket}.{number}")
        await world.append_record("r", 3, Record(1, (), "control"))
        await world.append_record("r", 3, Record(2, (), "control"))
        sender = await world.sender(maximum_queue_memory=1, batch_size=1)
        sender.activate("r", 0, 1)
        for _ in range(10):
            await world.append_record("r", 0, record_of(Part(HERE, (), 0, 0, 1, b"x" * 200_000)))
        if held_up == "paused":
            sender.pause()
        else:
            world.remote_regions.remove("r")
            await world.receiver()
            await world.until(lambda: sender.status().error.startswith("RegionNotFoundError"))
        activate_all(sender)
        await asyncio.sleep(5)
        assert (sender.status().uncounted_buckets, sender.status().queued) == (0, 20)
        if held_up == "paused":
            await world.receiver()
            sender.resume()
        world.remote_regions.add("r")
        await settled(world, sender)
        assert sender.status().counters["eventsAcknowledged"] == 20
        assert world.first_arrived("r", 2) == [f"2.{number}" for number in range(5)]

    simulate(scenario)


def test_memory_that_fills_after_the_start_is_noticed_when_it_is_free_again() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender(maximum_queue_memory=1)
        activate_all(sender)
        await world.append("r", 0, "k")
        await settled(world, sender)
        sender.pause()
        big = Part(HERE, (), 0, 0, 1, b"x" * 200_000)
        for _ in range(20):
            await world.append_record("r", 1, record_of(big))
        sender.resume()
        await settled(world, sender)
        assert len(world.applied["r", 1]) == 20

    simulate(scenario)


def test_memory_of_a_bucket_that_is_shipped_no_longer_is_for_the_others() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender(maximum_queue_memory=1)
        activate_all(sender)
        await world.append("r", 0, "k")
        await settled(world, sender)
        sender.pause()
        big = Part(HERE, (), 0, 0, 1, b"x" * 200_000)
        for bucket in (0,) * 10 + (1,) * 10:
            await world.append_record("r", bucket, record_of(big))
        sender.resume()
        sender.deactivate("r", 0)
        await settled(world, sender)
        assert len(world.applied["r", 1]) == 10

    simulate(scenario)


def test_a_batch_may_wait_to_be_filled() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender(batch_time_interval=500, batch_size=10)
        activate_all(sender)
        await world.until(lambda: sender.status().status == "Running and Connected")
        began = asyncio.get_running_loop().time()
        await world.append("r", 0, "a")
        await settled(world, sender)
        assert asyncio.get_running_loop().time() - began > 0.49
        assert sender.status().counters["batchesDistributed"] == 1

    simulate(scenario)


# --- operators


def test_a_paused_sender_queues_and_a_resumed_one_sends() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender())
        await sender.command("pause")
        await world.append("r", 0, "k")
        await asyncio.sleep(5)
        assert (world.arrived("r", 0), sender.status().status, sender.status().queued) == ([], "Paused", 1)
        await sender.command("resume")
        await settled(world, sender)
        assert world.arrived("r", 0) == ["k"]

    simulate(scenario)


def test_a_stopped_sender_keeps_its_queue_and_goes_on_at_its_cursor() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender())
        await world.append("r", 0, "a")
        await settled(world, sender)
        await sender.command("stop")
        assert sender.status().status == "Not Running"
        await world.append("r", 0, "b")
        await sender.command("start")
        await settled(world, sender)
        assert world.arrived("r", 0) == ["a", "b"]

    simulate(scenario)


def test_commands_that_do_not_fit_the_state_are_refused() -> None:
    async def scenario(world: World) -> None:
        sender = await world.sender()
        for action, reason in (("start", "already started"), ("resume", "not paused")):
            with pytest.raises(UsageError, match=reason):
                await sender.command(action)  # type: ignore[arg-type]
        await sender.command("pause")
        with pytest.raises(UsageError, match="already paused"):
            await sender.command("pause")
        await sender.command("stop")
        for action in ("stop", "pause", "resume", "load-balance"):
            with pytest.raises(UsageError, match="not running"):
                await sender.command(action)  # type: ignore[arg-type]

    simulate(scenario)


def test_a_start_that_comes_while_the_sender_stops_waits_and_then_ships() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender())
        await world.append("r", 0, "a")
        await world.until(lambda: world.arrived("r", 0) == ["a"])
        stopping = asyncio.create_task(sender.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        await asyncio.gather(stopping, sender.start(), sender.alter(sender.attributes))
        await world.append("r", 0, "b")
        await settled(world, sender)
        assert world.first_arrived("r", 0) == ["a", "b"]

    simulate(scenario)


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.003, 0.01])
def test_a_stop_that_is_cut_short_is_completed_by_the_next(after_s: float) -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender(parallel=False)
        sender.may_hold(True)
        seq = await world.append("r", 0, "a")
        await world.until(lambda: world.arrived("r", 0) == ["a"])
        await settled(world, sender)
        stopping = asyncio.create_task(sender.stop())
        await asyncio.sleep(after_s)
        stopping.cancel()
        await asyncio.wait([stopping])
        await sender.stop()
        cursor = await world.cursor("r", 0)
        assert cursor is not None
        assert cursor.seq == seq
        await sender.start()
        await world.append("r", 0, "b")
        await world.until(lambda: world.first_arrived("r", 0) == ["a", "b"])

    simulate(scenario)


def test_an_altered_sender_goes_on_and_stays_paused() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender())
        sender.pause()
        await world.append("r", 0, "k")
        await sender.alter(type(sender.attributes)(id=SENDER, remote_distributed_system_id=THERE, parallel=True))
        await asyncio.sleep(1)
        assert (sender.status().status, world.arrived("r", 0)) == ("Paused", [])
        sender.resume()
        await settled(world, sender)
        assert world.arrived("r", 0) == ["k"]

    simulate(scenario)


def test_load_balancing_opens_the_links_anew() -> None:
    async def scenario(world: World) -> None:
        await world.receiver("far")
        activate_all(sender := await world.sender())
        for bucket in range(BUCKETS):
            await world.append("r", bucket, "k")
        await settled(world, sender)
        assert len(sender.status().receiver.split(",")) == 1
        await world.receiver("farther")
        await sender.command("load-balance")
        await world.until(lambda: len(sender.status().receiver.split(",")) == 2)

    simulate(scenario)


@pytest.mark.parametrize("parallel", [True, False])
def test_lanes_follow_receivers_that_come_and_go(parallel: bool) -> None:
    """1, 2, 3, 4 receivers, then fewer; a serial sender is at one of them."""

    async def scenario(world: World) -> None:
        sender = await world.sender(dispatcher_threads=BUCKETS, parallel=parallel)
        if parallel:
            activate_all(sender)
        else:
            sender.may_hold(True)

        def links() -> list[int]:
            infos = [receiver.info() for receiver in world.receivers]
            return [info.links for info in infos if info is not None]

        def even() -> bool:
            most, fewest = (max(links()), min(links())) if parallel else (BUCKETS, max(links()))
            return sum(links()) == BUCKETS and most - fewest <= parallel

        for count in range(4):
            await world.receiver(f"far{count}")
            await sender.command("load-balance")
            await world.until(even)
        for receiver in world.receivers[:3]:
            await receiver.stop()
            await world.until(lambda: sum(links()) == BUCKETS)
            await sender.command("load-balance")
            await world.until(even)
        await world.append("r", 0, "k")
        await settled(world, sender)

    simulate(scenario)


def test_a_receiver_of_another_site_is_not_taken_for_one() -> None:
    """As where an address has another owner by now: what is meant for one site must not get into the log of another."""

    async def scenario(world: World) -> None:
        stray = RemoteHost(world, "stray")
        stray.dsid = 3
        world.receivers.append(GatewayReceiver(GatewayReceiverAttributes(), stray))
        await world.receivers[0].start()
        activate_all(sender := await world.sender())
        await world.append("r", 0, "k")
        await world.until(lambda: "receiver stray of site 3 answers at stray[" in sender.status().error)
        await asyncio.sleep(30)
        assert world.arrived("r", 0) == []
        await world.receiver()
        await settled(world, sender)
        assert world.arrived("r", 0) == ["k"]

    simulate(scenario)


# --- the remote site is away


def test_a_sender_says_why_it_is_not_connected_and_finds_a_receiver_that_comes_later() -> None:
    async def scenario(world: World) -> None:
        world.locators_down = True
        activate_all(sender := await world.sender())
        await world.append("r", 0, "k")
        await world.until(lambda: "no locator answers" in sender.status().error)
        world.locators_down = False
        await world.until(lambda: "check remote-locators" in sender.status().error)
        assert sender.status().status == "Running, not Connected"
        await world.receiver()
        await settled(world, sender)
        assert world.arrived("r", 0) == ["k"]
        await world.until(lambda: not sender.status().error)

    simulate(scenario)


def test_a_sender_that_is_refused_or_has_nothing_to_ship_says_so() -> None:
    async def scenario(world: World) -> None:
        sender = await world.sender()
        assert "nothing to ship from one" in sender.status().error
        world.dead_receivers.append(ReceiverInfo(member="dead", address=Address("nowhere", 1), port=1))
        activate_all(sender)
        assert "connecting to site 2" in sender.status().error
        await world.until(lambda: "nowhere" in sender.status().error)
        await sender.stop()
        assert sender.status().error == ""

    simulate(scenario)


def test_a_receiver_that_does_not_answer_is_passed_over() -> None:
    async def scenario(world: World) -> None:
        world.dead_receivers.append(ReceiverInfo(member="dead", address=Address("nowhere", 1), port=1))
        await world.receiver()
        activate_all(sender := await world.sender())
        for bucket in range(BUCKETS):
            await world.append("r", bucket, "k")
        await settled(world, sender)

    simulate(scenario)


@pytest.mark.parametrize("seed", range(25))
def test_a_link_lost_at_any_moment_loses_nothing_and_keeps_the_order(seed: int) -> None:
    """The receiver's host crashes again and again: while connecting, greeting, sending, applying, acknowledging."""

    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        activate_all(sender := await world.sender(batch_size=3))

        async def crash() -> None:
            for _ in range(6):
                await asyncio.sleep(world.rng.expovariate(8))
                world.network.crash("far")
                await receiver.stop()
                await asyncio.sleep(world.rng.choice([0.0, 0.01, 0.3]))
                await receiver.start()

        crashing = asyncio.create_task(crash())
        for number in range(150):
            await world.append("r", number % BUCKETS, str(number))
            if world.rng.random() < 0.3:
                await asyncio.sleep(world.rng.expovariate(50))
        await crashing
        await settled(world, sender)
        for bucket in range(BUCKETS):
            assert world.first_arrived("r", bucket) == [str(number) for number in range(bucket, 150, BUCKETS)]

    simulate(scenario, seed=seed)


@pytest.mark.parametrize("seed", range(10))
def test_an_engine_that_restarts_under_the_sender_loses_nothing(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender()
        client = world.host_of(sender).client
        activate_all(sender)
        for number in range(100):
            await world.append("r", number % BUCKETS, str(number), live=world.rng.random() < 0.5)
            if number % 20 == 0:
                client.connection.cut()
                await asyncio.sleep(world.rng.expovariate(2))
                client.connection.heal()
        for bucket in range(BUCKETS):
            await world.append("r", bucket, "last")
        await settled(world, sender)
        for bucket in range(BUCKETS):
            expected = [str(number) for number in range(bucket, 100, BUCKETS)]
            assert world.first_arrived("r", bucket) == [*expected, "last"]

    simulate(scenario, seed=seed)


# --- refusals


def test_a_region_that_is_missing_there_stops_no_other_and_arrives_when_it_is_created() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        world.regions.add("missing")
        sender = await world.sender(dispatcher_threads=1)
        activate_all(sender, "r")
        activate_all(sender, "missing")
        for number in range(50):
            await world.append("missing", number % BUCKETS, str(number))
            await world.append("r", number % BUCKETS, str(number))
        await world.until(lambda: sum(len(world.arrived("r", bucket)) for bucket in range(BUCKETS)) == 50)
        status = sender.status()
        assert status.queued == 50
        assert "RegionNotFoundError: region 'missing' does not exist at this site" in status.error
        world.remote_regions.add("missing")
        await settled(world, sender)
        for bucket in range(BUCKETS):
            assert world.first_arrived("missing", bucket) == [str(number) for number in range(bucket, 50, BUCKETS)]
        assert sender.status().error == ""

    simulate(scenario)


@pytest.mark.parametrize("size", [100_000, 700_000])
def test_a_refused_region_leaves_the_memory_to_others(size: int) -> None:
    """Even when a record of each of its buckets, or a single one, would take all the memory."""

    async def scenario(world: World) -> None:
        await world.receiver()
        world.regions.add("missing")
        sender = await world.sender(maximum_queue_memory=1)
        activate_all(sender, "r")
        activate_all(sender, "missing")
        big = Part(HERE, (), 0, 0, 1, b"x" * size)
        for number in range(60):
            await world.append_record("missing", number % BUCKETS, record_of(big))
        await world.until(lambda: "RegionNotFoundError" in sender.status().error)
        for number in range(60):
            await world.append_record("r", number % BUCKETS, record_of(big))
        await world.until(lambda: sum(len(world.applied.get(("r", bucket), ())) for bucket in range(BUCKETS)) == 60)
        world.remote_regions.add("missing")
        await settled(world, sender)
        assert sum(len(world.applied["missing", bucket]) for bucket in range(BUCKETS)) >= 60

    simulate(scenario)


def test_a_refused_clock_shows_and_is_tried_again() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender())
        world.refusals["r", 1] = ClockSkewError("site 1 is 90000 ms ahead")
        await world.append("r", 1, "k")
        await world.until(lambda: "ClockSkewError: site 1 is 90000 ms ahead" in sender.status().error)
        world.refusals.clear()
        await settled(world, sender)
        assert world.arrived("r", 1) == ["k"]

    simulate(scenario)


# --- owners


def test_another_owner_goes_on_at_the_cursor() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        first = await world.sender("one")
        first.activate("r", 0, 1)
        for number in range(50):
            await world.append("r", 0, str(number))
        await settled(world, first)
        first.deactivate("r", 0)
        await asyncio.sleep(1)
        second = await world.sender("two")
        second.activate("r", 0, 2)
        for number in range(50, 60):
            await world.append("r", 0, str(number))
        await settled(world, second)
        assert world.arrived("r", 0) == numbers(0, 60), "each once"

    simulate(scenario)


def test_a_killed_owner_costs_repeats_but_no_event() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        first = await world.sender("one")
        first.activate("r", 0, 1)
        for number in range(50):
            await world.append("r", 0, str(number))
        world.crash(first)
        for number in range(50, 60):
            await world.append("r", 0, str(number))
        second = await world.sender("two")
        second.activate("r", 0, 2)
        await settled(world, second)
        assert world.first_arrived("r", 0) == numbers(0, 60)

    simulate(scenario)


def test_an_owner_that_finds_a_newer_one_stops_shipping_the_bucket() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender()
        sender.activate("r", 0, 1)
        sender.activate("r", 1, 1)
        await world.append("r", 0, "a")
        await settled(world, sender)
        await world.local.registry.put(cursor_key(SENDER, "r", 0, 0), encode_entry(Cursor(1, 2)))
        await world.append("r", 0, "b")
        await asyncio.sleep(1)
        seq = await world.append("r", 0, "c")
        await world.append("r", 1, "x")
        await asyncio.sleep(1)
        assert world.arrived("r", 0) == ["a", "b"]
        assert world.arrived("r", 1) == ["x"]
        cursor = await world.cursor("r", 0)
        assert cursor is not None
        assert cursor.epoch == 2
        assert cursor.seq < seq

    simulate(scenario)


def test_a_region_destroyed_here_under_its_queue_breaks_nothing() -> None:
    async def scenario(world: World) -> None:
        world.regions.add("gone")
        await world.receiver()
        activate_all(sender := await world.sender())
        sender.activate("gone", 0, 1)
        await asyncio.sleep(1)
        world.regions.discard("gone")
        await world.append("gone", 0, "k")
        await world.append("r", 0, "k")
        await world.until(lambda: world.arrived("r", 0) == ["k"])
        sender.deactivate("gone", 0)
        with pytest.raises(RegionNotFoundError):
            sender.activate("never", 0, 1)

    simulate(scenario)


def test_a_bucket_that_was_let_go_of_is_opened_anew_when_it_is_activated_again() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender()
        sender.activate("r", 0, 1)
        await world.append("r", 0, "a")
        await settled(world, sender)
        await asyncio.sleep(1)
        key = cursor_key(SENDER, "r", 0, 0)
        await world.local.registry.put(key, encode_entry(Cursor(1, 2)))
        await world.append("r", 0, "b")
        await asyncio.sleep(1)
        await world.local.registry.put(key, encode_entry(Cursor(1, 1)))
        await world.append("r", 0, "c")
        sender.activate("r", 0, 1)
        await world.until(lambda: world.first_arrived("r", 0) == ["a", "b", "c"])

    simulate(scenario)


def test_a_cursor_that_vanished_is_created_again_where_the_queue_was() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender()
        sender.activate("r", 0, 1)
        await world.append("r", 0, "a")
        await settled(world, sender)
        await asyncio.sleep(1)
        await world.local.registry.delete(cursor_key(SENDER, "r", 0, 0))
        seq = await world.append("r", 0, "b")
        await settled(world, sender)
        await asyncio.sleep(1)
        assert await world.cursor("r", 0) is None, "nobody says that it should still be shipped"
        sender.activate("r", 0, 1)
        await asyncio.sleep(1)
        assert await world.cursor("r", 0) == Cursor(seq, 1)
        await world.append("r", 0, "c")
        await settled(world, sender)
        assert world.arrived("r", 0) == ["a", "b", "c"], "each once"

    simulate(scenario)


# --- time and order


def test_a_slow_owner_lets_go_of_what_it_holds_when_the_queue_was_emptied_under_it() -> None:
    """A sender that nobody knew to be running, of a queue that was emptied: it goes on with what came after."""

    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        activate_all(sender := await world.sender())
        await world.append("r", 0, "delivered")
        await settled(world, sender)
        await receiver.stop()
        end = await world.append("r", 0, "old 1", "old 2")
        await world.until(lambda: sender.status().queued == 2)
        await empty_queue(world.local.registry, SENDER, "r", 0, [end, 0, 0, 0])
        await sender.stop()
        await sender.start()
        await world.append("r", 0, "new")
        await receiver.start()
        await world.until(lambda: "new" in world.arrived("r", 0))
        assert world.arrived("r", 0) == ["delivered", "new"]

    simulate(scenario)


def test_a_running_owner_of_an_emptied_queue_is_fenced_at_its_next_store() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender())
        await world.append("r", 0, "delivered")
        await settled(world, sender)
        await empty_queue(world.local.registry, SENDER, "r", 0, [1, 0, 0, 0])
        seq = await world.append("r", 0, "next")
        assert sender._buckets is not None
        shipped = sender._buckets._shipped
        await world.until(lambda: ("r", 0) not in shipped)
        activate_all(sender)
        await world.append("r", 0, "later")
        await world.until(lambda: "later" in world.arrived("r", 0))
        await settled(world, sender)
        await sender.stop()
        cursor = await world.cursor("r", 0)
        assert cursor is not None
        assert (cursor.seq > seq, cursor.emptied) == (True, 1)

    simulate(scenario)


def test_a_wall_clock_that_is_set_back_delays_nothing() -> None:
    """What a sender waits for is measured by the loop's clock; its host's only tells how old events are."""

    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender(batch_time_interval=200, batch_size=1000))
        loop = asyncio.get_running_loop()
        started = loop.time()
        await world.append("r", 0, "k")
        world.host_of(sender).clock.ahead_ms = -3_600_000
        await settled(world, sender)
        assert 0.2 <= loop.time() - started < 0.5

    simulate(scenario)


@pytest.mark.parametrize("policy", ["key", "partition"])
def test_a_keys_events_keep_their_order_across_dispatcher_threads(policy: str) -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender(dispatcher_threads=3, batch_size=2, order_policy=policy))
        keys = [f"{policy}-{number}" for number in range(12)]
        for turn in range(30):
            for number, key in enumerate(keys):
                await world.append("r", number % BUCKETS, f"{key} {turn}")
        await settled(world, sender)
        for number, key in enumerate(keys):
            arrived = [str(each) for each in world.arrived("r", number % BUCKETS)]
            assert [each for each in arrived if each.startswith(f"{key} ")] == [f"{key} {turn}" for turn in range(30)]

    simulate(scenario)


# --- serial


def test_one_member_runs_a_serial_sender_and_the_next_takes_over_when_it_stops() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        first, second = await world.sender("one", parallel=False), await world.sender("two", parallel=False)
        first.may_hold(True)
        await world.until(lambda: first.status().policy == "Primary")
        assert second.status().policy == "Secondary"
        for number in range(40):
            await world.append("r", number % BUCKETS, str(number))
        await settled(world, first)
        await first.stop()
        second.may_hold(True)
        await world.until(lambda: second.status().policy == "Primary")
        for number in range(40, 80):
            await world.append("r", number % BUCKETS, str(number))
        await settled(world, second)
        for bucket in range(BUCKETS):
            assert world.arrived("r", bucket) == [str(number) for number in range(bucket, 80, BUCKETS)], "each once"

    simulate(scenario)


def test_a_serial_sender_survives_its_primary_being_killed() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        first, second = await world.sender("one", parallel=False), await world.sender("two", parallel=False)
        first.may_hold(True)
        await world.until(lambda: first.status().policy == "Primary")
        for number in range(40):
            await world.append("r", number % BUCKETS, str(number))
        world.crash(first)
        second.may_hold(True)
        for number in range(40, 80):
            await world.append("r", number % BUCKETS, str(number))
        await world.until(lambda: second.status().policy == "Primary")
        await settled(world, second)
        assert first.status().policy == "Secondary", "it gave up by itself"
        for bucket in range(BUCKETS):
            assert world.first_arrived("r", bucket) == [str(number) for number in range(bucket, 80, BUCKETS)]

    simulate(scenario)


def test_buckets_of_which_the_member_has_no_copy_are_followed_in_the_log() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender(parallel=False)
        unhosted = world.host_of(sender).unhosted
        unhosted |= {("r", 1), ("r", 2)}
        for number in range(40):
            await world.append("r", number % BUCKETS, str(number))
        sender.may_hold(True)
        for number in range(40, 80):
            await world.append("r", number % BUCKETS, str(number))
        await world.until(lambda: all(len(world.arrived("r", bucket)) == 20 for bucket in range(BUCKETS)))
        unhosted ^= {("r", 2), ("r", 3)}
        sender.may_hold(True)
        for number in range(80, 120):
            await world.append("r", number % BUCKETS, str(number))
        await world.until(lambda: all(len(world.arrived("r", bucket)) == 30 for bucket in range(BUCKETS)))
        for bucket in range(BUCKETS):
            assert world.arrived("r", bucket) == [str(number) for number in range(bucket, 120, BUCKETS)]

    simulate(scenario)


def test_a_followed_backlog_larger_than_the_memory_arrives_whole() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender(parallel=False, maximum_queue_memory=1)
        world.host_of(sender).unhosted |= {("r", bucket) for bucket in range(BUCKETS)}
        big = Part(HERE, (), 0, 0, 1, b"x" * 100_000)
        for number in range(60):
            await world.append_record("r", number % BUCKETS, record_of(big))
        sender.may_hold(True)
        await world.until(lambda: sum(map(len, world.applied.values())) == 60)
        await settled(world, sender)
        for bucket in range(BUCKETS):
            seqs = [part.birth_seq for part in world.applied["r", bucket]]
            assert seqs == sorted(seqs)

    simulate(scenario)


@pytest.mark.parametrize("parallel", [False, True])
def test_regions_of_several_disk_stores_are_shipped_by_one_sender(parallel: bool) -> None:
    """Live, read again after their memory was full, and (serial) followed where the member holds no copy."""

    async def scenario(world: World) -> None:
        world.stores["orders"] = OTHER_STORE
        world.regions.add("orders")
        sender = await world.sender(parallel=parallel, maximum_queue_memory=1)
        if parallel:
            activate_all(sender, "r")
            activate_all(sender, "orders")
        else:
            world.host_of(sender).unhosted |= {("r", 0), ("orders", 1)}
            sender.may_hold(True)
        big = Part(HERE, (), 0, 0, 1, b"x" * 100_000)
        for number in range(60):
            for region in ("r", "orders"):
                await world.append_record(region, number % BUCKETS, record_of(big))
        world.remote_regions.add("orders")
        await world.receiver()
        await settled(world, sender)
        for key in [(region, bucket) for region in ("r", "orders") for bucket in range(BUCKETS)]:
            await world.until(lambda key=key: len(world.applied.get(key, ())) >= 15)  # type: ignore[misc]
            seqs = [part.birth_seq for part in world.applied[key]]
            assert seqs == sorted(seqs)

    simulate(scenario)


def test_a_region_created_anew_under_a_serial_sender_is_shipped_from_its_beginning() -> None:
    async def scenario(world: World) -> None:
        await world.receiver()
        sender = await world.sender(parallel=False)
        world.host_of(sender).unhosted |= {("r", bucket) for bucket in range(BUCKETS)}
        sender.may_hold(True)
        await world.append("r", 0, "old")
        await world.until(lambda: world.arrived("r", 0) == ["old"])
        world.recreate("r")
        await world.append("r", 0, "new")
        sender.may_hold(True)
        await world.until(lambda: world.arrived("r", 0) == ["old", "new"])

    simulate(scenario)


def test_a_region_created_anew_in_another_store_is_shipped_from_its_beginning() -> None:
    """Its cursor was gone before the sender heard of the end of the old region, whose log was longer."""

    async def scenario(world: World) -> None:
        await world.receiver()
        activate_all(sender := await world.sender())
        old = [f"old{number}" for number in range(20)]
        for key in old:
            await world.append("r", 0, key)
        await settled(world, sender)
        await world.local.registry.delete(cursor_key(SENDER, "r", 0, 0))
        await world.append("r", 0, "last")
        await world.until(lambda: len(sender._buckets._shipped) == BUCKETS - 1)  # type: ignore[union-attr]
        for bucket in range(BUCKETS):
            sender.deactivate("r", bucket)
        world.recreate("r")
        world.stores["r"] = OTHER_STORE
        activate_all(sender)
        await world.append("r", 0, "new")
        await world.until(lambda: world.first_arrived("r", 0) == [*old, "last", "new"])

    simulate(scenario)


def test_what_a_killed_first_owner_may_have_sent_is_known_to_the_next_one() -> None:
    """A command wrote where the cursor begins (alter region), and nothing was acknowledged since."""

    async def scenario(world: World) -> None:
        await world.local.registry.create(cursor_key(SENDER, "r", 0, 0), encode_entry(Cursor(0, 0)))
        await world.receiver()
        world.apply_s = 5.0
        first = await world.sender("one")
        first.activate("r", 0, 1)
        seq = await world.append("r", 0, "a")
        await world.until(lambda: first.status().counters["eventsDistributed"] == 1)
        world.crash(first)
        second = await world.sender("two")
        second.activate("r", 0, 2)
        await world.until(lambda: second.status().counters["eventsDistributed"] == 1)
        assert second._buckets is not None
        assert second._buckets._shipped["r", 0].queue.maybe_sent == seq

    simulate(scenario)


# --- what its sockets are given


@pytest.mark.parametrize(("timeout_ms", "link_lost"), [(0, True), (30_000, True), (60_000, False)])
def test_a_receiver_that_is_silent_for_longer_than_the_read_timeout_is_left(timeout_ms: int, link_lost: bool) -> None:
    """A batch is out when the way is cut for 40 s; what a link holds back arrives when the way is there again."""

    async def scenario(world: World) -> None:
        activate_all(sender := await world.sender(socket_read_timeout=timeout_ms, dispatcher_threads=1))
        await world.receiver()
        await world.append("r", 0, "a")
        await settled(world, sender)
        began = asyncio.get_running_loop().time()
        world.network.cut("one", "far")
        await world.append("r", 0, "b")
        await world.until(lambda: sender.status().counters["batchesDistributed"] == 2)
        if link_lost:
            await world.until(lambda: "nothing was heard" in sender.status().error)
            silence_s = timeout_ms / 1000 or 15
            assert silence_s <= asyncio.get_running_loop().time() - began <= silence_s + 6
        else:
            await asyncio.sleep(40)
            assert sender.status().error == ""
        world.network.heal("one", "far")
        await settled(world, sender)
        assert (sender.status().counters["batchesRedistributed"] == 1) is link_lost
        assert world.first_arrived("r", 0) == ["a", "b"]

    simulate(scenario)


def test_a_read_timeout_that_is_too_short_is_raised_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        sender = await world.sender(socket_read_timeout=100, socket_buffer_size=65_536)
        assert sender.attributes.read_timeout_ms == 30_000
        await world.receiver()
        activate_all(sender)
        await world.until(lambda: all(each.receiver is not None for each in sender._dispatchers))
        lanes = [each._link for each in sender._dispatchers if isinstance(each, Dispatcher) and each._link is not None]
        beside = await sender._finder.link_any(sender._hello(), BaseHandler())  # as copies and redriven events go
        assert len(lanes) == 2
        for link in (*lanes, beside):
            assert (link._keep_alive.silence_s, link._buffer_bytes) == (30.0, 65_536)
        beside.close("done")
        assert "socket-read-timeout raised sender=s given_ms=100 used_ms=30000" in caplog.text

    simulate(scenario)
