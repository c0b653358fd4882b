"""Whole sites in one program: every locator and member is the production class in a simulated process."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from heliograph.engine.seam import Engine, LogEntry, bucket_subject
from heliograph.engine.sim.server import SimEngine
from heliograph.errors import HeliographError
from heliograph.locator.config import LOCATOR_PORT, LocatorConfig
from heliograph.locator.engine import SiteEngine
from heliograph.locator.locator import Locator
from heliograph.member.config import MemberConfig
from heliograph.member.member import Member
from heliograph.model.attributes import DEFAULT_STORE, GatewayReceiverAttributes
from heliograph.model.batch import decode_columns, decode_record
from heliograph.model.ids import Address, Seq
from heliograph.model.members import RegionPlacement
from heliograph.model.registry import REGISTRY, Cursor, RegionEntry, cursor_key, decode_entry, placement_key, region_key
from heliograph.net.sim import SimClock, SimNetwork
from heliograph.security.properties import NO_SECURITY_PROPERTIES
from tests.sim.observed import Birth, Entry, Event
from tests.sim.plan import REGION, Plan, SitePlan
from tests.sim.process import Process

MEMBER_TIMEOUT_MS = 2_000
WRITE_TIMEOUT_MS = 15_000
RESTART_S = 0.5
LOG_END = 1 << 30

_log = logging.getLogger(__name__)


def locator_of(dsid: int) -> str:
    """Return the host of a site's locator."""
    return f"{dsid}-locator"


class Slot:
    """A host on which one locator or member runs, is killed, and runs again under the same name."""

    def __init__(self, site: SimSite, name: str, clock: SimClock) -> None:
        self.site = site
        self.name = name
        self.clock = clock
        self.process: Process | None = None
        self.ready = False
        self.ended: list[Process] = []
        self._starting: asyncio.Task[None] | None = None

    @abstractmethod
    async def begin(self, process: Process) -> None:
        """Start what runs here."""

    @abstractmethod
    async def leave(self) -> None:
        """Stop what runs here in order."""

    def start(self) -> None:
        """Start, and try again until that succeeds, as a supervisor does."""
        if self.process is None and self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())

    async def _start(self) -> None:
        try:
            while not self.ready:
                self.process = Process(self.site.network, self.name, random.Random(self.site.rng.getrandbits(64)))
                try:
                    await self.process.run(self.begin(self.process))
                except HeliographError as exc:
                    _log.info("not started name=%s error=%s", self.name, exc)
                    self._bury()
                    await asyncio.sleep(RESTART_S)
                else:
                    self.ready = True
        finally:
            self._starting = None

    async def stop(self, within_s: float) -> None:
        """Leave in order; what does not manage in time is killed."""
        if self.process is None or not self.ready:
            return
        self.ready = False
        process = self.process
        await asyncio.wait({process.run(self.leave())}, timeout=within_s)
        if self.process is process:
            self._bury()

    def kill(self) -> None:
        """End it without goodbye."""
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        if self.process is not None:
            self._bury()

    def _bury(self) -> None:
        process, self.process, self.ready = self.process, None, False
        if process is not None:
            process.kill()
            self.ended.append(process)


class LocatorSlot(Slot):
    """The locator of a site."""

    locator: Locator

    async def begin(self, process: Process) -> None:
        site = self.site

        async def open_engine(*_: object) -> SiteEngine:
            return SiteEngine(process.connect_engine(site.engine), lambda: ("sim",))

        config = LocatorConfig(
            name=self.name,
            port=LOCATOR_PORT,
            bind_address=self.name,
            hostname_for_clients=site.outside,
            distributed_system_id=site.plan.dsid,
            remote_locators=site.remote_locators,
            member_timeout_ms=MEMBER_TIMEOUT_MS,
            security=site.security,
        )
        self.locator = Locator(config, process, self.clock, rng=process.rng, open_engine=open_engine)
        await self.locator.start()

    async def leave(self) -> None:
        await self.locator.stop()


class MemberSlot(Slot):
    """A member of a site."""

    member: Member
    zone = ""
    """Where copies of a bucket are redundant to."""
    groups: tuple[str, ...] = ()

    async def begin(self, process: Process) -> None:
        async def connect(*_: object) -> Engine:
            return process.connect_engine(self.site.engine)

        config = MemberConfig(
            name=self.name,
            locators=tuple(Address(host, LOCATOR_PORT) for host in self.site.own_locators),
            bind_address=self.name,
            write_timeout_ms=WRITE_TIMEOUT_MS,
            redundancy_zone=self.zone,
            groups=self.groups,
            security=self.site.security,
        )
        self.member = Member(config, network=process, clock=self.clock, rng=process.rng, connect=connect)
        await self.member.start()

    async def leave(self) -> None:
        await self.member.stop()


class SimSite:
    """A site: its engine, its locator, its members."""

    security = NO_SECURITY_PROPERTIES
    """Of all processes that are started from now on."""

    def __init__(self, plan: SitePlan, others: list[int], network: SimNetwork, rng: random.Random) -> None:
        self.plan = plan
        self.others = others
        self.remote_locators = tuple(Address(locator_of(dsid), LOCATOR_PORT) for dsid in others)
        self.outside = ""
        """The name by which others reach its locators, where that is not their hosts'."""
        self.network = network
        self.rng = rng
        self.engine = SimEngine(random.Random(rng.getrandbits(64)))
        clocks = [SimClock(ahead_ms=ahead_ms) for ahead_ms in plan.clocks_ms]
        self.locator = LocatorSlot(self, locator_of(plan.dsid), clocks[0])
        self.members = [
            MemberSlot(self, f"{plan.dsid}-{letter}", clock) for letter, clock in zip("abcd", clocks[1:], strict=False)
        ]
        for slot, zone in zip(self.members, plan.zones, strict=False):
            slot.zone = zone
        for slot, groups in zip(self.members, plan.groups, strict=False):
            slot.groups = groups
        self.late = self.members[len(self.members) - plan.late :]
        """Members that join while clients work."""

    @property
    def slots(self) -> list[Slot]:
        """All processes."""
        return [self.locator, *self.members]

    @property
    def own_locators(self) -> tuple[str, ...]:
        """The hosts of the locators that members are told of."""
        return (self.locator.name,)

    @property
    def hosts(self) -> list[str]:
        """The names of all hosts."""
        return [slot.name for slot in self.slots]

    async def configure(self) -> None:
        """Give the site its gateways and its region through its first member."""
        member = self.members[0].member
        for sender in self.plan.senders:
            await member.configure(sender)
        await member.configure(self.plan.region)
        if self.others:
            await member.configure(GatewayReceiverAttributes())

    # --- what is true, whatever the site says of itself

    def log(self, bucket: int) -> list[LogEntry]:
        """Return a bucket's log, with what was cut from it."""
        store = self.engine.logs[DEFAULT_STORE]
        subject = bucket_subject(DEFAULT_STORE, REGION, self._generation(), bucket)
        return [*store.dropped.get(subject, ()), *store.after([subject], Seq(0), LOG_END)]

    def entries(self, bucket: int) -> list[Entry]:
        """Return a bucket's log as it is read by checkers."""
        entries = []
        for logged in self.log(bucket):
            record = decode_record(logged.payload)
            events: list[Event] = []
            for part in record.parts:
                columns = decode_columns(part.columns)
                events += map(Event, columns.keys, columns.values, columns.versions(part.origin))
            writer = logged.batch_id.rpartition(".")[0]
            entries.append(
                Entry(logged.seq, logged.previous, record.epoch, record.primary, writer, tuple(events), record.removals)
            )
        return entries

    def known(self) -> dict[Birth, list[tuple[int, ...]]]:
        """Return what the logs say of the ways of the parts that came from elsewhere, see `Site.known`."""
        known: dict[Birth, list[tuple[int, ...]]] = {}
        for bucket in range(self.plan.region.total_num_buckets):
            for logged in self.log(bucket):
                for part in decode_record(logged.payload).parts:
                    if part.birth_seq:
                        birth = Birth(part.origin, part.birth_bucket, part.birth_seq)
                        known.setdefault(birth, []).append(part.recipients)
        return known

    def cut_to(self, bucket: int) -> int:
        """Return the last sequence that was cut from a bucket's log, 0 when none was."""
        store = self.engine.logs[DEFAULT_STORE]
        dropped = store.dropped.get(bucket_subject(DEFAULT_STORE, REGION, self._generation(), bucket), ())
        return max((entry.seq for entry in dropped), default=0)

    @property
    def records_cut(self) -> int:
        """Count what was cut from the logs."""
        return sum(len(entries) for entries in self.engine.logs[DEFAULT_STORE].dropped.values())

    def open_matters(self) -> list[str]:
        """Say what keeps the site from being at rest: who is down, which copy or cursor is behind its log."""
        down = [f"{slot.name} is down" for slot in self.slots if not slot.ready]
        if down:
            return down
        found = []
        for bucket in range(self.plan.region.total_num_buckets):
            log = self.log(bucket)
            if not log:
                found.append(f"bucket {bucket} of site {self.plan.dsid} never had a primary")
                continue
            last = log[-1]
            found += [
                f"cursor of {sender.id} of site {self.plan.dsid} in bucket {bucket} is behind {last.seq}"
                for sender in self.plan.senders
                if self._cursor(sender.id, bucket) != last.seq
            ]
            found += [
                f"{slot.name} holds bucket {bucket} up to {copy.view.seq}, its log reaches {last.seq}"
                for slot in self.members
                if (copy := slot.member._regions[REGION].copies.get(bucket)) is not None and copy.view.seq != last.seq
            ]
            found += [
                f"{slot.name} waits for the answer to an append to bucket {bucket}"
                for slot in self.members
                if (copy := slot.member._regions[REGION].copies.get(bucket)) is not None
                and copy._primary is not None
                and copy._primary.in_flight is not None
            ]
        found += self._displaced()
        for slot in self.members:
            if not slot.member._regions[REGION].settled:
                found.append(f"{slot.name} is not what its placement wants")
            found += [
                f"{sender.id} at {slot.name} has {sender.queued} events queued, {sender.uncounted_buckets} not counted"
                for sender in slot.member.gateways.status().senders
                if not sender.drained
            ]
        return found

    def _displaced(self) -> list[str]:
        """Say which buckets are not where they should be in the end."""
        item = self.engine.registries[REGISTRY].get(placement_key(REGION))
        if item is None:
            return [f"the region of site {self.plan.dsid} has no placement"]
        placement = decode_entry(item.value, RegionPlacement)
        copies = self.plan.redundant_copies
        found = [f"buckets of site {self.plan.dsid} are on their way to {placement.goal}"] if placement.goal else []
        return found + [
            f"bucket {number} of site {self.plan.dsid} has {bucket.holders} and not {copies} redundant copies"
            for number, bucket in enumerate(placement.buckets)
            if len(bucket.secondaries) < copies or bucket.loading
        ]

    def _generation(self) -> int:
        item = self.engine.registries[REGISTRY].get(region_key(REGION))
        return decode_entry(item.value, RegionEntry).generation if item is not None else 0

    def _cursor(self, sender: str, bucket: int) -> int | None:
        item = self.engine.registries[REGISTRY].get(cursor_key(sender, REGION, self._generation(), bucket))
        return None if item is None else decode_entry(item.value, Cursor).seq


class Program(NamedTuple):
    """A thin client's own process, on a host of its own."""

    site: SimSite
    host: str
    process: Process


class World:
    """All sites of a plan, and the network between them. programs: those that talk to the sites from outside."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self.plan = plan
        self.rng = rng
        self.programs: list[Program] = []
        within_s, between_s = plan.latency_s
        self.network = SimNetwork(latency_s=within_s)
        dsids = [site.dsid for site in plan.sites]
        self.sites = [
            SimSite(
                site, [dsid for dsid in dsids if dsid != site.dsid], self.network, random.Random(rng.getrandbits(64))
            )
            for site in plan.sites
        ]
        for one, other in self.ways():
            self.network.set_latency(one, other, between_s)

    def ways(self) -> list[tuple[str, str]]:
        """Return every pair of hosts of different sites."""
        return [
            (one, other)
            for first in self.sites
            for second in self.sites
            if first.plan.dsid < second.plan.dsid
            for one in first.hosts
            for other in second.hosts
        ]

    @property
    def slots(self) -> list[Slot]:
        """All processes of all sites."""
        return [slot for site in self.sites for slot in site.slots]

    @property
    def members(self) -> list[MemberSlot]:
        """All members of all sites."""
        return [slot for site in self.sites for slot in site.members]

    @property
    def late(self) -> list[MemberSlot]:
        """The members that join while clients work."""
        return [slot for site in self.sites for slot in site.late]

    async def start(self) -> None:
        """Start every process that is not late, and configure every site."""
        early = [slot for slot in self.slots if slot not in self.late]
        for slot in early:
            slot.start()
        await _until(lambda: all(slot.ready for slot in early))
        await asyncio.gather(*(_in(site.members[0], site.configure()) for site in self.sites))
        here = [slot for slot in self.members if slot in early]
        await _until(lambda: all(REGION in slot.member._regions for slot in here))

    async def stop(self) -> None:
        """Stop every process in order."""
        await asyncio.gather(*(slot.stop(30.0) for slot in self.members))
        await asyncio.gather(*(site.locator.stop(30.0) for site in self.sites))

    def open_matters(self) -> list[str]:
        """Say what keeps the sites from being at rest."""
        return [matter for site in self.sites for matter in site.open_matters()]

    def ends(self) -> list[int]:
        """Return the last sequence of every site's log."""
        return [
            max(
                (log[-1].seq for bucket in range(site.plan.region.total_num_buckets) if (log := site.log(bucket))),
                default=0,
            )
            for site in self.sites
        ]


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  (conditions of any kind, on virtual time)
        await asyncio.sleep(0.05)


async def _in(slot: Slot, coroutine: Coroutine[Any, Any, None]) -> None:
    assert slot.process is not None
    await slot.process.run(coroutine)
