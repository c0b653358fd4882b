"""Following a long command at the servers until none of them works any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from heliograph.errors import UnavailableError
from heliograph.gfsh.progress import shown
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, failed

if TYPE_CHECKING:
    from heliograph.admin.client import AdminClient

LOOK_S = 0.2
LOOKS_MAX = 150
"""So many looks may fail one after the other: the locator may be cut off from the engine for a moment."""


def follow(
    session: Session, doing: str, done: str, path: str, begin: Callable[[], Result], cancel: Callable[[Result], Result]
) -> Result:
    """Begin, look under `path` until it has ended, and return how it did; an interrupt cancels it, unless it has ended.

    doing: "copying", as progress is shown. done: the name of how many entries are done. cancel: is given what `begin`
    answered, which is nothing when it was interrupted itself. Raises UnavailableError when the site can't be asked any
    more how far it is.
    """
    from heliograph.locator.runs import RUN, RUNNING

    started = Result()
    try:
        started = begin()
        if RUN not in started.data:
            return started
        with shown(not session.printer.json, doing) as show:
            ended = started if started.data[RUNNING] == "0" else _wait(session.client, path, started, done, show)
    except KeyboardInterrupt:
        cancelled = cancel(started)
        if cancelled.status == "OK":
            return msgspec.structs.replace(failed("interrupted, and cancelled"), tables=cancelled.tables)
        ended = _look(session.client, path, started) if RUN in started.data else cancelled
        if ended.data.get(RUNNING) != "0":
            return msgspec.structs.replace(failed("interrupted, but not cancelled"), tables=cancelled.tables)
    return _told(ended)


def _told(ended: Result) -> Result:
    """Leave out what is for looks only."""
    from heliograph.locator.runs import MEMBERS, RUN, RUNNING

    told = {name: value for name, value in ended.data.items() if name not in (RUN, MEMBERS, RUNNING)}
    return msgspec.structs.replace(ended, data=told)


def _wait(client: AdminClient, path: str, started: Result, done: str, show: Callable[[int, int], None]) -> Result:
    """Look how far the servers are until none works any more; return the last look."""
    from heliograph.locator.runs import ENTRIES, RUNNING

    failures = 0
    while True:
        looked = _look(client, path, started)
        if RUNNING in looked.data:
            failures = 0
            show(int(looked.data[done]), int(looked.data[ENTRIES]))
            if looked.data[RUNNING] == "0":
                return looked
        else:
            failures += 1
            if failures > LOOKS_MAX:
                return looked
        time.sleep(LOOK_S)


def _look(client: AdminClient, path: str, started: Result) -> Result:
    from heliograph.locator.runs import MEMBERS, RUN

    try:
        return client.call("GET", f"{path}/{started.data[RUN]}", query={"member": started.data[MEMBERS]})
    except UnavailableError as exc:
        raise UnavailableError(f"{exc}; the servers go on with what they have begun") from exc
