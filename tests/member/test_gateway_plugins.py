"""Filters of a whole sender: where they are loaded, what they cost when they fail, how they are changed."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

import pytest

from heliograph.errors import UsageError
from heliograph.gateway.plugins import GatewayEvent, GatewayEventFilter
from heliograph.locator.requests import SenderAlteration
from heliograph.member.gateway_plugins import PluginFailures, Plugins
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.results import Result
from tests.gateway.builders import THERE
from tests.member.wan import World, simulate
from tests.scenarios.sites import Site, passes, scenario, until

HERE = f"{__name__}:"


class Moody(GatewayEventFilter):
    """Fails for keys that begin with a !, as long as `failing`."""

    failing: ClassVar[bool] = True
    closed: ClassVar[int] = 0

    def before_enqueue(self, event: GatewayEvent) -> bool:
        if Moody.failing and str(event.key).startswith("!"):
            raise ValueError("not today")
        return True

    def close(self) -> None:
        Moody.closed += 1
        raise ValueError("nobody cares")


class Odd(GatewayEventFilter):
    """Lets only odd numbers pass."""

    def before_enqueue(self, event: GatewayEvent) -> bool:
        return int(event.key) % 2 == 1


def sender_with(*filters: str, **options: Any) -> GatewaySenderAttributes:
    return GatewaySenderAttributes(id="s", remote_distributed_system_id=THERE, gateway_event_filters=filters, **options)


def test_without_plugins_there_are_no_filters_to_ask() -> None:
    assert Plugins(sender_with(), PluginFailures("sender=s")).filters is None


def test_when_one_can_not_be_loaded_those_before_it_are_closed() -> None:
    Moody.closed = 0
    with pytest.raises(UsageError, match="the gateway-event-substitution-filter nowhere:Sub can't be loaded"):
        Plugins(
            sender_with(HERE + "Moody", gateway_event_substitution_filter="nowhere:Sub"), PluginFailures("sender=s")
        )
    assert Moody.closed == 1


def test_a_filter_that_fails_holds_its_region_back_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main(world: World) -> None:
        Moody.failing = True
        world.regions.add("other")
        world.remote_regions.add("other")
        await world.receiver()
        sender = await world.sender(gateway_event_filters=(HERE + "Moody",), dispatcher_threads=1)
        for region in ("r", "other"):
            sender.activate(region, 0, 1)
        await world.append("r", 0, "!", "a")
        await world.append("r", 0, "b")
        await world.append("other", 0, "c")
        await world.until(lambda: world.arrived("other", 0) == ["c"])
        await world.until(lambda: sender.status().counters["pluginFailures"] > 10)
        assert world.arrived("r", 0) == []
        status = sender.status()
        assert "Moody failed: before_enqueue of an update of region r, bucket 0: ValueError: not today" in status.error
        assert (status.queued, status.counters["batchesRefused"]) == (3, 0)
        Moody.failing = False
        await world.until(lambda: world.arrived("r", 0) == ["!", "a", "b"])
        await world.until(lambda: sender.status().queued == 0)
        assert sender.status().error == ""

    with caplog.at_level(logging.WARNING):
        simulate(main)
    told = [record for record in caplog.records if record.message.startswith("plug-in failed")]
    assert 1 <= len(told) <= 4, "no more often than every 10 s"
    assert told[0].exc_info is not None


@scenario(ln=2, ny=1)
async def test_a_sender_whose_filter_can_not_be_loaded_is_refused(ln: Site, ny: Site) -> None:
    results: list[Result] = []

    async def create(admin: Any) -> Result:
        results.append(await admin.senders.create(sender_with("no_such_module:Filter")))
        return Result()

    await ln.operate(create)
    [table] = results[0].tables
    assert results[0].status == "ERROR"
    assert [row[:2] for row in table.rows] == [("1-a", "ERROR"), ("1-b", "ERROR")]
    assert "the gateway-event-filter no_such_module:Filter can't be loaded: ModuleNotFoundError" in table.rows[0][2]
    assert "every server has to be able to import it" in table.rows[0][2]
    assert not ln.statuses("s"), "its definition was taken back"
    await ln.create_sender("s", to=ny)


@pytest.mark.parametrize("parallel", [False, True])
@scenario(ln=2, ny=1)
async def test_filters_are_changed_while_a_sender_runs(ln: Site, ny: Site, parallel: bool) -> None:
    await ny.receives("r", kind="PARTITION")
    await ln.create_sender("ny", to=ny, parallel=parallel)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(10))
    await ny.until_size("r", 10)
    await ln.alter_sender("ny", gateway_event_filters=(HERE + "Odd",))
    await ln.put("r", range(10, 20))
    await ln.until_drained("ny")
    assert {*await ny.contents("r")} == {*range(10), *range(11, 20, 2)}
    await ln.alter_sender("ny", batch_size=7)
    assert ln.sender_attributes("ny").gateway_event_filters == (HERE + "Odd",)
    await ln.alter_sender("ny", gateway_event_filters=("clear",))
    assert ln.sender_attributes("ny").gateway_event_filters == ()
    await ln.put("r", range(20, 30))
    await ln.until_drained("ny")
    assert {*range(20, 30)} <= {*await ny.contents("r")}


@scenario(ln=1, ny=1)
async def test_an_alteration_whose_filter_can_not_be_loaded_changes_nothing(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, gateway_event_filters=(HERE + "Odd",))
    await ln.create_region("r", senders="ny")
    results: list[Result] = []

    async def alter(admin: Any) -> Result:
        alteration = SenderAlteration(gateway_event_filters=("no_such_module:Filter",))
        results.append(await admin.senders.alter("ny", alteration))
        return Result()

    await ln.operate(alter)
    assert results[0].status == "ERROR"
    assert ln.sender_attributes("ny").gateway_event_filters == (HERE + "Odd",)
    await ln.put("r", range(10))
    await ln.until_drained("ny")
    assert {*await ny.contents("r")} == {1, 3, 5, 7, 9}


@scenario(ln=1, ny=1)
async def test_a_paused_senders_filters_have_looked_at_its_queue_already(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, gateway_event_filters=(HERE + "Odd",))
    await ln.create_region("r", senders="ny")
    await until(lambda: ln.primary("ny") == "a")
    await ln.pause_sender("ny")
    await ln.put("r", range(10))
    await ln.until_queued("ny", 5)
    assert ln.count("ny", "eventsFiltered") == 5
    await passes(1.0)
    assert await ny.contents("r") == {}


CHECKSUM = "tests.scenarios.plugins:Checksum"


@pytest.mark.parametrize("there", [(), (HERE + "Odd", CHECKSUM), (CHECKSUM, CHECKSUM)])
def test_other_transport_filters_at_the_receiver_are_refused_in_the_handshake(there: tuple[str, ...]) -> None:
    async def main(world: World) -> None:
        if there[:1] == (HERE + "Odd",):
            with pytest.raises(UsageError, match="has no method encode"):
                await world.receiver(gateway_transport_filters=there)
            return
        receiver = await world.receiver(gateway_transport_filters=there)
        filtering = await world.sender("one", gateway_transport_filters=(CHECKSUM,))
        filtering.activate("r", 0, 1)
        await world.append("r", 0, "a")
        await world.until(lambda: "has the transport filters " + CHECKSUM in filtering.status().error)
        assert "name the same ones, in the same order, at both sites" in filtering.status().error
        plain = await world.sender("two", id="plain", gateway_transport_filters=there)
        plain.activate("r", 1, 1)
        await world.append("r", 1, "b")
        await world.until(lambda: world.arrived("r", 1) == ["b"])
        assert (filtering.status().queued, receiver.status().counters["batchesRefused"]) == (1, 0)

    simulate(main)


def test_other_parameters_of_a_transport_filter_show_at_the_first_batch() -> None:
    async def main(world: World) -> None:
        receiver = await world.receiver(gateway_transport_filters=(CHECKSUM + '{"start": 7}',))
        sender = await world.sender(gateway_transport_filters=(CHECKSUM,))
        sender.activate("r", 0, 1)
        await world.append("r", 0, "a")
        await world.until(lambda: "Checksum can't decode the batch" in sender.status().error)
        assert "give it the same parameters at both sites" in sender.status().error
        assert receiver.status().counters["pluginFailures"] >= 1
        assert world.arrived("r", 0) == []
        assert sender.status().queued == 1
        await receiver.stop()
        await world.receiver("far2", gateway_transport_filters=(CHECKSUM,))
        await world.until(lambda: world.arrived("r", 0) == ["a"])

    simulate(main)


class Half:
    """Encodes nothing as long as it is broken."""

    broken: ClassVar[bool] = True

    def encode(self, data: bytes) -> bytes:
        if Half.broken:
            raise ValueError("no key")
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def test_a_transport_filter_that_fails_holds_events_back() -> None:
    async def main(world: World) -> None:
        Half.broken = True
        await world.receiver(gateway_transport_filters=(HERE + "Half",))
        sender = await world.sender(gateway_transport_filters=(HERE + "Half",))
        sender.activate("r", 0, 1)
        await world.append("r", 0, "a")
        await world.until(lambda: sender.status().counters["pluginFailures"] >= 3)
        assert "Half failed: encode of a batch: ValueError: no key" in sender.status().error
        Half.broken = False
        await world.until(lambda: world.arrived("r", 0) == ["a"])

    simulate(main)


class Garbling:
    """Can't decode every third batch."""

    decoded: ClassVar[int] = 0

    def encode(self, data: bytes) -> bytes:
        return data

    def decode(self, data: bytes) -> bytes:
        Garbling.decoded += 1
        if Garbling.decoded % 3 == 2:
            raise ValueError("garbled")
        return data


def test_in_the_order_of_threads_no_batch_overtakes_one_that_can_not_be_decoded() -> None:
    async def main(world: World) -> None:
        Garbling.decoded = 0
        await world.receiver(gateway_transport_filters=(HERE + "Garbling",))
        sender = await world.sender(
            parallel=False, order_policy="thread", batch_size=1, gateway_transport_filters=(HERE + "Garbling",)
        )
        sender.may_hold(True)
        keys = [f"k{number:02}" for number in range(30)]
        for key in keys:
            await world.append("r", 0, key)
        await world.until(lambda: sender.status().queued == 0 and not sender.status().uncounted_buckets)
        arrived = world.arrived("r", 0)
        assert arrived == sorted(arrived, key=str)
        assert list(dict.fromkeys(arrived)) == keys
        assert sender.status().counters["batchesRefused"] > 1

    simulate(main)


@scenario(ln=2, ny=1)
async def test_the_books_of_a_sender_balance_at_every_moment(ln: Site, ny: Site) -> None:
    """With filters, conflation, events of other sites, a full memory, a stop and a change of filters."""
    await ny.receives("r", kind="PARTITION")
    await ln.create_receiver()
    options = {"enable_batch_conflation": True, "maximum_queue_memory": 1, "parallel": True}
    await ln.create_sender("ny", to=ny, gateway_event_filters=(HERE + "Odd",), **options)
    await ny.create_sender("ln", to=ln)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ny.alter_region("r", senders="ln")

    def balanced() -> None:
        for name, status in ln.statuses("ny").items():
            count = status.counters
            gone = ("SkippedByLoopRule", "Filtered", "NotQueuedConflated", "Acknowledged")
            queued = count["eventQueueSize"] - count["entriesOverflowedToDisk"]
            assert count["eventsReceived"] == sum(count[f"events{each}"] for each in gone) + queued, (name, count)

    await ny.put("r", range(1000, 1100))
    await ln.until_size("r", 100)
    balanced()
    await ln.pause_sender("ny")
    for _ in range(3):
        await ln.put("r", range(200), "x" * 10_000)
        balanced()
    assert ln.count("ny", "entriesOverflowedToDisk") > 0
    await ln.resume_sender("ny")
    await ln.put("r", range(200, 300))
    balanced()
    await ln.alter_sender("ny", gateway_event_filters=("CLEAR",))
    await ln.put("r", range(300, 400))
    await ln.until_drained("ny")
    balanced()
    assert ln.count("ny", "eventsNotQueuedConflated") > 0
    assert ln.count("ny", "eventsFiltered") > 0
    assert ln.count("ny", "eventsSkippedByLoopRule") == 100


@scenario(a=1, b=1, c=1)
async def test_what_a_filter_keeps_from_a_site_is_kept_from_it_on_every_way(a: Site, b: Site, c: Site) -> None:
    for site in (b, c):
        await site.receives("r")
    await a.create_sender("b", to=b)
    await a.create_sender("c", to=c, gateway_event_filters=(HERE + "Odd",))
    await a.create_region("r", senders="b c")
    await b.create_sender("c", to=c)
    await b.alter_region("r", senders="c")
    await a.put("r", range(10))
    await a.until_drained("b")
    await a.until_drained("c")
    await b.put("r", [100])
    await until(lambda: _has(c, 100))
    assert {*await b.contents("r")} == {*range(10), 100}
    assert {*await c.contents("r")} == {1, 3, 5, 7, 9, 100}


async def _has(site: Site, key: int) -> bool:
    return key in await site.contents("r")


class Told(GatewayEventFilter):
    """Writes down what is acknowledged."""

    keys: ClassVar[list[object]] = []

    def after_acknowledgement(self, event: GatewayEvent) -> None:
        Told.keys.append(event.key)


def test_of_events_that_are_parked_no_filter_is_told_that_they_arrived() -> None:
    async def main(world: World) -> None:
        Told.keys.clear()
        world.poison = {"1", "3"}
        await world.receiver()
        sender = await world.sender(gateway_event_filters=(HERE + "Told",))
        sender.activate("r", 0, 1)
        await world.append("r", 0, *"01234")
        await world.until(lambda: sender.status().counters["eventsParked"] == 2)
        await world.until(lambda: sender.status().drained)
        assert world.arrived("r", 0) == Told.keys == ["0", "2", "4"]

    simulate(main)
