"""What this member answers on its link port: region operations of clients and members, and the locator's commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from heliograph.bucket.primary import RECORD_BYTES_MAX, argument_size, request_size
from heliograph.errors import NotPrimaryError, TooLargeError, UsageError
from heliograph.link import frames, messages
from heliograph.member.copy import BucketCopy
from heliograph.member.operations import Operations
from heliograph.member.primaries import OnceRequest
from heliograph.member.waiters import OneWrite
from heliograph.model.keys import (
    KEY_PARTS_MAX,
    NO_VALUE,
    VALUE_BYTES_MAX,
    Key,
    check_argument,
    check_keys,
    key_bytes,
    keys_of_part,
)
from heliograph.model.routing import UNROUTED
from heliograph.net.link import BaseHandler, Link
from heliograph.process.own import FROM_LOCATORS

_OF_MEMBERS = frozenset({messages.ApplyParts, messages.PutSilently, messages.WereRead})
"""What clients are not answered. The versions of parts decide over entries: a receiver has checked them, and hands them
over as a member. What is put silently makes sites differ: only an operator's command may."""
KEYS_AT_ONCE = 50_000
KEY_HEAD_BYTES = 9
"""What a key has beside its own bytes in a message, at most."""

Answer = messages.Reply | Awaitable[messages.Reply]


class MemberService(BaseHandler):
    """Answers requests. Everything from outside is checked here; what lies behind trusts it."""

    def __init__(self, name: str, operations: Operations, commands: dict[type, Callable[[Any], Answer]]) -> None:
        self._name = name
        self._operations = operations
        self._commands = commands
        self._answers: dict[type, Callable[[Any], Answer]] = {
            messages.PutAll: self._put_all,
            messages.PutSilently: self._put_all,
            messages.Change: self._change,
            messages.Clear: self._clear,
            messages.ApplyParts: self._apply_parts,
            messages.WereRead: self._were_read,
            messages.GetAll: self._get_all,
            messages.Keys: self._keys,
            messages.Size: self._size,
            **commands,
        }

    def turn_away(self) -> None:
        """Refuse operations from now on, which sends clients and members elsewhere: this member leaves."""

        def refuse(_request: object) -> Answer:
            raise NotPrimaryError(f"{self._name} stops: ask another member")

        self._answers = {kind: refuse for kind in self._answers if kind not in self._commands} | self._commands

    def on_request(self, link: Link, message: messages.Request) -> Answer:
        """Answer a request, or raise what is wrong with it."""
        kind = type(message)
        if kind in FROM_LOCATORS and link.peer.role != "locator":
            raise UsageError(f"{kind.__name__} is answered to locators, not to {link.peer}")
        answer = self._answers.get(kind)
        if answer is None:
            raise UsageError(f"a member does not answer {kind.__name__}: ask a locator")
        if kind in _OF_MEMBERS and link.peer.role != "member":
            raise UsageError(f"{kind.__name__} is answered to members, not to {link.peer}")
        return answer(message)

    # --- writes: done here by the primary, forwarded once by another member

    def _put_all(self, request: messages.PutAll) -> Answer:
        if len(request.keys) != len(request.values):
            raise UsageError(f"{len(request.keys)} keys came with {len(request.values)} values")
        self._check_keys(request, request.keys)
        self._check_generation(request)
        for value in request.values:
            _check_value(value)
        check_argument(request.argument)
        size = request_size(request.keys, request.values) + argument_size(request.argument)
        if size > RECORD_BYTES_MAX and len(request.keys) > 1:
            raise UsageError(f"a request of {size} bytes is refused: put at most {RECORD_BYTES_MAX} bytes at once")
        copy = self._primary_copy(request.region, request.bucket, forwarded=request.forwarded)
        if copy is None:
            return self._put_elsewhere(request)
        waiter = OneWrite(asyncio.get_running_loop())
        copy.put_once(request, size, waiter)
        return cast(Answer, waiter.future)

    async def _put_elsewhere(self, request: messages.PutAll) -> messages.Reply:
        done = await self._operations.put_once(msgspec.structs.replace(request, forwarded=True))
        return messages.Done(done.seq, self._primary_of(request.region, request.bucket))

    def _change(self, request: messages.Change) -> Answer:
        self._check_keys(request, [request.key])
        self._check_generation(request)
        if request.op in ("put_if_absent", "replace", "replace_if"):
            _check_value(request.value)
        elif request.value:
            raise UsageError(f"{request.op} takes no value")
        if request.op == "invalidate" and request.argument:
            raise UsageError("invalidate takes no callback argument: it is no event that could carry one")
        check_argument(request.argument)
        copy = self._primary_copy(request.region, request.bucket, forwarded=request.forwarded)
        if copy is None:
            return self._change_elsewhere(request)
        waiter = OneWrite(asyncio.get_running_loop())
        copy.change_once(request, waiter)
        return cast(Answer, waiter.future)

    async def _change_elsewhere(self, request: messages.Change) -> messages.Reply:
        changed = await self._operations.change_once(msgspec.structs.replace(request, forwarded=True))
        primary = self._primary_of(request.region, request.bucket)
        return messages.Changed(changed.done, changed.old, changed.seq, primary)

    def _clear(self, request: messages.Clear) -> Answer:
        self._check_bucket(request.region, request.bucket)
        if request.total_num_buckets != self._operations.region(request.region).attributes.total_num_buckets:
            raise self._other_buckets(request.region)
        self._check_generation(request)
        copy = self._primary_copy(request.region, request.bucket, forwarded=request.forwarded)
        if copy is None:
            return self._clear_elsewhere(request)
        waiter = OneWrite(asyncio.get_running_loop())
        copy.clear_once(request, waiter)
        return cast(Answer, waiter.future)

    async def _clear_elsewhere(self, request: messages.Clear) -> messages.Reply:
        done = await self._operations.clear_once(msgspec.structs.replace(request, forwarded=True))
        return messages.Done(done.seq, self._operations.region(request.region).primary_of(request.bucket))

    def _apply_parts(self, request: messages.ApplyParts) -> Answer:
        self._check_bucket(request.region, request.bucket)
        copy = self._primary_copy(request.region, request.bucket, forwarded=True)
        if copy is None:
            raise NotPrimaryError(f"{self._name} is not the primary of bucket {request.bucket}")
        waiter = OneWrite(asyncio.get_running_loop())
        copy.apply_parts(request.parts, waiter)
        return cast(Answer, waiter.future)

    def _were_read(self, request: messages.WereRead) -> Answer:
        self._check_keys(request, request.keys)
        copy = self._primary_copy(request.region, request.bucket, forwarded=True)
        if copy is not None:
            copy.upkeep.on_read(request.keys)
        return messages.Done(0)

    def _primary_copy(self, region: str, bucket: int, *, forwarded: bool) -> BucketCopy | None:
        copy = self._operations.region(region).copies.get(bucket)
        if copy is not None and copy.accepting:
            return copy
        if forwarded:
            raise NotPrimaryError(f"{self._name} is not the primary of bucket {bucket} of {region}")
        return None

    def _primary_of(self, region: str, bucket: int) -> str:
        return "" if bucket == UNROUTED else self._operations.region(region).primary_of(bucket)

    # --- reads

    async def _get_all(self, request: messages.GetAll) -> messages.Reply:
        check_keys(request.keys)
        values = await self._operations.get_all(request.region, request.keys, request.timeout_ms)
        size = sum(map(len, values))
        size_max = frames.FRAME_BYTES_MAX
        if size > size_max:  # before it is encoded, which may take gigabytes
            raise TooLargeError(f"the values have {size} bytes, a message may have {size_max}: ask for fewer keys")
        return messages.Values(values)

    async def _keys(self, request: messages.Keys) -> messages.Reply:
        """List keys, some at a time, so that the many of a large bucket hold nobody up."""
        part, parts, size_max = request.part, request.parts, frames.FRAME_BYTES_MAX
        if not 0 <= part < parts <= KEY_PARTS_MAX:
            raise UsageError(f"there is no part {part} of {parts}")
        found: list[Key] = []
        size = 0
        for keys in [list(copy.view.values) for copy in self._held(request)]:
            for start in range(0, len(keys), KEYS_AT_ONCE):
                some = keys[start : start + KEYS_AT_ONCE]
                if parts > 1:
                    some = keys_of_part(some, request.total_num_buckets, part, parts)
                size += key_bytes(some) + KEY_HEAD_BYTES * len(some)
                if size > size_max:  # before it is encoded
                    raise TooLargeError(f"the keys have {size} bytes or more, a message may have {size_max}")
                found += some
                if len(keys) > KEYS_AT_ONCE:
                    await asyncio.sleep(0)
        return messages.KeyList(found)

    def _size(self, request: messages.Size) -> Answer:
        return messages.Count(sum(len(copy.view.values) for copy in self._held(request)))

    def _held(self, request: messages.Keys | messages.Size) -> list[BucketCopy]:
        region = self._operations.region(request.region)
        if request.total_num_buckets != region.attributes.total_num_buckets:
            raise self._other_buckets(request.region)
        for bucket in request.buckets:
            if bucket not in region.copies or not region.copies[bucket].readable:
                raise NotPrimaryError(f"{self._name} does not hold bucket {bucket} of {request.region}")
        return [region.copies[bucket] for bucket in request.buckets]

    # --- checks

    def _check_bucket(self, region: str, bucket: int) -> None:
        buckets = self._operations.region(region).attributes.total_num_buckets
        if not 0 <= bucket < buckets:
            raise self._other_buckets(region)

    def _check_keys(self, request: messages.PutAll | messages.Change | messages.WereRead, keys: list[Any]) -> None:
        check_keys(keys)
        if request.bucket == UNROUTED:
            return
        self._check_bucket(request.region, request.bucket)
        region = self._operations.region(request.region)
        if all(map(request.bucket.__eq__, region.routing.buckets_of(keys))):
            return
        identity = None if isinstance(request, messages.WereRead) else request.id
        if region.routing.resolver and identity is not None and identity.generation == region.generation:
            raise UsageError(
                f"the partition resolver {region.routing.resolver} gives other buckets at {self._name} than where the "
                f"write to region {region.name} comes from: have the same version of it everywhere"
            )
        raise self._other_buckets(request.region)

    def _check_generation(self, request: OnceRequest) -> None:
        """Numbers of requests mean nothing in another region of the same name."""
        if request.id is not None and request.id.generation != self._operations.region(request.region).generation:
            raise NotPrimaryError(f"region {request.region} was created anew: look at the site anew")

    def _other_buckets(self, region: str) -> NotPrimaryError:
        """Tell a peer that reckons with another number of buckets: the region was created anew since it looked."""
        buckets = self._operations.region(region).attributes.total_num_buckets
        return NotPrimaryError(f"region {region} has {buckets} buckets: look at the site anew")


def _check_value(value: bytes) -> None:
    if value == NO_VALUE:
        raise UsageError("None can't be a value: invalidate the entry, or remove it")
    if not 0 < len(value) <= VALUE_BYTES_MAX:
        raise UsageError(f"a value of {len(value)} bytes is refused: 1 to {VALUE_BYTES_MAX} bytes are allowed")
