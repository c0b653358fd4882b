"""Who reaches a port and says no acceptable hello: what it may take, and that nobody else notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from heliograph.errors import PeerError, UnavailableError
from heliograph.link.frames import HELLO_BYTES_MAX, PREFACE, Kind, frame_header
from heliograph.link.hello import Hello, Side, encode_hello
from heliograph.link.messages import Count, Size
from heliograph.link.session import Greeted, Session
from heliograph.link.strangers import REFUSALS_LOGGED_OF_ADDRESS, STRANGERS_OF_ADDRESS_MAX
from heliograph.model.ids import Address
from heliograph.net import connection
from heliograph.net.link import LinkServer, connect_link, serve_links
from tests.net.worlds import WORLDS, Asked, Raw, Recorder, Scenario, World, run_in, until

CLIENT, MEMBER = Hello("client", "app"), Hello("member", "server1", 2)
Run = Callable[[Scenario], None]
TIMEOUT_S = 0.4


@pytest.fixture(params=WORLDS)
def run(request: pytest.FixtureRequest) -> Run:
    return lambda scenario: run_in(request.param, scenario)


def hello_bytes() -> bytes:
    body = encode_hello(CLIENT)
    return PREFACE + frame_header(Kind.HELLO, 0, body) + body


async def serve(world: World, links_max: int = 4096) -> LinkServer:
    return await serve_links(world.serving, world.host, 0, MEMBER, lambda _peer: Asked(), links_max=links_max)


async def raw(world: World, server: LinkServer) -> tuple[asyncio.Transport, Raw]:
    return await world.calling.open(world.host, server.port, Raw)


def test_a_hello_that_comes_in_crumbs_has_no_more_time_than_another(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "HELLO_TIMEOUT_S", TIMEOUT_S)

    async def scenario(world: World) -> None:
        server = await serve(world)
        loop = asyncio.get_running_loop()
        transport, loris = await raw(world, server)
        began = loop.time()
        for crumb in hello_bytes()[:-1]:
            transport.write(bytes([crumb]))
            await asyncio.sleep(TIMEOUT_S / 10)
            if loris.lost:
                break
        assert loris.lost
        assert loop.time() - began >= TIMEOUT_S * 0.9
        await until(lambda: server.failed == 1)
        await server.close()

    with caplog.at_level(logging.WARNING):
        run(scenario)
    (record,) = caplog.records
    assert "no hello within" in record.getMessage()


def test_a_flood_of_silent_ones_pushes_out_itself(run: Run) -> None:
    """It holds no more than its bound, and links that were there, and that come meanwhile, work."""

    async def scenario(world: World) -> None:
        server = await serve(world)
        address = Address(world.host, server.port)
        before = await connect_link(world.calling, address, CLIENT, Recorder(), timeout_s=5)
        flood = [await raw(world, server) for _ in range(STRANGERS_OF_ADDRESS_MAX + 50)]
        await until(lambda: sum(stranger.lost for _, stranger in flood[:60]) >= 50)  # the oldest ones
        assert len(server.links) <= STRANGERS_OF_ADDRESS_MAX + 1
        meanwhile = await connect_link(world.calling, address, CLIENT, Recorder(), timeout_s=5)
        for link in (before, meanwhile):
            assert await link.call(Size("now", [1]), timeout_s=5) == Count(1)
            link.close()
        for transport, _ in flood:
            transport.abort()
        await until(lambda: not server.links)
        await server.close()

    run(scenario)


def test_strangers_take_no_room_of_peers_and_peers_none_of_strangers(run: Run) -> None:
    async def scenario(world: World) -> None:
        server = await serve(world, links_max=1)
        address = Address(world.host, server.port)
        silent = [await raw(world, server) for _ in range(5)]
        link = await connect_link(world.calling, address, CLIENT, Recorder(), timeout_s=5)
        silent[0][0].write(hello_bytes())
        await until(lambda: silent[0][1].lost)
        assert b"holds 1 connections already" in silent[0][1].received
        with pytest.raises(UnavailableError):
            await connect_link(world.calling, address, CLIENT, Recorder(), timeout_s=5)
        assert await link.call(Size("now", [1]), timeout_s=5) == Count(1)
        link.close()
        await link.wait_closed()
        for transport, _ in silent:
            transport.abort()
        await server.close()

    run(scenario)


def test_of_many_refusals_a_few_are_logged_and_all_are_counted(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        server = await serve(world)
        for _ in range(40):
            transport, _ = await raw(world, server)
            transport.write(b"\x16\x03\x01\x02\x00")
        await until(lambda: server.failed == 40)
        await server.close()

    with caplog.at_level(logging.INFO):
        run(scenario)
    assert len(caplog.records) == REFUSALS_LOGGED_OF_ADDRESS
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert "connection refused link=<link of member server1 of site 2 with someone at" in caplog.text


def test_nothing_large_is_taken_from_a_peer_that_is_being_judged() -> None:
    """It may take long to find out who it is: meanwhile it can't make us hold a frame of the size that peers send."""
    session = Session(Side.ANSWERER, MEMBER)
    assert [type(event) for event in session.receive(hello_bytes())] == [Greeted]
    announced = (HELLO_BYTES_MAX + 1).to_bytes(4, "big") + bytes([Kind.REQUEST]) + bytes(8)
    with pytest.raises(PeerError, match="too large: at most 4096"):
        list(session.receive(announced))


def test_a_peer_that_was_let_in_may_send_large_frames() -> None:
    session = Session(Side.ANSWERER, MEMBER)
    list(session.receive(hello_bytes()))
    session.greet()
    announced = (HELLO_BYTES_MAX + 1).to_bytes(4, "big") + bytes([Kind.REQUEST]) + bytes(8)
    assert list(session.receive(announced)) == []
    assert not session.closed
