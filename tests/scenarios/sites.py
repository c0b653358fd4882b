"""Whole simulated sites, as scenarios speak of them; see the package."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from heliograph.api.region import Region
from heliograph.engine.seam import bucket_subject
from heliograph.engine.sim.loop import run
from heliograph.link.messages import SenderStatus
from heliograph.locator.cluster import Targets
from heliograph.locator.requests import QueueAlteration, RegionAlteration, SenderAlteration
from heliograph.locator.site import SiteAdmin
from heliograph.model.attributes import (
    DEFAULT_STORE,
    QUEUE_PREFIX,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.batch import Record, decode_columns, decode_record
from heliograph.model.ids import Seq
from heliograph.model.keys import Key, decode_value
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.registry import (
    CONFIG_REGIONS,
    REGISTRY,
    Cursor,
    RegionEntry,
    cursor_key,
    decode_entry,
    sender_key,
)
from heliograph.model.results import Result
from heliograph.net.sim import SimClock, SimNetwork
from tests.sim.campaign import failures_into
from tests.sim.plan import SitePlan
from tests.sim.process import own_tasks
from tests.sim.world import LOG_END, LocatorSlot, MemberSlot, SimSite, Slot

LATE = -1
"""Instead of a number of members."""
WITHIN_S = 120.0
LIMIT_S = 3_600.0
BETWEEN_SITES_S = 0.01
LEAVE_S = 30.0
PUTTING_S = 60.0
"""How long it takes to put all entries while something else is done."""
PUTTING_WRITERS = 10

T = TypeVar("T")


class Written(NamedTuple):
    """An event of a log; value None: the entry was destroyed."""

    bucket: int
    seq: int
    key: Key
    value: Any


class Site(SimSite):
    """A site of a scenario, its members called a, b, c and so on."""

    def __init__(self, name: str, dsid: int, others: list[int], network: SimNetwork, rng: random.Random) -> None:
        super().__init__(SitePlan(dsid, 0, RegionAttributes(name="none"), (), (0,)), others, network, rng)
        self.name = name
        self.dsid = dsid
        self.more_locators: list[LocatorSlot] = []

    def __repr__(self) -> str:
        return self.name

    def __getitem__(self, letter: str) -> MemberSlot:
        """Return where a member runs."""
        return next(slot for slot in self.members if slot.name == self._host(letter))

    def _host(self, letter: str) -> str:
        return f"{self.dsid}-{letter}"

    @property
    def running(self) -> list[MemberSlot]:
        """The members that run."""
        return [slot for slot in self.members if slot.ready]

    # --- processes

    @property
    def slots(self) -> list[Slot]:
        """All processes."""
        return [*super().slots, *self.more_locators]

    @property
    def own_locators(self) -> tuple[str, ...]:
        """The hosts of the locators that members are told of."""
        return (*super().own_locators, *(slot.name for slot in self.more_locators))

    async def start_another_locator(self) -> LocatorSlot:
        """Start one more locator; other sites hear of it from those that they know."""
        slot = LocatorSlot(self, f"{self.dsid}-locator{len(self.more_locators) + 2}", SimClock())
        self.more_locators.append(slot)
        slot.start()
        await until(lambda: slot.ready)
        return slot

    async def start(self, members: int) -> None:
        """Start the locator and members a, b and so on, the oldest first."""
        self.locator.start()
        for letter in "abcdefgh"[:members]:
            await self.join(letter)

    async def join(self, *letters: str, groups: tuple[str, ...] | None = None) -> None:
        """Start members, new ones or such as ran before (none given: all); returns when they are ready.

        groups: those that they are in from now on.
        """
        slots = []
        for letter in letters or [slot.name[-1] for slot in self.members]:
            if self._host(letter) not in self.hosts:
                self.members.append(MemberSlot(self, self._host(letter), SimClock()))
            slots.append(self[letter])
            if groups is not None:
                slots[-1].groups = groups
        for slot in slots:
            slot.start()
        await until(lambda: all(slot.ready for slot in slots))

    def kill(self, *letters: str) -> None:
        """End members (none given: all) without goodbye."""
        for slot in self._slots(letters):
            slot.kill()

    async def leave(self, *letters: str) -> None:
        """Have members (none given: all) leave in order, one after the other."""
        for slot in self._slots(letters):
            await slot.stop(LEAVE_S)

    def _slots(self, letters: Sequence[str]) -> list[MemberSlot]:
        return [self[letter] for letter in letters] or self.members

    def cut(self, other: Site) -> None:
        """Let nothing through between two sites."""
        for here, there in self._ways(other):
            self.network.cut(here, there)

    def heal(self, other: Site) -> None:
        """Undo `cut`."""
        for here, there in self._ways(other):
            self.network.heal(here, there)

    def _ways(self, other: Site) -> list[tuple[str, str]]:
        return [(here, there) for here in self.hosts for there in other.hosts]

    async def inside(self, slot: Slot, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something in a process."""
        assert slot.process is not None, f"{slot.name} does not run"
        return await slot.process.run(coroutine)

    # --- operators

    async def operate(self, command: Callable[[SiteAdmin], Coroutine[Any, Any, Result]]) -> Result:
        """Do an operator's command at the locator, and see that it succeeded at every member."""
        result = await self.inside(self.locator, command(self.locator.locator.site))
        wrong = [row for table in result.tables for row in table.rows if row[1].lower() == "error"]
        assert result.status == "OK", result
        assert not wrong, wrong
        return result

    async def create_sender(self, sender: str, *, to: Site | int, **options: Any) -> None:
        attributes = GatewaySenderAttributes(
            id=sender, remote_distributed_system_id=to if isinstance(to, int) else to.dsid, **options
        )
        await self.operate(lambda admin: admin.senders.create(attributes))

    async def alter_sender(self, sender: str, **options: Any) -> None:
        await self.operate(lambda admin: admin.senders.alter(sender, SenderAlteration(**options)))

    async def destroy_sender(self, sender: str) -> None:
        await self.operate(lambda admin: admin.senders.destroy(sender))

    async def start_sender(self, sender: str, *letters: str, clean_queues: bool = False) -> None:
        """Start a sender at some members, at all when none is given; so the three that follow."""
        await self._act(sender, "start", letters, clean_queues=clean_queues)

    async def stop_sender(self, sender: str, *letters: str) -> None:
        await self._act(sender, "stop", letters)

    async def pause_sender(self, sender: str, *letters: str) -> None:
        await self._act(sender, "pause", letters)

    async def resume_sender(self, sender: str, *letters: str) -> None:
        await self._act(sender, "resume", letters)

    async def _act(self, sender: str, action: Any, letters: Sequence[str], **options: Any) -> None:
        targets = Targets(tuple(map(self._host, letters)))
        await self.operate(lambda admin: admin.senders.act(sender, action, targets, **options))

    async def create_queue(self, queue: str, listener: str, **options: Any) -> None:
        """Create an async event queue; what follows takes it for a sender of the id `queue_of` returns."""
        attributes = AsyncEventQueueAttributes(id=queue, listener=listener, **options)
        await self.operate(lambda admin: admin.queues.create(attributes))

    async def alter_queue(self, queue: str, **options: Any) -> None:
        await self.operate(lambda admin: admin.queues.alter(queue, QueueAlteration(**options)))

    async def destroy_queue(self, queue: str) -> None:
        await self.operate(lambda admin: admin.queues.destroy(queue))

    async def pause_queue(self, queue: str) -> None:
        await self.operate(lambda admin: admin.queues.act(queue, "pause"))

    async def resume_queue(self, queue: str, *letters: str) -> None:
        """Resume a queue at some members, at all when none is given."""
        targets = Targets(tuple(map(self._host, letters)))
        await self.operate(lambda admin: admin.queues.act(queue, "resume", targets))

    async def create_region(
        self, region: str, kind: str = "REPLICATE", *, senders: str = "", queues: str = "", **options: Any
    ) -> None:
        """Create a region that names the senders, and async event queues, separated by spaces."""
        attributes = RegionAttributes(
            name=region,
            type=kind,
            gateway_sender_ids=tuple(senders.split()),
            async_event_queue_ids=tuple(queues.split()),
            **options,
        )
        await self.operate(lambda admin: admin.regions.create(attributes))

    async def alter_region(self, region: str, *, senders: str | None = None, queues: str | None = None) -> None:
        """Have a region name other senders or async event queues."""
        alteration = RegionAlteration(
            gateway_sender_ids=None if senders is None else tuple(senders.split()),
            async_event_queue_ids=None if queues is None else tuple(queues.split()),
        )
        await self.operate(lambda admin: admin.regions.alter(region, alteration))

    async def destroy_region(self, region: str) -> None:
        await self.operate(lambda admin: admin.regions.destroy(region))

    async def create_resolver(self, resolver: str) -> None:
        attributes = GatewayConflictResolverAttributes(resolver=resolver)
        await self.operate(lambda admin: admin.conflicts.create(attributes))

    async def create_receiver(self, **options: Any) -> None:
        await self.operate(lambda admin: admin.receivers.create(GatewayReceiverAttributes(**options)))

    async def start_receivers(self, *letters: str) -> None:
        targets = Targets(tuple(map(self._host, letters)))
        await self.operate(lambda admin: admin.receivers.act("start", targets))

    async def stop_receivers(self, *letters: str) -> None:
        targets = Targets(tuple(map(self._host, letters)))
        await self.operate(lambda admin: admin.receivers.act("stop", targets))

    async def receives(self, *regions: str, kind: str = "REPLICATE", **options: Any) -> None:
        """Have a receiver, and regions of one kind."""
        await self.create_receiver()
        for region in regions:
            await self.create_region(region, kind, **options)

    # --- data

    def region(self, name: str, at: str = "") -> Region:
        """Return a region as it is seen in a member's process, the first that runs unless one is named."""
        return Region(name, self._at(at).member)

    def _at(self, letter: str) -> MemberSlot:
        return self[letter] if letter else self.running[0]

    async def do(self, work: Callable[[Region], Coroutine[Any, Any, T]], region: str, at: str = "") -> T:
        """Do something with a region in a member's process."""
        return await self.inside(self._at(at), work(self.region(region, at)))

    async def put(
        self, region: str, keys: Iterable[Key], value: Any = None, *, at: str = "", writers: int = 10
    ) -> None:
        """Put entries one by one; the value is the key unless another is given."""
        await self._each(keys, lambda place, key: place.put(key, key if value is None else value), region, at, writers)

    @asynccontextmanager
    async def putting(self, regions: str, keys: Sequence[Key], *, at: str = "") -> AsyncIterator[None]:
        """Put entries at an even pace while the block runs and for as long as it takes after it.

        Into regions that are separated by spaces, the same into each.

        The block must end before the last of them is put, or what it does would not have been done meanwhile.
        """
        pause_s = PUTTING_S * PUTTING_WRITERS / len(keys)

        async def change(place: Region, key: Key) -> None:
            await asyncio.sleep(pause_s)
            await place.put(key, key)

        task = asyncio.gather(*(self._each(keys, change, region, at, PUTTING_WRITERS) for region in regions.split()))
        yield
        assert not task.done() or task.exception(), f"{regions} of {self.name}: all was put before the block ended"
        await task

    async def remove(self, region: str, keys: Iterable[Key], *, at: str = "", writers: int = 10) -> None:
        """Remove entries one by one."""
        await self._each(keys, lambda place, key: place.remove(key), region, at, writers)

    async def _each(
        self,
        keys: Iterable[Key],
        change: Callable[[Region, Key], Awaitable[Any]],
        region: str,
        at: str,
        writers: int,
    ) -> None:
        left = iter(keys)

        async def write(place: Region) -> None:
            for key in left:
                await change(place, key)

        await asyncio.gather(*(self.do(write, region, at) for _ in range(writers)))

    async def put_all(self, region: str, keys: Iterable[Key], value: Any = None, *, at: str = "") -> None:
        """Put entries at once, which makes one record of each bucket's."""
        entries = [(key, key if value is None else value) for key in keys]
        await self.do(lambda place: place.put_all(entries), region, at)

    async def contents(self, region: str, at: str = "") -> dict[Key, Any]:
        """Return what a region holds."""

        async def read(place: Region) -> dict[Key, Any]:
            return await place.get_all(await place.keys())

        return await self.do(read, region, at)

    async def sizes(self, region: str) -> list[int]:
        """Return how many entries each running member sees."""
        return [await self.inside(slot, Region(region, slot.member).size()) for slot in self.running]

    async def until_size(self, region: str, size: int) -> None:
        """Wait until every running member sees so many entries."""

        async def there() -> bool:
            return set(await self.sizes(region)) == {size}

        await until(there, lambda: f"{region} of {self.name} never had {size} entries")

    def written(self, region: str) -> list[Written]:
        """Return the events of a region's log in the order of their sequences, those cut from it too."""
        return [
            Written(bucket, seq, key, decode_value(value) if value else None)
            for seq, bucket, record in sorted(self._records(region), key=lambda each: each[:2])
            for part in record.parts
            for columns in (decode_columns(part.columns),)
            for key, value in zip(columns.keys, columns.values, strict=True)
        ]

    def _records(self, region: str) -> list[tuple[int, int, Record]]:
        [entry] = [each for each in self._region_entries() if each.attributes.name == region]
        store = self.engine.logs[DEFAULT_STORE]
        return [
            (logged.seq, bucket, decode_record(logged.payload))
            for bucket, subject in enumerate(_subjects(entry))
            for logged in (*store.dropped.get(subject, ()), *store.after([subject], Seq(0), LOG_END))
        ]

    def _region_entries(self) -> list[RegionEntry]:
        items = self.engine.registries[REGISTRY].items(CONFIG_REGIONS)
        return [decode_entry(item.value, RegionEntry) for item in items.values()]

    def region_attributes(self, region: str) -> RegionAttributes:
        """Return a region's definition."""
        [entry] = [each for each in self._region_entries() if each.attributes.name == region]
        return entry.attributes

    def sender_attributes(self, sender: str) -> GatewaySenderAttributes:
        """Return a sender's definition."""
        item = self.engine.registries[REGISTRY].get(sender_key(sender))
        assert item is not None
        return decode_entry(item.value, GatewaySenderAttributes)

    # --- what gateways say

    def instances(self, sender: str) -> dict[str, GatewaySenderAttributes]:
        """Return the attributes that a sender has at each running member which has it, by the member's letter."""
        return {
            slot.name[-1]: slot.member.gateways._senders[sender].attributes
            for slot in self.running
            if sender in slot.member.gateways._senders
        }

    def statuses(self, sender: str) -> dict[str, SenderStatus]:
        """Return what each running member says of its instance of a sender, by the member's letter."""
        return {
            slot.name[-1]: status[1] for slot in self.running for status in _all_statuses(slot) if status[0] == sender
        }

    def states(self, sender: str) -> set[str]:
        """Return the different states of a sender's instances."""
        return {status.status for status in self.statuses(sender).values()}

    def primary(self, sender: str) -> str:
        """Return the letter of the member that is primary for a serial sender, "" while none is."""
        return next((name for name, status in self.statuses(sender).items() if status.policy == "Primary"), "")

    async def until_primary(self, sender: str, letter: str) -> None:
        """Wait until a member is primary for a serial sender."""
        await until(lambda: self.primary(sender) == letter)

    def count(self, sender: str, counter: str) -> int:
        """Sum a counter of a sender over the running members."""
        return sum(status.counters[counter] for status in self.statuses(sender).values())

    def queued(self, sender: str) -> int:
        """Return the events that a sender has queued, summed over the running members."""
        return sum(status.queued for status in self.statuses(sender).values())

    def received(self, counter: str) -> int:
        """Sum a counter of the gateway receivers."""
        receivers = [slot.member.gateways.status().receiver for slot in self.running]
        return sum(receiver.counters[counter] for receiver in receivers if receiver is not None)

    async def until_queued(self, sender: str, events: int) -> None:
        """Wait until a sender has exactly so many events queued, and knows it."""

        def there() -> bool:
            statuses = self.statuses(sender).values()
            known = not any(status.uncounted_buckets for status in statuses)
            shipping = any(status.policy != "Secondary" for status in statuses)
            return known and shipping and self.queued(sender) == events

        await until(there, lambda: f"{sender} of {self.name} never had {events} events queued")

    async def until_drained(self, sender: str) -> None:
        """Wait until all cursors of a sender are at the ends of their logs, and it says that nothing is queued."""
        await until(lambda: not self._behind(sender), lambda: f"never drained: {self._behind(sender)}")
        await self.until_queued(sender, 0)

    def _behind(self, sender: str) -> list[str]:
        """Say which cursors of a sender are behind, whatever it knows itself."""
        registry = self.engine.registries[REGISTRY]
        found = []
        for entry in self._region_entries():
            if sender not in entry.attributes.sender_ids:
                continue
            for bucket, subject in enumerate(_subjects(entry)):
                last = self.engine.logs[DEFAULT_STORE].last(subject)
                key = cursor_key(sender, entry.attributes.name, entry.generation, bucket)
                item = registry.get(key)
                cursor = 0 if item is None else decode_entry(item.value, Cursor).seq
                if last is not None and cursor != last.seq:
                    found.append(f"{key} at {cursor} of {last.seq}")
        return found

    def describe(self) -> str:
        """Say how the site is, for who reads of a failure."""
        statuses = [status for slot in self.running for _, status in _all_statuses(slot)]
        return "\n".join([f"{self.name}: {', '.join(slot.name for slot in self.running)}", *map(str, statuses)])


def queue_of(queue: str) -> str:
    """Return the id by which an async event queue is known as a sender."""
    return QUEUE_PREFIX + queue


def _all_statuses(slot: MemberSlot) -> list[tuple[str, SenderStatus]]:
    """Return what a member says of its senders and queues, with their ids as senders."""
    gateways = slot.member.gateways.status()
    return [*((each.id, each) for each in gateways.senders), *((queue_of(each.id), each) for each in gateways.queues)]


def _subjects(entry: RegionEntry) -> list[str]:
    """Return the subjects of a region's buckets, by number."""
    region = entry.attributes
    return [
        bucket_subject(DEFAULT_STORE, region.name, entry.generation, bucket)
        for bucket in range(region.total_num_buckets)
    ]


async def until(
    condition: Callable[[], bool | Awaitable[bool]], otherwise: Callable[[], str] = str, within_s: float = WITHIN_S
) -> None:
    """Wait on virtual time until a condition holds."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        held = condition()
        if await held if isinstance(held, Awaitable) else held:
            return
        assert asyncio.get_running_loop().time() < deadline, otherwise() or inspect.getsource(condition)
        await asyncio.sleep(0.05)


async def passes(seconds: float) -> None:
    """Let virtual time pass, to see that something does not happen."""
    await asyncio.sleep(seconds)


def scenario(**members: int) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Play a test at sites that run: name -> number of members, or LATE. The sites' ids are 1, 2, 3 in that order.

    Every site knows the others' locators, but none those of LATE sites. A test fails when a process does.
    """

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        async def main(rng: random.Random, arguments: dict[str, Any]) -> None:
            own_tasks(asyncio.get_running_loop())
            network = SimNetwork()
            early = [dsid for dsid, count in enumerate(members.values(), 1) if count != LATE]
            sites = {
                name: Site(
                    name,
                    dsid,
                    [other for other in early if other != dsid],
                    network,
                    random.Random(rng.getrandbits(64)),
                )
                for dsid, name in enumerate(members, 1)
            }
            for site in sites.values():
                for other in sites.values():
                    if site is not other:
                        _part(network, site.dsid, other.dsid)
            await asyncio.gather(*(sites[name].start(count) for name, count in members.items() if count != LATE))
            try:
                await test(**sites, **arguments)
            except BaseException as exc:
                exc.add_note("\n".join(site.describe() for site in sites.values()))
                raise
            for site in sites.values():
                for slot in site.slots:
                    slot.kill()
            await asyncio.sleep(1.0)  # tasks that were cancelled end

        def play(*, seed: int = 0, **arguments: Any) -> None:
            errors: list[str] = []
            with failures_into(errors):
                run(lambda rng: main(rng, arguments), seed=seed, limit_s=LIMIT_S)
            assert not errors

        functools.update_wrapper(play, test)
        signature = inspect.signature(test)
        own = [parameter for name, parameter in signature.parameters.items() if name not in members]
        play.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        return play

    return decorate


def _part(network: SimNetwork, one: int, other: int) -> None:
    """Put some way between two sites."""
    for here in ("locator", *"abcdefgh"):
        for there in ("locator", *"abcdefgh"):
            network.set_latency(f"{one}-{here}", f"{other}-{there}", BETWEEN_SITES_S)
