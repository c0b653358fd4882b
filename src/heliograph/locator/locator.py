"""A site's locator: where everyone asks, where sites find each other, and who runs the site's engine."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from heliograph import __version__
from heliograph.engine.membership import Membership
from heliograph.engine.patience import patiently
from heliograph.engine.seam import Registry
from heliograph.errors import ConflictError, HeliographError, UsageError
from heliograph.gateway.directory import Directory
from heliograph.guard.security import Security
from heliograph.link import messages
from heliograph.link.hello import NO_SITE, Hello
from heliograph.locator.assembly import ASK_S, Assembly
from heliograph.locator.cluster import Cluster
from heliograph.locator.config import LocatorConfig
from heliograph.locator.discovery import Discovery
from heliograph.locator.engine import OpenEngine, SiteEngine, open_site_engine
from heliograph.locator.rounds import RoundKeeper
from heliograph.locator.service import LocatorService
from heliograph.locator.site import SiteAdmin
from heliograph.locator.site_configuration import STATE
from heliograph.locator.view import SiteWatch
from heliograph.model.attributes import DEFAULT_STORE
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo, RegionPlacement
from heliograph.model.registry import REGISTRY, SITE_ID
from heliograph.net.link import LinkServer, serve_links
from heliograph.net.links import Links
from heliograph.net.real import RealNetwork, SystemClock
from heliograph.net.seam import Clock, Network
from heliograph.process.own import OwnProcess, ran_by
from heliograph.process.usage import usage

ENGINE_S = 30.0
"""How long an existing engine may take to elect the primary of what is opened."""
TEND_S = 10.0
"""Between two looks at whether the engine keeps as many copies of everything as it should."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Locator:
    """One locator; `start` and `stop` once each.

    site: the admin operations. process: what it answers about its process. security: who others are.
    http_url: where the HTTP admin API is served, set by who serves it.
    """

    site: SiteAdmin
    _engine: SiteEngine
    _registry: Registry
    _watch: SiteWatch
    _discovery: Discovery
    address: Address
    _server: LinkServer
    _directory: Directory
    _membership: Membership
    _name_lost: asyncio.Future[HeliographError]
    _work: asyncio.Task[None]

    def __init__(
        self,
        config: LocatorConfig,
        network: Network | None = None,
        clock: Clock | None = None,
        *,
        rng: random.Random | None = None,
        open_engine: OpenEngine = open_site_engine,
    ) -> None:
        self.config = config
        self.name = config.name
        self.http_url = ""
        self._network = network or RealNetwork(config.tls)
        self._clock = clock or SystemClock()
        self._incarnation = f"{(rng or random.Random()).getrandbits(64):016x}"
        self._open_engine = open_engine
        self.process = OwnProcess(config)
        self._service = LocatorService(
            {
                messages.SiteQuery: lambda _query: self.view(),
                messages.JoinQuery: lambda query: self._join(query),
                messages.ReceiversQuery: lambda query: self._directory.receivers(query.dsid),
                messages.EngineQuery: lambda query: self._assembly.answer(query),
                messages.Exchange: lambda heard: self._discovery.answer(heard),
                messages.StatusQuery: lambda _query: self.status(),
                **self.process.answers,
            },
            self._condition,
        )
        self.security = Security(config.security, self._clock)
        to_peers = self.security.to_peers
        self._links = Links(self._network.to("member"), self._hello, introduction=to_peers)
        self._peer_links = Links(self._network.to("locator"), self._hello, introduction=to_peers)
        self._assembly = Assembly(config, self._ask_peer)
        self._started_at = 0.0
        self._joined_ms = 0
        self._closing_begun = False
        self._closing = AsyncExitStack()

    @property
    def on_waiting(self) -> Callable[[], None]:
        """Called once, when `start` waits for other locators for so long that whoever starts this one should know."""
        return self._assembly.on_waiting

    @on_waiting.setter
    def on_waiting(self, call: Callable[[], None]) -> None:
        self._assembly.on_waiting = call

    # --- coming and going

    async def start(self) -> None:
        """Start the engine and answer; returns when this locator is of use.

        One of several waits for a majority of them, however long that takes: it answers that it does, and calls
        `on_waiting` when that takes long. Raises UnavailableError when the port is taken or the engine can't be
        reached, UsageError when the engine can't be started or a live member has this name.
        """
        self._started_at = asyncio.get_running_loop().time()
        self._joined_ms = self._clock.now_ms()
        async with AsyncExitStack() as closing:
            config = self.config
            # The port first: when it is taken, another locator lives, and nothing of it must be touched.
            self._server = server = await serve_links(
                self._network.to("locator"),
                config.bind_address,
                config.port,
                self._hello,
                self._service.accept,
                gate=self.security.gate(lambda: self._hello().dsid),
            )
            closing.push_async_callback(server.close)
            closing.push_async_callback(self._links.close, "the locator stops")
            closing.push_async_callback(self._peer_links.close, "the locator stops")
            self.address = Address(config.advertised_host, server.port)
            self._engine = await self._open_engine(config, self._assembly)
            closing.push_async_callback(self._engine.close)
            await self._open_stores()
            self._compose()
            await self._patiently("register", self._membership.register)
            closing.push_async_callback(self._membership.leave)
            await self._patiently("read the registry", self._watch.refresh)
            self._work = asyncio.create_task(self._run(), name=f"locator-{self.name}")
            closing.push_async_callback(self._end_work)
            closing.push_async_callback(server.close)
            self._service.ready = True
            self._closing = closing.pop_all()
        _log.info(
            "locator ready name=%s site=%s address=%s", self.name, self.config.distributed_system_id, self.address
        )

    async def stop(self) -> None:
        """Stop answering, leave the registry, and stop the engine. A second call does nothing."""
        self._service.ready = False
        self._closing_begun = True
        await self._closing.aclose()
        _log.info("locator stopped name=%s", self.name)

    async def wait_stopped(self) -> None:
        """Wait until `stop` is called. Raises what made the locator stop working by itself."""
        await asyncio.wait({self._work})
        if not self._work.cancelled():
            try:
                self._work.result()
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from failures

    async def _open_stores(self) -> None:
        """Create what every site has, or take it as it is; several locators may do that at the same time."""
        engine, replicas = self._engine.engine, self._engine.replicas()
        await self._patiently("open the log", lambda: engine.open_log(DEFAULT_STORE, replicas=replicas))
        opening = lambda: engine.open_registry(REGISTRY, replicas=replicas)  # noqa: E731
        self._registry = await self._patiently("open the registry", opening)
        await self._patiently("claim the site", self._claim_site)

    async def _patiently(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Do what an engine of several nodes may need several attempts for."""
        if not self.config.forms_cluster:
            return await patiently(attempt, ENGINE_S if self._engine.replicas() > 1 else 0.0)
        return await self._assembly.until(f"the engines of the site, to {what}", attempt)

    async def _ask_peer(self, address: Address, query: messages.EngineQuery) -> messages.EngineView:
        return await self._peer_links.call(address, query, messages.EngineView, timeout_s=ASK_S)

    def _neighbours(self) -> list[tuple[str, Address]]:
        """Return the site's other live locators."""
        members = self._watch.members.values()
        return [(each.name, each.address) for each in members if each.kind == "locator" and each.name != self.name]

    def _condition(self) -> str:
        """Say why this locator is not ready."""
        if self._closing_begun:
            return f"locator {self.name} is stopping"
        if self._assembly.waiting:
            return f"locator {self.name} waits for {self._assembly.waiting}"
        return f"locator {self.name} is starting"

    async def _claim_site(self) -> None:
        """Make sure that what the engine holds was born at this site; see `SITE_ID` in `model.registry`."""
        dsid = str(self.config.site).encode()
        try:
            await self._registry.create(SITE_ID, dsid)
        except ConflictError:
            item = await self._registry.get(SITE_ID)
            if item is not None and item.value != dsid:
                own = item.value.decode()
                raise UsageError(
                    f"the engine holds the data of site {own}, and this locator was started with "
                    f"distributed-system-id {self.config.site}: start it with {own}, or in another directory"
                ) from None

    def _compose(self) -> None:
        config = self.config
        self._directory = Directory(self.name, config.site, self.address, config.remote_locators)
        self._discovery = Discovery(
            self._directory,
            self._network,
            self._clock,
            self._hello,
            lambda: self._watch.receivers,
            self._neighbours,
            config.peers,
            self.security.to_peers,
            self.security.to_others,
        )
        self._watch = SiteWatch(self._registry, self._discovery.stir, self._ttl_s)
        cluster = Cluster(
            self._registry,
            self._links,
            config.site,
            self._peer_links,
            name=self.name,
            known=lambda: self._watch.members.values(),
        )
        self.site = SiteAdmin(cluster)
        self._rounds = RoundKeeper(cluster, self._directory, self._clock, config)
        self._name_lost = asyncio.get_running_loop().create_future()
        self._membership = Membership(
            self._registry, self._describe, self._ttl_s, self._name_lost.set_result, self._replaces
        )

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch.run())
            tasks.create_task(self._membership.give_signs_of_life())
            tasks.create_task(self._give_way())
            tasks.create_task(self._discovery.run())
            tasks.create_task(self._rounds.run())
            tasks.create_task(self.security.run())
            if self._engine.tend is not None:
                tasks.create_task(self._tend(self._engine.tend))

    async def _tend(self, tend: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await tend()
            except HeliographError as exc:
                _log.warning("engine not tended error=%s", exc)
            await asyncio.sleep(TEND_S)

    async def _give_way(self) -> None:
        raise await self._name_lost

    async def _end_work(self) -> None:
        self._work.cancel()
        await asyncio.wait({self._work})

    # --- being a member

    def _replaces(self, other: MemberInfo) -> bool:
        """Say whether who has this locator's name is dead: who had its address too is, for we listen there."""
        return other.kind == "locator" and other.address == self.address

    @property
    def _ttl_s(self) -> float:
        return self.config.member_timeout_ms / 1000

    def _describe(self) -> MemberInfo:
        return MemberInfo(
            name=self.name,
            kind="locator",
            incarnation=self._incarnation,
            joined_ms=self._joined_ms,
            address=self.address,
            pid=os.getpid(),
            order=self._membership.order,
        )

    # --- what others are told

    def view(self) -> messages.SiteView:
        """Return the site as it is now."""
        watch = self._watch
        return messages.SiteView(
            dsid=self.config.site,
            members=list(watch.members.values()),
            regions=list(watch.regions.values()),
            placements=[RegionPlacement(each.region, each.buckets) for each in watch.placements.values()],
            http_url=self.http_url,
            generations=watch.generations,
            now_ms=self._clock.now_ms(),
        )

    def status(self) -> messages.Status:
        """Return this process's state block."""
        directory = Path(self.config.directory).absolute()
        uptime_s = asyncio.get_running_loop().time() - self._started_at
        used = usage()
        return messages.Status(
            kind="Locator",
            name=self.name,
            address=self.address,
            pid=os.getpid(),
            uptime_ms=int(uptime_s * 1000),
            version=__version__,
            directory=str(directory),
            log_file=str(directory / f"{self.name}.log"),
            details={"Distributed System Id": str(self.config.site), **ran_by(), **self._details()},
            cpu_ms=used.cpu_ms,
            resident_bytes=used.resident_bytes,
            links=self._server.by_role(),
        )

    def _details(self) -> dict[str, str]:
        if not self._service.ready:
            return {STATE: self._condition()}
        locators = (f"{word.name} of site {word.dsid} at {word.address}" for word in self._directory.locators())
        details = {"TLS": self.config.tls.shown(), "HTTP Service": self.http_url, "Known Locators": ", ".join(locators)}
        details |= self._rounds.details()
        details["Copies In The Engine"] = str(self._engine.replicas())
        if self.config.forms_cluster:
            details["Engines"] = ", ".join(node.name for node in self._assembly.plan.nodes)
        return details

    def _join(self, query: messages.JoinQuery) -> messages.JoinView:
        engine = self._engine
        return messages.JoinView(
            self.config.site, engine.url_for(query.name), engine.replicas(), self.config.member_timeout_ms, engine.tls,
            self.config.max_clock_skew,
        )  # fmt: skip

    def _hello(self) -> Hello:
        site = self.config.distributed_system_id
        return Hello("locator", self.name, NO_SITE if site is None else site)
