"""A pull consumer against a server that we play: requests, numbering, statuses."""

from __future__ import annotations

import pytest

from heliograph.engine.nats.connection import Connection
from heliograph.engine.nats.consume import PULL_BYTES, PULL_BYTES_LARGE, PULL_MESSAGES, Consumer
from heliograph.errors import UnavailableError
from tests.engine.nats.test_append import FakeServer, with_connection
from tests.engine.worlds import eventually


def delivery(seq: int, number: int, pending: int = 0, prefix: bytes = b"$JS.ACK") -> bytes:
    return b"MSG log.a 1 %b.LOG_x.c.1.%d.%d.179.%d 1\r\nx\r\n" % (prefix, seq, number, pending)


def status(line: bytes, headers: bytes = b"") -> bytes:
    block = b"NATS/1.0 %b\r\n%b\r\n" % (line, headers)
    return b"HMSG _INBOX.c 1 %d %d\r\n%b\r\n" % (len(block), len(block), block)


def requests(server: FakeServer) -> int:
    return server.commands.count(b"CONSUMER.MSG.NEXT.LOG_x.c _INBOX.c")


def test_deliveries_come_in_order_and_the_next_request_when_one_is_used_up() -> None:
    async def scenario(server: FakeServer, connection: Connection) -> None:
        async with Consumer(connection, "LOG_x", "c", 0) as consumer:
            await eventually(lambda: b"SUB _INBOX.c 1" in server.commands)
            server.say(delivery(7, 1, pending=1) + delivery(9, 2))
            found = await consumer.take()
            while len(found) < 2:
                found += await consumer.take()
            assert [(each.seq, each.pending) for each in found] == [(7, 1), (9, 0)]
            await eventually(lambda: requests(server) == 1)
            server.say(status(b"408 Request Timeout", b"Nats-Pending-Messages: 5\r\n"))
            server.say(delivery(10, 3, prefix=b"$JS.ACK._.account"))  # the long form, without its random token
            assert [each.seq for each in await consumer.take()] == [10]
            await eventually(lambda: requests(server) == 2)
        await eventually(lambda: b"CONSUMER.DELETE.LOG_x.c" in server.commands)

    with_connection(scenario)


def test_a_lost_delivery_ends_the_reading_before_the_gap() -> None:
    async def scenario(server: FakeServer, connection: Connection) -> None:
        async with Consumer(connection, "LOG_x", "c", 0) as consumer:
            await eventually(lambda: b"SUB _INBOX.c 1" in server.commands)
            server.say(delivery(1, 1) + delivery(5, 3) + delivery(6, 4))
            found = [each.seq for each in await consumer.take()]
            assert found == [1]
            with pytest.raises(UnavailableError, match="delivery 2 was lost"):
                await consumer.take()

    with_connection(scenario)


def test_a_message_too_large_for_a_request_is_asked_for_with_a_larger_one() -> None:
    async def scenario(server: FakeServer, connection: Connection) -> None:
        async with Consumer(connection, "LOG_x", "c", 0) as consumer:
            await eventually(lambda: b"SUB _INBOX.c 1" in server.commands)
            server.say(
                status(b"409 Message Size Exceeds MaxBytes", b"Nats-Pending-Messages: %d\r\n" % PULL_MESSAGES)
                + status(b"100 Idle Heartbeat")
            )
            assert await consumer.take() == []
            server.say(delivery(1, 1))
            assert len(await consumer.take()) == 1
            await eventually(lambda: b'"max_bytes":%d,' % PULL_BYTES_LARGE in server.commands)
            server.say(status(b"409 Batch Completed", b"Nats-Pending-Messages: 0\r\n") + status(b"100 Idle Heartbeat"))
            assert await consumer.take() == []
            assert requests(server) == 2
            assert server.commands.count(b'"max_bytes":%d,' % PULL_BYTES) == 1

    with_connection(scenario)


@pytest.mark.parametrize("line", [b"409 Consumer Deleted", b"503", b"409 Server Shutdown"])
def test_other_statuses_end_the_consumer(line: bytes) -> None:
    async def scenario(server: FakeServer, connection: Connection) -> None:
        async with Consumer(connection, "LOG_x", "c", 0) as consumer:
            await eventually(lambda: b"SUB _INBOX.c 1" in server.commands)
            server.say(status(line))
            with pytest.raises(UnavailableError, match=line.decode()):
                await consumer.take()

    with_connection(scenario)


def test_silence_ends_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.engine.nats.consume.SILENCE_MAX_S", 0.05)

    async def scenario(server: FakeServer, connection: Connection) -> None:
        async with Consumer(connection, "LOG_x", "c", 0) as consumer:
            with pytest.raises(UnavailableError, match="no sign of life"):
                await consumer.take()

    with_connection(scenario)
