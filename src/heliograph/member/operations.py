"""The operations on regions as a member does them: here where it is primary, at the primary where it is not.

What a member does in its own copy carries no id and is not repeated; what it sends elsewhere is done once, see
`member.primaries`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from heliograph.bucket.primary import argument_size, largest_entry, request_size
from heliograph.errors import (
    HeliographError,
    NotPrimaryError,
    TooLargeError,
    UnavailableError,
    UnreachableError,
    in_part,
)
from heliograph.link import messages
from heliograph.link.messages import Changed, Condition, Done
from heliograph.member.backlog import Backlog
from heliograph.member.copy import BucketCopy
from heliograph.member.primaries import RETRY_S, Primaries
from heliograph.member.region import HostedRegion
from heliograph.member.state import SiteState
from heliograph.member.waiters import ManyWrites, OneWrite
from heliograph.model.attributes import RegionAttributes
from heliograph.model.batch import Part
from heliograph.model.ids import BucketId, Seq
from heliograph.model.keys import KEY_PARTS_MAX, Key
from heliograph.model.requests import Identities
from heliograph.model.routing import UNROUTED
from heliograph.net.links import Links

GET_KEYS_MAX = 1_000
"""Keys that another member is asked for in one request."""

ROUGH_BYTES_MAX = 64 * 1024
"""Up to here the size of a bucket's share of a put_all is reckoned from its largest entry."""

Piece: TypeAlias = tuple[list[Key], list[bytes], int]
"""Entries of one bucket that fit into a record, and their size."""
Asked: TypeAlias = messages.GetAll | messages.Keys | messages.Size | messages.WereRead
T = TypeVar("T")


class Operations:
    """Region operations of one member; satisfies `api.backend.Backend`."""

    def __init__(
        self,
        name: str,
        regions: dict[str, HostedRegion],
        state: Callable[[], SiteState],
        links: Links,
        backlog: Backlog,
        timeout_s: float,
        identities: Identities,
    ) -> None:
        self._links = links
        self._backlog = backlog
        self._timeout_s = timeout_s
        self._primaries = Primaries(name, regions, state, links, backlog, timeout_s, identities)

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()  # which is a system call in Python 3.11: not for every write

    def region(self, name: str) -> HostedRegion:
        """Return a region. Raises RegionNotFoundError listing those there are, NotPrimaryError while it is new here."""
        return self._primaries.region(name)

    async def attributes(self, region: str) -> RegionAttributes:
        """Return a region's attributes."""
        return self.region(region).attributes

    # --- writes

    def put_all(
        self, region: str, keys: list[Key], values: list[bytes], argument: bytes = b""
    ) -> Coroutine[Any, Any, None]:
        """Put entries; returns when all are in the log and this member's own copies show them.

        When some of it fails the rest is ended first, and then the first error raised.
        """
        put = self._put if len(keys) == 1 else self._put_many
        return put(region, keys, values, argument)

    async def _put_many(self, region: str, keys: list[Key], values: list[bytes], argument: bytes) -> None:
        hosted = self.region(region)
        copies = hosted.copies
        more = argument_size(argument)
        size_max = hosted.record_bytes_max - more
        entry_max = largest_entry(keys, values)
        waiter = ManyWrites(self._loop)
        rest: list[tuple[int, list[Key], list[bytes]]] = []
        errors: list[BaseException] = []
        for bucket, (some_keys, some_values) in hosted.routing.group_entries(keys, values).items():
            copy = copies.get(bucket)
            size = entry_max * len(some_keys)
            pieces: Iterable[Piece] = ((some_keys, some_values, size),)
            if size > ROUGH_BYTES_MAX:
                pieces = _chunks(some_keys, some_values, size_max)
            if copy is None or not copy.accepting:
                rest += ((bucket, piece[0], piece[1]) for piece in pieces)
                continue
            for some_keys, some_values, size in pieces:
                try:
                    copy.put(some_keys, some_values, argument, size + more, waiter)
                except (NotPrimaryError, UnreachableError):
                    rest.append((bucket, some_keys, some_values))
                except HeliographError as exc:
                    errors.append(exc)
                else:
                    waiter.expect()
        parts = waiter.expected + len(rest) + len(errors)
        if not waiter.empty:
            await waiter.future
        for request, error in waiter.failed:
            if isinstance(error, NotPrimaryError):
                rest.append((request.bucket, request.keys, request.values))
            else:
                errors.append(error)
        if rest:
            puts = [self._put_routed(hosted, *each, argument) for each in rest]
            errors += filter(None, await asyncio.gather(*puts, return_exceptions=True))
        if errors:
            raise _worst(errors, parts)

    async def _put(self, region: str, keys: list[Key], values: list[bytes], argument: bytes) -> None:
        hosted = self.region(region)
        bucket = hosted.routing.bucket_of(keys[0])
        copy = hosted.copies.get(bucket)
        if copy is not None and copy.accepting and not self._backlog.full:
            waiter = OneWrite(self._loop)
            copy.put(keys, values, argument, largest_entry(keys, values) + argument_size(argument), waiter)
            try:
                await waiter.future
            except NotPrimaryError:
                pass  # it was not done: the new primary does it
            else:
                return
        await self._put_routed(hosted, bucket, keys, values, argument)

    async def _put_routed(
        self, hosted: HostedRegion, bucket: int, keys: list[Key], values: list[bytes], argument: bytes
    ) -> None:
        await self.put_once(messages.PutAll(hosted.name, bucket, keys, values, True, argument), hosted)

    async def put_silently(self, region: str, keys: list[Key], values: list[bytes]) -> None:
        """Put entries that no other site, async event queue or listener ever hears of; else as `put_all`."""
        hosted = self.region(region)
        puts = [
            self.put_once(messages.PutSilently(hosted.name, bucket, *piece[:2], True), hosted)
            for bucket, entries in hosted.routing.group_entries(keys, values).items()
            for piece in _chunks(*entries, hosted.record_bytes_max)
        ]
        ended = await asyncio.gather(*puts, return_exceptions=True)
        errors = [each for each in ended if isinstance(each, BaseException)]
        if errors:
            raise _worst(errors, len(puts))

    async def put_once(self, request: messages.PutAll, hosted: HostedRegion | None = None) -> Done:
        """Have the bucket's primary do a put once, however often it takes; under the id that it has, or a new one.

        hosted: the region whose routing told the bucket, None when the request's sender told it.
        """
        if request.bucket == UNROUTED:
            return await self._put_by_bucket(request)
        done = await self._primaries.once(request, Done, hosted)
        await self._shown(request.region, request.bucket, done.seq)
        return done

    async def _put_by_bucket(self, request: messages.PutAll) -> Done:
        """Do a put whose sender can't tell the buckets: one request for each, all under its id, which is of no bucket.

        When some of it fails the rest is ended first. What may succeed when all of it is sent again is raised as
        UnavailableError, even if it was certainly not done: the rest was.
        """
        hosted = self.region(request.region)
        groups = hosted.routing.group_entries(request.keys, request.values)
        puts = [
            self.put_once(msgspec.structs.replace(request, bucket=bucket, keys=keys, values=values), hosted)
            for bucket, (keys, values) in groups.items()
        ]
        ended = await asyncio.gather(*puts, return_exceptions=True)
        errors = [each for each in ended if isinstance(each, BaseException)]
        if errors:
            raise _worst(errors, len(puts))
        return Done(0)

    async def change(
        self, region: str, op: Condition, key: Key, value: bytes, expected: bytes, argument: bytes = b""
    ) -> Changed:
        """Do a conditional operation at the bucket's primary."""
        hosted = self.region(region)
        bucket = hosted.routing.bucket_of(key)
        copy = hosted.copies.get(bucket)
        if copy is not None and copy.accepting:
            waiter = OneWrite(self._loop)
            try:
                copy.change(op, key, value, expected, argument, waiter)
                return cast(Changed, await waiter.future)
            except (NotPrimaryError, UnreachableError):
                pass  # it was not done: the new primary does it
        request = messages.Change(region, bucket, op, key, value, expected, True, argument)
        return await self.change_once(request, hosted)

    async def change_once(self, request: messages.Change, hosted: HostedRegion | None = None) -> Changed:
        """Have the bucket's primary decide once on an operation; as `put_once`."""
        if request.bucket == UNROUTED:
            hosted = self.region(request.region)
            request = msgspec.structs.replace(request, bucket=hosted.routing.bucket_of(request.key))
        changed = await self._primaries.once(request, Changed, hosted)
        await self._shown(request.region, request.bucket, changed.seq)
        return changed

    async def clear(self, region: str) -> None:
        """Take away every entry of the region at this site, each bucket at once.

        When some of it fails the rest is ended first, and then the first error raised.
        """
        clears = [self.clear_bucket(region, bucket) for bucket in sorted(self._all_buckets(region))]
        for error in await asyncio.gather(*clears, return_exceptions=True):
            if error is not None:
                raise error

    async def clear_bucket(self, region: str, bucket: int) -> None:
        """Take away every entry of a bucket."""
        hosted = self.region(region)
        copy = hosted.copies.get(bucket)
        if copy is not None and copy.accepting:
            waiter = OneWrite(self._loop)
            try:
                copy.clear(waiter)
                await waiter.future
            except (NotPrimaryError, UnreachableError):
                pass  # it was not done: the new primary does it
            else:
                return
        await self.clear_once(messages.Clear(region, bucket, hosted.attributes.total_num_buckets, True), hosted)

    async def clear_once(self, request: messages.Clear, hosted: HostedRegion | None = None) -> Done:
        """Have the bucket's primary clear it once; as `put_once`."""
        done = await self._primaries.once(request, Done, hosted)
        await self._shown(request.region, request.bucket, done.seq)
        return done

    def apply_parts(self, region: str, bucket: int, parts: tuple[Part, ...]) -> Awaitable[Done]:
        """Have the bucket's primary judge and append parts from another site."""
        copy = self.region(region).copies.get(bucket)
        if copy is not None and copy.accepting:
            waiter = OneWrite(self._loop)
            copy.apply_parts(parts, waiter)
            return cast("asyncio.Future[Done]", waiter.future)
        return self._primaries.routed(messages.ApplyParts(region, bucket, parts, True), Done)

    async def tell_reads(self, region: str, bucket: int, keys: list[Key]) -> None:
        """Tell the bucket's primary that entries were read here. Raises NotPrimaryError, UnavailableError."""
        primary = self.region(region).primary_of(bucket)
        for some, _, _ in _chunks(keys, [b""] * len(keys), self.region(region).record_bytes_max):
            await self._ask(primary, messages.WereRead(region, bucket, some), Done)

    async def _shown(self, region: str, bucket: int, seq: int) -> None:
        """Wait until this member's own copy, if it holds one, shows a write (architecture §2)."""
        copy = self.region(region).copies.get(bucket)
        if copy is not None:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await copy.applied(Seq(seq))
            except TimeoutError:
                raise UnavailableError(
                    f"a write to {region} is done, but this member's copy does not show it yet"
                ) from None

    # --- reads

    async def get_all(self, region: str, keys: list[Key], timeout_ms: int = 0) -> list[bytes]:
        """Return the values of keys; empty where there is no entry. timeout_ms: how long anybody waits, 0: as usual."""
        hosted = self.region(region)
        values = [b""] * len(keys)
        groups = hosted.routing.positions_by_bucket(keys)

        async def ask_some(member: str, positions: list[int]) -> None:
            request = messages.GetAll(region, [keys[position] for position in positions], timeout_ms)
            answer = await self._ask(member, request, messages.Values)
            for position, value in zip(positions, answer.values, strict=True):
                values[position] = value

        async def ask(member: str, buckets: list[int]) -> None:
            positions = [position for bucket in buckets for position in groups[BucketId(bucket)]]
            await _in_parts(positions, GET_KEYS_MAX, partial(ask_some, member))

        def look(copy: BucketCopy) -> None:
            get, positions = copy.view.values.get, groups[BucketId(copy.bucket)]
            for position in positions:
                values[position] = get(keys[position], b"")
            hosted.traffic.gets += len(positions)
            if hosted.notes_reads:
                copy.upkeep.on_read([keys[position] for position in positions])

        await self._read(region, set(groups), look, ask, timeout_ms)
        return values

    async def keys(self, region: str) -> list[Key]:
        """Return every key of the region."""
        keys: list[Key] = []
        total = self.region(region).attributes.total_num_buckets

        async def ask(member: str, buckets: list[int]) -> None:
            found: list[Key] = []
            parts = [(0, 1)]
            while parts:
                part, of = parts.pop()
                try:
                    answer = await self._ask(member, messages.Keys(region, buckets, total, part, of), messages.KeyList)
                except TooLargeError:
                    if len(buckets) > 1 or of >= KEY_PARTS_MAX:
                        raise  # fewer buckets first
                    parts += ((part, 2 * of), (part + of, 2 * of))
                else:
                    found += answer.keys
            keys.extend(found)

        await self._read(region, self._all_buckets(region), lambda copy: keys.extend(copy.view.values), ask)
        return keys

    async def size(self, region: str) -> int:
        """Count the region's entries."""
        counts: list[int] = []
        total = self.region(region).attributes.total_num_buckets

        async def ask(member: str, buckets: list[int]) -> None:
            counts.append((await self._ask(member, messages.Size(region, buckets, total), messages.Count)).count)

        await self._read(region, self._all_buckets(region), lambda copy: counts.append(len(copy.view.values)), ask)
        return sum(counts)

    def _all_buckets(self, region: str) -> set[int]:
        return set(range(self.region(region).attributes.total_num_buckets))

    async def _read(
        self,
        region: str,
        buckets: set[int],
        look: Callable[[BucketCopy], None],
        ask: Callable[[str, list[int]], Awaitable[None]],
        timeout_ms: int = 0,
    ) -> None:
        """Read each bucket once: in this member's own copy, else at the bucket's primary, wherever it moves."""
        loop = self._loop
        deadline = loop.time() + min(self._timeout_s, timeout_ms / 1000 or self._timeout_s)
        remaining = set(buckets)

        async def ask_some(member: str, some: list[int]) -> None:
            await ask(member, some)
            remaining.difference_update(some)

        while True:
            hosted = self.region(region)
            elsewhere: dict[str, list[int]] = {}
            for bucket in sorted(remaining):
                copy = hosted.copies.get(bucket)
                if copy is not None and copy.readable:
                    look(copy)
                    remaining.discard(bucket)
                else:
                    elsewhere.setdefault(hosted.primary_of(bucket), []).append(bucket)
            error: HeliographError | None = None
            for member, asked in elsewhere.items():
                try:
                    await _in_parts(asked, len(asked), partial(ask_some, member))
                except (NotPrimaryError, UnavailableError) as exc:
                    error = exc
            if not remaining:
                return
            if loop.time() > deadline:
                raise UnavailableError(f"{len(remaining)} buckets of {region} can't be read: {error}") from error
            await asyncio.sleep(RETRY_S)

    async def hear(self, member: str, request: messages.Listen) -> messages.Heard:
        """Ask another member for events. Raises NotPrimaryError, UnavailableError, and what it answers."""
        address = self._primaries.address(member, request.region)
        timeout_s = request.wait_ms / 1000 + self._timeout_s
        return await self._links.call(address, request, messages.Heard, timeout_s=timeout_s)

    async def _ask(self, member: str, request: Asked, kind: type[T]) -> T:
        address = self._primaries.address(member, request.region)
        return await self._links.call(address, request, kind, timeout_s=self._timeout_s)


def _worst(errors: Sequence[BaseException], parts: int) -> BaseException:
    """Return what a write of so many parts is told of which these failed: what is unknown outranks what is certain."""
    for error in errors:
        if isinstance(error, UnavailableError) and not isinstance(error, UnreachableError):
            return error if parts == 1 else in_part(error)
    first = errors[0]
    return in_part(first) if len(errors) < parts and isinstance(first, HeliographError) else first


async def _in_parts(items: list[int], most: int, ask: Callable[[list[int]], Awaitable[None]]) -> None:
    """Ask about items, at most so many at a time; where the answer is too large for a frame, in halves."""
    parts = [items[start : start + most] for start in range(0, len(items), most)]
    while parts:
        part = parts.pop()
        try:
            await ask(part)
        except TooLargeError:
            if len(part) == 1:
                raise
            half = len(part) // 2
            parts += (part[:half], part[half:])


def _chunks(keys: list[Key], values: list[bytes], size_max: int) -> Iterator[Piece]:
    """Cut columns into pieces that fit into one record each, with their `request_size`."""
    size = request_size(keys, values)
    if size <= size_max:
        yield keys, values, size
        return
    start = size = 0
    for position in range(len(keys)):
        more = request_size(keys[position : position + 1], values[position : position + 1])
        if size + more > size_max and position > start:
            yield keys[start:position], values[start:position], size
            start, size = position, 0
        size += more
    yield keys[start:], values[start:], size
