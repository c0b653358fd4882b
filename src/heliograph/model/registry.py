"""What stands where in a site's registry, and how it is encoded.

| key | value |
|---|---|
| `dsid` | the site's distributed-system-id, as digits; versions in the log rest on it, so it can't change |
| `grown` | the id of the engine cluster that the data of a site with one locator were brought into, once whole |
| `members.<name>` | `MemberInfo`, with a time to live of `member-timeout` |
| `joins` | empty; the revision of its last write is the newest member's place in the order of age |
| `config.region.<name>` | `RegionEntry` |
| `config.sender.<id>` | `GatewaySenderAttributes` |
| `config.store.<name>` | `DiskStoreAttributes`; the store DEFAULT has none until it is altered |
| `config.queue.<id>` | `AsyncEventQueueAttributes` |
| `config.receiver` | `GatewayReceiverAttributes`, for every server that has none of its own |
| `config.receiver.group.<name>`, `….member.<name>` | those of a group or a member, in lower case |
| `config.resolver` | `GatewayConflictResolverAttributes`, for every server |
| `config.runtime` | `RuntimeProperties`, of every server: written by `alter runtime` |
| `life` | `SiteLife`, written by the oldest server, and by a server that leaves |
| `rounds` | `Stability`, written by the locators; how long tombstones are kept |
| `generations.<region>` | empty; the revision of its last write is the newest generation drawn |
| `placement.<region>` | `RegionPlacement`, written by the oldest server |
| `leases.sender.<id>` | `Lease` of a serial gateway sender, with a time to live |
| `cursors.<sender>.<region>.<generation>.<bucket>` | `Cursor` |
| `parked.<sender>.<id>`, `parkedevents.<sender>.<id>.<copy>` | see `model.parked` |
| `commanded.<sender>.<member>` | `Commanded`: what an operator did last with the sender at the member |
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from heliograph.errors import PeerError
from heliograph.model.attributes import RegionAttributes
from heliograph.model.decoding import MALFORMED

REGISTRY = "site"
MEMBERS, CONFIG, PLACEMENT, LEASES, CURSORS = "members", "config", "placement", "leases", "cursors"
GENERATIONS, JOINS, LIFE, COMMANDED = "generations", "joins", "life", "commanded"
SITE_ID = "dsid"
ROUNDS = "rounds"
GROWN = "grown"
CONFIG_REGIONS, CONFIG_SENDERS, CONFIG_RECEIVER = "config.region", "config.sender", "config.receiver"
CONFIG_STORES, CONFIG_QUEUES, CONFIG_RESOLVER = "config.store", "config.queue", "config.resolver"
CONFIG_RUNTIME = "config.runtime"


class Stability(msgspec.Struct, frozen=True, kw_only=True):
    """How far the site is with `gateway.rounds`, and what follows for its tombstones.

    completed, times: as of `SiteRound`. sites: all others that were ever known: a locator that has just started knows
    none by itself. alone: there are none, nor is a locator of any configured. stable_ms: no event that was born before
    can come any more. behind: the sites that are waited for.
    tombstone_timeout_s, tombstone_max_age_s: as of `LocatorConfig`, as was given last; None for the defaults.
    """

    completed: int = 0
    times: tuple[int, ...] = ()
    sites: tuple[int, ...] = ()
    alone: bool = True
    stable_ms: int = 0
    behind: tuple[int, ...] = ()
    tombstone_timeout_s: int | None = None
    tombstone_max_age_s: int | None = None


class RegionEntry(msgspec.Struct, frozen=True):
    """A region as the registry holds it.

    generation: decided when the region is created, kept by every alteration, and never given to another region; the
    region's log rests on it, so a region created later under the same name starts empty.
    """

    attributes: RegionAttributes
    generation: int


class SiteLife(msgspec.Struct, frozen=True):
    """Which life the site's servers are in. A life ends when no server is left, and with it what is not persistent.

    number: grows with every life. servers: the incarnations of the servers that are known to be in it, by their names.
    beginning: the queues that are not persistent have still to be emptied; what depends on it is not taken up before.
    """

    number: int = 0
    servers: dict[str, str] = {}
    beginning: bool = False


class Lease(msgspec.Struct, frozen=True):
    """Who runs a serial gateway sender; `epoch` grows with every holder."""

    member: str
    incarnation: str
    epoch: int


class Cursor(msgspec.Struct, frozen=True):
    """How far a gateway sender's queue of one bucket is acknowledged.

    seq: every record of the bucket's log up to and including it is delivered.
    epoch: of the owner that stored it (bucket epoch of a parallel sender, lease epoch of a serial one); an older
    owner never overwrites a newer one's cursor.
    emptied: how often the queue was emptied; who has shipped it since before begins anew at `seq`.
    life: of the site, at whose beginning the queue was emptied last.
    """

    seq: int
    epoch: int
    emptied: int = 0
    life: int = 0


SenderState = Literal["running", "paused", "stopped"]


class Commanded(msgspec.Struct, frozen=True):
    """How an operator wants a gateway sender to be at a member, over its restarts."""

    state: SenderState


def member_key(name: str) -> str:
    """Return the key of a member."""
    return f"{MEMBERS}.{name}"


def region_key(name: str) -> str:
    """Return the key of a region's entry."""
    return f"{CONFIG_REGIONS}.{name}"


def sender_key(sender: str) -> str:
    """Return the key of a gateway sender's attributes."""
    return f"{CONFIG_SENDERS}.{sender}"


def queue_key(queue: str) -> str:
    """Return the key of an async event queue's attributes."""
    return f"{CONFIG_QUEUES}.{queue}"


def receiver_key(scope: str) -> str:
    """Return the key of a gateway receiver's attributes; scope: as `GatewayReceiverAttributes.scope`."""
    return f"{CONFIG_RECEIVER}.{scope.replace(' ', '.')}" if scope else CONFIG_RECEIVER


def store_key(name: str) -> str:
    """Return the key of a disk store's attributes."""
    return f"{CONFIG_STORES}.{name}"


def generation_key(region: str) -> str:
    """Return the key whose revisions are the generations of a name."""
    return f"{GENERATIONS}.{region}"


def placement_key(region: str) -> str:
    """Return the key of a region's placement."""
    return f"{PLACEMENT}.{region}"


def lease_key(sender: str) -> str:
    """Return the key of a serial gateway sender's lease."""
    return f"{LEASES}.sender.{sender}"


def cursor_key(sender: str, region: str, generation: int, bucket: int) -> str:
    """Return the key of a gateway sender's cursor in a bucket's log."""
    return f"{CURSORS}.{sender}.{region}.{generation}.{bucket}"


def commanded_key(sender: str, member: str) -> str:
    """Return the key of what was commanded of a gateway sender at a member."""
    return f"{COMMANDED}.{sender}.{member}"


T = TypeVar("T")
encode_entry = msgspec.msgpack.Encoder().encode


def decode_entry(data: bytes, kind: type[T]) -> T:
    """Decode a registry value. Raises PeerError when it is malformed."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except MALFORMED as exc:
        raise PeerError(f"malformed {kind.__name__} in the registry: {exc}") from exc
