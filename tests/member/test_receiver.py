from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from heliograph.errors import ClockSkewError, PeerError, UsageError
from heliograph.link.hello import Hello
from heliograph.link.messages import IN_ORDER, IN_ORDER_ANEW, Done, StatusQuery, WanBatch, encode
from heliograph.member import receiver as receiver_module
from heliograph.member.receiver import GatewayReceiver
from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.model.batch import CREATE, DESTROY, UPDATE, Columns, Part, encode_columns
from heliograph.model.ids import Address
from heliograph.net.link import BaseHandler, Link, connect_link
from tests.gateway.builders import HERE, THERE, part_of
from tests.member.wan import BUCKETS, RemoteHost, World, simulate


class Sender(BaseHandler):
    """The far end of a link: what was answered to its batches, in order."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.closed = ""

    def on_ack(self, link: Link, batch_id: int) -> None:
        self.answers.append((batch_id, "ack"))

    def on_refused(self, link: Link, batch_id: int, error: str, message: str) -> None:
        self.answers.append((batch_id, f"{error}: {message}"))

    def on_closed(self, link: Link, reason: str) -> None:
        self.closed = reason


async def connect(
    world: World, receiver: GatewayReceiver, role: str = "sender", dsid: int = HERE
) -> tuple[Link, Sender]:
    info = receiver.info()
    assert info is not None
    sender = Sender()
    hello = Hello(role, "s@one", dsid)
    link = await connect_link(world.network.host("one"), info.address, hello, sender, timeout_s=5)
    return link, sender


def part(*keys: str) -> Part:
    return part_of(*keys, recipients=(THERE,), birth=(0, 7))


def batch(*items: tuple[int, Part], region: str = "r", buckets: int = BUCKETS) -> bytes:
    return encode(WanBatch(region, buckets, list(items)))


# --- ports and life cycle


def test_a_port_of_the_range_is_taken_at_random_then_upward_with_wrap() -> None:
    async def scenario(world: World) -> None:
        for _ in range(3):
            await world.receiver("far", start_port=5000, end_port=5002)
        assert sorted(receiver.status().port for receiver in world.receivers) == [5000, 5001, 5002]
        with pytest.raises(UsageError, match="no port of 5000 to 5002 can be listened on"):
            await world.receiver("far", start_port=5000, end_port=5002)

    simulate(scenario)


def test_the_address_for_senders_is_the_name_given_else_the_bound_one_else_the_hosts() -> None:
    async def scenario(world: World) -> None:
        def host_of(**attributes: Any) -> Awaitable[GatewayReceiver]:
            return world.receiver("far", start_port=5000, end_port=5009, **attributes)

        for attributes, name in (
            ({}, "far"),
            ({"hostname_for_senders": "proxy"}, "proxy"),
            ({"bind_address": "far"}, "far"),
        ):
            receiver = await host_of(**attributes)
            info = receiver.info()
            assert info is not None
            assert info.address == Address(name, info.port)

    simulate(scenario)


def test_it_starts_and_stops_again_and_says_when_a_command_does_not_fit() -> None:
    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        _, sender = await connect(world, receiver)
        assert receiver.status().senders == ("s@one",)
        with pytest.raises(UsageError, match="already started"):
            await receiver.command("start")
        await receiver.command("stop")
        await world.until(lambda: "stops" in sender.closed)
        assert (receiver.info(), receiver.status().status) == (None, "Not Running")
        with pytest.raises(UsageError, match="not running"):
            await receiver.command("stop")
        await receiver.command("start")
        assert receiver.running

    simulate(scenario)


def test_only_senders_of_other_sites_are_let_in() -> None:
    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        with pytest.raises(PeerError, match="same distributed-system-id"):
            await connect(world, receiver, dsid=THERE)
        with pytest.raises(PeerError):
            await connect(world, receiver, role="client")

    simulate(scenario)


# --- batches


def test_a_batch_is_acknowledged_when_all_its_buckets_have_it() -> None:
    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        link, sender = await connect(world, receiver)
        world.apply_s = 1.0
        link.send_batch(7, batch((0, part("a")), (1, part("b")), (0, part("c"))))
        await asyncio.sleep(0.9)
        assert sender.answers == []
        await world.until(lambda: bool(sender.answers))
        assert sender.answers == [(7, "ack")]
        assert (world.arrived("r", 0), world.arrived("r", 1)) == (["a", "c"], ["b"])
        assert receiver.status().counters["eventsReceived"] == 3

    simulate(scenario)


def test_an_empty_batch_is_acknowledged() -> None:
    async def scenario(world: World) -> None:
        link, sender = await connect(world, await world.receiver())
        link.send_batch(1, batch())
        await world.until(lambda: sender.answers == [(1, "ack")])

    simulate(scenario)


def test_a_site_with_other_buckets_sorts_the_events_into_its_own() -> None:
    async def scenario(world: World) -> None:
        link, sender = await connect(world, await world.receiver())
        keys = [str(number) for number in range(40)]
        link.send_batch(1, batch((100, part(*keys)), buckets=113))
        await world.until(lambda: sender.answers == [(1, "ack")])
        arrived = [world.arrived("r", bucket) for bucket in range(BUCKETS)]
        assert all(arrived)
        assert sorted(key for some in arrived for key in some) == sorted(keys)  # type: ignore[type-var]

    simulate(scenario)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (batch((0, part("a")), region="nowhere"), "RegionNotFoundError: region 'nowhere' does not exist"),
        (b"\xc1garbage", "PeerError: malformed batch"),
    ],
)
def test_a_batch_that_can_not_be_applied_is_refused_and_the_link_goes_on(body: bytes, reason: str) -> None:
    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        link, sender = await connect(world, receiver)
        link.send_batch(1, body)
        link.send_batch(2, batch((0, part("k"))))
        await world.until(lambda: len(sender.answers) == 2)
        answers = dict(sender.answers)
        assert answers[1].startswith(reason)
        assert answers[2] == "ack"
        assert receiver.status().counters["batchesRefused"] == 1

    simulate(scenario)


def test_one_bucket_that_fails_refuses_the_batch_once_all_have_answered() -> None:
    async def scenario(world: World) -> None:
        link, sender = await connect(world, await world.receiver())
        world.refusals["r", 1] = ClockSkewError("site 1 is 90000 ms ahead")
        link.send_batch(1, batch((0, part("a")), (1, part("b"))))
        await world.until(lambda: bool(sender.answers))
        assert sender.answers == [(1, "ClockSkewError: site 1 is 90000 ms ahead")]
        assert world.arrived("r", 0) == ["a"]

    simulate(scenario)


def in_order(*items: tuple[int, Part], region: str = "r", ordered: int = IN_ORDER) -> bytes:
    return encode(WanBatch(region, BUCKETS, list(items), ordered=ordered))


def test_ordered_batches_are_applied_bucket_after_bucket_and_batch_after_batch() -> None:
    async def scenario(world: World) -> None:
        world.apply_s, world.apply_spread = 0.1, 50
        world.remote_regions.add("s")
        link, sender = await connect(world, await world.receiver())
        link.send_batch(1, in_order(*[(number % 3, part(str(number))) for number in range(9)], ordered=IN_ORDER_ANEW))
        link.send_batch(2, in_order((2, part("9")), (2, part("10")), region="s"))
        link.send_batch(3, in_order((0, part("11"))))
        await world.until(lambda: len(sender.answers) == 3)
        assert sender.answers == [(number, "ack") for number in (1, 2, 3)]
        assert world.order == [str(number) for number in range(12)]

    simulate(scenario)


@pytest.mark.parametrize("missing", [False, True])
def test_after_a_refusal_no_ordered_batch_is_applied_until_one_begins_anew(missing: bool) -> None:
    """Refused by a bucket, or because the region is missing, which is known before those before it are applied."""

    async def scenario(world: World) -> None:
        world.apply_s = 0.1
        receiver = await world.receiver()
        link, sender = await connect(world, receiver)
        if not missing:
            world.refusals["r", 1] = ClockSkewError("ahead")
        link.send_batch(1, in_order((0, part("a")), ordered=IN_ORDER_ANEW))
        second = [(0, part("b")), (1, part("c")), (2, part("d"))]
        link.send_batch(2, in_order(*second, region="s" if missing else "r"))
        link.send_batch(3, in_order((3, part("e"))))
        link.send_batch(4, batch((3, part("not ordered"))))
        await world.until(lambda: len(sender.answers) == 4)
        link.send_batch(5, in_order((3, part("f"))))
        await world.until(lambda: len(sender.answers) == 5)
        answers = dict(sender.answers)
        assert (answers[1], answers[4]) == ("ack", "ack")
        assert ("'s' does not exist" if missing else "ahead") in answers[2]
        assert "none may overtake" in answers[3]
        assert "none may overtake" in answers[5]
        assert world.order == ["a", "not ordered"] if missing else ["not ordered", "a", "b"]
        world.refusals.clear()
        link.send_batch(6, in_order((0, part("b")), ordered=IN_ORDER_ANEW))
        link.send_batch(7, in_order((1, part("c"))))
        await world.until(lambda: len(sender.answers) == 7)
        assert world.first_arrived("r", 1) == ["c"]
        assert [work.batches for work in receiver._works.values()] == [0]
        assert receiver._size == 0

    simulate(scenario)


def test_of_a_link_that_is_closed_only_what_is_under_way_is_applied() -> None:
    async def scenario(world: World) -> None:
        world.apply_s = 1.0
        receiver = await world.receiver()
        link, _ = await connect(world, receiver)
        link.send_batch(1, in_order((0, part("a")), (1, part("b")), ordered=IN_ORDER_ANEW))
        link.send_batch(2, in_order((0, part("c"))))
        await asyncio.sleep(0.5)
        link.close("enough")
        await asyncio.sleep(5)
        assert world.order == ["a"]
        assert receiver._size == 0

    simulate(scenario)


def test_an_ordered_batch_larger_than_this_sites_engine_takes_is_applied_in_pieces_in_order() -> None:
    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        receiver._host.record_bytes_max = 2_000
        link, sender = await connect(world, receiver)
        keys = [f"key-{number}-{'x' * 100}" for number in range(100)]
        link.send_batch(1, in_order((0, part(*keys)), (1, part("k")), ordered=IN_ORDER_ANEW))
        await world.until(lambda: sender.answers == [(1, "ack")])
        assert world.order == [*keys, "k"]

    simulate(scenario)


Apply = Callable[[RemoteHost, str, int, tuple[Part, ...]], Awaitable[Done]]


async def _forwarded(host: RemoteHost, region: str, bucket: int, parts: tuple[Part, ...]) -> Done:
    await asyncio.sleep(0.5)
    if bucket == 1:
        raise ValueError("a bug")
    return Done(1)


def _refused_at_once(host: RemoteHost, region: str, bucket: int, parts: tuple[Part, ...]) -> Awaitable[Done]:
    raise UsageError("no")


@pytest.mark.parametrize(
    ("apply", "answers"),
    [
        (_forwarded, {1: "ack", 2: "BadEventError: internal error: ValueError: a bug"}),
        (_refused_at_once, {1: "UsageError: no", 2: "UsageError: no"}),
    ],
)
def test_however_a_member_answers_the_batch_is_settled(
    apply: Apply, answers: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoteHost, "apply_parts", apply)

    async def scenario(world: World) -> None:
        link, sender = await connect(world, await world.receiver())
        link.send_batch(1, batch((0, part("a"))))
        link.send_batch(2, batch((0, part("a")), (1, part("b"))))
        await world.until(lambda: len(sender.answers) == 2)
        assert dict(sender.answers) == answers

    simulate(scenario)


def test_a_receiver_that_stops_ends_what_it_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteHost, "apply_parts", _forwarded)

    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        link, sender = await connect(world, receiver)
        link.send_batch(1, batch((0, part("a"))))
        await asyncio.sleep(0.1)
        await receiver.stop()
        await world.until(lambda: bool(sender.closed))
        assert sender.answers == []

    simulate(scenario)


def test_a_sender_that_overwhelms_the_site_is_read_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "WORK_BATCHES_MAX", 10)

    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        link, sender = await connect(world, receiver)
        world.apply_s = 1.0
        for number in range(100):
            link.send_batch(number, batch((0, part(str(number)))))
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)
        assert 10 < receiver.status().counters["processBatchRequests"] < 30
        await world.until(lambda: len(sender.answers) == 100)
        assert world.arrived("r", 0) == [str(number) for number in range(100)]

    simulate(scenario)


def test_what_is_larger_than_this_sites_engine_takes_is_appended_in_pieces() -> None:
    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        host = receiver._host
        host.record_bytes_max = 2_000
        link, sender = await connect(world, receiver)
        keys = [f"key-{number}-{'x' * 100}" for number in range(100)]
        link.send_batch(1, batch((0, part(*keys)), (1, part("k"))))
        await world.until(lambda: bool(sender.answers))
        assert sender.answers == [(1, "ack")]
        assert world.arrived("r", 0) == keys
        assert world.arrived("r", 1) == ["k"]
        pieces = world.applied["r", 0]
        assert len(pieces) > 5
        assert max(len(piece.columns) for piece in pieces) <= 2_000
        world.refusals["r", 0] = ClockSkewError("ahead")
        link.send_batch(2, batch((0, part(*keys)), (1, part("k"))))
        await world.until(lambda: len(sender.answers) == 2)
        assert sender.answers[1] == (2, "ClockSkewError: ahead")

    simulate(scenario)


def test_senders_that_overwhelm_the_site_together_are_read_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "ALL_BYTES_MAX", 1_000_000)

    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        links = [await connect(world, receiver) for _ in range(4)]
        world.apply_s = 1.0
        body = batch((0, part("k" * 30_000)))
        most = 0
        for number in range(50):
            for link, _ in links:
                link.send_batch(number, body)
            await asyncio.sleep(0.001)
            most = max(most, receiver._size)
        assert 1_000_000 < most <= 1_000_000 + 4 * len(body)
        await world.until(lambda: all(len(sender.answers) == 50 for _, sender in links))
        assert receiver._size == 0
        assert not receiver._held

    simulate(scenario)


def test_a_silent_connection_is_closed() -> None:
    async def scenario(world: World) -> None:
        receiver = await world.receiver(maximum_time_between_pings=1_000)
        await connect(world, receiver)
        world.network.cut("one", "far")
        await world.until(lambda: not receiver.status().senders)

    simulate(scenario)


def test_a_gateway_receiver_answers_no_questions() -> None:
    async def scenario(world: World) -> None:
        link, _ = await connect(world, await world.receiver())
        with pytest.raises((UsageError, PeerError)):
            await link.call(StatusQuery(), timeout_s=5)

    simulate(scenario)


def test_attributes_are_those_given() -> None:
    async def scenario(world: World) -> None:
        attributes = GatewayReceiverAttributes(start_port=1, end_port=2)
        assert GatewayReceiver(attributes, RemoteHost(world, "far")).attributes is attributes

    simulate(scenario)


# --- statistics


def test_what_a_receiver_did_is_counted() -> None:
    async def scenario(world: World) -> None:
        receiver = await world.receiver()
        link, sender = await connect(world, receiver)
        await connect(world, receiver)
        world.apply_s = 0.25
        ops = bytes([CREATE, UPDATE, UPDATE, DESTROY])
        columns = encode_columns(Columns(ops, ["a", "b", "c", "d"], [b"1", b"2", b"3", b""], 7))
        world.poison = {"c"}
        link.send_batch(1, batch((0, Part(HERE, (THERE,), 0, 7, 4, columns)), (1, part("e"))))
        await world.until(lambda: len(sender.answers) == 1)
        link.send_batch(2, batch((0, part("f")), region="nowhere"))
        link.send_batch(3, batch((0, part("g"))))
        await world.until(lambda: len(sender.answers) == 3)
        counters = receiver.status().counters
        busy_ms = counters.pop("averageBatchProcessingTime")
        assert busy_ms == counters.pop("processBatchTime") // 3_000_000
        assert 250 <= busy_ms <= 1_000
        assert counters.pop("receivedBytes") > 100
        assert counters == {
            "eventsReceived": 7,
            "createRequests": 1,
            "updateRequest": 5,
            "destroyRequest": 1,
            "exceptionsOccurred": 1,
            "processBatchRequests": 3,
            "processBatchResponses": 3,
            "batchesRefused": 1,
            "pluginFailures": 0,
            "currentClients": 1,
            "currentClientConnections": 2,
            "connectionsTimedOut": 0,
            "failedConnectionAttempts": 0,
        }

    simulate(scenario)


def test_connections_that_fail_or_fall_silent_are_counted_over_a_restart() -> None:
    async def scenario(world: World) -> None:
        receiver = await world.receiver(maximum_time_between_pings=1_000)
        with pytest.raises(PeerError):
            await connect(world, receiver, dsid=THERE)
        await connect(world, receiver)
        world.network.cut("one", "far")
        await world.until(lambda: receiver.status().counters["connectionsTimedOut"] == 1)
        assert receiver.status().counters["failedConnectionAttempts"] == 1
        await receiver.stop()
        await receiver.start()
        counters = receiver.status().counters
        assert (counters["connectionsTimedOut"], counters["failedConnectionAttempts"]) == (1, 1)
        assert counters["currentClientConnections"] == 0

    simulate(scenario)
