"""One connection: engine URLs, the handshake, and servers that are none."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop

from heliograph.engine.nats.protocol import Identity
from heliograph.engine.nats.session import Server, Session, open_session, parse_servers
from heliograph.errors import HeliographError, UnavailableError, UsageError
from tests.engine.nats.test_append import FakeServer

TIMEOUT_S = 0.5


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("nats://127.0.0.1:4222", [Server("127.0.0.1", 4222, Identity("me"))]),
        ("example.org", [Server("example.org", 4222, Identity("me"))]),
        ("nats://u:p%40ss@h:1", [Server("h", 1, Identity("me", user="u", password="p@ss"))]),
        ("nats://secret@h:1", [Server("h", 1, Identity("me", token="secret"))]),
        ("nats://a:1, nats://[::1]:2", [Server("a", 1, Identity("me")), Server("::1", 2, Identity("me"))]),
    ],
)
def test_engine_urls(url: str, servers: list[Server]) -> None:
    assert parse_servers(url, "me") == servers


@pytest.mark.parametrize("url", ["", " , ", "http://h:1", "nats://h:port", "nats://:1", "nats://u:secret@h:99999"])
def test_bad_engine_urls_are_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_servers(url, "me")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("greeting", "error", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", UnavailableError, "no NATS server"),
        (b"INFO {broken\r\n", UnavailableError, "INFO"),
        (b'INFO {"version":"1.0.0","max_payload":1}\r\n', UsageError, "headers"),
        (b"-ERR 'Authorization Violation'\r\n", UsageError, "credentials"),
        (b"", UnavailableError, "can't be reached"),
    ],
)
def test_servers_that_cannot_be_used(greeting: bytes, error: type[HeliographError], words: str) -> None:
    async def main() -> None:
        fake = FakeServer()
        fake.info = greeting
        [server] = parse_servers(await fake.start(), "me")
        try:
            with pytest.raises(error, match=words):
                await open_session(server, {}, timeout_s=0.2)
        finally:
            await fake.stop()

    asyncio.run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1\[1\]"):
            await open_session(Server("127.0.0.1", 1, Identity("me")), {}, timeout_s=1)

    asyncio.run(main())


def test_nothing_is_left_of_a_session_that_is_ready_just_when_the_time_for_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a machine that is paused while the last answer comes."""
    lost: list[asyncio.Future[str]] = []
    take = Session.data_received

    def take_slowly(session: Session, data: bytes) -> None:
        lost.append(session.lost)
        take(session, data)
        if b"PONG" in data:
            time.sleep(2 * TIMEOUT_S)

    monkeypatch.setattr(Session, "data_received", take_slowly)

    async def main() -> None:
        fake = FakeServer()
        [server] = parse_servers(await fake.start(), "me")
        try:
            with pytest.raises(UnavailableError, match="no answer"):
                await open_session(server, {}, timeout_s=TIMEOUT_S)
            assert await asyncio.wait_for(lost[0], 5) == "given up"
        finally:
            await fake.stop()

    uvloop.run(main())
