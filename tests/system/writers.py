"""Programs that write while things break, each with a thin client and keys of its own."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import heliograph
from heliograph.errors import DiskStoreFullError, HeliographError
from heliograph.model.ids import Address
from heliograph.model.keys import Key
from tests.system.ledger import Ledger
from tests.system.waiting import until

JOIN_S = 60.0
CLIENT_TIMEOUT_S = 45.0
"""Longer than any outage here: what is tried again and again succeeds in the end."""
REFUSED_S = 0.1
"""Before a writer whom a full disk store has refused tries again."""
MANY = 10
"""Entries of one put_all."""


class Writer(threading.Thread):
    """Puts unique values, removes and replaces until it is stopped, and keeps a ledger of it.

    locator: or several, separated by commas. keys: how many it has. padding: bytes that make values larger. A removed
    key is written again later.
    """

    def __init__(
        self,
        locator: Address | str,
        region: str,
        name: str,
        *,
        keys: int = 150,
        padding: int = 0,
        timeout_s: float = CLIENT_TIMEOUT_S,
    ) -> None:
        super().__init__(name=f"{region}-{name}")
        self.region = region
        self.ledger = Ledger()
        self.errors: list[HeliographError] = []
        """What was raised and is worth another try, in order."""
        self.slowest_s = 0.0
        """How long the slowest operation took since this was last set."""
        self.failure: BaseException | None = None
        self._locator = locator
        self._keys: list[Key] = [f"{name}.{number}" for number in range(keys)]
        self._padding = "." * padding
        self._timeout_s = timeout_s
        self._rng = random.Random(name)
        self._stopping = threading.Event()
        self._written = 0

    def stop(self) -> None:
        """Write no more; the operation under way is finished."""
        self._stopping.set()

    def run(self) -> None:
        """Write until stopped."""
        try:
            with heliograph.connect(str(self._locator), timeout_s=self._timeout_s) as client:
                region = client.region(self.region)
                while not self._stopping.is_set():
                    began = time.monotonic()
                    self._operate(region)
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        except BaseException as exc:
            self.failure = exc

    def _operate(self, region: heliograph.Region) -> None:
        usable = [key for key in self._rng.sample(self._keys, MANY) if self.ledger.usable(key)]
        if not usable:
            return
        changes: dict[Key, Any] = {key: self._value() for key in usable}
        kind = self._rng.choices(("put_all", "put", "remove", "replace"), (2, 4, 2, 2))[0]
        key = usable[0]
        before = self.ledger.acknowledged.get(key)
        if kind == "remove":
            changes = {key: None}
        elif kind != "put_all":
            changes = {key: changes[key]}
        try:
            if kind in ("put_all", "put"):
                region.put_all(changes)
            elif kind == "remove":
                old = region.remove(key)
                assert old in (before, None), f"remove of {key!r} found {old!r}, written was {before!r}"
            else:
                old = region.replace(key, changes[key])
                assert old == before, f"replace of {key!r} found {old!r}, written was {before!r}"
                changes = changes if before is not None else {key: None}
        except HeliographError as exc:
            if not exc.retriable:
                raise
            self.errors.append(exc)
            if not isinstance(exc, DiskStoreFullError) or kind == "put_all":  # of which a part may have been done
                self.ledger.lose_sight(changes)
            else:
                self._stopping.wait(REFUSED_S)
        else:
            self.ledger.acknowledge(changes)

    def _value(self) -> str:
        self._written += 1
        return f"{self.name}#{self._written}{self._padding}"


class Contender(threading.Thread):
    """Writes and removes keys that others write too, at other sites, until it is stopped.

    It tries again whatever may be tried again: who wins is not its business.
    """

    def __init__(self, locator: Address, region: str, name: str, keys: Sequence[Key]) -> None:
        super().__init__(name=f"{region}-{name}")
        self.count = 0
        self.failure: BaseException | None = None
        self._locator = locator
        self._region = region
        self._keys = keys
        self._rng = random.Random(name)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Write no more."""
        self._stopping.set()

    def run(self) -> None:
        """Write until stopped."""
        try:
            with heliograph.connect(str(self._locator), timeout_s=CLIENT_TIMEOUT_S) as client:
                region = client.region(self._region)
                while not self._stopping.is_set():
                    self._operate(region)
        except BaseException as exc:
            self.failure = exc

    def _operate(self, region: heliograph.Region) -> None:
        key = self._rng.choice(self._keys)
        try:
            if self._rng.random() < 0.3:
                region.remove(key)
            else:
                region.put(key, f"{self.name}#{self.count}")
        except HeliographError as exc:
            if not exc.retriable:
                raise
        else:
            self.count += 1


@contextmanager
def writing(writers: Sequence[Writer | Contender]) -> Iterator[None]:
    """Let the writers write; afterwards all have ended, and what any of them raised is raised."""
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.stop()
        for writer in writers:
            writer.join(JOIN_S)
    assert not [writer.name for writer in writers if writer.is_alive()], "writers don't end"
    _raise_failures(writers)


def progress(writers: Sequence[Writer | Contender], operations: int, *, within_s: float) -> None:
    """Wait until every writer has done so many more operations."""
    goals = {writer: _count(writer) + operations for writer in writers}

    def reached() -> bool:
        _raise_failures(writers)
        return all(_count(writer) >= goal for writer, goal in goals.items())

    until(reached, f"{operations} more writes of each of {[writer.name for writer in writers]}", within_s=within_s)


def _count(writer: Writer | Contender) -> int:
    return writer.ledger.count if isinstance(writer, Writer) else writer.count


def _raise_failures(writers: Sequence[Writer | Contender]) -> None:
    for writer in writers:
        if writer.failure is not None:
            raise AssertionError(f"writer {writer.name} failed: {writer.failure!r}") from writer.failure


def ledgers(writers: Sequence[Writer], region: str) -> list[Ledger]:
    """Return the ledgers of a region's writers."""
    return [writer.ledger for writer in writers if writer.region == region]
