"""Async event queues: gateway senders whose far end is a listener at the same member (configuration.md §3).

A queue is defined by `AsyncEventQueueAttributes` and run by all that runs gateway senders, as the `QueueAttributes`
that follow from them: under its id with `QUEUE_PREFIX`, which is also that of its cursors and its lease.
"""

from __future__ import annotations

import msgspec

from heliograph.errors import UsageError
from heliograph.model.attributes import COUNT_MAX, QUEUE_PREFIX, GatewaySenderAttributes, OrderPolicy
from heliograph.model.ids import check_name
from heliograph.model.plugins import read_plugin

NO_SITE = -1
"""Where a queue leads to; no event was born there."""


class QueueAttributes(GatewaySenderAttributes, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An async event queue as a gateway sender.

    listener: a plug-in. paused: where no command was given since, it begins paused.
    """

    listener: str
    paused: bool = False

    @property
    def persistence_option(self) -> str:
        """The option by which its queue is kept."""
        return "--persistent"

    def check_end(self) -> None:
        """Raise UsageError unless it leads to a listener."""
        read_plugin("listener", self.listener)


class AsyncEventQueueAttributes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An async event queue's definition. Raises UsageError when it breaks a rule.

    listener: a plug-in (`model.plugins`) with `process_events`, see `gateway.plugins`.
    batch_size: most events that the listener is given at once. batch_time_interval: ms they may wait to be so many.
    persistent: the queue is kept when no server of the site is left. disk_store: that of every region that names it.
    max_queue_memory: MB held in memory by one member. groups: the servers that run a serial one.
    pause_event_processing: it begins paused, until it is resumed at a server.
    """

    id: str
    listener: str
    parallel: bool = False
    batch_size: int = 100
    batch_time_interval: int = 5
    enable_batch_conflation: bool = False
    persistent: bool = False
    disk_store: str = ""
    max_queue_memory: int = 100
    dispatcher_threads: int = 1
    order_policy: OrderPolicy = "key"
    gateway_event_filters: tuple[str, ...] = ()
    gateway_event_substitution_filter: str = ""
    pause_event_processing: bool = False
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name("async event queue", self.id)
        check_max_queue_memory(self.max_queue_memory)
        self.as_sender()

    def as_sender(self) -> QueueAttributes:
        """Return the gateway sender that runs the queue."""
        return QueueAttributes(
            id=QUEUE_PREFIX + self.id,
            remote_distributed_system_id=NO_SITE,
            parallel=self.parallel,
            batch_size=self.batch_size,
            batch_time_interval=self.batch_time_interval,
            enable_batch_conflation=self.enable_batch_conflation,
            enable_persistence=self.persistent,
            disk_store_name=self.disk_store,
            maximum_queue_memory=self.max_queue_memory,
            dispatcher_threads=self.dispatcher_threads,
            order_policy=self.order_policy,
            gateway_event_filters=self.gateway_event_filters,
            gateway_event_substitution_filter=self.gateway_event_substitution_filter,
            groups=self.groups,
            listener=self.listener,
            paused=self.pause_event_processing,
        )


def check_max_queue_memory(memory_mb: int) -> None:
    """Raise UsageError unless a queue may hold so many MB in memory."""
    if not 1 <= memory_mb <= COUNT_MAX:
        raise UsageError(f"max-queue-memory {memory_mb}: use 1 to {COUNT_MAX} MB")
