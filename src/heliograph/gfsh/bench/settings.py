"""What a run of the benchmark does, and what it prints."""

from __future__ import annotations

import msgspec


class WanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `helio bench wan`.

    events: at least so many are put; rounded up to whole put_alls. value_size: bytes. clients: each with one put_all
    on its way at a time. batch_size: of the gateway sender; None leaves its default. rtt_ms: round trip between the
    sites. embedded: the clients are tasks in the sending member's own process instead of processes of their own.
    """

    events: int = 500_000
    value_size: int = 100
    put_all: int = 100
    clients: int = 8
    parallel: bool = True
    servers: int = 1
    batch_size: int | None = None
    rtt_ms: float = 0
    persistent: bool = False
    embedded: bool = False

    @property
    def put_alls(self) -> int:
        """How many put_alls are done in all."""
        return -(-self.events // self.put_all)


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from a put at one site until it is readable at the other, on an idle system."""

    p50: float
    p99: float
    samples: int


class WanReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured.

    put_events_per_second: from the first put until the last one is acknowledged to its client.
    wan_events_per_second: from the first put until the last event is acknowledged by the remote site's log.
    converged: both sites hold the same entries; every key and value was compared. entries: at the sending site.
    cpu_seconds: of each process, over the time that wan_events_per_second covers. peak_rss_mb: since it was started.
    """

    events: int
    put_events_per_second: int
    wan_events_per_second: int
    latency_ms: Latency
    converged: bool
    entries: int
    cpu_seconds: dict[str, float]
    peak_rss_mb: dict[str, float]
    settings: WanSettings
    versions: dict[str, str]
    machine: dict[str, str]
