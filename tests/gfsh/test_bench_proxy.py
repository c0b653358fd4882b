"""The delaying proxy: everything arrives, in order, not sooner than the delay, and a close arrives too."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from heliograph.gfsh.bench.proxy import DelayProxy, ProxyConfig, Route
from heliograph.model.ids import Address
from heliograph.net.real import RealNetwork

HOST = "127.0.0.1"
DEADLINE_S = 10.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def proxied(
    serve: Serve, delay_ms: float
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, DelayProxy]]:
    server = await asyncio.start_server(serve, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    proxy = DelayProxy(ProxyConfig((Route(Address(HOST, 0), Address(HOST, port)),), delay_ms), RealNetwork())
    async with asyncio.timeout(DEADLINE_S):
        await proxy.start()
        reader, writer = await asyncio.open_connection(HOST, proxy.ports[0])
        try:
            yield reader, writer, proxy
        finally:
            writer.close()
            await proxy.close()
            server.close()
            await asyncio.sleep(0)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


def test_a_round_trip_takes_twice_the_delay() -> None:
    async def scenario() -> None:
        async with proxied(echo, 40) as (reader, writer, _):
            writer.write(b"open")  # the first one also waits for the connection behind the proxy
            await reader.readexactly(4)
            for _ in range(3):
                begin = time.monotonic()
                writer.write(b"ping")
                assert await reader.readexactly(4) == b"ping"
                assert 0.078 <= time.monotonic() - begin < 0.5

    uvloop.run(scenario())


def test_much_data_arrives_whole_and_in_order_within_few_delays() -> None:
    data = bytes(range(256)) * 4 * 20_000  # 20 MB

    async def scenario() -> None:
        async with proxied(echo, 50) as (reader, writer, _):
            begin = time.monotonic()
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            assert time.monotonic() - begin < 3.0, "the proxy narrows the line"

    uvloop.run(scenario())


@pytest.mark.parametrize("delay_ms", [0, 20])
def test_what_was_sent_before_a_close_arrives_before_it(delay_ms: float) -> None:
    async def last_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"x" * 300_000)
        writer.close()

    async def scenario() -> None:
        async with proxied(last_words, delay_ms) as (reader, writer, _):
            writer.write(b"?")
            assert len(await reader.read(-1)) == 300_000

    uvloop.run(scenario())


def test_an_unreachable_target_closes_the_connection() -> None:
    async def scenario() -> None:
        proxy = DelayProxy(ProxyConfig((Route(Address(HOST, 0), Address(HOST, 1)),), 5), RealNetwork())
        async with asyncio.timeout(DEADLINE_S):
            await proxy.start()
            reader, writer = await asyncio.open_connection(HOST, proxy.ports[0])
            assert await reader.read(-1) == b""
            writer.close()
            await proxy.close()

    uvloop.run(scenario())


def test_closing_the_proxy_drops_its_connections() -> None:
    async def scenario() -> None:
        async with proxied(echo, 5) as (reader, writer, proxy):
            writer.write(b"ping")
            await reader.readexactly(4)
            await proxy.close()
            with contextlib.suppress(ConnectionResetError):  # dropped, not closed in order: both are the end
                assert await reader.read(-1) == b""

    uvloop.run(scenario())
