"""Locators of several sites without anything else, each on a host of its name, in simulated time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from heliograph.engine.sim.engine import connect_engine
from heliograph.engine.sim.loop import run
from heliograph.engine.sim.server import SimEngine
from heliograph.link.hello import Hello
from heliograph.link.messages import Receivers, ReceiversQuery, Reply, Request
from heliograph.locator.config import LOCATOR_PORT, LocatorConfig
from heliograph.locator.engine import SiteEngine
from heliograph.locator.locator import Locator
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo, ReceiverInfo
from heliograph.model.registry import REGISTRY, encode_entry, member_key
from heliograph.net.link import call_once
from heliograph.net.sim import SimClock, SimNetwork
from tests.scenarios.sites import until

SETTLED_S = 10.0
SERVER = Hello("member", "server")


class Locators:
    """Locators by name; the first one of a name's dash is its site: "ny-2" is of the site that `start` is told."""

    def __init__(self, rng: random.Random) -> None:
        self.network = SimNetwork()
        self.running: dict[str, Locator] = {}
        self._rng = rng
        self._engines: dict[int, SimEngine] = {}

    async def start(
        self, name: str, dsid: int, *remote: str | Address, host: str = "", port: int = LOCATOR_PORT, known_as: str = ""
    ) -> Locator:
        """Start a locator whose remote-locators are those named, at their usual port, or elsewhere.

        host: its own unless it is another one's. known_as: its hostname-for-clients, where that is not its host.
        """
        host = host or name
        engine = self._engines.setdefault(dsid, SimEngine(self._rng))

        async def open_engine(*_: object) -> SiteEngine:
            return SiteEngine(connect_engine(engine), lambda: ("sim",))

        config = LocatorConfig(
            name=name,
            port=port,
            bind_address=host,
            hostname_for_clients=known_as,
            distributed_system_id=dsid,
            remote_locators=tuple(
                each if isinstance(each, Address) else Address(each, LOCATOR_PORT) for each in remote
            ),
        )
        locator = Locator(config, self.network.host(host), SimClock(), rng=self._rng, open_engine=open_engine)
        await locator.start()
        self.running[name] = locator
        return locator

    async def stop(self, *names: str) -> None:
        """Stop locators, all that run when none is named."""
        for name in names or list(self.running):
            await self.running.pop(name).stop()

    async def set_receivers(self, dsid: int, *ports: int) -> None:
        """Let a server of a site say that its receiver listens on a port, one server for each."""
        registry = await connect_engine(self._engines[dsid]).open_registry(REGISTRY)
        for number, port in enumerate(ports):
            name = f"server{number}"
            info = MemberInfo(
                name=name, kind="server", incarnation="1", joined_ms=1, address=Address("h", 1), pid=1,
                receiver=ReceiverInfo(member=name, address=Address(f"site{dsid}", port), port=port),
            )  # fmt: skip
            await registry.put(member_key(name), encode_entry(info))

    async def ask(self, name: str, message: Request) -> Reply:
        """Ask a locator, as a server of its site does."""
        return await call_once(self.network.host("asking"), self.running[name].address, SERVER, message, timeout_s=5)

    async def receivers(self, name: str, of: int) -> list[int]:
        """Ask a locator for the ports of a site's receivers."""
        answer = await self.ask(name, ReceiversQuery(of))
        assert isinstance(answer, Receivers)
        return sorted(receiver.port for receiver in answer.receivers)

    def known(self, name: str) -> dict[int, dict[str, Address]]:
        """Return the locators that one knows, those of its own site and itself too: site -> name -> address."""
        locator = self.running[name]
        found: dict[int, dict[str, Address]] = {}
        for word in locator._directory.locators():
            found.setdefault(word.dsid, {})[word.name] = word.address
        for member in locator.view().members:
            if member.kind == "locator":
                found[locator.config.site][member.name] = member.address
        return found

    def names(self, name: str) -> dict[int, list[str]]:
        """Return the names of the locators that one knows, by site."""
        return {dsid: sorted(each) for dsid, each in sorted(self.known(name).items())}

    async def until_all_know(self, wanted: dict[int, list[str]], names: Iterable[str] = ()) -> None:
        """Wait until locators, all that run when none is named, know exactly those of the sites."""
        who = list(names) or list(self.running)
        await until(
            lambda: all(self.names(name) == wanted for name in who),
            lambda: str({name: self.names(name) for name in who}),
            SETTLED_S,
        )


def locators(test: Callable[[Locators], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Play a test with locators; whatever it leaves running is stopped."""

    async def main(rng: random.Random) -> None:
        places = Locators(rng)
        await test(places)
        await places.stop()
        await asyncio.sleep(1.0)

    def play() -> None:
        run(main, seed=1, limit_s=3_600)

    play.__name__ = test.__name__
    play.__doc__ = test.__doc__
    return play
