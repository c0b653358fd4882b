"""A registry in memory and servers that answer as told, for tests of the admin operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar, cast

from heliograph.engine.seam import Change, Item
from heliograph.errors import ConflictError, HeliographError, UnreachableError, UsageError
from heliograph.link import messages
from heliograph.link.messages import Outcome, Reply, Request
from heliograph.model.ids import Address
from heliograph.model.keys import Key, bucket_of
from heliograph.model.members import MemberInfo
from heliograph.model.registry import encode_entry, member_key
from heliograph.query.parser import parse_query
from heliograph.query.selection import Selection, limit_of

T = TypeVar("T", bound=Reply)
LOG_ENDS = (7, 0, 9)
BUCKETS = 16
"""Of every region that is queried."""


class FakeRegistry:
    """`seam.Registry` without time to live."""

    def __init__(self) -> None:
        self.entries: dict[str, Item] = {}
        self.revision = 0

    async def get(self, key: str) -> Item | None:
        return self.entries.get(key)

    async def create(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        if key in self.entries:
            raise ConflictError(key)
        return await self.put(key, value)

    async def update(self, key: str, value: bytes, *, revision: int, ttl_s: float | None = None) -> int:
        self._expect(key, revision)
        return await self.put(key, value)

    async def put(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        self.revision += 1
        self.entries[key] = Item(key, value, self.revision)
        return self.revision

    async def delete(self, key: str, *, revision: int | None = None) -> None:
        if revision is not None:
            self._expect(key, revision)
        self.revision += 1
        self.entries.pop(key, None)

    async def items(self, prefix: str) -> dict[str, Item]:
        return {
            key: item for key, item in sorted(self.entries.items()) if key == prefix or key.startswith(prefix + ".")
        }

    async def watch(self, prefix: str) -> AsyncGenerator[list[Change], None]:
        yield []
        await asyncio.Event().wait()

    def _expect(self, key: str, revision: int) -> None:
        if key not in self.entries or self.entries[key].revision != revision:
            raise ConflictError(key)


class FakeServers:
    """`Caller` to servers, each on a host of its name, with one dict of entries; `broken`: who fails, and how."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Request]] = []
        self.broken: dict[str, HeliographError] = {}
        self.gateways: dict[str, messages.Gateways] = {}
        self.conflicts: dict[str, messages.Conflicts] = {}
        self.copies: dict[str, dict[str, messages.RegionCopies]] = {}
        self.redriven = messages.Redriven(0, [])
        self.located: dict[str, messages.Located] = {}
        self.primaries: dict[int, str] = {}
        """Who is primary of a bucket, where that is not whoever is asked."""
        self.data: dict[tuple[str, object], bytes] = {}

    async def call(self, address: Address, message: Request, kind: type[T], *, timeout_s: float) -> T:
        name = address.host
        self.asked.append((name, message))
        if (error := self.broken.get(name)) is not None:
            raise error
        reply = self._answer(name, message)
        assert isinstance(reply, kind)
        return reply

    def requests(self, kind: type[Request]) -> list[tuple[str, Request]]:
        return [(name, message) for name, message in self.asked if isinstance(message, kind)]

    def _answer(self, name: str, message: Request) -> Reply:
        match message:
            case messages.PutAll(region=region, keys=keys, values=values):
                self.data |= {(region, key): value for key, value in zip(keys, values, strict=True)}
                return messages.Done(1)
            case messages.GetAll(region=region, keys=keys):
                return messages.Values([self.data.get((region, key), b"") for key in keys])
            case messages.Change(region=region, op="remove", key=key):
                old = self.data.pop((region, key), b"")
                return messages.Changed(bool(old), old, 1)
            case messages.Clear(region=region, bucket=bucket, total_num_buckets=total):
                for where in [where for where in self.data if where[0] == region]:
                    if bucket_of(cast(Key, where[1]), total) == bucket:
                        del self.data[where]
                return messages.Done(1)
            case messages.Change(region=region, op="put_if_absent", key=key, value=value):
                old = self.data.get((region, key), b"")
                self.data.setdefault((region, key), value)
                return messages.Changed(not old, old, 1)
            case messages.Locate(region=region, key=key):
                known = messages.Located(3, (region, key) in self.data, 1 if name == "s1" else 0)
                return self.located.get(name, known)
            case messages.Select(buckets=buckets):
                return self._select(name, message, [each for each in buckets if self.primaries.get(each, name) == name])
            case messages.LogEndsQuery():
                return messages.LogEnds(list(LOG_ENDS))
            case messages.ConflictQuery():
                return self.conflicts.get(name, messages.Conflicts({}, []))
            case messages.GatewayQuery():
                return self.gateways.get(name, messages.Gateways([], None))
            case messages.Redrive():
                return self.redriven
            case messages.WanCopy() | messages.WanCopyQuery():
                return messages.CopyState("done", "Entries copied: 7", 7, 8)
            case messages.WanCopyCancel(region=region):
                return Outcome(region != "idle", "cancelled")
            case messages.FilesQuery(region=region, directory=directory):
                file = messages.ExportedFile(f"{directory}/{region}-{name}.gfd", "77", int(name[1:]) - 1, 1)
                return messages.Files([file])
            case messages.Import():
                return messages.CopyState("done", "Entries imported: 7", 7, 8)
            case messages.Export() | messages.TransferQuery():
                return messages.CopyState("done", "Entries exported: 7", 7, 8)
            case messages.TransferCancel(region=region):
                return Outcome(region != "idle", "cancelled")
            case messages.CopiesQuery(regions=regions):
                has = self.copies.get(name, {})
                return messages.Copies({region: has[region] for region in regions if region in has})
            case messages.DiskStoreQuery(names=names):
                return messages.DiskStores([3 << 20 for _ in names], [1 << 20 for _ in names])
            case messages.Rebalance():
                return messages.Rebalanced([messages.Moves("customer", 1, 10, 2, 20, 3)], 4)
            case messages.StatusQuery():
                details = {"Site": "1"}
                return messages.Status(
                    "Server", name, Address("h", 1), 7, 61_000, "0", "/dir", "/dir/log", details, 1_500, 3 << 20,
                    {"client": 2, "member": 1},
                )  # fmt: skip
            case messages.ShutDown():
                self.broken[name] = unreachable(name)
                return Outcome(True, f"{name} stops")
            case messages.LogQuery(offset, level, only, start_ms, end_ms, wanted):
                return messages.LogPart(f"{offset} {level} {only} {start_ms} {end_ms} {wanted}".encode(), 9, 9, True)
            case messages.LogTail():
                return messages.LogPart(b"a\nb\n", 4, 4, True)
            case messages.SettingsQuery():
                return messages.ProcessSettings([("Options", {"name": name}), ("Defaults", {"port": "1"})])
            case messages.Apply(subject=subject, change=change):
                return Outcome(True, f"{subject} {change} on {name}")
            case messages.SenderCommand() | messages.ReceiverCommand() | messages.LogLevelCommand():
                return Outcome(True, "done")
        raise UsageError(f"{type(message).__name__} is not answered")

    def _select(self, name: str, message: messages.Select, buckets: list[int]) -> messages.Selected:
        query = parse_query(message.query)
        selection = Selection(query, limit_of(query, message.limit))
        for (region, key), value in self.data.items():
            if region == message.region and bucket_of(cast(Key, key), BUCKETS) in buckets:
                selection.add(cast(Key, key), value)
        return messages.Selected(buckets, selection.rows.first(), selection.count)


def member(name: str, *, joined_ms: int = 1, groups: tuple[str, ...] = (), kind: str = "server") -> MemberInfo:
    return MemberInfo(
        name=name,
        kind="locator" if kind == "locator" else "server",
        incarnation="1",
        joined_ms=joined_ms,
        address=Address(name, joined_ms),
        pid=joined_ms,
        groups=groups,
    )


async def join(registry: FakeRegistry, *members: MemberInfo) -> None:
    for info in members:
        await registry.put(member_key(info.name), encode_entry(info))


def unreachable(name: str) -> UnreachableError:
    return UnreachableError(f"{name} can't be reached")
