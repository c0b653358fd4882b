"""Options that GemFire has and that mean nothing here, each with the reason, whoever brings them: a command or a file.

An option may still be given with a value that says what is done anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from heliograph.errors import UsageError


class Refusal(NamedTuple):
    """reason: why it is not offered, and what to do instead. unless: values, in lower case, that ask for nothing."""

    reason: str
    unless: tuple[str, ...] = ()

    @property
    def is_boolean(self) -> bool:
        """Say whether the option is true or false: one of them asks for nothing then, or both do."""
        return "true" in self.unless or "false" in self.unless


def check_refused(shown: str, refusal: Refusal, value: object) -> None:
    """Raise UsageError unless an option, `shown` as the user wrote it, asks for nothing but what is done anyway."""
    if str(value).lower() in refusal.unless:
        return
    besides = f" (only {' or '.join(refusal.unless)})" if refusal.unless else ""
    raise UsageError(f"{shown} is not offered{besides}: {refusal.reason}")


_WHOLE = Refusal("entries expire one by one, by entry-time-to-live or entry-idle-time")
EVICTED = Refusal("nothing is evicted; give the servers enough memory, or let entries expire")
_SYNCHRONOUS = Refusal(
    "what is acknowledged is in the engine's files; start the locator with disk-synchronous=true to have all that the "
    "site writes synced to the disk, too",
    ("true",),
)
_COMPACTED = Refusal("logs are always cut below what is still needed")
_ENGINE_WRITES = Refusal("the site's engine writes the files, in its own way")
_MEMORY = Refusal("values are all in memory; the servers' memory is the bound")
_TRANSACTIONS = Refusal("there are no transactions", ("false",))
_PLACED = Refusal("copies are made again at once, wherever there is a server for them")
_CODE = Refusal("no code of yours runs inside a write: use listeners, or an async event queue")
_WHOLE_SITE = Refusal("a disk store is the whole site's; leave it out")
_WIRE = Refusal("clients and members speak one protocol, which needs no such setting")

EXPIRATION: Mapping[str, Refusal] = {
    **dict.fromkeys(
        (f"region-{kind}-expiration{ending}" for kind in ("time-to-live", "idle-time") for ending in ("", "-action")),
        _WHOLE,
    ),
    **dict.fromkeys((f"entry-{kind}-custom-expiry" for kind in ("time-to-live", "idle-time")), _WHOLE),
}
"""Options of create and alter region."""
REGION: Mapping[str, Refusal] = {
    **EXPIRATION,
    **dict.fromkeys(
        ("eviction-action", "eviction-entry-count", "eviction-max-memory", "eviction-object-sizer"), EVICTED
    ),
    "enable-statistics": Refusal("entries expire without it; leave it out", ("true",)),
    "enable-concurrency-checks": Refusal("versions decide every conflict between sites", ("true",)),
    "enable-synchronous-disk": _SYNCHRONOUS,
    "enable-async-conflation": Refusal("no member is ever sent less than every event", ("false",)),
    "enable-subscription-conflation": Refusal("listeners are told every event", ("false",)),
    "enable-multicast": Refusal("members talk over TCP", ("false",)),
    "enable-cloning": Refusal("every reader gets a value of its own", ("true",)),
    "off-heap": Refusal("Python has one heap", ("false",)),
    "concurrency-level": Refusal("a bucket has one writer, and total-num-buckets says how many there are"),
    "local-max-memory": _MEMORY,
    "total-max-memory": _MEMORY,
    "recovery-delay": _PLACED,
    "startup-recovery-delay": _PLACED,
    "scope": Refusal("a write is acknowledged when it is in the log", ("distributed-ack",)),
    "key-constraint": Refusal("keys are text, whole numbers or bytes"),
    "value-constraint": Refusal("values are whatever msgpack carries"),
    "compressor": Refusal("values are kept as they are; compress them in the program"),
    **dict.fromkeys(("cache-loader", "cache-writer", "partition-listener"), _CODE),
    "cache-listener": Refusal("listen from a program (region.listen), or create an async event queue"),
    "template-region": Refusal("give the attributes themselves"),
}
"""Options of create region."""
RESTORE_REDUNDANCY: Mapping[str, Refusal] = {
    "reassign-primaries": Refusal("rebalance gives every server its share of the primaries", ("false",)),
}
"""Options of restore redundancy."""
METRICS: Mapping[str, Refusal] = {
    "port": Refusal("members and clients share a server's links; --member has them in the category communication"),
}
"""Options of show metrics."""
DISK_STORE: Mapping[str, Refusal] = {
    "dir": Refusal("a disk store is in the site's engine, which has one directory; give its size with max-disk"),
    "auto-compact": _COMPACTED._replace(unless=("true",)),
    "compaction-threshold": _COMPACTED,
    "allow-force-compaction": _COMPACTED._replace(unless=("false",)),
    "max-oplog-size": _ENGINE_WRITES,
    "queue-size": Refusal("a write is in the log before it is answered; nothing is queued for the disk", ("0",)),
    "time-interval": Refusal("a write is in the log before it is answered; nothing waits for the disk"),
    "write-buffer-size": _ENGINE_WRITES,
    "disk-usage-warning-percentage": Refusal("it would watch a whole disk; max-disk limits the store"),
    "disk-usage-critical-percentage": Refusal(
        "it would watch a whole disk and stop the member; max-disk refuses writes"
    ),
    **dict.fromkeys(("group", "groups"), _WHOLE_SITE),
}
"""Options of create disk-store."""
_CLOSED_FILES = Refusal(
    "it is for files of a region that no member has open, and here a disk store is altered while it is used: its "
    "limit with max-disk, its regions with alter region and destroy region"
)
ALTER_DISK_STORE: Mapping[str, Refusal] = {
    **dict.fromkeys(
        ("region", "disk-dirs", "compressor", "concurrency-level", "initial-capacity", "load-factor", "lru-action",
         "lru-algorithm", "lru-limit"),
        _CLOSED_FILES,
    ),
    **dict.fromkeys(("enable-statistics", "off-heap", "remove"), _CLOSED_FILES._replace(unless=("false",))),
}  # fmt: skip
"""Options of alter disk-store."""
ON_ALL_SERVERS: Mapping[str, Refusal] = dict.fromkeys(("member", "members", "group", "groups"), _WHOLE_SITE)
"""Options of destroy and describe disk-store."""
SENDER: Mapping[str, Refusal] = {
    "disk-synchronous": _SYNCHRONOUS,
    "group-transaction-events": _TRANSACTIONS,
    "enforce-threads-connect-same-receiver": Refusal(
        "what stays in order does not depend on which receiver a dispatcher is linked to", ("false",)
    ),
}
"""Options of create gateway-sender."""
_ALTERED = Refusal("a definition is that of all its servers; leave it out")
ALTER_SENDER: Mapping[str, Refusal] = {
    "group-transaction-events": _TRANSACTIONS,
    **dict.fromkeys(("member", "members", "group", "groups"), _ALTERED),
}
"""Options of alter gateway-sender."""
ALTER_REGION: Mapping[str, Refusal] = {
    **EXPIRATION,
    **dict.fromkeys(("group", "groups"), _ALTERED),
    **{name: REGION[name] for name in ("cache-listener", "cache-loader", "cache-writer", "enable-cloning")},
    "eviction-max": EVICTED,
}
"""Options of alter region."""
QUEUE: Mapping[str, Refusal] = {
    "disk-synchronous": _SYNCHRONOUS,
    "forward-expiration-destroy": Refusal("what expires is no event, and enters no queue", ("false",)),
}
"""Options of create async-event-queue."""
DESTROY_QUEUE: Mapping[str, Refusal] = dict.fromkeys(("group", "groups"), _ALTERED)
"""Options of destroy async-event-queue."""
CONNECT: Mapping[str, Refusal] = {
    "jmx-manager": Refusal("there is no JMX: give --locator, or the admin API's --url"),
    "use-http": Refusal("the shell always asks the admin API, by HTTP; leave it out", ("true",)),
    "skip-ssl-validation": Refusal(
        "who answers is always checked: give --trust-store the authorities, or the certificate itself", ("false",)
    ),
}
"""Options of connect."""
SH: Mapping[str, Refusal] = {
    "use-console": Refusal("a command always has the shell's own input and output", ("true", "false")),
}
"""Options of sh."""
GET: Mapping[str, Refusal] = {
    "load-on-cache-miss": Refusal("there are no cache loaders: a key is in the region or not", ("true", "false")),
    "value-class": Refusal("a value is shown as what it is; leave it out", ("string", "java.lang.string")),
}
"""Options of get."""
LOCATE_ENTRY: Mapping[str, Refusal] = {
    "value-class": Refusal("an entry is found by its key; leave it out", ("string", "java.lang.string")),
    "recursive": Refusal("regions have no sub-regions", ("false",)),
}
"""Options of locate entry."""
_NO_ARCHIVES = Refusal(
    "there are no statistics archives: `show metrics`, status and describe commands show counters now"
)
_NO_ROTATION = Refusal(
    "a process has one log, which the system's own means may rotate (logrotate with copytruncate); see log-level"
)
_NO_LOCKS = Refusal("there is no lock service: a bucket has one writer at a time")
RUNTIME: Mapping[str, Refusal] = {
    **dict.fromkeys(("log-disk-space-limit", "log-file-size-limit"), _NO_ROTATION),
    **dict.fromkeys(
        ("statistic-archive-file", "statistic-sample-rate", "archive-disk-space-limit", "archive-file-size-limit"),
        _NO_ARCHIVES,
    ),
    "enable-statistics": Refusal("counters are always kept", ("true",)),
    "copy-on-read": Refusal("every reader gets a value of its own", ("true",)),
    "lock-lease": _NO_LOCKS,
    "lock-timeout": _NO_LOCKS,
    "message-sync-interval": Refusal("listeners hear every event from the log, once: nothing is synchronised"),
    "search-timeout": Refusal("a read goes to a member that has the bucket: nothing is searched for"),
}
"""Options of alter runtime."""
QUERY: Mapping[str, Refusal] = {
    "member": Refusal("every server answers for the entries that it is primary of, which are all of them once"),
    "interactive": Refusal("all rows are shown at once, as many as LIMIT or APP_FETCH_SIZE says", ("false",)),
    "step-name": Refusal("all rows are shown at once, as many as LIMIT or APP_FETCH_SIZE says"),
}
"""Options of query."""
CACHE_SERVER: Mapping[str, Refusal] = {
    "max-connections": Refusal("a server takes 4096 links"),
    "maximum-time-between-pings": Refusal("a client that is silent for 15 s is gone"),
    **dict.fromkeys(
        (
            "socket-buffer-size",
            "max-threads",
            "maximum-message-count",
            "message-time-to-live",
            "load-poll-interval",
            "tcp-no-delay",
            "notify-by-subscription",
        ),
        _WIRE,
    ),
}
"""Attributes of cache-server that a server does not have."""
_HEAP = Refusal(
    "there is no JVM: a process takes the memory that its entries need; let the system limit it (systemd's MemoryMax)"
)
_NO_OTHER_FACE = Refusal("clients use the Python API, and everybody else the admin API of the locators")
START: Mapping[str, Refusal] = {
    "initial-heap": _HEAP,
    "max-heap": _HEAP,
    "include-system-classpath": Refusal("a process has the PYTHONPATH of the shell, too; leave it out", ("true",)),
    "force": Refusal("what a process left that is gone is replaced, and a running one never is", ("true", "false")),
    "redirect-output": Refusal("what a process prints is in its log, <name>.log in its --dir", ("true",)),
}
"""Options of start locator and start server."""
START_LOCATOR: Mapping[str, Refusal] = {
    **START,
    **dict.fromkeys(
        ("group", "groups"), Refusal("a locator holds nothing, and commands about groups mean servers; leave it out")
    ),
    "cluster-config-dir": Refusal("a site's configuration is kept in its engine, in engine/ of the locator's --dir"),
}
"""Options of start locator."""
_NO_OFF_HEAP = Refusal("Python has one heap, and nothing is evicted")
START_SERVER: Mapping[str, Refusal] = {
    **START,
    **{name: CACHE_SERVER[name] for name in ("max-connections", "max-threads", "message-time-to-live")},
    "max-message-count": CACHE_SERVER["maximum-message-count"],
    "socket-buffer-size": CACHE_SERVER["socket-buffer-size"],
    "disable-default-server": Refusal("the port of a server is the members', too", ("false",)),
    "assign-buckets": Refusal("every bucket of a region has its servers as soon as there are any", ("true", "false")),
    "critical-heap-percentage": Refusal(
        "a server does not refuse writes for want of memory; disk stores refuse them (create disk-store --max-disk)",
        ("0", "0.0"),
    ),
    "eviction-heap-percentage": EVICTED._replace(unless=("0", "0.0")),
    "critical-off-heap-percentage": _NO_OFF_HEAP._replace(unless=("0", "0.0")),
    "eviction-off-heap-percentage": _NO_OFF_HEAP._replace(unless=("0", "0.0")),
    "off-heap-memory-size": _NO_OFF_HEAP,
    "lock-memory": Refusal("there is no memory set aside that could be locked", ("false",)),
    "start-rest-api": _NO_OTHER_FACE._replace(unless=("false",)),
    **dict.fromkeys(("memcached-port", "memcached-protocol", "memcached-bind-address"), _NO_OTHER_FACE),
    "disable-exit-when-out-of-memory": Refusal(
        "there is no JVM: the system ends what it has no memory for", ("false",)
    ),
    "spring-xml-location": Refusal("there is no Spring here: give --cache-xml-file, or use commands"),
}
"""Options of start server."""
