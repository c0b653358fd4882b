"""Attributes of disk stores, regions, gateway senders and gateway receivers, with their defaults and rules.

One frozen struct each, filled alike from command options, keyword arguments and files. Names, defaults and rules are
those of spec configuration.md §1, §2 and §4. An option that heliograph does not have yet is not listed here, so it is
refused as unknown rather than ignored.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Literal

import msgspec

from heliograph.errors import UsageError
from heliograph.model.groups import check_groups, folded, in_any
from heliograph.model.ids import check_name, check_region_name, check_site_id, check_word
from heliograph.model.plugins import is_target, read_plugin

TOTAL_NUM_BUCKETS_DEFAULT = 16
TOTAL_NUM_BUCKETS_MAX = 4096
REDUNDANT_COPIES_MAX = 3
BATCH_TIME_INTERVAL_MAX_MS = 3_600_000
"""A batch that never fills leaves after an hour at the latest; longer is a slip of the hand."""
COUNT_MAX = 2**31 - 1
"""Of events, ms and MB where no other bound makes sense: GemFire's own, an int of 32 bits."""
DEFAULT_STORE = "DEFAULT"
QUEUE_PREFIX = "AsyncEventQueue_"
"""Begins the ids by which async event queues are known as gateway senders (`model.queues`)."""
STRING_PREFIX = "string-prefix"
"""The partition resolver that is built in, see `model.routing`."""

REGION_TYPES: dict[str, tuple[str, int, bool]] = {
    "REPLICATE": ("REPLICATE", 0, False),
    "REPLICATE_PERSISTENT": ("REPLICATE", 0, True),
    "PARTITION": ("PARTITION", 0, False),
    "PARTITION_PERSISTENT": ("PARTITION", 0, True),
    "PARTITION_REDUNDANT": ("PARTITION", 1, False),
    "PARTITION_REDUNDANT_PERSISTENT": ("PARTITION", 1, True),
}
"""Region shortcut -> data policy, redundant copies, persistent (configuration.md §4.1)."""
_NOT_OFFERED = {
    "_OVERFLOW": "its values would be moved to disk, and here they all are in memory",
    "_HEAP_LRU": "its entries would be evicted, and here none is",
}


def _type_refusal(given: str) -> str:
    """Say why a word is no region type here, and what to use."""
    refusal = f"region type {given!r} is not offered"
    if given == "LOCAL" or given.startswith("LOCAL_"):
        return f"{refusal}: it would be on one member only; keep such data in your program"
    if given in {"REPLICATE_PROXY", "PARTITION_PROXY", "PARTITION_PROXY_REDUNDANT"}:
        return f"{refusal}: a member would hold none of the data; use a thin client, `heliograph.connect`"
    for ending, reason in _NOT_OFFERED.items():
        if given.removesuffix(ending) in REGION_TYPES and given.endswith(ending):
            return f"{refusal}: {reason}; use {given.removesuffix(ending)} and enough memory"
    return f"region type {given!r} is not known: use one of {', '.join(REGION_TYPES)}"


MAX_DISK_MB = 2**31 - 1
"""GemFire's "unlimited"."""
MB = 1024 * 1024


class DiskStoreAttributes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A disk store's definition. Raises UsageError when it breaks a rule.

    max_disk: MB that the log and the snapshots of the store's regions may take before writes are refused; 0: no limit.
    """

    name: str
    max_disk: int = 0

    def __post_init__(self) -> None:
        check_name("disk store", self.name)
        check_max_disk(self.max_disk)

    @property
    def limit_bytes(self) -> int:
        """`max_disk` in bytes; 0: no limit."""
        return self.max_disk * MB


def check_max_disk(max_disk: int) -> None:
    """Raise UsageError unless a disk store may have this limit."""
    if not 0 <= max_disk <= MAX_DISK_MB:
        raise UsageError(f"max-disk {max_disk}: use 1 to {MAX_DISK_MB} MB, or 0 for no limit")


EXPIRATION_S_MAX = 2**31 - 1
EXPIRATION_ACTIONS = ("destroy", "invalidate")
EXPIRATION_OPTIONS = ("entry_time_to_live_expiration", "entry_idle_time_expiration")
"""The fields that are seconds; each has one that is called `..._action` too."""


class RegionAttributes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A region's definition. Raises UsageError when it breaks a rule.

    redundant_copies: None means what the type says.
    disk_store: whose log and snapshots its buckets are in. Every region has those, so any type may name one.
    colocated_with: a partitioned region whose buckets this one's are always together with, member by member.
    partition_resolver: what decides which keys share a bucket, see `model.routing`; "" means the key itself.
    groups: the servers that hold it are those of any of them (case does not matter); none means all.
    entry_time_to_live_expiration: seconds after which an entry expires that is not written; 0 = never.
    entry_idle_time_expiration: the same of one that is neither read nor written.
    entry_..._action: what becomes of it: `destroy` or `invalidate`, in lower case.
    """

    name: str
    type: str = "PARTITION"
    gateway_sender_ids: tuple[str, ...] = ()
    async_event_queue_ids: tuple[str, ...] = ()
    redundant_copies: int | None = None
    total_num_buckets: int = TOTAL_NUM_BUCKETS_DEFAULT
    disk_store: str = DEFAULT_STORE
    colocated_with: str = ""
    partition_resolver: str = ""
    groups: tuple[str, ...] = ()
    entry_time_to_live_expiration: int = 0
    entry_time_to_live_expiration_action: str = "invalidate"
    entry_idle_time_expiration: int = 0
    entry_idle_time_expiration_action: str = "invalidate"

    def __post_init__(self) -> None:
        check_region_name(self.name)
        check_name("disk store", self.disk_store)
        if self.type not in REGION_TYPES:
            raise UsageError(_type_refusal(self.type))
        if not 1 <= self.total_num_buckets <= TOTAL_NUM_BUCKETS_MAX:
            raise UsageError(f"total-num-buckets {self.total_num_buckets}: use 1 to {TOTAL_NUM_BUCKETS_MAX}")
        if self.redundant_copies is not None:
            if self.replicated:
                raise UsageError("redundant-copies is for PARTITION types: a replicated region is on every member")
            if not 0 <= self.redundant_copies <= REDUNDANT_COPIES_MAX:
                raise UsageError(f"redundant-copies {self.redundant_copies}: use 0 to {REDUNDANT_COPIES_MAX}")
        if self.colocated_with:
            self._check_partitioned("colocated-with")
            check_region_name(self.colocated_with)
            if self.colocated_with == self.name:
                raise UsageError(f"colocated-with {self.colocated_with}: a region can't be colocated with itself")
        if self.partition_resolver:
            self._check_partitioned("partition-resolver")
            if self.partition_resolver != STRING_PREFIX and not is_target(self.partition_resolver):
                given = self.partition_resolver
                raise UsageError(f"partition-resolver {given!r}: write module:function, or {STRING_PREFIX}")
        for sender in self.gateway_sender_ids:
            check_name("gateway sender", sender)
        for queue in self.async_event_queue_ids:
            check_name("async event queue", queue)
        check_groups(self.groups)
        check_expiration(self)

    @property
    def sender_ids(self) -> tuple[str, ...]:
        """The gateway senders of the region, and its async event queues as such."""
        return (*self.gateway_sender_ids, *(QUEUE_PREFIX + queue for queue in self.async_event_queue_ids))

    @property
    def persistent(self) -> bool:
        """Say whether it is kept when no server of the site is left; else it is empty then."""
        return REGION_TYPES[self.type][2]

    def _check_partitioned(self, option: str) -> None:
        if self.replicated:
            raise UsageError(f"{option} is for PARTITION types: a replicated region is on every member")

    @property
    def replicated(self) -> bool:
        """Say whether every hosting member holds every bucket."""
        return REGION_TYPES[self.type][0] == "REPLICATE"

    @property
    def data_policy(self) -> str:
        """What kind of region it is."""
        policy, _, persistent = REGION_TYPES[self.type]
        return f"persistent {policy.lower()}" if persistent else policy.lower()

    @property
    def copies(self) -> int:
        """Redundant copies of a partitioned region's buckets."""
        return REGION_TYPES[self.type][1] if self.redundant_copies is None else self.redundant_copies


def known_as(sender: str) -> str:
    """Return what operators call a gateway sender of this id, which may be that of an async event queue."""
    if sender.startswith(QUEUE_PREFIX):
        return f"async event queue {sender.removeprefix(QUEUE_PREFIX)}"
    return f"gateway sender {sender}"


def check_batch_time_interval(interval_ms: int) -> None:
    """Raise UsageError unless a batch may wait so long."""
    if not -1 <= interval_ms <= BATCH_TIME_INTERVAL_MAX_MS:
        raise UsageError(
            f"batch-time-interval {interval_ms}: use 0 to {BATCH_TIME_INTERVAL_MAX_MS} ms, or -1 to never wait"
        )


def check_batch_size(size: int) -> None:
    """Raise UsageError unless a batch may have so many events."""
    if not 1 <= size <= COUNT_MAX and size != -1:
        raise UsageError(f"batch-size {size}: use 1 to {COUNT_MAX}, or -1 for no limit")


def check_alert_threshold(threshold_ms: int) -> None:
    """Raise UsageError unless an event's age (ms) may be warned of beyond it."""
    if not 0 <= threshold_ms <= COUNT_MAX:
        raise UsageError(f"alert-threshold {threshold_ms}: use 1 to {COUNT_MAX} ms, or 0 for no warning")


def check_expiration(given: msgspec.Struct) -> None:
    """Check the expiration options among the attributes of a region or of its alteration; None is not given.

    Puts actions in lower case. Raises UsageError.
    """
    for field in EXPIRATION_OPTIONS:
        seconds, action = getattr(given, field), getattr(given, f"{field}_action")
        if seconds is not None and not 0 <= seconds <= EXPIRATION_S_MAX:
            option = field.replace("_", "-")
            raise UsageError(f"{option} {seconds}: use 1 to {EXPIRATION_S_MAX} seconds, or 0 for never")
        if action is not None:
            msgspec.structs.force_setattr(given, f"{field}_action", _checked_action(f"{field}_action", action))


def _checked_action(field: str, action: str) -> str:
    word = action.lower()
    if word in EXPIRATION_ACTIONS:
        return word
    shown = f"{field.replace('_', '-')} {action!r}"
    if word in {"local-destroy", "local-invalidate"}:
        raise UsageError(f"{shown} would let copies of the region differ: use {word.removeprefix('local-')}")
    raise UsageError(f"{shown} is not known: use {' or '.join(EXPIRATION_ACTIONS)}")


SOCKET_READ_TIMEOUT_MIN_MS = 30_000
"""A shorter `socket-read-timeout` is raised to this, as in GemFire (configuration.md §1.1)."""
SOCKET_BUFFER_BYTES_MAX = 2**30


def check_socket_buffer_size(size: int) -> None:
    """Raise UsageError unless the buffers of a link's socket may have so many bytes."""
    if not 0 <= size <= SOCKET_BUFFER_BYTES_MAX:
        raise UsageError(
            f"socket-buffer-size {size}: use 1 to {SOCKET_BUFFER_BYTES_MAX} bytes, or 0 to leave it to the system"
        )


OrderPolicy = Literal["key", "partition", "thread"]
ALTERABLE = frozenset(
    {
        "batch_size",
        "batch_time_interval",
        "alert_threshold",
        "gateway_event_filters",
        "maximum_queue_memory",
        "members",
        "groups",
        "paused",
    }
)
"""What commands may change of a gateway sender, or of an async event queue as such; else it is created anew."""


class GatewaySenderAttributes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gateway sender's definition. Raises UsageError when it breaks a rule (configuration.md §1.2).

    batch_size: events; a batch closes when it holds as many (an event batch of the log is never cut for it).
    batch_time_interval: ms that a batch may wait to fill; 0 sends at once.
    alert_threshold: ms that an event may be old when it is acknowledged, before it is warned of; 0 for no warning.
    enable_persistence: the queue is kept when no server of the site is left; else it is empty then.
    disk_store_name: that of every region that names the sender, whose log is the queue; "" leaves it to them.
    members, groups: the servers that run a serial sender, by name or group (case does not matter); none means all.
    maximum_queue_memory: MB of queued events held in memory by one member; the rest is re-read from the log.
    socket_buffer_size: bytes of a link's send and receive buffers; 0 leaves them to the system, which tunes them.
    socket_read_timeout: ms in which a receiver has to be heard of, see `read_timeout_ms`; 0: as every link.
    order_policy: of `key` and `partition` both get the order of `partition`, which is that of `key` and more: a key has
    one bucket, a bucket one dispatcher. `thread` keeps the order of the log of a disk store over all its buckets and
    regions, with one dispatcher whatever `dispatcher_threads` says.
    gateway_event_filters, gateway_event_substitution_filter, gateway_transport_filters: plug-ins (`model.plugins`), see
    `gateway.plugins`.
    """

    id: str
    remote_distributed_system_id: int
    parallel: bool = False
    manual_start: bool = False
    batch_size: int = 100
    batch_time_interval: int = 0
    enable_batch_conflation: bool = False
    enable_persistence: bool = False
    disk_store_name: str = ""
    alert_threshold: int = 0
    maximum_queue_memory: int = 100
    dispatcher_threads: int = 5
    order_policy: OrderPolicy = "key"
    socket_buffer_size: int = 0
    socket_read_timeout: int = 0
    members: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    gateway_event_filters: tuple[str, ...] = ()
    gateway_event_substitution_filter: str = ""
    gateway_transport_filters: tuple[str, ...] = ()

    def becomes(self, other: GatewaySenderAttributes) -> bool:
        """Say whether a sender can go on as another definition of its id says; else that one is of another sender."""
        lasting = {*self.__struct_fields__} - ALTERABLE
        return all(getattr(self, field) == getattr(other, field, None) for field in lasting)

    @property
    def keeps_threads_order(self) -> bool:
        """Say whether events leave in the order of the whole log, and not only of each bucket's."""
        return self.order_policy == "thread"

    @property
    def read_timeout_ms(self) -> int:
        """How long a receiver may be silent before the link is given up; 0: as every link."""
        return max(self.socket_read_timeout, SOCKET_READ_TIMEOUT_MIN_MS) if self.socket_read_timeout else 0

    def runs_on(self, name: str, groups: Iterable[str]) -> bool:
        """Say whether a server of that name and those groups has an instance of the sender."""
        if self.members:
            return name.lower() in map(str.lower, self.members)
        return in_any(self.groups, groups)

    @property
    def persistence_option(self) -> str:
        """The option by which its queue is kept."""
        return "--enable-persistence"

    @property
    def known_as(self) -> str:
        """What operators call it."""
        return known_as(self.id)

    def check_end(self) -> None:
        """Raise UsageError unless it leads to a site."""
        check_site_id(self.remote_distributed_system_id)
        if self.id.startswith(QUEUE_PREFIX):
            raise UsageError(f"gateway sender {self.id}: ids that begin with {QUEUE_PREFIX} are of async event queues")

    def __post_init__(self) -> None:
        check_name("gateway sender", self.id)
        self.check_end()
        check_batch_size(self.batch_size)
        check_batch_time_interval(self.batch_time_interval)
        check_alert_threshold(self.alert_threshold)
        if self.disk_store_name:
            check_name("disk store", self.disk_store_name)
        if self.parallel and (self.members or self.groups):
            raise UsageError(
                f"{self.known_as} is parallel, so every server ships the buckets whose primary it has: "
                "leave member and group out, or use a serial one"
            )
        if self.parallel and self.keeps_threads_order:
            raise UsageError(
                f"{self.known_as} is parallel and can't be created with order-policy thread: each server "
                "ships its own buckets, without an order between them; use a serial one, or key or partition"
            )
        if self.members and self.groups:
            raise UsageError("member and group exclude each other: give one of them")
        check_socket_buffer_size(self.socket_buffer_size)
        if not 0 <= self.socket_read_timeout <= COUNT_MAX:
            raise UsageError(
                f"socket-read-timeout {self.socket_read_timeout}: use up to {COUNT_MAX} ms, or 0 for that of every link"
            )
        if not 1 <= self.maximum_queue_memory <= COUNT_MAX:
            raise UsageError(f"maximum-queue-memory {self.maximum_queue_memory}: use 1 to {COUNT_MAX} MB")
        for member in self.members:
            check_word("member", member)
        check_groups(self.groups)
        if not 1 <= self.dispatcher_threads <= 64:
            raise UsageError(f"dispatcher-threads {self.dispatcher_threads}: use 1 to 64")
        check_event_filters(self.gateway_event_filters)
        if self.gateway_event_substitution_filter:
            read_plugin("gateway-event-substitution-filter", self.gateway_event_substitution_filter)
        check_transport_filters(self.gateway_transport_filters)


def check_event_filters(filters: Iterable[str]) -> None:
    """Raise UsageError unless these may name gateway event filters."""
    for name in filters:
        read_plugin("gateway-event-filter", name)


def check_transport_filters(filters: Iterable[str]) -> None:
    """Raise UsageError unless these may name gateway transport filters."""
    for name in filters:
        read_plugin("gateway-transport-filter", name)


class GatewayReceiverAttributes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gateway receiver's definition. Raises UsageError when it breaks a rule (configuration.md §2).

    maximum_time_between_pings: ms of silence after which a sender's connection is closed.
    gateway_transport_filters: plug-ins, the same as those of the senders that connect.
    socket_buffer_size: as of a gateway sender.
    member, group: the one server, or the servers of the one group, that it is of, in lower case (case does not matter);
    without either it is of every server that has none of its own (`placement.receivers`).
    """

    start_port: int = 5000
    end_port: int = 5500
    bind_address: str = ""
    hostname_for_senders: str = ""
    maximum_time_between_pings: int = 60000
    socket_buffer_size: int = 0
    manual_start: bool = False
    gateway_transport_filters: tuple[str, ...] = ()
    member: str = ""
    group: str = ""

    @property
    def scope(self) -> str:
        """Whose it is, in lower case: "member s1", "group g1", or "" for every server's."""
        return f"member {self.member}" if self.member else f"group {self.group}" if self.group else ""

    def __post_init__(self) -> None:
        if self.member and self.group:
            raise UsageError("member and group exclude each other: give one of them")
        for kind, name in (("member", self.member), ("group", self.group)):
            if name:
                msgspec.structs.force_setattr(self, kind, check_name(kind, name).lower())
        for option, port in (("start-port", self.start_port), ("end-port", self.end_port)):
            if not 1 <= port <= 65535:
                raise UsageError(f"{option} {port}: use 1 to 65535")
        if self.start_port > self.end_port:
            raise UsageError(f"start-port {self.start_port} is above end-port {self.end_port}")
        if not 1000 <= self.maximum_time_between_pings <= COUNT_MAX:
            raise UsageError(
                f"maximum-time-between-pings {self.maximum_time_between_pings}: use 1000 to {COUNT_MAX} ms"
            )
        for option, host in (("bind-address", self.bind_address), ("hostname-for-senders", self.hostname_for_senders)):
            if host:
                check_word(option, host)
        check_transport_filters(self.gateway_transport_filters)
        check_socket_buffer_size(self.socket_buffer_size)


class GatewayConflictResolverAttributes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The site's conflict resolver: a plug-in, see `gateway.conflict_resolver`. Raises UsageError."""

    resolver: str

    def __post_init__(self) -> None:
        read_plugin("gateway-conflict-resolver", self.resolver)


def check_region_store(region: RegionAttributes, stores: Container[str]) -> None:
    """Raise UsageError when a region names a disk store that does not exist."""
    if region.disk_store != DEFAULT_STORE and region.disk_store not in stores:
        raise UsageError(
            f"region {region.name} names disk store {region.disk_store!r}, which does not exist: create it first"
        )


def check_sender_store(sender: GatewaySenderAttributes, stores: Container[str]) -> None:
    """Raise UsageError when a gateway sender names a disk store that does not exist."""
    name = sender.disk_store_name
    if name not in ("", DEFAULT_STORE) and name not in stores:
        raise UsageError(f"{sender.known_as} names disk store {name!r}, which does not exist: create it first")


def leader_of(region: str, colocated_with: Mapping[str, str]) -> str:
    """Return the region by whose placement a region's buckets are placed: itself, unless it is colocated with another.

    colocated_with: every region -> the one that it is colocated with, "" for none.
    """
    passed = {region}
    while (parent := colocated_with.get(region, "")) in colocated_with and parent not in passed:
        region = parent
        passed.add(parent)
    return region


def check_colocation(region: RegionAttributes, regions: Mapping[str, RegionAttributes]) -> None:
    """Raise UsageError unless the region can be colocated as it says (configuration.md §4.4)."""
    if not region.colocated_with:
        return
    name = check_region_name(region.colocated_with)
    parent = regions.get(name)
    said = f"region {region.name} can't be colocated with {name}"
    if parent is None:
        raise UsageError(f"{said}, which does not exist: create it first")
    if parent.replicated:
        raise UsageError(f"{said}, which is replicated: it has to be of a PARTITION type")
    if parent.total_num_buckets != region.total_num_buckets:
        raise UsageError(f"{said}: give total-num-buckets {parent.total_num_buckets} as that one has")
    if parent.copies != region.copies:
        raise UsageError(f"{said}: give redundant-copies {parent.copies} as that one has")
    if folded(parent.groups) != folded(region.groups):
        raise UsageError(f"{said}: give groups {','.join(parent.groups) or '(none)'} as that one has")


def check_no_colocated(region: str, regions: Mapping[str, RegionAttributes]) -> None:
    """Raise UsageError when a region can't be destroyed because others are colocated with it."""
    children = sorted(name for name, other in regions.items() if other.colocated_with == region)
    if children:
        raise UsageError(f"region {region} can't be destroyed: destroy {', '.join(children)} first, colocated with it")


def check_region_senders(region: RegionAttributes, senders: Mapping[str, GatewaySenderAttributes]) -> None:
    """Raise UsageError when a region names a sender that does not exist or does not fit it (configuration.md §4.5)."""
    for name in region.sender_ids:
        sender = senders.get(name)
        if sender is None:
            raise UsageError(f"region {region.name} names {known_as(name)}, which does not exist: create it first")
        if sender.parallel and region.replicated:
            raise UsageError(
                f"region {region.name} is replicated and can't use the parallel {sender.known_as}: "
                "use a serial one, or a PARTITION type"
            )
        if sender.parallel and region.persistent and not sender.enable_persistence:
            raise UsageError(
                f"region {region.name} is persistent and can't use the parallel {sender.known_as}, whose queue is not: "
                f"create that with {sender.persistence_option}=true, or the region with a type without _PERSISTENT"
            )
        if sender.disk_store_name and sender.disk_store_name != region.disk_store:
            raise UsageError(
                f"region {region.name} is in disk store {region.disk_store} and its log there is the queue, but "
                f"{sender.known_as} names {sender.disk_store_name}: let both name one, or that one none"
            )
        if sender.keeps_threads_order and region.disk_store != (sender.disk_store_name or DEFAULT_STORE):
            raise UsageError(
                f"region {region.name} is in disk store {region.disk_store}, but {sender.known_as} keeps the "
                f"order of threads, which only one log has: that of {DEFAULT_STORE}, as it names no disk store; create "
                f"it with --disk-store-name={region.disk_store} and let all its regions be there"
            )
