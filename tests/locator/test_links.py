"""The locator's links to members, on a simulated network; and the engine's url as others are told it."""

from __future__ import annotations

import asyncio
import random

import pytest

from heliograph.engine.sim import loop
from heliograph.errors import PeerError, UsageError
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.link.messages import Outcome
from heliograph.locator.engine import url_at
from heliograph.locator.links import MemberLinks, UnreachableError
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo
from heliograph.net.link import BaseHandler, Link, LinkServer, serve_links
from heliograph.net.sim import SimNetwork

ACTION = messages.ReceiverCommand("start")


class Server(BaseHandler):
    """Answers commands with its incarnation, and refuses everything else."""

    def __init__(self, incarnation: str) -> None:
        self.incarnation = incarnation

    def on_request(self, link: Link, message: messages.Request) -> messages.Reply:
        if message != ACTION:
            raise UsageError("not here")
        return Outcome(True, self.incarnation)


async def serve(network: SimNetwork, incarnation: str) -> tuple[LinkServer, MemberInfo]:
    hello = Hello("member", "server")
    server = await serve_links(network.host("server"), "", 0, hello, lambda _: Server(incarnation))
    info = MemberInfo(
        name="server",
        kind="server",
        incarnation=incarnation,
        joined_ms=1,
        address=Address("server", server.port),
        pid=1,
    )
    return server, info


def test_one_link_for_each_incarnation() -> None:
    async def main(_: random.Random) -> None:
        network = SimNetwork()
        links = MemberLinks(network.host("locator"), lambda: Hello("locator", "locator"))
        for incarnation in ("first", "second"):
            server, info = await serve(network, incarnation)
            answers = await asyncio.gather(*(links.call(info, ACTION, Outcome, timeout_s=5) for _ in range(5)))
            assert {answer.message for answer in answers} == {incarnation}
            assert len(server.links) == 1
            with pytest.raises(UsageError, match="not here"):
                await links.call(info, messages.StatusQuery(), messages.Status, timeout_s=5)
            with pytest.raises(PeerError, match="answered Outcome"):
                await links.call(info, ACTION, messages.Status, timeout_s=5)
            await server.close()
            await asyncio.sleep(1)
            with pytest.raises(UnreachableError, match="server can't be reached at server"):
                await links.call(info, ACTION, Outcome, timeout_s=5)
        await links.close()

    loop.run(main, seed=1)


@pytest.mark.parametrize(
    ("host", "url"),
    [("example.org", "nats://user:secret@example.org:4222"), ("::1", "nats://user:secret@[::1]:4222")],
)
def test_the_engine_is_told_by_the_advertised_host(host: str, url: str) -> None:
    assert url_at("nats://user:secret@0.0.0.0:4222", host) == url
