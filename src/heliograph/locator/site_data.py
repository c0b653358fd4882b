"""Entry commands: put, get, remove (also of all), with keys and values as text (gfsh.md §4.4 to §4.6).

Any server does them: it finds the bucket, and forwards where it is not the primary. What the caller gets wrong about an
entry shows inside an OK result (`Result : false`), but a missing region fails `remove`.
"""

from __future__ import annotations

from typing import TypeVar

from heliograph.engine.patience import patiently
from heliograph.errors import UsageError
from heliograph.link.messages import Change, Changed, Clear, Done, GetAll, PutAll, Reply, Request, Values
from heliograph.locator.cluster import Cluster
from heliograph.model.attributes import RegionAttributes
from heliograph.model.classes import TextValue, class_of, read_key
from heliograph.model.keys import check_keys, decode_value, encode_value, shown_value
from heliograph.model.results import Result
from heliograph.model.routing import UNROUTED

ENTRY_S = 20.0

T = TypeVar("T", bound=Reply)


class EntryAdmin:
    """Entry commands of one site. They raise UnavailableError, and UsageError when no server runs."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def put(
        self, region: str, key: str, value: TextValue, *, if_not_exists: bool = False, key_class: str = ""
    ) -> Result:
        """Put an entry; with `if_not_exists` an existing one stays and its value is shown.

        key_class: of the key, see `model.classes.read_key`; here and below.
        """
        try:
            attributes = await self._region(region)
            meant = checked_key(key, key_class)
            encoded = encode_value(value)
        except UsageError as exc:
            return refused(key, str(exc))
        if not if_not_exists:
            await self._ask(PutAll(attributes.name, UNROUTED, [meant], [encoded]), Done, repeatable=False)
            return _entry(meant, encoded)
        request = Change(attributes.name, UNROUTED, "put_if_absent", meant, encoded)
        changed = await self._ask(request, Changed, repeatable=False)
        if changed.done:
            return _entry(meant, encoded)
        return _entry(meant, changed.old, problem="the key exists already")

    async def get(self, region: str, key: str, key_class: str = "") -> Result:
        """Show the value of a key."""
        try:
            attributes = await self._region(region)
            meant = checked_key(key, key_class)
        except UsageError as exc:
            return refused(key, str(exc))
        values = await self._ask(GetAll(attributes.name, [meant]), Values, repeatable=True)
        if not values.values[0]:
            return refused(key, "the key does not exist in the region")
        return _entry(meant, values.values[0])

    async def remove(self, region: str, key: str, key_class: str = "") -> Result:
        """Remove an entry. Raises RegionNotFoundError."""
        attributes = await self._region(region)
        try:
            meant = checked_key(key, key_class)
        except UsageError as exc:
            return refused(key, str(exc))
        changed = await self._ask(Change(attributes.name, UNROUTED, "remove", meant), Changed, repeatable=False)
        if not changed.done:
            return refused(key, "the key does not exist in the region")
        return Result(data={"Result": "true", "Key": key})

    async def clear(self, region: str) -> Result:
        """Remove every entry, at this site only. Raises RegionNotFoundError."""
        attributes = await self._region(region)
        buckets = attributes.total_num_buckets
        for bucket in range(buckets):
            await self._ask(Clear(attributes.name, bucket, buckets), Done, repeatable=False)
        return Result(data={"Result": "true", "Region": attributes.name})

    async def _region(self, name: str) -> RegionAttributes:
        return (await patiently(lambda: self._cluster.region_entry(name), ENTRY_S)).attributes

    async def _ask(self, request: Request, kind: type[T], *, repeatable: bool) -> T:
        return await self._cluster.ask_any(request, kind, timeout_s=ENTRY_S, repeatable=repeatable)


def checked_key(text: str, key_class: str) -> str | int:
    """Return the key that a command means. Raises UsageError."""
    key = read_key(text, key_class)
    check_keys([key])
    return key


def _entry(key: str | int, encoded: bytes, problem: str = "") -> Result:
    """Show an entry. problem: why it is not as was asked for."""
    kind = class_of(decode_value(encoded))
    return Result(
        data={
            "Result": "false" if problem else "true",
            **({"Message": problem} if problem else {}),
            "Key Class": class_of(key),
            "Key": str(key),
            **({"Value Class": kind} if kind else {}),
            "Value": text_of(encoded),
        }
    )


def text_of(encoded: bytes) -> str:
    """Return a value as a command shows it, see `shown_value`."""
    return shown_value(decode_value(encoded))


def refused(key: str, message: str) -> Result:
    """Return the OK result of what the caller got wrong about an entry (gfsh.md §4.6)."""
    return Result(data={"Result": "false", "Message": message, "Key": key})
