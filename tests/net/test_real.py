from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from heliograph.errors import UnavailableError
from heliograph.link.hello import Hello
from heliograph.model.ids import Address
from heliograph.net.link import BaseHandler, connect_link, serve_links
from heliograph.net.real import RealNetwork, SystemClock
from heliograph.net.seam import P
from tests.net.worlds import Raw, until

NETWORK = RealNetwork()
CONNECT_S = 0.05
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop.new_event_loop])
def run(request: pytest.FixtureRequest) -> Run:
    def run_on_loop(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main)

    return run_on_loop


class Noted(Raw):
    """Remembers its transports."""

    made: list[asyncio.BaseTransport]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.append(transport)


def new_noted() -> type[Noted]:
    return type("Noted", (Noted,), {"made": []})


def ipv6_works() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_both_ends_send_small_frames_at_once(run: Run) -> None:
    """TCP_NODELAY: without it an acknowledgement could wait 40 ms for company."""

    async def main() -> None:
        accepted = new_noted()
        server = await NETWORK.listen("127.0.0.1", 0, accepted)
        transport, _ = await NETWORK.open("127.0.0.1", server.port, Raw)
        await until(lambda: accepted.made)
        for end in (transport, accepted.made[0]):
            assert end.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            end.close()
        server.close()

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "", pytest.param("::1", id="ipv6")])
def test_a_host_is_found_where_it_listens(run: Run, host: str) -> None:
    if host == "::1" and not ipv6_works():
        pytest.skip("this machine has no IPv6")

    async def main() -> None:
        accepted = new_noted()
        server = await NETWORK.listen(host, 0, accepted)
        transport, _ = await NETWORK.open(host or "127.0.0.1", server.port, Raw)
        await until(lambda: accepted.made)
        transport.close()
        accepted.made[0].close()
        server.close()

    run(main())


def test_every_interface_is_of_both_kinds(run: Run) -> None:
    if not ipv6_works():
        pytest.skip("this machine has no IPv6")

    async def main() -> None:
        accepted = new_noted()
        server = await NETWORK.listen("::", 0, accepted)
        for number, host in enumerate(("127.0.0.1", "::1"), 1):
            transport, _ = await NETWORK.open(host, server.port, Raw)
            await until(lambda number=number: len(accepted.made) == number)  # type: ignore[misc]
            transport.close()
        for end in accepted.made:
            end.close()
        server.close()
        await asyncio.sleep(0)

    run(main())


@pytest.mark.parametrize(("host", "other"), [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1"), ("", "::1")])
def test_a_bind_address_is_the_only_one_that_is_listened_on(run: Run, host: str, other: str) -> None:
    if other == "::1" and not ipv6_works():
        pytest.skip("this machine has no IPv6")

    async def main() -> None:
        server = await NETWORK.listen(host, 0, Raw)
        with pytest.raises(UnavailableError, match="connect to"):
            await NETWORK.open(other, server.port, Raw)
        server.close()
        await asyncio.sleep(0)

    run(main())


def test_a_port_is_taken_once_and_free_again(run: Run) -> None:
    async def main() -> None:
        server = await NETWORK.listen("127.0.0.1", 0, Raw)
        with pytest.raises(UnavailableError, match=rf"can't listen on 127.0.0.1\[{server.port}\]: .*in use") as caught:
            await NETWORK.listen("127.0.0.1", server.port, Raw)
        assert isinstance(caught.value.__cause__, OSError)
        server.close()
        server.close()
        await asyncio.sleep(0)
        (await NETWORK.listen("127.0.0.1", server.port, Raw)).close()

    run(main())


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_cannot_be_listened_on(run: Run, host: str) -> None:
    async def main() -> None:
        with pytest.raises(UnavailableError, match=rf"can't listen on {host}\[0\]: \w+"):
            await NETWORK.listen(host, 0, Raw)

    run(main())


def test_unreachable_says_where_and_why(run: Run) -> None:
    async def main() -> None:
        server = await NETWORK.listen("127.0.0.1", 0, Raw)
        server.close()
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match=rf"can't connect to 127.0.0.1\[{server.port}\]: .*") as caught:
            await NETWORK.open("127.0.0.1", server.port, Raw)
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        with pytest.raises(UnavailableError, match=r"can't connect to no-such-host.invalid\[1\]: \w+"):
            await NETWORK.open("no-such-host.invalid", 1, Raw)

    run(main())


def test_clock() -> None:
    assert abs(SystemClock().now_ms() - time.time() * 1000) < 1000


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_links_socket_has_the_buffers_asked_for(run: Run, size: int) -> None:
    """Linux doubles what is set. Without a size the system tunes them, which setting one would end."""

    async def main() -> None:
        server = await serve_links(
            NETWORK, "127.0.0.1", 0, Hello("receiver", "r", 2), lambda _: BaseHandler(), buffer_bytes=size
        )
        link = await connect_link(
            NETWORK,
            Address("127.0.0.1", server.port),
            Hello("sender", "s", 1),
            BaseHandler(),
            timeout_s=5,
            buffer_bytes=size,
        )
        await until(lambda: server.links)
        for end in (link, *server.links):
            connected = end._transport.get_extra_info("socket")
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                assert (connected.getsockopt(socket.SOL_SOCKET, option) in (size, 2 * size)) is bool(size)
        link.close()
        await server.close()

    run(main())


class Stalling(RealNetwork):
    """Its event loop stands still for a while, as on a machine that is paused."""

    def __init__(self, *, in_hello: bool) -> None:
        super().__init__()
        self._in_hello = in_hello

    async def open(self, host: str, port: int, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        def make() -> P:
            protocol = factory()
            take = protocol.data_received

            def take_slowly(data: bytes) -> None:
                take(data)
                time.sleep(2 * CONNECT_S)

            if self._in_hello:
                protocol.data_received = take_slowly  # type: ignore[method-assign]
            else:
                asyncio.get_running_loop().call_soon(time.sleep, 2 * CONNECT_S)
            return protocol

        return await super().open(host, port, make)


@pytest.mark.parametrize("in_hello", [False, True])
def test_nothing_is_left_of_a_link_that_is_made_just_when_the_time_for_it_is_over(run: Run, in_hello: bool) -> None:
    async def main() -> None:
        server = await serve_links(NETWORK, "127.0.0.1", 0, Hello("member", "m", 1), lambda _: BaseHandler())
        address, network = Address("127.0.0.1", server.port), Stalling(in_hello=in_hello)
        with pytest.raises(UnavailableError, match="did not answer within"):
            await connect_link(network, address, Hello("client", "c"), BaseHandler(), timeout_s=CONNECT_S)
        async with asyncio.timeout(5):
            await until(lambda: not server.links)
        await server.close()

    run(main())
