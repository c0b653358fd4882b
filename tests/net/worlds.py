"""The worlds that a link is tested in: both event loops over loopback, and the simulated network on virtual time."""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from heliograph.engine.sim.loop import VirtualLoop
from heliograph.link import messages
from heliograph.model.tls import TlsProperties
from heliograph.net.link import BaseHandler, Link
from heliograph.net.real import RealNetwork
from heliograph.net.seam import Network
from heliograph.net.sim import SimNetwork
from tests.certificates import Authority

LIMIT_S = 60.0


@dataclass(frozen=True)
class World:
    """Two networks that reach each other. `host` is where `serving` is found. sim: the simulated network, if it is."""

    serving: Network
    calling: Network
    host: str
    sim: SimNetwork | None = None


Scenario = Callable[[World], Coroutine[Any, Any, None]]
_FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
    "tls": uvloop.new_event_loop,
    "sim": VirtualLoop,
}
WORLDS = list(_FACTORIES)


def run_in(name: str, scenario: Scenario) -> None:
    """Run a scenario; the test fails when the event loop was told of any exception, or a task is left over."""
    factory = _FACTORIES[name]
    unexpected: list[dict[str, Any]] = []

    async def checked() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unexpected.append(context))
        if name == "sim":
            sim = SimNetwork()
            world = World(sim.host("server"), sim.host("client"), "server", sim)
        else:
            network = RealNetwork(secured()).to("gateway") if name == "tls" else RealNetwork()
            world = World(network, network, "127.0.0.1")
        async with asyncio.timeout(LIMIT_S if name != "sim" else 3600):
            await scenario(world)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(checked())
    assert unexpected == []


@functools.cache
def secured() -> TlsProperties:
    """TLS with a certificate at both ends."""
    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory)
    return TlsProperties(enabled_components=("gateway",), stores=Authority(directory).stores("both"))


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; the scenario's limit is the deadline."""
    while not condition():  # noqa: ASYNC110  (conditions are about any state, not about one event)
        await asyncio.sleep(0.002)


@dataclass(eq=False)
class Recorder(BaseHandler):
    """A handler that notes what it is told, as (what, number or reason), and answers nothing."""

    heard: list[tuple[str, object]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    def on_batch(self, link: Link, batch_id: int, body: bytes) -> None:
        self.links.append(link)
        self.heard.append(("batch", batch_id))

    def on_ack(self, link: Link, batch_id: int) -> None:
        self.heard.append(("ack", batch_id))

    def on_refused(self, link: Link, batch_id: int, error: str, message: str) -> None:
        self.heard.append(("refused", (batch_id, error, message)))

    def on_writable(self, link: Link) -> None:
        self.heard.append(("writable", link.writable))

    def on_closed(self, link: Link, reason: str) -> None:
        self.heard.append(("closed", reason))

    def count(self, what: str) -> int:
        return sum(1 for kind, _ in self.heard if kind == what)

    def reasons(self) -> list[object]:
        return [detail for kind, detail in self.heard if kind == "closed"]


class Asked(Recorder):
    """A handler that answers requests: `Size(region, buckets)` by what the region's name says."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = 0
        self.waiting: list[asyncio.Future[messages.Reply]] = []

    def on_request(
        self, link: Link, message: messages.Request
    ) -> messages.Reply | asyncio.Future[messages.Reply] | Coroutine[Any, Any, messages.Reply]:
        self.links.append(link)
        if not isinstance(message, messages.Size):
            return super().on_request(link, message)  # type: ignore[return-value]
        reply = messages.Count(sum(message.buckets))
        if message.region == "later":
            return self._later(reply)
        if message.region == "future":
            future: asyncio.Future[messages.Reply] = asyncio.get_running_loop().create_future()
            self.waiting.append(future)
            return future
        if message.region == "never":
            return self._never()
        if message.region == "large":
            return messages.Values([bytes(size) for size in message.buckets])
        if message.region == "bug":
            raise KeyError("a bug")
        return reply

    async def _later(self, reply: messages.Reply) -> messages.Reply:
        await asyncio.sleep(0.001)
        return reply

    async def _never(self) -> messages.Reply:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.cancelled += 1
        raise AssertionError


class Raw(asyncio.Protocol):
    """The other end of a connection, byte by byte."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
