"""The simulated network behaves as TCP does, and the same way every time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from heliograph.engine.sim.loop import run as run_simulation
from heliograph.errors import UnavailableError
from heliograph.link.hello import Hello
from heliograph.link.messages import Count, Size
from heliograph.model.ids import Address
from heliograph.net.link import BaseHandler, connect_link, serve_links
from heliograph.net.sim import SimClock, SimNetwork
from tests.net.worlds import Asked, Raw, Recorder, until


def run(main: Coroutine[Any, Any, None]) -> None:
    run_simulation(lambda _random: main, seed=1)


class End(Raw):
    """Notes when each chunk came, and the state of its own writing."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals: list[tuple[float, bytes]] = []
        self.paused = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.arrivals.append((round(asyncio.get_running_loop().time(), 6), data))

    def pause_writing(self) -> None:
        self.paused += 1

    def resume_writing(self) -> None:
        self.paused -= 1


async def joined(network: SimNetwork) -> tuple[End, End]:
    """An end at host a and its other end at host b."""
    ends: list[End] = []

    def new() -> End:
        ends.append(End())
        return ends[-1]

    server = await network.host("b").listen("", 100, new)
    _, one = await network.host("a").open("b", 100, End)
    server.close()
    return one, ends[0]


def test_latency_and_order() -> None:
    async def main() -> None:
        network = SimNetwork(latency_s=0.01)
        network.set_latency("b", "a", 0.1)
        one, other = await joined(network)
        began = asyncio.get_running_loop().time()
        assert began == pytest.approx(0.1)
        chunks = [bytes([i]) for i in range(50)]
        for chunk in chunks:
            one.transport.write(chunk)
        one.transport.writelines([b"x", b"y"])
        one.transport.close()
        await until(lambda: other.lost)
        assert other.arrivals == [(round(began + 0.1, 6), chunk) for chunk in [*chunks, b"xy"]]

    run(main())


def test_a_cut_holds_everything_back() -> None:
    async def main() -> None:
        network = SimNetwork()
        one, other = await joined(network)
        one.transport.write(b"before")
        network.cut("a", "b")
        one.transport.write(b"during")
        one.transport.close()
        await asyncio.sleep(100)
        assert (other.received, other.lost) == (b"", False)
        network.heal("b", "a")
        await until(lambda: other.lost)
        assert other.received == b"beforeduring"

    run(main())


def test_a_cut_is_between_two_hosts() -> None:
    async def main() -> None:
        network = SimNetwork()
        network.cut("a", "c")
        one, other = await joined(network)
        other.transport.write(b"here")
        await until(lambda: one.received == b"here")

    run(main())


def test_connecting_over_a_cut_waits() -> None:
    async def main() -> None:
        network = SimNetwork()
        server = await network.host("b").listen("b", 0, Raw)
        network.cut("a", "b")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(network.host("a").open("b", server.port, Raw), 3)
        opening = asyncio.ensure_future(network.host("a").open("b", server.port, Raw))
        await asyncio.sleep(1)
        assert not opening.done()
        network.heal("a", "b")
        transport, _ = await opening
        assert transport.get_extra_info("peername") == ("b", server.port)

    run(main())


def test_ports() -> None:
    async def main() -> None:
        host = SimNetwork().host("a")
        first, second = await host.listen("", 0, Raw), await host.listen("", 0, Raw)
        assert first.port != second.port
        with pytest.raises(UnavailableError, match="in use"):
            await host.listen("", first.port, Raw)
        with pytest.raises(UnavailableError, match="not an address of a"):
            await host.listen("b", 0, Raw)
        first.close()
        (await host.listen("", first.port, Raw)).close()
        with pytest.raises(UnavailableError, match="connection refused"):
            await host.open("a", first.port, Raw)

    run(main())


def test_a_crash_loses_ports_and_connections() -> None:
    async def main() -> None:
        network = SimNetwork()
        server = await network.host("b").listen("", 7, Raw)
        _, one = await network.host("a").open("b", 7, Raw)
        network.crash("b")
        await until(lambda: one.lost)
        with pytest.raises(UnavailableError, match="refused"):
            await network.host("a").open("b", server.port, Raw)

    run(main())


def test_a_reader_that_pauses_holds_the_writer_back() -> None:
    async def main() -> None:
        one, other = await joined(SimNetwork())
        one.transport.set_write_buffer_limits(high=100, low=10)
        other.transport.pause_reading()
        for _ in range(3):
            one.transport.write(bytes(60))
        assert one.paused == 1
        await asyncio.sleep(1)
        assert (other.received, one.transport.get_write_buffer_size()) == (b"", 180)
        other.transport.resume_reading()
        await until(lambda: len(other.received) == 180)
        assert one.paused == 0
        assert one.transport.get_write_buffer_size() == 0

    run(main())


def test_clocks_differ_by_host_and_follow_virtual_time() -> None:
    async def main() -> None:
        true, fast = SimClock(), SimClock(ahead_ms=5000)
        before = true.now_ms()
        assert fast.now_ms() - before == 5000
        await asyncio.sleep(3600)
        assert true.now_ms() - before == 3_600_000

    run(main())


SENDER, RECEIVER = Hello("sender", "s2", 1), Hello("receiver", "server1", 2)


def test_a_link_over_a_cut_is_given_up_by_both_ends() -> None:
    """Requests that wait fail as unknown; after the heal a new link works."""

    async def main() -> None:
        network = SimNetwork()
        theirs, ours = Asked(), Recorder()
        server = await serve_links(network.host("b"), "", 0, RECEIVER, lambda _peer: theirs)
        address = Address("b", server.port)
        link = await connect_link(network.host("a"), address, SENDER, ours, timeout_s=2)
        assert await link.call(Size("now", [1]), timeout_s=1) == Count(1)
        network.cut("a", "b")
        pending = link.request(Size("now", [2]))
        link.send_batch(1, b"lost")
        with pytest.raises(UnavailableError, match=r"nothing was heard for 15.0 s"):
            await pending
        assert link.closed
        await until(theirs.reasons)
        assert server.links == {}
        with pytest.raises(UnavailableError, match="did not answer within 2 s"):
            await connect_link(network.host("a"), address, SENDER, ours, timeout_s=2)
        network.heal("a", "b")
        link = await connect_link(network.host("a"), address, SENDER, ours, timeout_s=2)
        assert await link.call(Size("now", [3]), timeout_s=1) == Count(3)
        assert theirs.count("batch") == 0
        link.close()
        await server.close()

    run(main())


def test_a_short_cut_goes_unnoticed() -> None:
    async def main() -> None:
        network = SimNetwork()
        theirs = Recorder()
        server = await serve_links(network.host("b"), "", 0, RECEIVER, lambda _peer: theirs)
        link = await connect_link(network.host("a"), Address("b", server.port), SENDER, BaseHandler(), timeout_s=2)
        network.cut("a", "b")
        for number in range(10):
            link.send_batch(number, b"x")
            await asyncio.sleep(0.5)
        network.heal("a", "b")
        await until(lambda: theirs.count("batch") == 10)
        assert [number for _, number in theirs.heard] == list(range(10))
        link.close()
        await server.close()

    run(main())


def test_the_same_run_twice() -> None:
    """Times and order of everything that is heard are the same, run after run."""

    def trace() -> list[tuple[float, str, object]]:
        heard: list[tuple[float, str, object]] = []

        class Noting(Recorder):
            def on_batch(self, link: Any, batch_id: int, body: bytes) -> None:
                heard.append((asyncio.get_running_loop().time(), link.peer.name, batch_id))
                link.send_ack(batch_id)

        async def main() -> None:
            network = SimNetwork()
            server = await serve_links(network.host("b"), "", 0, RECEIVER, lambda _peer: Noting())
            links = [
                await connect_link(
                    network.host(f"a{i}"),
                    Address("b", server.port),
                    Hello("sender", f"s{i}", 1),
                    Recorder(),
                    timeout_s=2,
                )
                for i in range(5)
            ]
            for number in range(20):
                for link in links:
                    link.send_batch(number, b"x")
                await asyncio.sleep(0.001)
            await until(lambda: len(heard) == 100)
            for link in links:
                link.close()
            await server.close()

        run(main())
        return heard

    assert trace() == trace()
