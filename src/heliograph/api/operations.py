"""The operations of a thin client as small machines: what is still to be asked of whom, what an answer means. No I/O.

    asks(routes) -> [Ask, ...] --> [the shell sends them] --> on_reply(ask, reply) ... until nothing is pending

An ask that failed is simply still pending, and is routed anew the next time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from heliograph.api.routes import Routes
from heliograph.errors import PeerError
from heliograph.link import messages
from heliograph.link.messages import Changed, Reply, Request
from heliograph.model.keys import Key, key_bytes
from heliograph.model.members import MemberInfo
from heliograph.model.routing import Routing

PUT_KEYS_MAX = 10_000
PUT_BYTES_MAX = 1024 * 1024
"""Keys, and bytes of keys and values, in one request; a value that is larger travels alone."""
WINDOW_BYTES = 8 * 1024 * 1024
"""Bytes of keys and values that one call has on their way at a time."""
GET_KEYS_MAX = 1_000
"""Keys asked for in one request."""


class Ask(msgspec.Struct, frozen=True):
    """One request to one member; `items` are what it is about, as the operation numbers them."""

    member: MemberInfo
    message: Request
    items: list[int]


class Operation(ABC):
    """One call of a client.

    reply: the type of a good answer. repeatable: it may be asked again after its answer was lost. No write may: others
    may have written the entry since, and a second put or remove would undo what they were told is done.
    """

    reply: type[Reply]
    repeatable: bool

    def __init__(self, region: str) -> None:
        self.region = region

    @property
    @abstractmethod
    def pending(self) -> int:
        """How much is still to be done; 0 when the operation is."""

    @abstractmethod
    def asks(self, routes: Routes, failed: Mapping[str, int]) -> list[Ask]:
        """Return what to ask next; never nothing while something is pending. `failed`: see `Routes.member_for`.

        Raises UnavailableError when there is nobody to ask.
        """

    @abstractmethod
    def on_reply(self, ask: Ask, reply: Any) -> None:
        """Take a good answer, of type `reply`. Raises PeerError when it doesn't fit the request."""

    @abstractmethod
    def rebucket(self, routing: Routing) -> None:
        """The region was created anew and its keys have other buckets: sort what is pending into those."""

    def shrink(self, ask: Ask) -> bool:  # noqa: ARG002
        """Ask for less at a time from now on, because this was refused; False when that is not possible."""
        return False


class PutAll(Operation):
    """Put entries, bucket by bucket."""

    reply = messages.Done
    repeatable = False

    def __init__(self, region: str, keys: list[Key], values: list[bytes], argument: bytes, routing: Routing) -> None:
        super().__init__(region)
        self._argument = argument
        self._requests: dict[int, tuple[messages.PutAll, int]] = {}
        self._sort(keys, values, routing)

    def _sort(self, keys: list[Key], values: list[bytes], routing: Routing) -> None:
        for bucket, columns in routing.group_entries(keys, values).items():
            for some_keys, some_values, size in _chunks(*columns):
                request = messages.PutAll(self.region, bucket, some_keys, some_values, argument=self._argument)
                self._requests[len(self._requests)] = (request, size)

    def rebucket(self, routing: Routing) -> None:
        """Sort the entries of the requests that are not done."""
        requests = [request for request, _ in self._requests.values()]
        self._requests.clear()
        keys = [key for request in requests for key in request.keys]
        values = [value for request in requests for value in request.values]
        self._sort(keys, values, routing)

    @property
    def pending(self) -> int:
        """Requests."""
        return len(self._requests)

    def asks(self, routes: Routes, failed: Mapping[str, int]) -> list[Ask]:
        """As many requests as fit into the window."""
        asks: list[Ask] = []
        window = WINDOW_BYTES
        for number, (request, size) in self._requests.items():
            window -= size
            if window < 0 and asks:
                break
            asks.append(Ask(routes.member_for(self.region, request.bucket, failed), request, [number]))
        return asks

    def on_reply(self, ask: Ask, reply: messages.Done) -> None:  # noqa: ARG002
        """One request is done."""
        del self._requests[ask.items[0]]


class Change(Operation):
    """One operation whose result depends on the entry."""

    reply = Changed
    repeatable = False

    def __init__(self, message: messages.Change) -> None:
        super().__init__(message.region)
        self.changed: Changed | None = None
        self._message = message

    @property
    def pending(self) -> int:
        """1 until it is answered."""
        return int(self.changed is None)

    def asks(self, routes: Routes, failed: Mapping[str, int]) -> list[Ask]:
        """The one request."""
        message = self._message
        return [Ask(routes.member_for(message.region, message.bucket, failed), message, [])]

    def rebucket(self, routing: Routing) -> None:
        """Ask about the key's new bucket."""
        bucket = routing.bucket_of(self._message.key)
        self._message = msgspec.structs.replace(self._message, bucket=bucket)

    def on_reply(self, ask: Ask, reply: Changed) -> None:  # noqa: ARG002
        """It is decided."""
        self.changed = reply


class Clear(Operation):
    """Clear a region, bucket by bucket."""

    reply = messages.Done
    repeatable = False

    def __init__(self, region: str, routing: Routing) -> None:
        super().__init__(region)
        self.rebucket(routing)

    def rebucket(self, routing: Routing) -> None:
        """Begin anew."""
        self._total_num_buckets = routing.total
        self._pending = dict.fromkeys(range(routing.total))

    @property
    def pending(self) -> int:
        """Buckets."""
        return len(self._pending)

    def asks(self, routes: Routes, failed: Mapping[str, int]) -> list[Ask]:
        """One request a bucket."""
        return [
            Ask(
                routes.member_for(self.region, bucket, failed),
                messages.Clear(self.region, bucket, self._total_num_buckets),
                [bucket],
            )
            for bucket in self._pending
        ]

    def on_reply(self, ask: Ask, reply: messages.Done) -> None:  # noqa: ARG002
        """One bucket is cleared."""
        del self._pending[ask.items[0]]


class GetAll(Operation):
    """Read entries; `values` are in the order of the keys, empty where there is no entry."""

    reply = messages.Values
    repeatable = True

    def __init__(self, region: str, keys: list[Key], routing: Routing) -> None:
        super().__init__(region)
        self.values = [b""] * len(keys)
        self._keys = keys
        self._keys_max = GET_KEYS_MAX
        self._buckets = routing.buckets_of(keys)
        self._positions = dict.fromkeys(range(len(keys)))

    @property
    def pending(self) -> int:
        """Keys."""
        return len(self._positions)

    def asks(self, routes: Routes, failed: Mapping[str, int]) -> list[Ask]:
        """One request a member, more when the keys are many."""
        buckets = self._buckets
        members = {bucket: routes.member_for(self.region, bucket, failed) for bucket in set(buckets)}
        groups: dict[str, tuple[MemberInfo, list[int]]] = {}
        for position in self._positions:
            member = members[buckets[position]]
            groups.setdefault(member.name, (member, []))[1].append(position)
        return [
            Ask(member, messages.GetAll(self.region, [self._keys[i] for i in some]), some)
            for member, positions in groups.values()
            for some in _slices(positions, self._keys_max)
        ]

    def rebucket(self, routing: Routing) -> None:
        """Ask about the keys' new buckets."""
        self._buckets = routing.buckets_of(self._keys)

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

    repeatable = True

    def __init__(self, region: str, routing: Routing) -> None:
        super().__init__(region)
        self.rebucket(routing)

    def rebucket(self, routing: Routing) -> None:
        """Begin anew."""
        self._total_num_buckets = routing.total
        self._buckets_max = routing.total
        self._pending = set(range(routing.total))
        self._begin()

    @property
    def pending(self) -> int:
        """Buckets."""
        return len(self._pending)

    def asks(self, routes: Routes, failed: Mapping[str, int]) -> list[Ask]:
        """One request a member, more when the answer was too large."""
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
    """List all keys of a region."""

    reply = messages.KeyList

    keys: list[Key]

    def _begin(self) -> None:
        self.keys = []

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


def _chunks(keys: list[Key], values: list[bytes]) -> Iterator[tuple[list[Key], list[bytes], int]]:
    """Cut the columns of a bucket into requests; yields keys, values and their bytes."""
    size = sum(map(len, values)) + key_bytes(keys)
    if size <= PUT_BYTES_MAX and len(keys) <= PUT_KEYS_MAX:
        yield keys, values, size
        return
    start = size = 0
    for end, value in enumerate(values):
        more = len(value) + key_bytes(keys[end : end + 1])
        if end > start and (size + more > PUT_BYTES_MAX or end - start == PUT_KEYS_MAX):
            yield keys[start:end], values[start:end], size
            start, size = end, 0
        size += more
    yield keys[start:], values[start:], size
