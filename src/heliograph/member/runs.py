"""Long work that an operator began at this member: known by the name of its run, looked at, cancelled, remembered.

A run has one task. When it has ended it is still told of for some time, as it ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from heliograph.errors import HeliographError, UsageError
from heliograph.link.messages import CopyState, CopyStatus
from heliograph.member.tasks import Tasks

ENDED_KEPT = 100
"""Runs that have ended and are still told of."""

_log = logging.getLogger(__name__)


class Run:
    """Something that is under way here. title: what it is, in logs. verb: what becomes of entries ("copied")."""

    def __init__(self, name: str, title: str, verb: str) -> None:
        self.name = name
        self.title = title
        self.status: CopyStatus = "running"
        self.message = ""
        self.done = 0
        """Entries."""
        self.total = 0
        """Entries that there are, about."""
        self._verb = verb
        self._task: asyncio.Task[None] | None = None

    @property
    def progress(self) -> str:
        """How far it is."""
        return f"Entries {self._verb}: {self.done}"

    def state(self) -> CopyState:
        """Return what is told of it."""
        return CopyState(self.status, self.message or self.progress, self.done, self.total)

    def end(self, status: CopyStatus, message: str) -> None:
        """Note how it ended."""
        self.status, self.message = status, message
        _log.info("ended what=%r status=%s message=%s", self.title, status, message)

    def fail(self, error: str) -> None:
        """End it because of an error."""
        self.end("failed", f"Error ({error}) in operation after having {self._verb} {self.done} entries")

    def cancel(self) -> None:
        """Cut it short."""
        verb = self._verb
        self.end("failed", f"Operation cancelled before having {verb} all entries ({self.done} {verb})")
        if self._task is not None:
            self._task.cancel()

    def begin(self, task: asyncio.Task[None]) -> None:
        """It is done by this task."""
        self._task = task


R = TypeVar("R", bound=Run)


class Runs(Generic[R]):
    """The runs of one kind at one member."""

    def __init__(self, member: str) -> None:
        self._member = member
        self._running: dict[str, R] = {}
        self._ended: dict[str, CopyState] = {}
        """Runs that have ended, or did not begin here. They keep no region, which may be destroyed by now."""
        self._tasks = Tasks()

    def __iter__(self) -> Iterator[R]:
        """Iterate over those that have not ended."""
        return iter([run for run in self._running.values() if run.status == "running"])

    def known(self, name: str) -> CopyState | None:
        """Return how a run is, None when it is not known here."""
        run = self._running.get(name)
        return self._ended.get(name) if run is None else run.state()

    def look(self, name: str) -> CopyState:
        """Return how a run is. Raises UsageError when it is not known here: this member was started since."""
        known = self.known(name)
        if known is None:
            raise UsageError(f"{self._member} knows nothing of this run: it began anew meanwhile")
        return known

    def begin(self, run: R, work: Callable[[], Awaitable[None]]) -> CopyState:
        """Have a run done. `work` ends it; what it raises instead ends it as failed."""
        self._running[run.name] = run
        task = self._tasks.spawn(self._until_ended(run, work))
        run.begin(task)
        task.add_done_callback(lambda _: self._on_done(run))
        return run.state()

    def refuse(self, name: str, state: CopyState) -> CopyState:
        """Remember a run that did not begin."""
        self._ended[name] = state
        for oldest in list(self._ended)[:-ENDED_KEPT]:
            del self._ended[oldest]
        return state

    async def _until_ended(self, run: R, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except HeliographError as exc:
            run.fail(str(exc))
        except Exception as exc:
            _log.exception("failed what=%r", run.title)
            run.fail(f"internal error: {type(exc).__name__}: {exc}")

    def _on_done(self, run: R) -> None:
        del self._running[run.name]
        self.refuse(run.name, run.state())

    async def close(self) -> None:
        """Cut everything short."""
        await self._tasks.close()
