"""What a run of the benchmark does, and what it prints."""

from __future__ import annotations

import msgspec

from heliograph.errors import UsageError
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.keys import VALUE_BYTES_MAX

VALUE_SIZE_MAX = VALUE_BYTES_MAX - 5
"""What msgpack puts before so many bytes counts too."""
ENTRIES_MAX = 10_000_000
PUT_ALL_BYTES_MAX = 64 * 1024 * 1024
CLIENTS_MAX = 256
SERVERS_MAX = 16
"""Processes of each kind, on one machine."""


class WanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `helio bench wan`.

    events: at least so many are put; rounded up to whole put_alls. value_size: bytes. clients: each with one put_all
    on its way at a time. batch_size: of the gateway sender; None leaves its default. rtt_ms: round trip between the
    sites. proxied: the proxy that makes it is there in any case. embedded: the clients are tasks in the sending
    member's own process instead of processes of their own. dead_site: the region has a second gateway sender, whose
    site is not there. tls: components that speak TLS, as `ssl-enabled-components`; None for none.
    Raises UsageError for what could not be run.
    """

    events: int = 500_000
    value_size: int = 100
    put_all: int = 100
    clients: int = 8
    parallel: bool = True
    servers: int = 1
    batch_size: int | None = None
    rtt_ms: float = 0
    proxied: bool = False
    persistent: bool = False
    embedded: bool = False
    dead_site: bool = False
    tls: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.value_size <= VALUE_SIZE_MAX:
            raise UsageError(f"value-size {self.value_size}: use 1 to {VALUE_SIZE_MAX} bytes")
        if self.put_all * self.value_size > PUT_ALL_BYTES_MAX:
            raise UsageError(
                f"put-all {self.put_all} x value-size {self.value_size}: use at most {PUT_ALL_BYTES_MAX} bytes in all"
            )
        if not 1 <= self.clients <= CLIENTS_MAX:
            raise UsageError(f"clients {self.clients}: use 1 to {CLIENTS_MAX}")
        if not 1 <= self.servers <= SERVERS_MAX:
            raise UsageError(f"servers {self.servers}: use 1 to {SERVERS_MAX}")
        if self.batch_size is not None:
            GatewaySenderAttributes(id="wan", remote_distributed_system_id=2, batch_size=self.batch_size)

    @property
    def put_alls(self) -> int:
        """How many put_alls are done in all."""
        return -(-self.events // self.put_all)


class SiteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `helio bench site`.

    operations: in all, of all clients. entries: put before, and what the operations are about. put_all: entries in one
    put, and in one get. get_percent: of the operations; the others put. The rest as of `WanSettings`.
    Raises UsageError for what could not be run.
    """

    operations: int = 100_000
    entries: int = 200_000
    value_size: int = 100
    put_all: int = 1
    get_percent: int = 50
    clients: int = 8
    servers: int = 1
    embedded: bool = False

    def __post_init__(self) -> None:
        WanSettings(
            value_size=self.value_size, put_all=self.put_all, clients=self.clients, servers=self.servers
        )  # which refuses what does not fit
        if not 0 <= self.get_percent <= 100:
            raise UsageError(f"get-percent {self.get_percent}: use 0 to 100")
        if not self.put_all <= self.entries <= ENTRIES_MAX:
            raise UsageError(f"entries {self.entries}: use {self.put_all} (put-all) to {ENTRIES_MAX}")
        if self.operations < 1:
            raise UsageError(f"operations {self.operations}: use 1 or more")


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds that an operation took, or a put until it was readable at another site on an idle system."""

    p50: float
    p99: float
    samples: int


class WanReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured.

    put_events_per_second: from the first put until the last one is acknowledged to its client.
    wan_events_per_second: from the first put until the last event is acknowledged by the remote site's log.
    converged: both sites hold the same entries; every key and value was compared. entries: at the sending site.
    cpu_seconds: of each process, over the time that wan_events_per_second covers. peak_rss_mb: since it was started.
    wan_events_per_cpu_second: by those of the sites' own processes, with clients that are embedded in them.
    """

    events: int
    put_events_per_second: int
    wan_events_per_second: int
    wan_events_per_cpu_second: int
    latency_ms: Latency
    converged: bool
    entries: int
    cpu_seconds: dict[str, float]
    peak_rss_mb: dict[str, float]
    settings: WanSettings
    versions: dict[str, str]
    machine: dict[str, str]


class WanComparison(msgspec.Struct, frozen=True):
    """Reports of runs that differ in servers and round trips, in the order in which they were made."""

    runs: list[WanReport]


class SiteReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured.

    operations_per_second: puts and gets. put_ms, get_ms: None when there was none. load_entries_per_second: of the one
    client that put the entries beforehand. bytes_per_entry: by how much the resident memory of all members grew
    meanwhile. cpu_seconds, peak_rss_mb: as of `WanReport`, over the operations.
    """

    operations: int
    operations_per_second: int
    put_ms: Latency | None
    get_ms: Latency | None
    entries: int
    load_entries_per_second: int
    bytes_per_entry: int
    cpu_seconds: dict[str, float]
    peak_rss_mb: dict[str, float]
    settings: SiteSettings
    versions: dict[str, str]
    machine: dict[str, str]


class FailoverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `helio bench failover`. Raises UsageError for what could not be run."""

    rounds: int = 5
    servers: int = 3

    def __post_init__(self) -> None:
        if not 2 <= self.servers <= SERVERS_MAX:
            raise UsageError(f"servers {self.servers}: use 2 to {SERVERS_MAX}; one has nobody to take over")
        if self.rounds < 1:
            raise UsageError(f"rounds {self.rounds}: use 1 or more")


class Takeover(msgspec.Struct, frozen=True):
    """Milliseconds from the death of a bucket's primary until a write begun since is acknowledged."""

    p50: float
    p99: float
    max: float
    samples: int


class FailoverReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, a sample for every bucket of every killed server."""

    takeover_ms: Takeover
    settings: FailoverSettings
    versions: dict[str, str]
    machine: dict[str, str]
