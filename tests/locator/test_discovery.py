"""Whole locators of several sites in simulated time: strangers meet through a hub, cuts heal, engines come back."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import cast

import pytest

from heliograph.engine.sim import loop
from heliograph.engine.sim.engine import SimClient, connect_engine
from heliograph.engine.sim.server import SimEngine
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.locator.config import LocatorConfig
from heliograph.locator.engine import SiteEngine
from heliograph.locator.locator import Locator
from heliograph.locator.patience import LOG_GAP_MAX_S, RETRY_MAX_S, RETRY_MIN_S, Patience
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo, ReceiverInfo
from heliograph.model.registry import REGISTRY, encode_entry, member_key
from heliograph.net.link import BaseHandler, connect_link, serve_links
from heliograph.net.sim import SimClock, SimNetwork

PORT = 10334


class World:
    """Sites by dsid: a host `site<dsid>` each, with a locator and an engine."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.network = SimNetwork()
        self.engines: dict[int, SimEngine] = {}
        self.clients: dict[int, SimClient] = {}
        self.locators: dict[int, Locator] = {}

    async def start(
        self, dsid: int, *remote: int, twin: bool = False, listed: tuple[Address, ...] = (), site: int = 0
    ) -> None:
        """Start a site's locator that is told the addresses of the `remote` sites' first ones, and those `listed`.

        twin: start the second locator of its site, which is `-dsid` from then on, on the engine of the first one.
        site: its distributed-system-id, where that is another one.
        """
        engine = self.engines.setdefault(dsid, SimEngine(self.rng))

        client = self.clients[-dsid if twin else dsid] = connect_engine(engine)

        async def open_engine(*_: object) -> SiteEngine:
            return SiteEngine(client, lambda: ("sim",))

        hosts = f"site{dsid}", f"site{-dsid}"
        host = hosts[twin]
        config = LocatorConfig(
            name=f"locator{dsid}" + "b" * twin,
            locators=tuple(Address(each, PORT) for each in hosts),
            engine="nats://theirs",
            hostname_for_clients=host,
            distributed_system_id=site or dsid,
            remote_locators=(*(Address(f"site{other}", PORT) for other in remote), *listed),
        )
        locator = Locator(config, self.network.host(host), SimClock(), rng=self.rng, open_engine=open_engine)
        await locator.start()
        self.locators[-dsid if twin else dsid] = locator

    async def set_receiver(self, dsid: int, port: int) -> None:
        """Let a server of a site say that its receiver listens on `port`."""
        registry = await connect_engine(self.engines[dsid]).open_registry(REGISTRY)
        address = Address(f"site{dsid}", port)
        info = MemberInfo(
            name="server", kind="server", incarnation="1", joined_ms=1, address=Address("h", 1), pid=1,
            receiver=ReceiverInfo(member="server", address=address, port=port),
        )  # fmt: skip
        await registry.put(member_key("server"), encode_entry(info))

    async def receivers(self, at: int, of: int) -> list[int]:
        """Ask a site's locator for the ports of another site's receivers, as a gateway sender does."""
        hello = Hello("member", "server")
        address = self.locators[at].address
        link = await connect_link(self.network.host(f"site{at}"), address, hello, BaseHandler(), timeout_s=5)
        answer = await link.call(messages.ReceiversQuery(of), timeout_s=5)
        link.close()
        await link.wait_closed()
        assert isinstance(answer, messages.Receivers)
        return [receiver.port for receiver in answer.receivers]

    async def until(self, at: int, of: int, ports: list[int], *, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while await self.receivers(at, of) != ports:  # noqa: ASYNC110  (asked over a link)
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        for locator in self.locators.values():
            await locator.stop()


def simulate(scenario: Callable[[World], object], seed: int = 1) -> None:
    async def main(rng: random.Random) -> None:
        world = World(rng)
        await scenario(world)  # type: ignore[misc]
        await world.stop()

    loop.run(main, seed=seed, limit_s=600)


def test_strangers_meet_through_a_hub() -> None:
    async def scenario(world: World) -> None:
        await world.start(1)
        for dsid in (2, 3):
            await world.start(dsid, 1)
            await world.set_receiver(dsid, 1500 + dsid)
        await world.until(2, 3, [1503], within_s=5)
        await world.until(3, 2, [1502], within_s=5)
        await world.locators.pop(1).stop()
        await world.set_receiver(2, 1600)
        await world.until(3, 2, [1600], within_s=5)

    simulate(scenario)


def test_a_site_is_found_by_any_of_its_locators_also_by_one_that_nobody_was_told() -> None:
    async def scenario(world: World) -> None:
        await world.start(2)
        await world.start(2, twin=True)
        await world.start(1, 2)
        await world.set_receiver(2, 1502)
        await world.set_receiver(1, 1501)
        await world.until(1, 2, [1502], within_s=5)
        await world.until(-2, 1, [1501], within_s=5)
        members = world.locators[-2].view().members
        assert {member.name for member in members} == {"locator2", "locator2b", "server"}
        await world.locators.pop(2).stop()
        await world.set_receiver(2, 1600)
        await world.until(1, 2, [1600], within_s=5)
        await world.set_receiver(1, 1601)
        await world.until(-2, 1, [1601], within_s=5)

    simulate(scenario)


def test_a_locator_that_nobody_else_reaches_knows_what_the_others_of_its_site_know() -> None:
    async def scenario(world: World) -> None:
        world.network.cut("site2", "site-1")
        await world.start(1, 2)
        await world.start(1, twin=True)
        await world.start(2)
        await world.set_receiver(2, 1502)
        await world.until(-1, 2, [1502], within_s=5)
        await world.set_receiver(2, 1503)
        await world.until(-1, 2, [1503], within_s=5)
        await world.set_receiver(1, 1501)
        await world.until(2, 1, [1501], within_s=5)

    simulate(scenario)


def test_a_locator_that_lost_its_engine_does_not_speak_for_its_site() -> None:
    async def scenario(world: World) -> None:
        await world.start(1)
        await world.start(2, 1)
        await world.start(2, 1, twin=True)
        await world.set_receiver(2, 1502)
        await world.until(1, 2, [1502], within_s=5)
        world.clients[2].connection.cut()
        await asyncio.sleep(5)  # then what it has seen is old
        await world.set_receiver(2, 1503)
        await world.until(1, 2, [1503], within_s=10)
        for _ in range(100):
            assert await world.receivers(1, 2) == [1503]
            await asyncio.sleep(0.1)
        del world.locators[2]

    simulate(scenario)


class Bare(asyncio.Protocol):
    """What listens at a wrong address and is no heliograph: says nothing, or something else."""

    said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.said:
            self.transport.write(self.said)


class Web(Bare):
    said = b"HTTP/1.1 400 Bad Request\r\n\r\n"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Address("nobody", PORT), "connection refused"),
        (Address("web", 80), "not heliograph"),
        (Address("mute", 80), "did not answer"),
        (Address("server", 40404), "server m of site 2 answers there, and no locator"),
        (Address("alias", PORT), "locator1 itself"),
        (
            Address("site3", PORT),
            "has distributed-system-id 1 as locator locator3, and is none of its site",
        ),
    ],
    ids=lambda each: each.host if isinstance(each, Address) else "",
)
def test_a_wrong_address_is_told_and_does_no_harm(wrong: Address, told: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        await world.network.host("web").listen("", 80, Web)
        await world.network.host("mute").listen("", 80, Bare)
        await serve_links(world.network.host("server"), "", 40404, Hello("server", "m", 2), lambda _: BaseHandler())
        await world.start(2)
        if wrong.host == "site3":
            await world.start(3, site=1)
        if wrong.host == "alias":
            world.network.alias("alias", "site1")
        await world.start(1, 2, listed=(wrong,))
        await world.set_receiver(2, 1502)
        await world.until(1, 2, [1502], within_s=5)
        await asyncio.sleep(280)
        await world.set_receiver(2, 1503)
        await world.until(1, 2, [1503], within_s=5)

    with caplog.at_level(logging.WARNING, logger="heliograph.locator.discovery"):
        simulate(scenario)
    lines = [line for line in caplog.messages if f"address={wrong}" in line]
    assert len(lines) == 5  # after 0, 10, 30, 70 and 150 s; the next one would be after 310 s
    assert all(told in line for line in lines), lines


def test_the_own_site_s_locators_may_be_listed_as_remote_ones(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        await world.start(1)
        await world.start(1, twin=True, listed=(Address("site1", PORT),))
        await world.until(-1, 1, [], within_s=5)
        await asyncio.sleep(20)
        assert [word.name for word in world.locators[-1]._directory.locators()] == ["locator1b"]

    with caplog.at_level(logging.WARNING, logger="heliograph.locator.discovery"):
        simulate(scenario)
    assert len(caplog.messages) <= 1  # at most once, before it is seen in the registry


def test_a_change_is_told_at_once() -> None:
    async def scenario(world: World) -> None:
        await world.start(1)
        await world.start(2, 1)
        await world.set_receiver(2, 1502)
        await world.until(1, 2, [1502], within_s=5)
        await world.set_receiver(2, 1503)
        await world.until(1, 2, [1503], within_s=0.5)

    simulate(scenario)


def test_a_cut_that_heals_is_made_good(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        await world.start(1)
        await world.start(2, 1)
        await world.set_receiver(2, 1502)
        await world.until(1, 2, [1502], within_s=5)
        world.network.cut("site1", "site2")
        await world.set_receiver(2, 1503)
        await asyncio.sleep(60)
        assert await world.receivers(1, 2) == [1502]
        world.network.heal("site1", "site2")
        await world.until(1, 2, [1503], within_s=2 * RETRY_MAX_S)

    with caplog.at_level(logging.WARNING, logger="heliograph.locator.discovery"):
        simulate(scenario)
    assert 0 < sum("locator not reached" in line for line in caplog.messages) <= 10


def test_the_engine_may_be_away_for_a_while() -> None:
    async def scenario(world: World) -> None:
        await world.start(1)
        await world.start(2, 1)
        await world.set_receiver(2, 1502)
        await world.until(1, 2, [1502], within_s=5)
        world.engines[2].stop()
        await asyncio.sleep(20)
        assert await world.receivers(1, 2) == [1502]
        world.engines[2].start()
        await asyncio.sleep(3)
        await world.set_receiver(2, 1503)
        await world.until(1, 2, [1503], within_s=10)
        assert [member.name for member in world.locators[2].view().members] == ["locator2", "server"]

    simulate(scenario)


def test_patience_grows_and_is_forgotten() -> None:
    patience = Patience()
    assert patience.failed(0.0)
    assert patience.retry_s == RETRY_MIN_S
    logged = [now_s for now_s in range(1, 4000) if patience.failed(float(now_s))]
    assert patience.retry_s == RETRY_MAX_S
    gaps = [later - earlier for earlier, later in zip([0, *logged], logged, strict=False)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == LOG_GAP_MAX_S
    patience.succeeded()
    assert patience.failed(0.0)
    assert (patience.failures, patience.retry_s) == (1, RETRY_MIN_S)
