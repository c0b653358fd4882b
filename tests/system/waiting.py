"""Waiting on conditions: nothing in these tests sleeps for a time that was guessed."""

from __future__ import annotations

import time
from collections.abc import Callable

from heliograph.errors import HeliographError

PATIENCE_S = 40.0
"""Longer than anything here takes on a busy machine; a test that works never waits for so long."""
POLL_S = 0.05


def until(condition: Callable[[], object], what: str | Callable[[], str], *, within_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds; `what` says what that is. An error that may go away by itself counts as not yet.

    Raises AssertionError saying what did not happen, and the last such error.
    """
    deadline = time.monotonic() + within_s
    while True:
        error: HeliographError | None = None
        try:
            if condition():
                return
        except HeliographError as exc:
            if not exc.retriable:
                raise
            error = exc
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {within_s:g} s: {told}{f' ({error})' if error else ''}")
        time.sleep(POLL_S)


def eventually(check: Callable[[], None], *, within_s: float) -> None:
    """Check again and again until it raises no AssertionError; raises the last one."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(POLL_S)
