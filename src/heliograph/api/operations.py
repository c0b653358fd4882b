"""The operations of a thin client as small machines: what is still to be asked of whom, what an answer means. No I/O.

    fit(routes) --> asks(routes) -> [Ask, ...] --> [the shell sends them] --> on_reply(ask, reply) ... until none is
    pending, then end()

An ask that failed is simply still pending, and is routed anew the next time. Here are the reads; writes, which must be
done once only, are `api.writes`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from heliograph.api.routes import Routes, Shape
from heliograph.errors import PeerError
from heliograph.link import messages
from heliograph.link.messages import Reply, Request
from heliograph.model.ids import BucketId
from heliograph.model.keys import KEY_PARTS_MAX, Key
from heliograph.model.members import MemberInfo

GET_KEYS_MAX = 1_000
"""Keys asked for in one request."""


class Ask(msgspec.Struct, frozen=True):
    """One request to one member; `items` are what it is about, as the operation numbers them."""

    member: MemberInfo
    message: Request
    items: list[int]


class Operation(ABC):
    """One call of a client. reply: the type of a good answer. writes: it changes entries."""

    reply: type[Reply]
    writes = False

    def __init__(self, region: str) -> None:
        self.region = region
        self._shape: Shape | None = None

    def fit(self, routes: Routes) -> None:
        """Cut what is pending to the shape that the region has now; to be called first, and whenever it may differ.

        Raises RegionNotFoundError, and UnavailableError when what may have been done can't be done once any more.
        """
        shape = routes.shape(self.region)
        if shape != self._shape:
            self._shape = shape
            self._cut(shape)

    @property
    @abstractmethod
    def pending(self) -> int:
        """How much is still to be done; 0 when the operation is."""

    @abstractmethod
    def asks(self, routes: Routes, failed: Mapping[str, int], left_ms: int) -> list[Ask]:
        """Return what to ask next; never nothing while something is pending. `failed`: see `Routes.member_for`.

        left_ms: how much longer the caller waits. Raises UnavailableError when there is nobody to ask.
        """

    @abstractmethod
    def on_reply(self, ask: Ask, reply: Any) -> None:
        """Take a good answer, of type `reply`. Raises PeerError when it doesn't fit the request."""

    def on_lost(self, ask: Ask) -> None:  # noqa: B027  (a read may be asked again as it is)
        """The answer will not come: what was asked for may have been done, or be done yet."""

    def rename(self, ask: Ask) -> bool:  # noqa: ARG002
        """Ask under another id from now on, because this one is refused; False when it may have been done under it."""
        return False

    @property
    def unknown(self) -> bool:
        """Say whether something was asked for that may have been done, and may not yet be told."""
        return False

    def end(self) -> None:  # noqa: B027  (a read has nothing to give back)
        """Nobody waits for it any more."""

    @abstractmethod
    def _cut(self, shape: Shape) -> None: ...

    def shrink(self, ask: Ask) -> bool:  # noqa: ARG002
        """Ask for less at a time from now on, because this was refused; False when that is not possible."""
        return False


class GetAll(Operation):
    """Read entries; `values` are in the order of the keys, empty where there is no entry."""

    reply = messages.Values

    def __init__(self, region: str, keys: list[Key]) -> None:
        super().__init__(region)
        self.values = [b""] * len(keys)
        self._keys = keys
        self._keys_max = GET_KEYS_MAX
        self._buckets: list[BucketId] = []
        self._positions = dict.fromkeys(range(len(keys)))

    @property
    def pending(self) -> int:
        """Keys."""
        return len(self._positions)

    def asks(self, routes: Routes, failed: Mapping[str, int], left_ms: int) -> list[Ask]:
        """One request a member, more when the keys are many."""
        buckets = self._buckets
        members = {bucket: routes.member_for(self.region, bucket, failed) for bucket in set(buckets)}
        groups: dict[str, tuple[MemberInfo, list[int]]] = {}
        for position in self._positions:
            member = members[buckets[position]]
            groups.setdefault(member.name, (member, []))[1].append(position)
        return [
            Ask(member, messages.GetAll(self.region, [self._keys[i] for i in some], left_ms), some)
            for member, positions in groups.values()
            for some in _slices(positions, self._keys_max)
        ]

    def _cut(self, shape: Shape) -> None:
        self._buckets = shape.routing.buckets_of(self._keys)

    def on_reply(self, ask: Ask, reply: messages.Values) -> None:
        """Some keys are read."""
        if len(reply.values) != len(ask.items):
            raise PeerError(f"{ask.member.name} answered {len(reply.values)} values to {len(ask.items)} keys")
        for position, value in zip(ask.items, reply.values, strict=True):
            self.values[position] = value
            del self._positions[position]

    def shrink(self, ask: Ask) -> bool:
        """Ask for fewer keys at a time: an answer that does not fit into a frame is refused."""
        self._keys_max = min(self._keys_max, len(ask.items) // 2)
        return self._keys_max > 0


class _OfBuckets(Operation):
    """What is asked of every bucket of a region."""

    _total_num_buckets = 0
    _pending: set[int] = set()  # noqa: RUF012  (never changed: `_cut` makes the call's own)

    def _cut(self, shape: Shape) -> None:
        self._total_num_buckets = self._buckets_max = shape.total_num_buckets
        self._pending = set(range(shape.total_num_buckets))
        self._begin()

    @property
    def pending(self) -> int:
        """Buckets."""
        return len(self._pending)

    def asks(self, routes: Routes, failed: Mapping[str, int], left_ms: int) -> list[Ask]:  # noqa: ARG002
        """One request a member, more when the answer was too large. They are answered at once, or not at all."""
        groups: dict[str, tuple[MemberInfo, list[int]]] = {}
        for bucket in sorted(self._pending):
            member = routes.member_for(self.region, bucket, failed)
            groups.setdefault(member.name, (member, []))[1].append(bucket)
        return [
            Ask(member, self._request(some), some)
            for member, buckets in groups.values()
            for some in _slices(buckets, self._buckets_max)
        ]

    def on_reply(self, ask: Ask, reply: Any) -> None:
        """Some buckets are read."""
        self._pending.difference_update(ask.items)
        self._take(reply)

    def shrink(self, ask: Ask) -> bool:
        """Ask about fewer buckets at a time: an answer that does not fit into a frame is refused."""
        self._buckets_max = min(self._buckets_max, len(ask.items) // 2)
        return self._buckets_max > 0

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _request(self, buckets: list[int]) -> Request: ...

    @abstractmethod
    def _take(self, reply: Any) -> None: ...


class Keys(_OfBuckets):
    """List all keys of a region; those of a bucket that does not fit into a frame in parts, each its own item."""

    reply = messages.KeyList

    keys: list[Key]
    _parts: dict[int, tuple[int, int, int]]
    """Item, a number below 0 -> bucket, part, number of parts."""

    @property
    def pending(self) -> int:
        """Buckets and parts of buckets."""
        return super().pending + len(self._parts)

    def asks(self, routes: Routes, failed: Mapping[str, int], left_ms: int) -> list[Ask]:
        """As for whole buckets, and one request a part."""
        total = self._total_num_buckets
        return super().asks(routes, failed, left_ms) + [
            Ask(
                routes.member_for(self.region, bucket, failed),
                messages.Keys(self.region, [bucket], total, part, parts),
                [item],
            )
            for item, (bucket, part, parts) in self._parts.items()
        ]

    def on_reply(self, ask: Ask, reply: messages.KeyList) -> None:
        """Some buckets, or a part of one, are read."""
        self._parts.pop(ask.items[0], None)
        super().on_reply(ask, reply)

    def shrink(self, ask: Ask) -> bool:
        """Ask about fewer buckets at a time, about one in parts, about a part in two."""
        if len(ask.items) > 1:
            return super().shrink(ask)
        (item,) = ask.items
        bucket, part, parts = self._parts.pop(item, (item, 0, 1))
        if parts >= KEY_PARTS_MAX:
            return False
        self._pending.discard(item)
        for half in (part, part + parts):
            self._last_item -= 1
            self._parts[self._last_item] = (bucket, half, 2 * parts)
        return True

    def _begin(self) -> None:
        self.keys = []
        self._parts = {}
        self._last_item = 0

    def _request(self, buckets: list[int]) -> Request:
        return messages.Keys(self.region, buckets, self._total_num_buckets)

    def _take(self, reply: messages.KeyList) -> None:
        self.keys += reply.keys


class Size(_OfBuckets):
    """Count the entries of a region."""

    reply = messages.Count

    count: int

    def _begin(self) -> None:
        self.count = 0

    def _request(self, buckets: list[int]) -> Request:
        return messages.Size(self.region, buckets, self._total_num_buckets)

    def _take(self, reply: messages.Count) -> None:
        self.count += reply.count


def _slices(items: list[int], most: int) -> Iterator[list[int]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]
