"""How the keys of a region find their buckets: the one place that knows of partition resolvers.

`bucket = crc32(routing object) % total-num-buckets`. The routing object of a key is the key itself, or what the
region's partition resolver returns for it (configuration.md §4.4), so that entries that belong together share a bucket.
A resolver is a function of the key, named in the region's attributes: `module:object`, which every server has to be
able to import, or `string-prefix`. It must always return the same for the same key, wherever it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from heliograph.errors import UsageError
from heliograph.model.attributes import STRING_PREFIX, RegionAttributes
from heliograph.model.ids import BucketId
from heliograph.model.keys import KEY_TYPES, Key, bucket_of, buckets_of
from heliograph.model.plugins import import_object

Resolver: TypeAlias = Callable[[Any], Any]
"""Key -> routing object: a str, int or bytes."""

UNROUTED = BucketId(-1)
"""Stands for the bucket in requests of who can't tell: the member that is asked finds it."""
DELIMITER = "|"


class Routing:
    """The buckets of one region's keys.

    total: `total-num-buckets`. resolver: the name of the partition resolver, "" for none.
    problem: why no key finds its bucket here, empty unless the resolver is missing.
    """

    __slots__ = ("_resolve", "problem", "resolver", "total")

    def __init__(self, total: int, resolver: str = "", resolve: Resolver | None = None, problem: str = "") -> None:
        self.total = total
        self.resolver = resolver
        self.problem = problem
        self._resolve = resolve

    def bucket_of(self, key: Key) -> BucketId:
        """Return the bucket of a key. Raises UsageError when the partition resolver fails."""
        return bucket_of(key if self._resolve is None else self._resolved(key), self.total)

    def buckets_of(self, keys: Sequence[Key]) -> list[BucketId]:
        """Return the bucket of every key. Raises UsageError when the partition resolver fails."""
        return buckets_of(keys if self._resolve is None else [self._resolved(key) for key in keys], self.total)

    def group_entries(
        self, keys: Sequence[Key], values: Sequence[bytes]
    ) -> dict[BucketId, tuple[list[Key], list[bytes]]]:
        """Sort entries into their keys' buckets, as columns that keep the order within a bucket."""
        buckets = self.buckets_of(keys)
        groups: dict[BucketId, tuple[list[Key], list[bytes]]] = {bucket: ([], []) for bucket in set(buckets)}
        for bucket, key, value in zip(buckets, keys, values, strict=True):
            some_keys, some_values = groups[bucket]
            some_keys.append(key)
            some_values.append(value)
        return groups

    def positions_by_bucket(self, keys: Sequence[Key]) -> dict[BucketId, list[int]]:
        """Sort the positions of keys into the keys' buckets, ascending within a bucket."""
        groups: dict[BucketId, list[int]] = {}
        for position, bucket in enumerate(self.buckets_of(keys)):
            groups.setdefault(bucket, []).append(position)
        return groups

    def _resolved(self, key: Key) -> Key:
        assert self._resolve is not None  # noqa: S101  (for the type checker)
        try:
            routing: Any = self._resolve(key)
        except UsageError:
            raise
        except Exception as exc:  # whatever a resolver raises, the caller of the operation hears of it
            message = f"the partition resolver {self.resolver} failed for the key {key!r}: {type(exc).__name__}: {exc}"
            raise UsageError(message) from exc
        if type(routing) not in KEY_TYPES or (isinstance(routing, str) and not _encodable(routing)):
            raise UsageError(
                f"the partition resolver {self.resolver} returned {routing!r} for the key {key!r}: "
                "it has to return a str, int or bytes"
            )
        return routing  # type: ignore[no-any-return]


class _Unrouted(Routing):
    """Of who can't load the region's partition resolver, and leaves it to the members."""

    __slots__ = ()

    def bucket_of(self, key: Key) -> BucketId:  # noqa: ARG002
        return UNROUTED

    def buckets_of(self, keys: Sequence[Key]) -> list[BucketId]:
        return [UNROUTED] * len(keys)


def routing_of(attributes: RegionAttributes) -> Routing:
    """Return the routing of a region. Raises UsageError when its partition resolver can't be loaded here."""
    name = attributes.partition_resolver
    return Routing(attributes.total_num_buckets, name, load_resolver(name) if name else None)


def member_routing(attributes: RegionAttributes) -> tuple[Routing, str]:
    """Return the routing of a region that a member hosts, and what is wrong with it.

    Without the resolver the member holds and follows its buckets all the same; operations that need it are refused.
    """
    try:
        return routing_of(attributes), ""
    except UsageError as exc:
        problem = str(exc)

    def refuse(_key: object) -> Key:
        raise UsageError(problem)

    return Routing(attributes.total_num_buckets, attributes.partition_resolver, refuse, problem), problem


@lru_cache(maxsize=1024)
def client_routing(total: int, resolver: str) -> Routing:
    """Return the routing of a region at a client; one without the partition resolver leaves it to the members."""
    if not resolver:
        return Routing(total)
    try:
        return Routing(total, resolver, load_resolver(resolver))
    except UsageError:
        return _Unrouted(total, resolver)


def load_resolver(name: str) -> Resolver:
    """Import a partition resolver. Raises UsageError when that isn't possible here."""
    if name == STRING_PREFIX:
        return string_prefix
    found = import_object("partition resolver", name)
    if not callable(found):
        raise UsageError(f"the partition resolver {name} is no function of the key, but {found!r}")
    return found  # type: ignore[no-any-return]


def string_prefix(key: Key) -> str:
    """Resolve a text key to what stands before its first `|`. Raises UsageError for any other key."""
    prefix, delimiter, _ = key.partition(DELIMITER) if isinstance(key, str) else ("", "", "")
    if not delimiter:
        raise UsageError(
            f"the key {key!r} has no {DELIMITER!r}: in a region with the partition resolver {STRING_PREFIX} a key is a "
            f"text like 'customer{DELIMITER}order'"
        )
    return prefix


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
