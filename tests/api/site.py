"""A site in miniature for clients: real links, servers that share one dict, and faults on demand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

from heliograph.api.client import Client
from heliograph.engine.sim.loop import VirtualLoop
from heliograph.errors import HeliographError, NotPrimaryError, RegionNotFoundError, TooLargeError, UsageError
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.link.messages import Changed, Condition
from heliograph.model.attributes import RegionAttributes
from heliograph.model.batch import CLEARED, DESTROY, INVALIDATED, UPDATE, Columns, Part, Removal, encode_columns
from heliograph.model.ids import Address
from heliograph.model.keys import NO_VALUE, Key, bucket_of, keys_of_part
from heliograph.model.members import BucketPlacement, MemberInfo, RegionPlacement
from heliograph.net.link import BaseHandler, Link, LinkServer, serve_links
from heliograph.net.real import RealNetwork
from heliograph.net.seam import Network
from heliograph.net.sim import SimNetwork

Answer = messages.Reply | Awaitable[messages.Reply]


class MemoryBackend:
    """A `Backend` whose regions are dicts; what it does is what a region's operations mean."""

    def __init__(self, *regions: RegionAttributes) -> None:
        self.regions = {region.name: region for region in regions}
        self.data: dict[str, dict[Key, bytes]] = {region.name: {} for region in regions}
        self.told: list[messages.Told] = []
        self._wake = asyncio.Event()

    def entries(self, region: str) -> dict[Key, bytes]:
        if region not in self.data:
            raise RegionNotFoundError(f"region {region!r} does not exist at this site")
        return self.data[region]

    async def attributes(self, region: str) -> RegionAttributes:
        self.entries(region)
        return self.regions[region]

    async def put_all(self, region: str, keys: list[Key], values: list[bytes], argument: bytes = b"") -> None:
        for key, value in zip(keys, values, strict=True):
            self.write(region, key, value, argument)

    async def change(
        self, region: str, op: Condition, key: Key, value: bytes, expected: bytes, argument: bytes = b""
    ) -> Changed:
        return self.decide(region, op, key, value, expected, argument)

    async def get_all(self, region: str, keys: list[Key]) -> list[bytes]:
        return [self.entries(region).get(key, b"") for key in keys]

    async def keys(self, region: str) -> list[Key]:
        return list(self.entries(region))

    async def size(self, region: str) -> int:
        return len(self.entries(region))

    async def clear(self, region: str) -> None:
        for bucket in range(self.regions[region].total_num_buckets):
            self.clear_bucket(region, bucket)

    def clear_bucket(self, region: str, bucket: int) -> None:
        entries, total = self.entries(region), self.regions[region].total_num_buckets
        for key in [key for key in entries if bucket_of(key, total) == bucket]:
            del entries[key]
        self._tell(bucket, (), (Removal(CLEARED),), [])

    async def holders(self, region: str, failed: Mapping[str, int], *, anew: bool) -> list[str]:
        self.entries(region)
        return ["memory"] * self.regions[region].total_num_buckets

    async def hear(self, member: str, request: messages.Listen) -> messages.Heard:
        while True:
            self.entries(request.region)
            tip = self.told[-1].seq if self.told else 0
            after = dict(zip(request.buckets, request.after, strict=True))
            records = [told for told in self.told if -1 < after.get(told.bucket, told.seq) < told.seq]
            if records or -1 in request.after:
                return messages.Heard(1, 1, [tip] * len(after), records)
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), request.wait_ms / 1000)
            except TimeoutError:
                return messages.Heard(1, 1, request.after, [])

    def write(self, region: str, key: Key, value: bytes, argument: bytes = b"") -> None:
        """Put an entry, or remove it, and let listeners know."""
        entries = self.entries(region)
        old = entries.pop(key, b"")
        if value:
            entries[key] = value
        columns = Columns(bytes([UPDATE if value else DESTROY]), [key], [value], len(self.told) + 1 << 16)
        part = Part(1, (), 0, 0, 1, encode_columns(columns), argument)
        self._tell(bucket_of(key, self.regions[region].total_num_buckets), (part,), (), [old])

    def _tell(
        self, bucket: int, parts: tuple[Part, ...], removals: tuple[Removal, ...], old: list[bytes | None]
    ) -> None:
        self.told.append(messages.Told(bucket, len(self.told) + 1, removals, parts, [old]))
        self._wake.set()

    def decide(
        self, region: str, op: Condition, key: Key, value: bytes, expected: bytes, argument: bytes = b""
    ) -> Changed:
        old = self.entries(region).get(key, b"")
        done = {
            "put_if_absent": old in (b"", NO_VALUE),
            "remove": bool(old),
            "invalidate": bool(old),
            "replace": old not in (b"", NO_VALUE),
            "remove_if": bool(old) and old == expected,
            "replace_if": bool(old) and old == expected,
        }[op]
        if done and op == "invalidate":
            self.entries(region)[key] = NO_VALUE
            bucket = bucket_of(key, self.regions[region].total_num_buckets)
            self._tell(bucket, (), (Removal(INVALIDATED, [key]),), [old])
        elif done:
            self.write(region, key, value, argument)
        return Changed(done, old, 1)


class FakeServer(BaseHandler):
    """One server. It answers for every bucket; `faults` are what it does instead, once, by type of request."""

    def __init__(self, site: FakeSite, name: str, network: Network) -> None:
        self.site = site
        self.name = name
        self.network = network
        self.asked: list[messages.Request] = []
        self.faults: dict[type[Any], Fault] = {}
        self.server: LinkServer

    async def start(self, port: int = 0) -> None:
        hello = Hello("member", self.name, 1)
        self.server = await serve_links(self.network, self.site.bind(self.name), port, hello, lambda _peer: self)

    @property
    def info(self) -> MemberInfo:
        address = Address(self.site.bind(self.name), self.server.port)
        return MemberInfo(name=self.name, kind="server", incarnation="1", joined_ms=1, address=address, pid=1)

    def on_request(self, link: Link, message: messages.Request) -> Answer:
        self.asked.append(message)
        fault = self.faults.pop(type(message), None)
        if fault is not None:
            answer = fault(self, link, message)
            if answer is not None:
                return answer
        if isinstance(message, messages.Listen):
            self.held(message.region, message.buckets)
            return self.site.backend.hear(self.name, message)
        return self.answer(message)

    def answer(self, message: messages.Request) -> messages.Reply:
        if not isinstance(message, messages.PutAll | messages.Change):
            return self.do(message)
        assert message.id is not None, "a client names its writes"
        if message.id.generation != self.site.generations.get(message.region, 0):
            raise NotPrimaryError("region was created anew")
        name = (message.id.client, message.region, message.id.generation, message.bucket, message.id.number)
        reply = self.site.done.get(name)
        if reply is None:
            reply = self.do(message)
            if isinstance(reply, messages.Done) or (isinstance(reply, Changed) and (reply.done or message.id.repeated)):
                self.site.done[name] = reply
        return reply

    def do(self, message: messages.Request) -> messages.Reply:
        data = self.site.backend
        if isinstance(message, messages.PutAll):
            self.check_bucket(message.region, message.bucket, message.keys)
            for key, value in zip(message.keys, message.values, strict=True):
                data.write(message.region, key, value, message.argument)
            return messages.Done(1, self.primary_elsewhere(message.region, message.bucket))
        if isinstance(message, messages.Change):
            self.check_bucket(message.region, message.bucket, [message.key])
            changed = data.decide(
                message.region, message.op, message.key, message.value, message.expected, message.argument
            )
            primary = self.primary_elsewhere(message.region, message.bucket)
            return Changed(changed.done, changed.old, changed.seq, primary)
        if isinstance(message, messages.Clear):
            assert message.total_num_buckets == len(self.site.primaries[message.region])
            data.clear_bucket(message.region, message.bucket)
            return messages.Done(1, self.primary_elsewhere(message.region, message.bucket))
        if isinstance(message, messages.GetAll):
            if len(message.keys) > self.site.get_keys_max:
                raise TooLargeError("a message of many bytes is too large")
            entries = data.entries(message.region)
            return messages.Values([entries.get(key, b"") for key in message.keys])
        if isinstance(message, messages.Keys | messages.Size):
            found = self.held(message.region, message.buckets)
            if isinstance(message, messages.Size):
                return messages.Count(len(found))
            if message.parts > 1:
                found = keys_of_part(found, message.total_num_buckets, message.part, message.parts)
            if len(found) > self.site.get_keys_max:
                raise TooLargeError("a message of many bytes is too large")
            return messages.KeyList(found)
        raise UsageError(f"a member does not answer {type(message).__name__}: ask a locator")

    def primary_elsewhere(self, region: str, bucket: int) -> str:
        primary = self.site.primaries[region][bucket]
        return "" if primary == self.name else primary

    def held(self, region: str, buckets: list[int]) -> list[Key]:
        if any(self.primary_elsewhere(region, bucket) for bucket in buckets):
            raise NotPrimaryError(f"{self.name} does not hold all of the buckets {buckets}")
        total = len(self.site.primaries[region])
        return [key for key in self.site.backend.entries(region) if bucket_of(key, total) in buckets]

    def check_bucket(self, region: str, bucket: int, keys: list[Key]) -> None:
        assert {bucket_of(key, len(self.site.primaries[region])) for key in keys} == {bucket}


class FakeLocator(BaseHandler):
    """Answers `SiteQuery`; shows what `view` says when it is set, else the site as it is."""

    def __init__(self, site: FakeSite) -> None:
        self.site = site
        self.asked = 0
        self.server: LinkServer

    def on_request(self, link: Link, message: messages.Request) -> Answer:
        assert isinstance(message, messages.SiteQuery)
        self.asked += 1
        return self.site.view or self.site.seen()


class FakeSite:
    """A locator and servers over a region `customer` of 16 buckets, whose primaries take turns.

    primaries: what is true. view: what the locator says, when that is something else. redundant: every server holds
    a copy of every bucket, as the locator says.
    """

    def __init__(self, network: SimNetwork | None = None, servers: int = 2) -> None:
        self.network = network
        self.backend = MemoryBackend(RegionAttributes(name="customer"))
        names = [f"server{number}" for number in range(1, servers + 1)]
        self.servers = {name: FakeServer(self, name, self.network_of(name)) for name in names}
        self.primaries: dict[str, list[str]] = {"customer": [names[n % servers] for n in range(16)] if names else []}
        self.locator = FakeLocator(self)
        self.view: messages.SiteView | None = None
        self.redundant = False
        self.done: dict[tuple[int, str, int, int, int], messages.Reply] = {}
        self.generations: dict[str, int] = {}
        self.clock_ms: Callable[[], float] = lambda: asyncio.get_running_loop().time() * 1000
        self.get_keys_max = 1_000_000

    def network_of(self, host: str) -> Network:
        return self.network.host(host) if self.network is not None else RealNetwork()

    def bind(self, name: str) -> str:
        return name if self.network is not None else "127.0.0.1"

    async def start(self) -> Self:
        for server in self.servers.values():
            await server.start()
        await self.start_locator(0)
        return self

    async def start_locator(self, port: int) -> None:
        hello = Hello("locator", "locator1", 1)
        self.locator.server = await serve_links(
            self.network_of("locator"), self.bind("locator"), port, hello, lambda _peer: self.locator
        )

    async def close(self) -> None:
        await self.locator.server.close()
        for server in self.servers.values():
            await server.server.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def address(self) -> str:
        return f"{self.bind('locator')}[{self.locator.server.port}]"

    def client(self, timeout_s: float = 15.0) -> Client:
        return Client(self.address, timeout_s=timeout_s, network=self.network_of("client"))

    def seen(self, *without: str) -> messages.SiteView:
        """The site as its locator sees it, with some servers gone."""
        members = [server.info for name, server in self.servers.items() if name not in without]
        placements = [
            RegionPlacement(region, tuple(self.placed(name, without) for name in primaries))
            for region, primaries in self.primaries.items()
        ]
        regions = list(self.backend.regions.values())
        generations = [self.generations.get(region.name, 0) for region in regions]
        return messages.SiteView(1, members, regions, placements, "", generations, int(self.clock_ms()))

    def placed(self, primary: str, without: tuple[str, ...]) -> BucketPlacement:
        others = [name for name in self.servers if name != primary and name not in without and self.redundant]
        return BucketPlacement("" if primary in without else primary, tuple(others))

    def asked(self, kind: type[Any]) -> Counter[str]:
        """How many requests of a type each server was sent."""
        return Counter(
            name for name, server in self.servers.items() for message in server.asked if isinstance(message, kind)
        )

    async def kill(self, name: str) -> None:
        """A server is gone, and its buckets have new primaries; the locator sees it only when `view` says so."""
        self.view = self.view or self.seen()
        await self.servers[name].server.close("killed")
        alive = [other for other in self.servers if other != name]
        for primaries in self.primaries.values():
            primaries[:] = [alive[0] if primary == name else primary for primary in primaries]


Fault = Callable[[FakeServer, Link, messages.Request], Answer | None]
"""What a server does instead of answering; None: it answers nevertheless."""


def lose_request(_server: FakeServer, link: Link, _message: messages.Request) -> Answer:
    """The connection is lost and nothing was done."""
    loop = asyncio.get_running_loop()
    loop.call_soon(link.close, "lost")
    return loop.create_future()


def lose_answer(server: FakeServer, link: Link, message: messages.Request) -> Answer:
    """The connection is lost after what was asked for was done."""
    server.answer(message)
    return lose_request(server, link, message)


def answer_with(reply: messages.Reply | HeliographError) -> Fault:
    """The request is answered with an error, or with something else than what was asked for."""

    async def answer() -> messages.Reply:
        if isinstance(reply, HeliographError):
            raise reply
        return reply

    return lambda _server, _link, _message: answer()


def hang(_server: FakeServer, _link: Link, _message: messages.Request) -> Answer:
    """No answer ever comes."""
    return asyncio.get_running_loop().create_future()


def run_sim(scenario: Callable[[FakeSite], Coroutine[Any, Any, None]], servers: int = 2) -> None:
    """Run a scenario with a site on virtual time; no task is left over, the loop is told of no exception."""
    unexpected: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unexpected.append(context))
        async with FakeSite(SimNetwork(), servers) as site:
            await scenario(site)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
    assert unexpected == []
