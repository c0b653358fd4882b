"""Two sites without members: real senders and receivers over the simulated engine and network, on virtual time.

async with World(rng) as world:
    sender = world.sender(...)            # at site 1, on host "one"
    await world.append("r", 0, "key")     # into site 1's log, offered to the senders that host it
    await world.until(lambda: world.arrived("r", 0) == ["key"])
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Self

from heliograph.bucket.primary import RECORD_BYTES_MAX
from heliograph.engine.parked import list_parked
from heliograph.engine.seam import Log, Registry, bucket_subject
from heliograph.engine.sim.engine import SimClient, connect_engine
from heliograph.engine.sim.loop import run
from heliograph.engine.sim.server import SimEngine
from heliograph.errors import BadEventError, HeliographError, RegionNotFoundError, UnavailableError
from heliograph.link.messages import Done, Receivers
from heliograph.member.receiver import GatewayReceiver
from heliograph.member.sender import GatewaySender
from heliograph.member.sender_host import SerialBucket
from heliograph.model.attributes import (
    DEFAULT_STORE,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
)
from heliograph.model.batch import Part, Record, encode_record
from heliograph.model.ids import NO_SEQ, Seq
from heliograph.model.members import ReceiverInfo
from heliograph.model.parked import ParkedInfo
from heliograph.model.registry import Cursor, cursor_key, decode_entry
from heliograph.model.routing import Routing
from heliograph.net.identity import UNKNOWN
from heliograph.net.link import Gate
from heliograph.net.seam import Network
from heliograph.net.sim import SimClock, SimNetwork
from tests.gateway.builders import HERE, THERE, keys_of, part_of, record_of

SENDER = "s"
OTHER_STORE = "other"
BUCKETS = 4
WAIT_S = 60.0


def simulate(main: Callable[[World], Coroutine[Any, Any, None]], *, seed: int = 1) -> None:
    """Run a scenario on virtual time."""

    async def whole(rng: random.Random) -> None:
        async with World(rng) as world:
            await main(world)

    run(whole, seed=seed, limit_s=3_600)


class Host:
    """A member of site 1 as its gateway senders see it."""

    logs: dict[str, Log]
    registry: Registry

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.dsid = HERE
        self.network: Network = world.network_of(name)
        self.introduction = world.introduction
        self.clock = SimClock()
        self.rng = random.Random(world.rng.random())
        self.client: SimClient = connect_engine(world.engine)
        self.unhosted: set[tuple[str, int]] = set()
        """Buckets of which this member has no copy."""
        self._world = world

    def fail(self, error: BaseException, /) -> None:
        raise AssertionError("a gateway sender's task failed") from error

    async def open(self) -> Self:
        self.logs = {store: await self.client.open_log(store) for store in (DEFAULT_STORE, OTHER_STORE)}
        self.registry = await self.client.open_registry("site")
        return self

    def log_of(self, region: str) -> Log:
        return self.logs[self._world.stores.get(region, DEFAULT_STORE)]

    def subject(self, region: str, bucket: int) -> str:
        store = self._world.stores.get(region, DEFAULT_STORE)
        return bucket_subject(store, region, self.generation(region), bucket)

    def generation(self, region: str) -> int:
        return self._world.generations.get(region, 0)

    def routing(self, region: str) -> Routing:
        if region not in self._world.regions:
            raise RegionNotFoundError(region)
        return Routing(BUCKETS)

    def remote_dsids(self, region: str) -> frozenset[int]:
        self.routing(region)
        return frozenset({THERE})

    def recipients(self, region: str, *, parallel: bool) -> frozenset[int]:
        del parallel  # one sender, which runs
        return self.remote_dsids(region)

    def serial_buckets(self, sender: str) -> list[SerialBucket]:
        return [
            SerialBucket(region, bucket, (region, bucket) not in self.unhosted)
            for region in sorted(self._world.regions)
            for bucket in range(BUCKETS)
        ]

    async def find_receivers(self, dsid: int, /) -> Receivers:
        if self._world.locators_down:
            raise UnavailableError("no locator answers")
        infos = [receiver.info() for receiver in self._world.receivers]
        found = [info for info in infos if info is not None] + self._world.dead_receivers
        return Receivers(dsid, known=bool(found), receivers=found)


class RemoteHost:
    """A member of site 2 as its gateway receiver sees it: what it applies is the world's `applied`."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.dsid = THERE
        self.hostname = world.hostname_of(name)
        self.network: Network = world.network_of(name)
        self.gate: Gate | None = None
        self.rng = random.Random(world.rng.random())
        self.record_bytes_max = RECORD_BYTES_MAX
        self._answer_at: dict[tuple[str, int], float] = {}
        self._world = world

    def routing(self, region: str) -> Routing:
        if region not in self._world.remote_regions:
            raise RegionNotFoundError(f"region {region!r} does not exist at this site")
        return Routing(BUCKETS)

    def apply_parts(self, region: str, bucket: int, parts: tuple[Part, ...], /) -> asyncio.Future[Done]:
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        # Timers of one moment fire in any order; a bucket's primary keeps the order of the calls.
        last_at = self._answer_at.get((region, bucket), 0.0)
        takes_s = self._world.apply_s * self.rng.uniform(1, 1 + self._world.apply_spread)
        answer_at = self._answer_at[region, bucket] = max(last_at + 1e-6, loop.time() + takes_s)
        loop.call_at(answer_at, self._apply, future, region, bucket, parts)
        return future

    def _apply(self, future: asyncio.Future[Done], region: str, bucket: int, parts: tuple[Part, ...]) -> None:
        if future.cancelled():
            return
        error = self._world.refusals.get((region, bucket))
        if error is not None:
            future.set_exception(error)
            return
        poison = self._world.poison
        bad = poison.intersection(key for part in parts for key in keys_of(part)) if poison else poison
        if bad:
            future.set_exception(BadEventError(f"can't take {sorted(map(str, bad))}"))
            return
        self._world.applied.setdefault((region, bucket), []).extend(parts)
        self._world.sequence.extend(parts)
        future.set_result(Done(1))


class World:
    """See the module."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.engine = SimEngine(rng)
        self.network = SimNetwork()
        self.introduction = UNKNOWN
        self.regions = {"r"}
        self.generations: dict[str, int] = {}
        self.stores: dict[str, str] = {}
        """Region -> disk store, where that is not DEFAULT."""
        self.remote_regions = {"r"}
        self.refusals: dict[tuple[str, int], HeliographError] = {}
        self.poison: set[object] = set()
        """Keys whose events site 2 can never take."""
        self.applied: dict[tuple[str, int], list[Part]] = {}
        self.sequence: list[Part] = []
        """All that was applied, of whatever region and bucket, repeats included."""
        self.apply_s = 0.001
        self.apply_spread = 0.0
        """How many times as long as `apply_s` a bucket may take longer."""
        self.locators_down = False
        self.receivers: list[GatewayReceiver] = []
        self.dead_receivers: list[ReceiverInfo] = []
        self.senders: list[GatewaySender] = []
        self._hosts: dict[GatewaySender, Host] = {}
        self._lasts: dict[tuple[str, int], Seq] = {}

    async def __aenter__(self) -> Self:
        self.local = await Host(self, "local").open()
        return self

    async def __aexit__(self, *_: object) -> None:
        for sender in self.senders:
            await sender.stop()
        for receiver in self.receivers:
            await receiver.stop()

    def network_of(self, name: str) -> Network:
        """The network as a host sees it."""
        return self.network.host(name)

    def hostname_of(self, name: str) -> str:
        """What a host's receiver tells senders."""
        return name

    # --- what there is

    async def sender(self, host: str = "one", **attributes: Any) -> GatewaySender:
        """A started sender on a host of its own; parallel unless said otherwise."""
        given = {"id": SENDER, "remote_distributed_system_id": THERE, "parallel": True, "dispatcher_threads": 2}
        sender = GatewaySender(
            GatewaySenderAttributes(**{**given, **attributes}), member := await Host(self, host).open()
        )
        self.senders.append(sender)
        self._hosts[sender] = member
        await sender.start()
        return sender

    def host_of(self, sender: GatewaySender) -> Host:
        return self._hosts[sender]

    async def receiver(self, host: str = "far", **attributes: Any) -> GatewayReceiver:
        """A started receiver of site 2 on a host of its own."""
        receiver = GatewayReceiver(GatewayReceiverAttributes(**attributes), RemoteHost(self, host))
        self.receivers.append(receiver)
        await receiver.start()
        return receiver

    # --- what happens

    async def append(self, region: str, bucket: int, *keys: str, origin: int = HERE, live: bool = True) -> Seq:
        """Append a record to site 1's log; `live` offers it to the senders whose host has a copy."""
        return await self.append_record(region, bucket, record_of(part_of(*keys, origin=origin)), live=live)

    async def append_record(self, region: str, bucket: int, record: Record, *, live: bool = True) -> Seq:
        previous = self._lasts.get((region, bucket), NO_SEQ)
        subject = self.local.subject(region, bucket)
        payload = encode_record(record)
        batch_id = f"{region}.{bucket}.{previous}"
        seq = await self.local.log_of(region).append(subject, payload, expected=previous, batch_id=batch_id)
        self._lasts[region, bucket] = seq
        for sender in self.senders:
            if live and (region, bucket) not in self._hosts[sender].unhosted:
                sender.offer(region, bucket, seq, previous, record)
        return seq

    def recreate(self, region: str) -> None:
        """Destroy a region of site 1 and create it again: its log begins anew."""
        self.generations[region] = self.generations.get(region, 0) + 1
        self._lasts = {key: seq for key, seq in self._lasts.items() if key[0] != region}

    def crash(self, sender: GatewaySender) -> None:
        """Cut a sender off from everything for ever, as when its process is killed."""
        host = self._hosts[sender]
        host.client.connection.cut()
        self.network.cut(host.name, "far")

    # --- what is seen

    def arrived(self, region: str, bucket: int) -> list[object]:
        """The keys that site 2 was given, repeats included."""
        return [key for part in self.applied.get((region, bucket), []) for key in keys_of(part)]

    @property
    def order(self) -> list[object]:
        """The keys of all that was applied, repeats included."""
        return [key for part in self.sequence for key in keys_of(part)]

    def first_order(self) -> list[object]:
        """The keys of all that was applied, in the order of their first arrival."""
        return list(dict.fromkeys(self.order))

    def first_arrived(self, region: str, bucket: int) -> list[object]:
        """The keys that site 2 was given, in the order of their first arrival."""
        return list(dict.fromkeys(self.arrived(region, bucket)))

    async def cursor(self, region: str, bucket: int) -> Cursor | None:
        item = await self.local.registry.get(cursor_key(SENDER, region, self.local.generation(region), bucket))
        return decode_entry(item.value, Cursor) if item else None

    async def parked(self) -> dict[str, ParkedInfo]:
        """What the sender has parked, by id."""
        return (await list_parked(self.local.registry, SENDER)).get(SENDER, {})

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110  (conditions of any kind, on virtual time)
                await asyncio.sleep(0.001)
