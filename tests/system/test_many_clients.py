"""A thousand thin clients at two servers, and one that never reads what it asked for."""

from __future__ import annotations

import asyncio
import socket

import psutil
import uvloop

from heliograph import aio
from heliograph.link import messages
from heliograph.link.frames import PREFACE, Kind, frame_header
from heliograph.link.hello import Hello, encode_hello
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo
from tests.system.scenarios import connect_sites
from tests.system.sites import HOST, Sites

REGION = "crowd"
CLIENTS = 1_000
AT_ONCE = 100
"""Clients that connect at the same time."""
BYTES_PER_CLIENT = 100_000
"""Of a server's memory, for a connection and all that its client has written; measured: 17,000."""
LARGE = 1_000_000
STALLED_BYTES = 100 * LARGE
"""Far less than all the answers that the stalled client asked for."""
QUESTIONS = 500
TIMEOUT_S = 60.0


def test_a_thousand_clients_are_served_beside_a_stalled_one_and_when_a_server_dies(sites: Sites) -> None:
    (site,) = sites.start({1: 2})
    connect_sites([site], {}, {REGION: ("PARTITION_REDUNDANT", "")})
    assert site.locator.process is not None
    (engine,) = site.locator.process.children(recursive=True)
    uvloop.run(_crowd(site.address, site.live_servers(), engine))


async def _crowd(locator: Address, members: list[MemberInfo], engine: psutil.Process) -> None:
    servers = [psutil.Process(member.pid) for member in members]
    gate = asyncio.Semaphore(AT_ONCE)
    clients = [aio.connect(str(locator), timeout_s=TIMEOUT_S) for _ in range(CLIENTS)]

    async def begin(number: int, client: aio.Client) -> None:
        async with gate:
            await client.open()
            await _write_and_read(client, number)

    before = _rss(servers)
    try:
        await asyncio.gather(*(begin(*each) for each in enumerate(clients)))
        assert _rss(servers) - before < CLIENTS * BYTES_PER_CLIENT
        # All of them at once, so that nobody can be served before the others.
        await asyncio.gather(*(_write_and_read(*each) for each in zip(clients, range(CLIENTS), strict=True)))
        region = clients[0].region(REGION)
        assert await region.size() == 2 * CLIENTS
        await region.put("large", bytes(LARGE))
        before = _rss(servers)
        with _stalled(members[0].address):
            for _ in range(3):
                await asyncio.gather(*(_write_and_read(*each) for each in zip(clients, range(CLIENTS), strict=True)))
            assert _rss(servers) - before < STALLED_BYTES
        await _writes_wait_for_the_engine(clients, engine)
        rounds = [asyncio.create_task(_write_and_read(*each)) for each in zip(clients, range(CLIENTS), strict=True)]
        await asyncio.wait(rounds, return_when=asyncio.FIRST_COMPLETED)
        servers[1].kill()
        await asyncio.gather(*rounds)  # each was answered in time, and truly
        await asyncio.gather(*(_write_and_read(*each) for each in zip(clients, range(CLIENTS), strict=True)))
    finally:
        await asyncio.gather(*(client.close() for client in clients))


async def _write_and_read(client: aio.Client, number: int) -> None:
    region = client.region(REGION)
    mine = f"mine-{number}"
    await region.put(mine, number)
    assert await region.replace(mine, -number, expected=number)
    assert await region.get(mine) == -number
    assert await region.put_if_absent(f"once-{number}", number) in (None, number)


async def _writes_wait_for_the_engine(clients: list[aio.Client], engine: psutil.Process) -> None:
    """While it stands still reads go on; when it goes on every write is done."""
    engine.suspend()
    try:
        writes = [
            asyncio.create_task(client.region(REGION).put(f"late-{number}", number))
            for number, client in enumerate(clients)
        ]
        read = await asyncio.gather(
            *(client.region(REGION).get(f"once-{number}") for number, client in enumerate(clients))
        )
        assert read == list(range(CLIENTS))
        assert not any(write.done() for write in writes)
    finally:
        engine.resume()
    await asyncio.gather(*writes)


def _rss(servers: list[psutil.Process]) -> int:
    return sum(server.memory_info().rss for server in servers)


def _stalled(server: Address) -> socket.socket:
    """Ask for much, and read nothing of it."""
    stalled = socket.create_connection((HOST, server.port))
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    hello = encode_hello(Hello("client", "stalled"))
    stalled.sendall(PREFACE + frame_header(Kind.HELLO, 0, hello) + hello)
    assert stalled.recv(1)
    question = messages.encode(messages.GetAll(REGION, ["large"]))
    stalled.sendall(b"".join(frame_header(Kind.REQUEST, n, question) + question for n in range(1, QUESTIONS + 1)))
    return stalled
