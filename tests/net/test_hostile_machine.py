"""A port with good peers at work while hostile ones do all they can, in any order: the good ones never notice."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from heliograph.engine.sim.loop import VirtualLoop
from heliograph.link.frames import FRAME_BYTES_MAX, HELLO_BYTES_MAX, PREFACE, Kind, frame_header
from heliograph.link.hello import Hello, encode_hello
from heliograph.link.messages import Count, Size, encode
from heliograph.link.strangers import STRANGERS_OF_ADDRESS_MAX
from heliograph.model.ids import Address
from heliograph.net.link import Link, LinkServer, connect_link, serve_links
from heliograph.net.sim import SimNetwork
from tests.net.worlds import Asked, Raw, Recorder, until

CLIENT, MEMBER = Hello("client", "app"), Hello("member", "server1", 2)
ANSWER_S = 1.0
"""Of simulated time, in which a good peer has its answer whatever the others do."""
T = TypeVar("T")


def framed(kind: int, number: int, body: bytes = b"") -> bytes:
    return frame_header(kind, number, body) + body


def hello_of(hello: Hello) -> bytes:
    return PREFACE + framed(Kind.HELLO, 0, encode_hello(hello))


GOOD_HELLO = hello_of(CLIENT)
QUESTION = framed(Kind.REQUEST, 1, encode(Size("now", [1])))
NO_HELLO = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00",
    "another major": PREFACE[:-1] + b"\x09",
    "too new": hello_of(Hello("client", "x", version=9, oldest=9)),
    "wrong role": hello_of(Hello("receiver", "x", 1)),
    "no role": hello_of(Hello("king", "x")),
    "forged line": hello_of(Hello("client", "x\ny")),
    "too large": PREFACE + (HELLO_BYTES_MAX + 1).to_bytes(4, "big") + bytes(9),
    "no hello first": PREFACE + QUESTION,
    "no map": PREFACE + framed(Kind.HELLO, 0, b"\xdf\xff\xff\xff\xff"),
}
"""What is refused without waiting for more."""
FRAMES = {
    "reply to nothing": framed(Kind.REPLY, 77, encode(Count(1))),
    "ack of nothing": framed(Kind.ACK, 5),
    "batch of a client": framed(Kind.BATCH, 1, b"x"),
    "second hello": framed(Kind.HELLO, 0, encode_hello(CLIENT)),
    "unknown kind": framed(99, 1),
    "oversize": (FRAME_BYTES_MAX + 1).to_bytes(4, "big") + bytes([Kind.REQUEST]) + bytes(8),
    "same exchange twice": framed(Kind.REQUEST, 9, encode(Size("never", [1]))) * 2,
    "malformed reason": framed(Kind.CLOSE, 0, b"\xc1"),
}
"""What costs a peer its link, though its hello was good."""
ODD = {
    "replayed": QUESTION * 3,
    "malformed request": framed(Kind.REQUEST, 3, b"\xc1"),
    "deep request": framed(Kind.REQUEST, 4, b"\x91" * 5000),
    "declared": framed(Kind.REQUEST, 5, b"\xdd\xff\xff\xff\xff"),
    "unknown request": framed(Kind.REQUEST, 6, encode(["NoSuchRequest", 1])),
    "pong to nothing": framed(Kind.PONG, 88),
    "pings": framed(Kind.PING, 1) * 500,
    "ids out of order": b"".join(framed(Kind.REQUEST, n, encode(Size("now", [n]))) for n in (30, 20, 2**64 - 1, 0)),
    "truncated": framed(Kind.REQUEST, 7, bytes(1000))[:500],
}
"""What is answered, or waited out."""


class HostileMachine(RuleBasedStateMachine):
    """One server port in simulated time, good peers from one host, hostile ones from another."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.problems: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _loop, context: self.problems.append(context))
        self.network = SimNetwork()
        self.good: list[Link] = []
        self.evil: list[tuple[asyncio.Transport, Raw]] = []
        self.never_greeted = 0
        self.server: LinkServer

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        asyncio.set_event_loop(self.loop)
        try:
            return self.loop.run_until_complete(work)
        finally:
            asyncio.set_event_loop(None)

    async def connect(self, host: str = "evil") -> tuple[asyncio.Transport, Raw]:
        made = await self.network.host(host).open("server", self.server.port, Raw)
        self.evil.append(made)
        return made

    @initialize()
    def begin(self) -> None:
        async def work() -> None:
            host = self.network.host("server")
            self.server = await serve_links(host, "server", 0, MEMBER, lambda _peer: Asked())
            address = Address("server", self.server.port)
            for _ in range(2):
                network = self.network.host("good")
                self.good.append(await connect_link(network, address, CLIENT, Recorder(), timeout_s=5))

        self.run(work())

    @rule(kind=st.sampled_from(sorted(NO_HELLO)), cut=st.integers(0, 40))
    def say_no_hello(self, kind: str, cut: int) -> None:
        async def work() -> None:
            transport, stranger = await self.connect()
            data = NO_HELLO[kind]
            transport.write(data[:cut] or data[:1])
            transport.write(data[cut:] if cut else data[1:])
            async with asyncio.timeout(ANSWER_S):
                await until(lambda: stranger.lost)

        self.never_greeted += 1
        self.run(work())

    @rule(count=st.sampled_from([1, 5, STRANGERS_OF_ADDRESS_MAX]), said=st.integers(0, len(GOOD_HELLO) - 1))
    def stay_silent(self, count: int, said: int) -> None:
        async def work() -> None:
            for _ in range(count):
                transport, _ = await self.connect()
                transport.write(GOOD_HELLO[:said])

        self.never_greeted += count
        self.run(work())

    @rule(kind=st.sampled_from(sorted(FRAMES)))
    def break_the_protocol(self, kind: str) -> None:
        async def work() -> None:
            transport, peer = await self.connect()
            transport.write(GOOD_HELLO)
            await asyncio.sleep(0.1)
            transport.write(FRAMES[kind])
            async with asyncio.timeout(ANSWER_S):
                await until(lambda: peer.lost)

        self.run(work())

    @rule(kind=st.sampled_from(sorted(ODD)))
    def be_odd(self, kind: str) -> None:
        async def work() -> None:
            transport, _ = await self.connect()
            transport.write(GOOD_HELLO)
            await asyncio.sleep(0.1)
            transport.write(ODD[kind])
            await asyncio.sleep(0.1)

        self.run(work())

    @rule()
    def vanish_without_a_word(self) -> None:
        """The peer's host is cut off: nobody is told."""

        async def work() -> None:
            transport, _ = await self.connect("vanishing")
            transport.write(GOOD_HELLO)
            await asyncio.sleep(0.1)
            self.network.cut("vanishing", "server")
            await asyncio.sleep(20)
            held = [link for link in self.server.links if link.peer_host == "vanishing"]
            assert not [link for link in held if not link.closed], "a peer that vanished is still taken for alive"
            self.network.heal("vanishing", "server")
            await asyncio.sleep(1)

        self.run(work())

    @rule(wait_s=st.sampled_from([0.1, 1.5, 6.0]))
    def pass_time(self, wait_s: float) -> None:
        self.run(asyncio.sleep(wait_s))

    @rule()
    def leave(self) -> None:
        for transport, _ in self.evil[-3:]:
            transport.abort()

    @invariant()
    def good_peers_are_answered(self) -> None:
        async def work() -> None:
            for link in self.good:
                assert await link.call(Size("now", [2, 3]), timeout_s=ANSWER_S) == Count(5)

        self.run(work())
        assert not self.problems

    @invariant()
    def strangers_are_bounded(self) -> None:
        if self.good:
            unknown = [link for link in self.server.links if not link.opened and not link.closed]
            assert len(unknown) <= STRANGERS_OF_ADDRESS_MAX

    def teardown(self) -> None:
        async def work() -> None:
            await asyncio.sleep(30)  # the odd ones answer no ping
            assert set(self.server.links) == {link for link in self.server.links if link.peer_host == "good"}
            assert len(self.server.links) == len(self.good)
            assert self.server.failed == self.never_greeted
            for link in self.good:
                link.close()
                await link.wait_closed()
            await self.server.close()

        try:
            if self.good:
                self.run(work())
        finally:
            self.loop.close()


TestHostile = HostileMachine.TestCase
TestHostile.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
