"""The HTTP port and who does not ask as one should."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from heliograph.admin import http_protocol
from heliograph.admin.server import HttpServer, serve_http
from heliograph.link.strangers import REFUSALS_LOGGED_OF_ADDRESS
from heliograph.model.ids import Address

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the size of the body."""
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(str(size)))]})
    await send({"type": "http.response.body", "body": str(size).encode()})


@asynccontextmanager
async def serving() -> AsyncIterator[HttpServer]:
    server = await serve_http(app, Address("127.0.0.1", 0))
    try:
        yield server
    finally:
        await server.close()


async def say(server: HttpServer, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Return all that is answered until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def asked(server: HttpServer) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(ASK)
        return await reader.readuntil(b"\r\n")
    finally:
        writer.close()


def run(scenario: Callable[[HttpServer], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(60), serving() as server:
            await scenario(server)

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ((), "no request within"),
        ((b"GET / HT",), "no request within"),
        ((b"\x16\x03\x01\x02\x00\x01",), "no HTTP: the connection begins with"),
        ((b"\x89HELIO\n\x01",), "no HTTP: the connection begins with"),
        ((b"GET nonsense\r\n\r\n",), "Invalid HTTP request"),
        ((b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000,), "Invalid HTTP request"),
        ((b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",), "did not end within"),
    ],
)
def test_refused_in_time_with_a_reason(
    pieces: tuple[bytes, ...], reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.2)
    monkeypatch.setattr(http_protocol, "REQUEST_S", 0.4)

    async def scenario(server: HttpServer) -> None:
        await say(server, *pieces)
        assert await asked(server) == b"HTTP/1.1 200 OK\r\n"

    with caplog.at_level(logging.WARNING):
        run(scenario)
    (record,) = caplog.records
    assert reason in record.getMessage()


def test_a_request_in_crumbs_has_no_more_time_than_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.3)

    async def scenario(server: HttpServer) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        crumbs = [b"%c" % each for each in ASK[:-1]]
        assert await say(server, *crumbs, pause_s=0.05) == b""
        assert loop.time() - began < 0.05 * len(crumbs) + 5

    run(scenario)


def test_a_connection_that_is_kept_is_asked_again_and_a_second_request_has_its_time_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.3)

    async def scenario(server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(3):
            writer.write(ASK)
            assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
            await reader.readuntil(b"\r\n\r\n0")
            await asyncio.sleep(0.4)  # longer than a request may take to come
        writer.write(ASK[:5])
        assert await reader.read() == b""
        writer.close()

    run(scenario)


def test_a_flood_pushes_out_itself_and_is_logged_in_a_few_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 30.0)

    async def scenario(server: HttpServer) -> None:
        flood = [
            await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(http_protocol.STRANGERS_OF_ADDRESS_MAX + 20)
        ]
        assert await asked(server) == b"HTTP/1.1 200 OK\r\n"
        assert await flood[0][0].read() == b""  # the first ones are gone
        for _, writer in flood:
            writer.close()

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert len(caplog.records) == REFUSALS_LOGGED_OF_ADDRESS
