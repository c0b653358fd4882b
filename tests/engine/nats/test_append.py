"""Fenced appends over the bare connection: answers, deadlines, losses."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable

import pytest

from heliograph.engine.nats.append import Appender, read_ack
from heliograph.engine.nats.connection import Connection, open_connection
from heliograph.engine.nats.protocol import Message
from heliograph.engine.nats.session import parse_servers
from heliograph.errors import DiskStoreFullError, FencedError, HeliographError, UnavailableError, UsageError
from heliograph.model.ids import NO_SEQ
from tests.engine.worlds import eventually

INFO = b'INFO {"version":"2.11.0","max_payload":2048,"headers":true,"jetstream":true}\r\n'


class FakeServer:
    """Speaks just enough NATS to take a client; `commands` is what it sent after the handshake."""

    def __init__(self) -> None:
        self.info = INFO
        self.commands = b""
        self.connections = 0
        self.answer_pings = True
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.drop()

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def say(self, data: bytes) -> None:
        self._writers[-1].write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connections += 1
        writer.write(self.info)
        try:
            while data := await reader.read(1 << 16):
                self.commands += data
                if b"PING" in data and self.answer_pings:
                    writer.write(b"PONG\r\n")
        except ConnectionError:
            return  # dropped
        finally:
            writer.transport.abort()


def with_connection(scenario: Callable[[FakeServer, Connection], Awaitable[None]]) -> None:
    async def main() -> None:
        server = FakeServer()
        connection = await open_connection(parse_servers(await server.start(), "test"))
        try:
            await scenario(server, connection)
        finally:
            await connection.close()
            await server.stop()

    asyncio.run(main())


def inbox(server: FakeServer) -> bytes:
    """Return the answer subject of the last append."""
    return server.commands.rpartition(b"HPUB ")[2].split()[1]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"stream":"LOG_x","seq":17}', 17),
        (b'{"stream":"LOG_x","seq":17, "duplicate": true}', 17),
        (b'{"stream":"LOG_x", "domain":"hub","seq":18}', 18),
        (b'{"seq":19,"stream":"LOG_x"}', 19),
    ],
)
def test_an_acknowledgement_tells_the_sequence(payload: bytes, expected: int) -> None:
    assert read_ack(Message(b"i", 1, b"", b"", payload)) == expected


@pytest.mark.parametrize(
    ("code", "description", "kind"),
    [
        (10071, "wrong last sequence: 5", FencedError),
        (10164, "wrong last sequence", FencedError),
        (10077, "maximum bytes exceeded", DiskStoreFullError),
        (10047, "insufficient storage resources available", DiskStoreFullError),
        (10077, "input/output error", UnavailableError),
        (10054, "message size exceeds maximum allowed", UsageError),
        (10008, "jetstream system temporarily unavailable", UnavailableError),
    ],
)
def test_a_refusal_is_the_error_of_who_must_act(code: int, description: str, kind: type[HeliographError]) -> None:
    error = b'"error":{"code":400,"err_code":%d,"description":"%b"}' % (code, description.encode())
    for payload in (b'{%b,"stream":"LOG_x","seq":0}' % error, b'{"stream":"LOG_x","seq":0,%b}' % error):
        answer = read_ack(Message(b"i", 1, b"", b"", payload))
        assert type(answer) is kind
        assert description in str(answer)


@pytest.mark.parametrize("payload", [b"", b"nonsense", b"{}", b'{"stream":"LOG_x","seq":0}'])
def test_an_answer_without_sequence_is_unknown(payload: bytes) -> None:
    assert type(read_ack(Message(b"i", 1, b"", b"", payload))) is UnavailableError


def test_nobody_there() -> None:
    answer = read_ack(Message(b"i", 1, b"", b"NATS/1.0 503\r\n\r\n", b""))
    assert type(answer) is UnavailableError


def test_an_append_names_its_expectation_and_batch() -> None:
    async def scenario(server: FakeServer, connection: Connection) -> None:
        appender = Appender(connection)
        first = appender.append("log.a", b"one", NO_SEQ, "b1")
        second = appender.append("log.b", b"two", NO_SEQ, "b2")
        await eventually(lambda: b"two" in server.commands)
        assert b"Nats-Expected-Last-Subject-Sequence: 0\r\nHeliograph-Batch: b2\r\n\r\ntwo\r\n" in server.commands
        reply = inbox(server)
        server.say(b'MSG %b 1 22\r\n{"stream":"L","seq":7}\r\n' % reply)
        assert await second == 7
        assert not first.done()
        server.say(b'MSG %b 1 22\r\n{"stream":"L","seq":7}\r\n' % reply)  # twice: nobody waits for it any more
        server.drop()
        with pytest.raises(UnavailableError, match="lost"):
            await first

    with_connection(scenario)


def test_an_append_without_answer_fails_at_its_deadline() -> None:
    async def scenario(server: FakeServer, connection: Connection) -> None:
        appender = Appender(connection, timeout_s=0.05)
        cancelled = appender.append("log.a", b"one", NO_SEQ, "b1")
        cancelled.cancel()
        with pytest.raises(UnavailableError, match="no answer"):
            await appender.append("log.a", b"one", NO_SEQ, "b1")

    with_connection(scenario)


def test_the_smaller_limit_of_an_operators_engine_holds() -> None:
    async def scenario(server: FakeServer, connection: Connection) -> None:
        appender = Appender(connection)
        assert appender.append_bytes_max == 1024
        with pytest.raises(UsageError, match="1024"):
            await appender.append("log.a", bytes(1025), NO_SEQ, "b1")

    with_connection(scenario)


def test_a_lost_connection_is_made_again_with_its_subscriptions() -> None:
    async def scenario(server: FakeServer, connection: Connection) -> None:
        appender = Appender(connection)
        server.drop()
        await eventually(lambda: not connection.connected)
        with pytest.raises(UnavailableError, match="no connection"):
            await appender.append("log.a", b"x", NO_SEQ, "b1")
        server.commands = b""
        await eventually(lambda: connection.connected and b"SUB _INBOX." in server.commands)
        assert server.connections == 2

    with_connection(scenario)


def test_an_attempt_without_a_connection_leaves_nothing_to_the_garbage_collector() -> None:
    async def scenario(server: FakeServer, connection: Connection) -> None:
        appender, payload = Appender(connection), bytes(1_000)
        server.drop()
        await eventually(lambda: not connection.connected)
        references = sys.getrefcount(payload)
        gc.disable()
        try:
            for number in range(5):
                with pytest.raises(UnavailableError, match="no connection"):
                    await appender.append("log.a", payload, NO_SEQ, f"b{number}")
        finally:
            gc.enable()
        assert sys.getrefcount(payload) == references

    with_connection(scenario)


def test_a_server_that_answers_no_ping_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.engine.nats.connection.PING_INTERVAL_S", 0.02)

    async def scenario(server: FakeServer, connection: Connection) -> None:
        await eventually(lambda: server.commands.count(b"PING") > 3)
        assert server.connections == 1
        server.answer_pings = False
        await eventually(lambda: not connection.connected)
        server.answer_pings = True
        await eventually(lambda: connection.connected)

    with_connection(scenario)
