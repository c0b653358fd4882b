"""What a command may change of what exists, and the value it may put; validated like the attributes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from heliograph.errors import UsageError
from heliograph.model.attributes import (
    check_alert_threshold,
    check_batch_time_interval,
    check_event_filters,
    check_expiration,
    check_max_disk,
)
from heliograph.model.classes import TextValue
from heliograph.model.ids import check_name
from heliograph.model.log_levels import check_log_level
from heliograph.model.queues import check_max_queue_memory
from heliograph.model.region_file import SUFFIX

PATH_MAX = 1024
"""Characters of a path."""
CLEAR = "CLEAR"
"""Stands for no gateway event filter."""


class RegionAlteration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`alter region`: None leaves an attribute as it is (gfsh.md §4.2). Raises UsageError.

    gateway_sender_ids, async_event_queue_ids: those that the region has from now on; none removes all. entry_...: as of
    `RegionAttributes`.
    """

    gateway_sender_ids: tuple[str, ...] | None = None
    async_event_queue_ids: tuple[str, ...] | None = None
    entry_time_to_live_expiration: int | None = None
    entry_time_to_live_expiration_action: str | None = None
    entry_idle_time_expiration: int | None = None
    entry_idle_time_expiration_action: str | None = None

    def __post_init__(self) -> None:
        if not self.changes:
            raise UsageError(
                "alter region needs an option to change: gateway-sender-id, async-event-queue-id, or one of "
                "entry-…-expiration"
            )
        for sender in self.gateway_sender_ids or ():
            check_name("gateway sender", sender)
        for queue in self.async_event_queue_ids or ():
            check_name("async event queue", queue)
        check_expiration(self)

    @property
    def changes(self) -> dict[str, Any]:
        """The attributes that are given."""
        return {field: value for field, value in msgspec.structs.asdict(self).items() if value is not None}


class SenderAlteration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`alter gateway-sender`: None leaves an attribute as it is (gfsh.md §6.2). Raises UsageError.

    batch_size: events, 1 or more. batch_time_interval: ms, 0 or more, or -1 to never wait. alert_threshold: ms, or 0.
    gateway_event_filters: those that it has from now on; none, or only `CLEAR` in any case, removes all.
    """

    batch_size: int | None = None
    batch_time_interval: int | None = None
    alert_threshold: int | None = None
    gateway_event_filters: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.changes:
            raise UsageError(
                "alter gateway-sender needs batch-size, batch-time-interval, alert-threshold or gateway-event-filter"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"batch-size {self.batch_size}: use 1 or more")
        if self.batch_time_interval is not None:
            check_batch_time_interval(self.batch_time_interval)
        if self.alert_threshold is not None:
            check_alert_threshold(self.alert_threshold)
        if self.gateway_event_filters is not None:
            check_event_filters(self.changes["gateway_event_filters"])

    @property
    def changes(self) -> dict[str, Any]:
        """The attributes that are given."""
        changes = {field: value for field, value in msgspec.structs.asdict(self).items() if value is not None}
        filters = self.gateway_event_filters
        if filters is not None and len(filters) == 1 and filters[0].upper() == CLEAR:
            changes["gateway_event_filters"] = ()
        return changes


QueueAction = Literal["pause", "resume"]


class QueueAlteration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`alter async-event-queue`: None leaves an attribute as it is (gfsh.md §7). Raises UsageError.

    Units as of `AsyncEventQueueAttributes`. pause_event_processing: how it begins where no command was given.
    """

    batch_size: int | None = None
    batch_time_interval: int | None = None
    max_queue_memory: int | None = None
    pause_event_processing: bool | None = None

    def __post_init__(self) -> None:
        if not self.changes:
            raise UsageError(
                "alter async-event-queue needs batch-size, batch-time-interval, max-queue-memory or "
                "pause-event-processing"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"batch-size {self.batch_size}: use 1 or more")
        if self.batch_time_interval is not None:
            check_batch_time_interval(self.batch_time_interval)
        if self.max_queue_memory is not None:
            check_max_queue_memory(self.max_queue_memory)

    @property
    def changes(self) -> dict[str, Any]:
        """The attributes that are given."""
        return {field: value for field, value in msgspec.structs.asdict(self).items() if value is not None}


class StoreAlteration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`alter disk-store`: the limit that the store has from now on, in MB; 0 for none. Raises UsageError."""

    max_disk: int

    def __post_init__(self) -> None:
        check_max_disk(self.max_disk)


class ParkedChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parked events of a gateway sender are meant: `event`, by their ids, or `all`. Raises UsageError."""

    event: tuple[str, ...] = ()
    all: bool = False

    def __post_init__(self) -> None:
        if bool(self.event) == self.all:
            raise UsageError("say which parked events are meant: some by event=<id>,<id>, or all=true")


class WanCopyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`wan-copy region`. max_rate: entries a second of each server, 0 for no limit. Raises UsageError."""

    region: str
    sender_id: str
    max_rate: int = 0
    batch_size: int = 1000

    def __post_init__(self) -> None:
        if self.max_rate < 0:
            raise UsageError(f"max-rate is at least 0 (no limit), not {self.max_rate}")
        if self.batch_size < 1:
            raise UsageError(f"batch-size is at least 1, not {self.batch_size}")


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`export data`: to a `file`, or to one in `dir` that is named after the region (gfsh.md §4.7). Raises UsageError.

    member: a server. parallel: every server writes what it is primary of to a file of its own.
    """

    member: str
    file: str = ""
    dir: str = ""
    parallel: bool = False

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.dir):
            raise UsageError("say where the data is: give one of file and dir")
        for path in (self.file, self.dir):
            if len(path) > PATH_MAX or not path.isprintable():
                raise UsageError(f"the path {path[:PATH_MAX]!r} is too long, or can't be shown")
            if path.startswith("~"):
                raise UsageError(f"the path {path!r} is the server's, who has no ~: write the directory out")
        if self.file and not self.file.endswith(SUFFIX):
            raise UsageError(f"file {self.file!r}: its name has to end with {SUFFIX}")
        if self.parallel and not self.dir:
            raise UsageError("parallel needs dir, in which every server has a file of its own")


class ImportRequest(ExportRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`import data`: from where `export data` put it. Raises UsageError.

    invoke_callbacks: other sites, async event queues and listeners are told of it as of any put.
    """

    invoke_callbacks: bool = False


class RebalanceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rebalance`: which regions, none included meaning all; simulate: only say what would be moved."""

    include_region: tuple[str, ...] = ()
    exclude_region: tuple[str, ...] = ()
    simulate: bool = False


REMAINING = "Remaining"
"""Name of the number of steps that a rebalance has still to take, in the answer to a look at it."""


class LogLevelChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`change loglevel`: a name of `model.log_levels`. Raises UsageError."""

    log_level: str

    def __post_init__(self) -> None:
        check_log_level(self.log_level)


class EntryValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`put`: a value, whatever JSON carries but null."""

    value: TextValue
