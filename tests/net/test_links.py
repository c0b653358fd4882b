"""Links that are opened when first needed, on a simulated network."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from heliograph.engine.sim import loop
from heliograph.errors import PeerError, UnavailableError, UnreachableError, UsageError
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.link.messages import Outcome
from heliograph.model.ids import Address
from heliograph.net import connection
from heliograph.net.link import BaseHandler, KeepAlive, Link, LinkServer, connect_link, serve_links
from heliograph.net.links import CONNECT_S, Links
from heliograph.net.real import RealNetwork
from heliograph.net.seam import P
from heliograph.net.sim import SimHost, SimNetwork

ACTION = messages.ReceiverCommand("start")
ADDRESS = Address("server", 4000)
LOCATOR = Hello("locator", "locator")
WIRE_BYTES = 8 * 1024 * 1024
"""More than the system takes for a peer that does not read."""


class Server(BaseHandler):
    """Answers commands with its incarnation, never answers a status query, and refuses everything else."""

    def __init__(self, incarnation: str) -> None:
        self.incarnation = incarnation

    def on_request(self, link: Link, message: messages.Request) -> messages.Reply | Awaitable[messages.Reply]:
        if isinstance(message, messages.StatusQuery):
            return asyncio.get_running_loop().create_future()
        if message != ACTION:
            raise UsageError("not here")
        return Outcome(True, self.incarnation)


async def serve(
    network: SimNetwork, incarnation: str = "", accept: Callable[[Hello], None] = lambda _: None
) -> LinkServer:
    def accepted(peer: Hello) -> Server:
        accept(peer)
        return Server(incarnation)

    return await serve_links(network.host("server"), "", ADDRESS.port, Hello("member", "server"), accepted)


def run(scenario: Callable[[SimNetwork], Awaitable[None]]) -> None:
    async def main(_: random.Random) -> None:
        await scenario(SimNetwork())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    loop.run(main, seed=1)


def test_one_link_for_all_calls_and_another_when_the_member_was_started_again() -> None:
    async def scenario(network: SimNetwork) -> None:
        links = Links(network.host("locator"), lambda: LOCATOR)
        for incarnation in ("first", "second"):
            server = await serve(network, incarnation)
            calls = (links.call(ADDRESS, ACTION, Outcome, timeout_s=5) for _ in range(5))
            assert {answer.message for answer in await asyncio.gather(*calls)} == {incarnation}
            assert len(server.links) == 1
            link = links.get(ADDRESS)
            assert link is not None
            assert link.peer.name == "server"
            await server.close()
            await link.wait_closed()
            assert links.get(ADDRESS) is None
            with pytest.raises(UnreachableError, match=r"server\[4000\] can't be reached: can't connect"):
                await links.call(ADDRESS, ACTION, Outcome, timeout_s=5)
        await links.close("done")

    run(scenario)


def test_what_a_call_raises_that_was_sent() -> None:
    async def scenario(network: SimNetwork) -> None:
        links = Links(network.host("locator"), LOCATOR)
        server = await serve(network)
        with pytest.raises(UsageError, match="not here"):
            await links.call(ADDRESS, messages.ReceiverCommand("stop"), Outcome, timeout_s=5)
        with pytest.raises(PeerError, match="answered Outcome to ReceiverCommand"):
            await links.call(ADDRESS, ACTION, messages.Status, timeout_s=5)
        with pytest.raises(UnavailableError, match="did not answer StatusQuery within 5 s") as told:
            await links.call(ADDRESS, messages.StatusQuery(), messages.Status, timeout_s=5)
        assert not isinstance(told.value, UnreachableError)
        await links.close("done")
        await server.close()

    run(scenario)


def test_an_address_that_does_not_answer_is_unreachable() -> None:
    async def scenario(network: SimNetwork) -> None:
        links = Links(network.host("locator"), LOCATOR)
        server = await serve(network)
        network.cut("locator", "server")
        started = asyncio.get_running_loop().time()
        with pytest.raises(UnreachableError, match="did not answer within"):
            await links.open(ADDRESS)
        assert asyncio.get_running_loop().time() - started == pytest.approx(CONNECT_S)
        await links.close("done")
        network.heal("locator", "server")
        await server.close()

    run(scenario)


@pytest.mark.parametrize(
    ("refusal", "told"), [(UnavailableError("full"), UnreachableError), (UsageError("go away"), PeerError)]
)
def test_a_refusal(refusal: Exception, told: type[Exception]) -> None:
    def refuse(_: Hello) -> None:
        raise refusal

    async def scenario(network: SimNetwork) -> None:
        links = Links(network.host("locator"), LOCATOR)
        server = await serve(network, accept=refuse)
        with pytest.raises(told, match=str(refusal)):
            await links.call(ADDRESS, ACTION, Outcome, timeout_s=5)
        await links.close("done")
        await server.close()

    run(scenario)


def test_the_hello_is_asked_for_every_link() -> None:
    heard: list[str] = []

    async def scenario(network: SimNetwork) -> None:
        names = iter(("one", "two"))
        links = Links(network.host("locator"), lambda: Hello("locator", next(names)))
        for _ in range(2):
            server = await serve(network, accept=lambda peer: heard.append(peer.name))
            await links.call(ADDRESS, ACTION, Outcome, timeout_s=5)
            await server.close()
            await asyncio.sleep(1)
        await links.close("done")

    run(scenario)
    assert heard == ["one", "two"]


def test_a_silent_member_is_given_up_after_the_keep_alive_asked_for() -> None:
    async def scenario(network: SimNetwork) -> None:
        links = Links(network.host("locator"), LOCATOR, keep_alive=KeepAlive(interval_s=2.0, silence_s=6.0))
        server = await serve(network)
        link = await links.open(ADDRESS)
        network.cut("locator", "server")
        await asyncio.sleep(5)
        assert links.get(ADDRESS) is link
        await asyncio.sleep(2)
        assert links.get(ADDRESS) is None
        network.heal("locator", "server")
        await links.close("done")
        await server.close()

    run(scenario)


def test_closed_links_answer_nothing_any_more() -> None:
    async def scenario(network: SimNetwork) -> None:
        links = Links(network.host("locator"), LOCATOR)
        server = await serve(network)
        await links.open(ADDRESS)
        waiting = asyncio.create_task(links.call(ADDRESS, messages.StatusQuery(), messages.Status, timeout_s=5))
        connecting = asyncio.create_task(links.open(Address("server", 4001)))
        await asyncio.sleep(0)
        await links.close("the locator stops")
        with pytest.raises(UnavailableError, match="the locator stops"):
            await waiting
        with pytest.raises(UsageError, match="the locator stops"):
            await connecting
        with pytest.raises(UsageError, match="the locator stops"):
            await links.call(ADDRESS, ACTION, Outcome, timeout_s=5)
        await server.close()

    run(scenario)


def test_a_link_that_is_open_is_not_opened_again() -> None:
    async def scenario(network: SimNetwork) -> None:
        links = Links(network.host("locator"), LOCATOR)
        server = await serve(network)
        assert await links.open(ADDRESS) is await links.open(ADDRESS)
        assert len(server.links) == 1
        await links.close("done")
        await server.close()

    run(scenario)


def test_links_that_closed_before_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.2)

    async def scenario() -> None:
        server = await serve_links(RealNetwork(), "127.0.0.1", 0, LOCATOR, lambda _: BaseHandler())
        address = Address("127.0.0.1", server.port)
        links = Links(RealNetwork(), LOCATOR)
        before = await links.open(address)
        (deaf,) = server.links
        deaf.pause_reading()
        before.request(messages.PutAll("r", 0, ["k"], [bytes(WIRE_BYTES)]))
        await asyncio.sleep(0)
        before.close("enough")
        await links.open(address)
        assert not before.gone
        await links.close("done")
        assert before.gone
        await server.close()

    asyncio.run(scenario())


class Noting(SimHost):
    """Remembers what it connects."""

    made: asyncio.Protocol

    async def open(self, host: str, port: int, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        def make() -> P:
            self.made = protocol = factory()
            return protocol

        return await super().open(host, port, make)


def test_nothing_is_left_of_a_link_that_was_given_up() -> None:
    async def scenario(network: SimNetwork) -> None:
        server = await network.host("server").listen("", ADDRESS.port, asyncio.Protocol)
        host = Noting(network, "locator")
        with pytest.raises(UnavailableError, match="did not answer"):
            await connect_link(host, ADDRESS, LOCATOR, BaseHandler(), timeout_s=1)
        assert isinstance(host.made, Link)
        assert host.made.gone
        server.close()

    run(scenario)
