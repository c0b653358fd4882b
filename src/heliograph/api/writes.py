"""The writes of a thin client: each request goes under an id, so that it may be sent again and is done once.

What `bucket.requests` promises holds within one region: when it was destroyed and another one of its name created, a
write that may have been done in the old one is not sent to the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from heliograph.api.operations import Ask, Operation
from heliograph.api.routes import Routes, Shape
from heliograph.errors import UnavailableError
from heliograph.link import messages
from heliograph.link.messages import Changed
from heliograph.model.keys import Key, key_bytes
from heliograph.model.members import MemberInfo
from heliograph.model.requests import Identities, Identity

PUT_KEYS_MAX = 10_000
PUT_BYTES_MAX = 1024 * 1024
"""Keys, and bytes of keys and values, in one request; a value that is larger travels alone."""
WINDOW_BYTES = 8 * 1024 * 1024
"""Bytes of keys and values that one call has on their way at a time."""


_Request: TypeAlias = messages.PutAll | messages.Change | messages.Clear


class _Write:
    """One request and its identity. bytes_: of keys and values."""

    __slots__ = ("bytes_", "identity", "request")

    def __init__(self, request: _Request, bytes_: int, identity: Identity) -> None:
        self.request = request
        self.bytes_ = bytes_
        self.identity = identity

    def ask(self, member: MemberInfo, number: int, left_ms: int) -> Ask:
        """Return the request as its next attempt tells it."""
        request = msgspec.structs.replace(self.request, id=self.identity.wire(), timeout_ms=left_ms)
        return Ask(member, request, [number])


class Write(Operation):
    """A call that writes: requests by number."""

    writes = True

    def __init__(self, region: str, identities: Identities) -> None:
        super().__init__(region)
        self._identities = identities
        self._writes: dict[int, _Write] = {}

    @property
    def pending(self) -> int:
        """Requests."""
        return len(self._writes)

    def asks(self, routes: Routes, failed: Mapping[str, int], left_ms: int) -> list[Ask]:
        """As many requests as fit into the window."""
        asks: list[Ask] = []
        window = WINDOW_BYTES
        for number, write in self._writes.items():
            window -= write.bytes_
            if window < 0 and asks:
                break
            asks.append(write.ask(routes.member_for(self.region, write.request.bucket, failed), number, left_ms))
        return asks

    def on_reply(self, ask: Ask, reply: messages.Done | Changed) -> None:  # noqa: ARG002
        """One request is done."""
        self._writes.pop(ask.items[0]).identity.end()

    def on_lost(self, ask: Ask) -> None:
        """From now on every attempt says that there may be another one."""
        self._writes[ask.items[0]].identity.repeated = True

    def rename(self, ask: Ask) -> bool:
        """Draw another id, unless the request may have been done under the one that it has."""
        write = self._writes[ask.items[0]]
        if write.identity.repeated:
            return False
        write.identity.end()
        write.identity = self._draw(write.request.bucket)
        return True

    @property
    def unknown(self) -> bool:
        """Say whether an answer was lost of a request that is not done yet."""
        return any(write.identity.repeated for write in self._writes.values())

    def end(self) -> None:
        """No late copy of what was not answered is taken by then."""
        for write in self._writes.values():
            write.identity.end()

    def _begin_anew(self) -> list[_Request]:
        """Return the requests that are certainly not done, none of which is pending any more."""
        if self.unknown:
            raise UnavailableError(
                f"it is unknown whether the write was done in region {self.region}, which was destroyed and created "
                "anew meanwhile"
            )
        self.end()
        requests = [write.request for write in self._writes.values()]
        self._writes.clear()
        return requests

    def _add(self, request: _Request, bytes_: int) -> None:
        self._writes[len(self._writes)] = _Write(request, bytes_, self._draw(request.bucket))

    def _draw(self, bucket: int) -> Identity:
        generation = self._shape.generation if self._shape is not None else 0
        return self._identities.draw(self.region, generation, bucket)


class PutAll(Write):
    """Put entries, bucket by bucket."""

    reply = messages.Done

    def __init__(
        self, region: str, keys: list[Key], values: list[bytes], argument: bytes, identities: Identities
    ) -> None:
        super().__init__(region, identities)
        self._argument = argument
        self._entries: tuple[list[Key], list[bytes]] | None = (keys, values)

    @property
    def pending(self) -> int:
        """Requests; 1 before they are cut."""
        return len(self._writes) if self._entries is None else 1

    def _cut(self, shape: Shape) -> None:
        requests = self._begin_anew()
        keys, values = self._entries or (
            [key for request in requests if isinstance(request, messages.PutAll) for key in request.keys],
            [value for request in requests if isinstance(request, messages.PutAll) for value in request.values],
        )
        self._entries = None
        for bucket, columns in shape.routing.group_entries(keys, values).items():
            for some_keys, some_values, size in _chunks(*columns):
                self._add(messages.PutAll(self.region, bucket, some_keys, some_values, argument=self._argument), size)


class Change(Write):
    """One operation whose result depends on the entry."""

    reply = Changed

    def __init__(self, message: messages.Change, identities: Identities) -> None:
        super().__init__(message.region, identities)
        self.changed: Changed | None = None
        self._message = message

    @property
    def pending(self) -> int:
        """1 until it is answered."""
        return int(self.changed is None)

    def _cut(self, shape: Shape) -> None:
        self._begin_anew()
        bucket = shape.routing.bucket_of(self._message.key)
        self._add(msgspec.structs.replace(self._message, bucket=bucket), 0)

    def on_reply(self, ask: Ask, reply: messages.Done | Changed) -> None:
        """It is decided."""
        super().on_reply(ask, reply)
        if isinstance(reply, Changed):
            self.changed = reply


class Clear(Write):
    """Clear a region, bucket by bucket."""

    reply = messages.Done

    @property
    def pending(self) -> int:
        """Buckets; 1 before it is known how many there are."""
        return len(self._writes) if self._shape is not None else 1

    def _cut(self, shape: Shape) -> None:
        self._begin_anew()
        for bucket in range(shape.total_num_buckets):
            self._add(messages.Clear(self.region, bucket, shape.total_num_buckets), 0)


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
