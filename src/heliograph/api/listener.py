"""A function that is called with the events of a region, in a thread of its own.

The thread takes the events of one record after the other from the loop of its client or cache, so a function that is
slow, or that waits for something itself, holds up nobody else: what it has not seen waits in the log.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from heliograph.api.entry_event import EntryEvent
from heliograph.api.events import Events
from heliograph.api.loop import LoopThread
from heliograph.errors import UsageError

_log = logging.getLogger(__name__)


class Listener:
    """A listener of a region; made by `Region.listen`, which returns when every later write is certain to be told.

    The function is called with one `EntryEvent` after the other, never with two at a time. It may use regions, also
    this one. When it raises, that is logged and counted in `failures`, and the next event follows.

    error: why it ended by itself: EventsLostError when the function was so slow that the log was cut before it,
    RegionNotFoundError when the region was destroyed; else None. A listener ends with its client or cache.
    """

    def __init__(self, events: Events, function: Callable[[EntryEvent], object], loop: LoopThread) -> None:
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise UsageError("listen takes a plain function of one event; in asyncio, iterate over region.events()")
        self.failures = 0
        self.error: Exception | None = None
        self._events = events
        self._function = function
        self._loop = loop
        self._closing = False
        loop.run(events.begin())
        self._thread = threading.Thread(target=self._main, name="heliograph listener", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def active(self) -> bool:
        """Say whether events are still to come."""
        return self._thread.is_alive() and not self._closing

    def close(self) -> None:
        """End: returns when the function is not being called any more, unless it is the function that calls this.

        A second call does nothing.
        """
        self._closing = True
        with suppress(UsageError):  # the client or cache is closed, and with it the events
            self._loop.run(self._events.aclose())
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _main(self) -> None:
        try:
            while records := self._loop.run(self._events.next_records()):
                for event in self._events.events_of(records):
                    if self._closing or self._loop.closed:
                        return
                    self._tell(event)
        except Exception as exc:
            if not self._closing and not self._loop.closed:
                self.error = exc
                _log.warning("listener ended function=%r error=%s", self._function, exc)

    def _tell(self, event: EntryEvent) -> None:
        try:
            self._function(event)
        except Exception:
            self.failures += 1
            where = (event.region, event.key, event.operation)
            _log.exception("listener failed region=%s key=%r operation=%s", *where)
