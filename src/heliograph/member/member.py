"""A member: a process of a site that hosts buckets, gateway senders and a gateway receiver.

Everything that the site shares stands in the registry. A member reads it, compares it with what it is, and becomes
what it should be (`_arrange`), again and again: joining, a command, a failure and a restart are the same thing to it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from heliograph import __version__
from heliograph.bucket.judging import Judge
from heliograph.bucket.primary import RECORD_BYTES_MAX
from heliograph.engine.membership import Membership
from heliograph.engine.patience import patiently
from heliograph.engine.seam import Engine, Registry
from heliograph.errors import HeliographError, UnavailableError, UsageError
from heliograph.guard.security import Security
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.member.backlog import Backlog
from heliograph.member.collector import Collector
from heliograph.member.config import MemberConfig
from heliograph.member.configuring import Configuring
from heliograph.member.conflicts import ConflictJudges
from heliograph.member.engine import connect_member
from heliograph.member.expirer import Expirer
from heliograph.member.fleeting_queues import empty_fleeting_queues, has_fleeting_queue
from heliograph.member.gateways import GatewayHost, Gateways
from heliograph.member.leaving import hand_over, turn_away
from heliograph.member.listening import Listening
from heliograph.member.lives import Lives
from heliograph.member.operations import Operations
from heliograph.member.placer import Placer
from heliograph.member.queries import Queries
from heliograph.member.region import HostedRegion
from heliograph.member.service import MemberService
from heliograph.member.site_locators import SiteLocators
from heliograph.member.snapshotter import Snapshotter
from heliograph.member.state import SiteState, StateWatcher
from heliograph.member.stores import Stores
from heliograph.member.sweeper import Sweeper
from heliograph.member.tasks import Tasks
from heliograph.member.transfers import Transfers
from heliograph.model.attributes import (
    DEFAULT_STORE,
    RegionAttributes,
)
from heliograph.model.batch import Record
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.definitions import Attributes
from heliograph.model.engine_tls import EngineTls
from heliograph.model.ids import EVERY_INTERFACE, LOOPBACK, Address, Seq
from heliograph.model.keys import Key
from heliograph.model.members import MemberInfo
from heliograph.model.registry import (
    REGISTRY,
    RegionEntry,
)
from heliograph.model.requests import Identities
from heliograph.net.link import LinkServer, serve_links
from heliograph.net.links import Links
from heliograph.net.real import RealNetwork, SystemClock
from heliograph.net.seam import Clock, Network
from heliograph.placement.buckets import servers_by_age
from heliograph.placement.holders import holders_of
from heliograph.process.own import OwnProcess, ran_by
from heliograph.process.usage import usage

READY_S = 60.0
"""How long a starting member, or a change of configuration, may take to load its copies."""
TICK_S = 0.5
VERIFY_S = 2.0
"""Between two looks at whether this member's primaries still are that."""
DRAIN_S = 5.0
"""How long a stopping member waits for the answers to its last appends."""

_log = logging.getLogger(__name__)

ConnectEngine = Callable[[str, EngineTls | None], Awaitable[Engine]]


class Member:
    """One member; `start` joins the site, `stop` leaves it in order."""

    stores: Stores
    _registry: Registry
    _sweeper: Sweeper
    _server: LinkServer
    _watcher: StateWatcher
    _membership: Membership
    _lives: Lives
    _placer: Placer
    _service: MemberService
    gateways: Gateways
    _listening: Listening
    _configuring: Configuring
    _conflicts: ConflictJudges

    def __init__(
        self,
        config: MemberConfig,
        *,
        network: Network | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        connect: ConnectEngine | None = None,
    ) -> None:
        self.config = config
        self.name = config.name
        self.site = -1
        self.record_bytes_max = RECORD_BYTES_MAX
        self.backlog = Backlog()
        self.clock = clock or SystemClock()
        self._network = network or RealNetwork(config.tls)
        self._rng = rng or random.Random()
        self._connect = connect or partial(connect_member, config.tls)
        self._incarnation = f"{self._rng.getrandbits(64):016x}"
        self._batches = 0
        self._tasks = Tasks(self.fail)
        self._exits = AsyncExitStack()
        """What `stop` undoes, the last first."""
        self.failure: BaseException | None = None
        """Why this member stopped by itself."""
        self.on_failed: Callable[[], None] = lambda: None
        """Called when this member begins to stop by itself."""
        self._ready = False
        self._leaving = False
        self._stopping: asyncio.Task[None] | None = None
        self._regions: dict[str, HostedRegion] = {}
        self._destroyed: list[HostedRegion] = []
        """Regions that were destroyed while writes were in flight, until those have ended."""
        self._security = Security(config.security, self.clock)
        to_peers = self._security.to_peers
        self._links = Links(self._network.to("member"), self._hello, introduction=to_peers)
        self._locator_links = Links(self._network.to("locator"), self._hello, introduction=to_peers)
        self._locators = SiteLocators(self._locator_links, config.locators, self._told_locators)
        self._operations = Operations(
            self.name,
            self._regions,
            lambda: self._watcher.state,
            self._links,
            self.backlog,
            config.write_timeout_ms / 1000,
            Identities(self._rng.getrandbits(64), self.clock.now_ms),
        )
        self._transfers = Transfers(self.name, config.directory, self._regions, self._operations, self.clock.now_ms)
        self._dirty = asyncio.Event()
        self._arranged = asyncio.Condition()
        self._arrangings_begun = 0
        self._arrangings_done = 0
        """Number of the newest arranging that did all it should."""
        self._joined_ms = 0
        self._started_at = 0.0
        self.process = OwnProcess(config)

    # --- coming and going

    async def start(self) -> None:
        """Join the site; returns when this member holds and shows what it should.

        Raises UnavailableError when no locator answers, UsageError when the name is taken or a port is not free.
        """
        self._started_at = asyncio.get_running_loop().time()
        self._joined_ms = self.clock.now_ms()
        self._exits.push_async_callback(self._links.close, "this member stops")
        self._exits.push_async_callback(self._locator_links.close, "this member stops")
        try:
            join = await self._locators.join(self.name, self.config.locator_wait_time)
            self.site = join.dsid
            engine = await self._connect(join.engine_url, join.engine_tls)
            self._exits.push_async_callback(engine.close)
            await self._join(engine, join)
            if self.failure is not None:
                raise UnavailableError(f"{self.name} failed while it joined: {self.failure}") from self.failure
            self._ready = True
        except BaseException:
            await self.stop()
            raise

    async def _join(self, engine: Engine, join: messages.JoinView) -> None:
        exits = self._exits
        self.stores = Stores(engine, join.replicas)
        default = await patiently(lambda: self.stores.open(DEFAULT_STORE))
        self.record_bytes_max = min(RECORD_BYTES_MAX, default.log.append_bytes_max // 2)
        self._registry = await patiently(lambda: engine.open_registry(REGISTRY, replicas=join.replicas))
        self._watcher = StateWatcher(self._registry, self._dirty.set, join.member_timeout_ms / 1000)
        await patiently(self._watcher.refresh)  # before anyone can ask for a region
        self._conflicts = ConflictJudges(join.max_clock_skew_ms)
        self.gateways = Gateways(self._gateway_host(), self._regions, self._dirty.set)
        self._queries = Queries(self._operations.region)
        self._listening = Listening(self.name, self.site, self._operations.region)
        self._configuring = Configuring(
            self.name,
            self.site,
            registry=self._registry,
            watcher=self._watcher,
            regions=self._regions,
            gateways=self.gateways,
            conflicts=self._conflicts,
            take_up=self._take_up,
        )
        exits.push_async_callback(self._tasks.close)
        self._placer = Placer(self.name, self._registry, self._links, self._regions, self._dirty.set)
        self._service = MemberService(self.name, self._operations, self._commands())
        self._server = await serve_links(
            self._network.to("member"),
            self.config.bind_address,
            self.config.server_port,
            self._hello,
            lambda _hello: self._service,
            gate=self._security.gate(lambda: self.site),
        )
        exits.push_async_callback(self._server.close)
        exits.callback(self._listening.close)
        self._membership = Membership(self._registry, self._info, join.member_timeout_ms / 1000, self.fail)
        self._lives = Lives(
            self.name, self._incarnation, self._registry, join.member_timeout_ms / 1000, self._empty_queues
        )
        await patiently(self._membership.register)
        exits.push_async_callback(self._lives.leave)
        exits.push_async_callback(self._membership.leave)
        exits.push_async_callback(self._end_regions)
        exits.push_async_callback(self.gateways.close)
        exits.push_async_callback(self._transfers.close)
        await patiently(self._watcher.refresh)
        snapshotter = Snapshotter(self._registry, self._regions.values)
        self._sweeper = Sweeper(engine, self.stores, self._registry)
        expirer = Expirer(self._regions.values, self._operations.tell_reads)
        for coroutine in (
            self._watcher.run(),
            self._membership.give_signs_of_life(),
            self._tick(),
            self._verify(),
            self._placer.run(),
            self.stores.look_always(),
            snapshotter.run(),
            self._sweeper.run(),
            expirer.run(),
            self._security.run(),
            Collector(self._registry, self._regions.values).run(),
        ):
            self.spawn(coroutine)
        exits.push_async_callback(_end, self.spawn(self._arrange_always()))
        exits.push_async_callback(self._hand_over)
        self._dirty.set()
        await self._until(lambda: all(region.settled for region in self._regions.values()), "load the site's regions")
        _log.info("member ready name=%s site=%d address=%s", self.name, self.site, self.address)

    async def stop(self) -> None:
        """Leave in order: hand the primaries over, store the cursors, finish what is in flight, close."""
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._exits.aclose())
        await self._stopping

    def fail(self, error: BaseException) -> None:
        """Stop serving, so that others take over: this member is no longer what it shows itself to be."""
        if self.failure is not None or self._stopping is not None:
            return
        self.failure = error
        _log.critical("member stops by itself name=%s reason=%r", self.name, error)
        if self._ready:
            self._stopping = asyncio.get_running_loop().create_task(self._exits.aclose())
            self.on_failed()

    async def _hand_over(self) -> None:
        if not self._ready or self.failure is not None:
            return
        self._leaving = True
        await hand_over(self.name, lambda: self._watcher.state, self._regions, self._membership.tell_news)
        await turn_away(self._service, self._server)

    async def _end_regions(self) -> None:
        ending = [*self._regions.values(), *self._destroyed]
        for region in ending:
            region.close()
        await self._drain(ending)
        unknown = UnavailableError(f"{self.name} stopped before the engine answered: the write may be done")
        for region in ending:
            for copy in region.copies.values():
                copy.give_up(unknown)

    async def _drain(self, regions: Sequence[HostedRegion]) -> None:
        """Wait for the writes in flight, so that most get their answer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_S
        while not all(region.drained for region in regions):
            if loop.time() > deadline:
                _log.warning("writes left unanswered name=%s", self.name)
                return
            await asyncio.sleep(0.01)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine until it ends or the member stops."""
        return self._tasks.spawn(coroutine)

    def judge(self, region: str) -> Judge:
        """Return what a region's primaries judge events from other sites by."""
        return self._conflicts.judge(region)

    def batch_id(self) -> str:
        """Return a name for an append that no other append ever has."""
        self._batches += 1
        return f"{self._incarnation}.{self._batches}"

    @property
    def address(self) -> Address:
        """Where members and clients reach this member."""
        return Address(self._hostname, self._server.port)

    @property
    def _hostname(self) -> str:
        bound = self.config.bind_address
        return self.config.hostname_for_clients or (LOOPBACK if bound in EVERY_INTERFACE else bound)

    def _hello(self) -> Hello:
        return Hello(role="member", name=self.name, dsid=self.site)

    def _told_locators(self) -> list[Address]:
        """Return the site's locators as its registry shows them."""
        members = self._watcher.state.members.values() if self._ready else ()
        return [member.address for member in members if member.kind == "locator"]

    def _members(self) -> dict[str, MemberInfo]:
        """Return the site's members, this one as it is now."""
        return {**self._watcher.state.members, self.name: self._info()}

    def _info(self) -> MemberInfo:
        return MemberInfo(
            name=self.name,
            kind="server",
            incarnation=self._incarnation,
            joined_ms=self._joined_ms,
            address=self.address,
            pid=os.getpid(),
            groups=self.config.groups,
            receiver=self.gateways.receiver_info(),
            running_senders=self.gateways.running_senders(),
            redundancy_zone=self.config.redundancy_zone,
            leaving=self._leaving,
            order=self._membership.order,
        )

    # --- becoming what the registry says

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._dirty.set()
            self._listening.look()
            self._destroyed = [region for region in self._destroyed if not region.drained]
            timeout_s = self.config.write_timeout_ms / 1000
            for region in self._regions.values():
                for copy in region.copies.values():
                    copy.expire(timeout_s)
            for region in self._destroyed:
                for copy in region.copies.values():
                    if copy.expire(timeout_s):  # and nobody will ever know: its log may be forgotten by now
                        copy.give_up(UnavailableError(f"region {region.name} was destroyed"))

    async def _verify(self) -> None:
        """One question at a time, so that many idle buckets cost the engine little."""
        while True:
            await asyncio.sleep(VERIFY_S)
            try:
                for copy in [copy for region in self._regions.values() for copy in region.accepting()]:
                    await copy.verify()
            except HeliographError as exc:
                _log.warning("primaries not verified name=%s error=%s", self.name, exc)

    async def _arrange_always(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            self._arrangings_begun += 1
            try:
                await self._arrange(self._watcher.state)
                self._arrangings_done = self._arrangings_begun
            except HeliographError as exc:
                _log.warning("arranging failed name=%s error=%s", self.name, exc)
            async with self._arranged:
                self._arranged.notify_all()

    async def _arrange(self, state: SiteState) -> None:
        members = self._members()
        self.process.take_up(state.runtime, state.runtime_revision)
        servers = servers_by_age(list(members.values()))
        self._sweeper.duty = servers[0].name == self.name
        await self._lives.keep(state, servers)
        await self._placer.place(state, servers)
        await self.stores.arrange(state.stores, [entry.attributes.disk_store for entry in state.regions.values()])
        for name in list(self._regions):
            region = self._regions[name]
            if name not in state.regions or region.generation != state.regions[name].generation:
                region.close()
                self._destroyed.append(self._regions.pop(name))
                self._sweeper.wake()
        for leader, group in state.groups().items():
            for name in group:
                entry = state.regions[name]
                region = self._regions.get(name) or self._host_region(entry)
                region.alter(entry.attributes)
                placement = state.placements.get(leader)
                life = self._life_of(entry.attributes, state)
                fits = placement is not None and len(placement[0].buckets) == entry.attributes.total_num_buckets
                if placement is not None and fits and life is not None:
                    region.arrange(placement[0], life)
        self._conflicts.arrange(state.resolver)
        await self.gateways.arrange(state, members.values())
        await self._membership.tell_news()

    async def _empty_queues(self, life: int) -> None:
        await empty_fleeting_queues(self._registry, self.stores, life)

    def _life_of(self, region: RegionAttributes, state: SiteState) -> int | None:
        """Return the life that a region's entries are of, 0 for every one; None while it must not be taken up."""
        number = self._lives.number(state)
        if not region.persistent:
            return number
        return None if number is None and has_fleeting_queue(region, state.senders) else 0

    def _host_region(self, entry: RegionEntry) -> HostedRegion:
        region = HostedRegion(
            entry.attributes,
            entry.generation,
            store=self.stores[entry.attributes.disk_store],
            host=self,
            sink=self._on_record,
        )
        self._regions[region.name] = region
        return region

    def _on_record(self, region: str, bucket: int, seq: Seq, previous: Seq, record: Record) -> None:
        self.gateways.on_record(region, bucket, seq, previous, record)
        if self._listening.active:
            self._listening.on_record(region, bucket, seq, record)
        if record.primary:
            self._dirty.set()

    def on_restored(self, region: str, bucket: int, seq: Seq) -> None:
        """A copy here started from a snapshot that holds the log up to `seq`."""
        self.gateways.on_restored(region, bucket, seq)
        self._listening.on_restored(region, bucket)
        self._dirty.set()  # another may have become primary meanwhile

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds after an arranging that began after this call. Raises UnavailableError after
        `READY_S`.
        """
        begun = self._arrangings_begun
        try:
            async with asyncio.timeout(READY_S), self._arranged:
                await self._arranged.wait_for(lambda: self._arrangings_done > begun and condition())
        except TimeoutError:
            raise UnavailableError(f"{self.name} could not {what} within {READY_S:.0f} s") from None

    # --- configuration

    async def configure(self, attributes: Attributes) -> None:
        """Add to the cluster configuration and return when this member has taken it up; see `Configuring.create`."""
        await self._configuring.create(attributes)

    async def adopt(self, want: ClusterConfiguration) -> None:
        """Add what is missing to the cluster configuration; see `Configuring.adopt`."""
        await self._configuring.adopt(want)

    async def _take_up(self, condition: Callable[[], bool], what: str) -> None:
        """Become what the registry says now, until a condition holds. Raises UnavailableError."""
        await self._watcher.refresh()
        self._dirty.set()
        await self._until(condition, what)

    # --- what this member answers besides region operations

    def _commands(self) -> dict[type, Callable[[Any], Any]]:
        return {
            messages.Apply: lambda request: self._configuring.take_up(request),
            messages.CopiesQuery: lambda query: self._placer.copies(query),
            messages.Rebalance: lambda request: self._placer.rebalance(request),
            messages.Select: lambda request: self._queries.select(request),
            messages.Locate: lambda request: self._queries.locate(request),
            messages.Listen: lambda request: self._listening.hear(request),
            messages.SenderCommand: lambda request: self.gateways.command(request),
            messages.Redrive: lambda request: self.gateways.redrive(request),
            messages.WanCopy: lambda request: self.gateways.copies.start(request),
            messages.WanCopyQuery: lambda query: self.gateways.copies.look(query),
            messages.WanCopyCancel: lambda request: self.gateways.copies.cancel(request),
            messages.Export: lambda request: self._transfers.export(request),
            messages.Import: lambda request: self._transfers.import_(request),
            messages.FilesQuery: lambda query: self._transfers.files(query),
            messages.TransferQuery: lambda query: self._transfers.look(query),
            messages.TransferCancel: lambda request: self._transfers.cancel(request),
            messages.ReceiverCommand: lambda request: self.gateways.command_receiver(request),
            messages.DiskStoreQuery: lambda request: self._disk_stores(request.names),
            messages.LogEndsQuery: lambda query: self._log_ends(query.region),
            messages.ConflictQuery: lambda query: self._conflicts.answer(query),
            messages.GatewayQuery: lambda _request: self.gateways.status(),
            messages.StatusQuery: lambda _request: self.status(),
            **self.process.answers,
        }

    async def _log_ends(self, region: str) -> messages.LogEnds:
        return messages.LogEnds(await self._operations.region(region).log_ends())

    async def _disk_stores(self, names: list[str]) -> messages.DiskStores:
        """Say how large disk stores are."""
        usages = [await self.stores[name].usage() for name in names]
        return messages.DiskStores([log for log, _ in usages], [snapshots for _, snapshots in usages])

    def status(self) -> messages.Status:
        """Return this member's state block."""
        uptime = asyncio.get_running_loop().time() - self._started_at
        used = usage()
        directory = Path(self.config.directory).resolve()
        return messages.Status(
            kind="Server",
            name=self.name,
            address=self.address,
            pid=os.getpid(),
            uptime_ms=int(uptime * 1000),
            version=__version__,
            directory=str(directory),
            log_file=str(directory / f"{self.name}.log"),
            details={
                "Regions": ", ".join(self._held_regions()),
                "Locators": ", ".join(map(str, self.config.locators)),
                "Site": str(self.site),
                "TLS": self.config.tls.shown(),
                "Server Bind": self.config.bind_address,
                **ran_by(),
            },
            cpu_ms=used.cpu_ms,
            resident_bytes=used.resident_bytes,
            links=self._server.by_role(),
        )

    def _held_regions(self) -> list[str]:
        """Return the regions that this server may hold buckets of."""
        me = [self._info()]
        return sorted(name for name, region in self._regions.items() if holders_of(region.attributes, me))

    def _gateway_host(self) -> GatewayHost:
        return GatewayHost(
            self.name,
            self.site,
            hostname=self._hostname,
            network=self._network.to("gateway"),
            introduction=self._security.to_others,
            gate=self._security.gate(lambda: self.site),
            clock=self.clock,
            rng=self._rng,
            record_bytes_max=self.record_bytes_max,
            registry=self._registry,
            regions=self._regions,
            state=lambda: self._watcher.state,
            members=lambda: self._members().values(),
            apply_parts=self._operations.apply_parts,
            region=self._operations.region,
            find_receivers=self._locators.find_receivers,
            fail=self.fail,
        )

    # --- regions, as `api.backend.Backend`: the operations' own coroutines, without another around them

    def attributes(self, region: str) -> Coroutine[Any, Any, RegionAttributes]:
        """Return a region's attributes. Raises RegionNotFoundError."""
        return self._operations.attributes(region)

    def put_all(
        self, region: str, keys: list[Key], values: list[bytes], argument: bytes = b""
    ) -> Coroutine[Any, Any, None]:
        """Put entries; returns when all are in the log and this member's own copies show them."""
        return self._operations.put_all(region, keys, values, argument)

    def change(
        self, region: str, op: messages.Condition, key: Key, value: bytes, expected: bytes, argument: bytes = b""
    ) -> Coroutine[Any, Any, messages.Changed]:
        """Do a conditional operation at the bucket's primary."""
        return self._operations.change(region, op, key, value, expected, argument)

    def clear(self, region: str) -> Coroutine[Any, Any, None]:
        """Take away every entry of a region at this site."""
        return self._operations.clear(region)

    def get_all(self, region: str, keys: list[Key]) -> Coroutine[Any, Any, list[bytes]]:
        """Return the values of keys; empty where there is no entry."""
        return self._operations.get_all(region, keys)

    def keys(self, region: str) -> Coroutine[Any, Any, list[Key]]:
        """Return every key of the region."""
        return self._operations.keys(region)

    def size(self, region: str) -> Coroutine[Any, Any, int]:
        """Count the region's entries."""
        return self._operations.size(region)

    async def holders(self, region: str, failed: Mapping[str, int], *, anew: bool) -> list[str]:  # noqa: ARG002
        """Return whom to ask for the events of each bucket: this member where it holds a copy, else the primary."""
        hosted = self._operations.region(region)
        held = {number for number, copy in hosted.copies.items() if copy.readable}
        return [
            self.name if bucket in held else hosted.primary_of(bucket)
            for bucket in range(hosted.attributes.total_num_buckets)
        ]

    async def hear(self, member: str, request: messages.Listen) -> messages.Heard:
        """Ask for events: this member's own copies, or another member."""
        if self._stopping is not None:
            raise UsageError(f"{self.name} is closed" if self.failure is None else f"{self.name} has stopped by itself")
        if member == self.name:
            return await self._listening.hear(request)
        return await self._operations.hear(member, request)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
