"""A dispatcher of an async event queue: hands one lane's batches to a listener at this member, one after the other.

    the lane's next batch ──process_events──> True ──> acknowledged, the next one
                              └── anything else, or raised ──> the same events again, after a while

A listener that is a plain function is called in a thread of its own, so that it may take its time; one that is a
coroutine function runs in the loop. While it is called nothing else of the lane is, so the order is the lane's.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from threading import Thread
from typing import Any, Protocol, TypeVar

from heliograph.errors import PeerError
from heliograph.gateway.lanes import Lane, Outgoing
from heliograph.gateway.plugins import GatewayEvent, events_of
from heliograph.gateway.queue import BucketQueue
from heliograph.gateway.retry import Backoff
from heliograph.member.gateway_plugins import Named, PluginFailures
from heliograph.member.sender_host import SenderHost, monotonic_ms
from heliograph.model.batch import decode_columns
from heliograph.model.ids import Address

RETRY_FIRST_MS, RETRY_LIMIT_MS = 50, 5_000
STOP_S = 10.0
"""How long a stop waits for a listener that is being called."""

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Threads(Executor):
    """Runs each call in a thread of its own, which nothing waits for when the process ends."""

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call a function."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
            except BaseException as exc:
                future.set_exception(exc)
            else:
                future.set_result(result)

        Thread(target=call, name="heliograph async event listener", daemon=True).start()
        return future


class ListenerOwner(Protocol):
    """The queue of a dispatcher."""

    @property
    def sending(self) -> bool:
        """Say whether batches may be handed out now: the queue runs and is not paused."""
        ...

    def on_progress(self, *, reread: bool) -> None:
        """As of `sender_dispatcher.DispatcherOwner`."""
        ...


class ListenerDispatcher:
    """See the module. batch_events: most events of one call, -1 for no limit."""

    receiver: Address | None = None
    """There is none to connect to."""

    def __init__(
        self,
        lane: Lane,
        *,
        host: SenderHost,
        owner: ListenerOwner,
        listener: Named,
        failures: PluginFailures,
        batch_events: int,
    ) -> None:
        self.lane = lane
        self._host = host
        self._owner = owner
        self._name, plugin = listener
        self._process: Callable[[list[GatewayEvent]], Any] = plugin.process_events
        self._failures = failures
        self._batch_events = batch_events
        self._threads = Threads()
        self._changed = asyncio.Event()
        self._backoff = Backoff(RETRY_FIRST_MS, RETRY_LIMIT_MS)
        self._error = ""

    # --- what the queue's sender calls

    @property
    def error(self) -> str:
        """Why nothing, or a region, does not move; empty when all is well."""
        return self._error or self.lane.error

    def add(self, queue: BucketQueue) -> None:
        """Hand out a bucket's events."""
        self.lane.add(queue)
        self._changed.set()

    def remove(self, queue: BucketQueue) -> None:
        """Hand out a bucket's events no longer."""
        self.lane.remove(queue)
        self._changed.set()

    def on_offered(self, queue: BucketQueue) -> None:
        """A bucket has something new."""
        self.lane.on_offered(queue)
        self._changed.set()

    def pump_soon(self) -> None:
        """Events may be handed out again."""
        self._changed.set()

    def disconnect(self, reason: str) -> None:
        """There is no link."""

    async def run(self) -> None:
        """Hand out batches; cancelled to stop."""
        try:
            while True:
                self._changed.clear()
                now_ms = monotonic_ms()
                outgoing = self.lane.next_batch(now_ms) if self._owner.sending else None
                if outgoing is None:
                    await self._wait(self._due_s(now_ms))
                elif outgoing.error:
                    self._hold_back(outgoing.batch_id, outgoing.error, now_ms)
                else:
                    await self._deliver(outgoing, now_ms)
        finally:
            self.lane.on_link_lost()

    def _due_s(self, now_ms: int) -> float | None:
        """In how many seconds a batch is due that only time holds back; None for none."""
        wake_ms = self.lane.wake_ms() if self._owner.sending else None
        return None if wake_ms is None else max(wake_ms - now_ms, 1) / 1000

    async def _wait(self, timeout_s: float | None) -> None:
        """Wait until something changes, or for so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _hold_back(self, batch_id: int, error: str, now_ms: int) -> None:
        self.lane.hold_back(batch_id, error, now_ms, self._host.rng.random())
        self._owner.on_progress(reread=True)

    # --- one batch

    async def _deliver(self, outgoing: Outgoing, now_ms: int) -> None:
        """Hand out a batch until it is processed, or its buckets are not handed out from here any more."""
        batch, size = outgoing.batch, self._batch_events
        began_ms = monotonic_ms()
        try:
            events = [
                event
                for bucket, part in batch.items
                for event in events_of(
                    batch.region, bucket, part, decode_columns(part.columns), possible_duplicate=outgoing.repeated
                )
            ]
        except PeerError as exc:  # the log holds what nobody can read
            self._hold_back(outgoing.batch_id, str(exc), now_ms)
            return
        step = size if size > 0 else max(len(events), 1)
        for start in range(0, len(events), step):
            if not await self._until_processed(outgoing.batch_id, batch.region, events[start : start + step]):
                self.lane.on_link_lost()  # what is left of it is handed out anew
                self._owner.on_progress(reread=True)
                return
        self.lane.counters.time(monotonic_ms() - began_ms)
        reopened = self.lane.on_ack(outgoing.batch_id)
        self._owner.on_progress(reread=reopened)

    async def _until_processed(self, batch_id: int, region: str, events: Sequence[GatewayEvent]) -> bool:
        """Hand out events until the listener has processed them; False when that is not to be done here any more."""
        while True:
            while not self._owner.sending:
                self._changed.clear()
                await self._wait(None)
            if not self.lane.is_whole(batch_id):
                self._error = ""  # of events that somebody else hands out now
                return False
            error = await self._call(list(events))
            if not error:
                self._error = ""
                self._backoff.reset()
                return True
            if not self._error:
                _log.warning("not processed listener=%s region=%s reason=%s", self._name, region, error)
            self._error = error
            self.lane.counters.redistributed += 1
            await asyncio.sleep(self._backoff.next_ms(self._host.rng.random()) / 1000)
            events = [repeated(event) for event in events]

    async def _call(self, events: list[GatewayEvent]) -> str:
        """Call the listener; returns why the events are not processed, "" when they are."""
        what = f"{self._name}: process_events of {len(events)} events of region {events[0].region}"
        try:
            if inspect.iscoroutinefunction(self._process):
                answer = await self._process(events)
            else:
                answer = await self._in_thread(events)
        except Exception as exc:  # of users' own code
            self._failures.on_failure(self._name, "process_events", exc)
            return f"{what} failed: {type(exc).__name__}: {exc}"
        return "" if answer is True else f"{what} returned {answer!r}, not True"

    async def _in_thread(self, events: list[GatewayEvent]) -> Any:
        """Call the listener in a thread. Cancelled, it waits until the listener returns, which nothing can stop."""
        call = asyncio.get_running_loop().run_in_executor(self._threads, self._process, events)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            done, _ = await asyncio.wait([call], timeout=STOP_S)
            if not done:
                _log.warning("stopped while the listener works listener=%s events=%d", self._name, len(events))
            elif (error := call.exception()) is not None:
                _log.info("the listener failed when it was stopped listener=%s error=%r", self._name, error)
            raise


def repeated(event: GatewayEvent) -> GatewayEvent:
    """Return an event as one that may have been processed before."""
    return event if event.possible_duplicate else event.as_possible_duplicate()
