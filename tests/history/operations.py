"""The history of a run: what its clients did, when, and what became of it.

An operation is about one key; a put of several entries is an operation for each of them, with the same times. Every
value is written once in a run, so that a value names its write.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from heliograph.link.messages import Condition
from heliograph.model.keys import Key

Kind = Condition | Literal["put", "get"]
Outcome = Literal["ok", "fail", "info"]
"""Jepsen's: it was answered, it certainly did not happen, nobody knows."""


@dataclass(slots=True)
class Operation:
    """One operation of a client on one key; empty bytes stand for no entry.

    site: where it was done. value: what it writes, empty when it removes or reads. expected: of `replace_if` and
    `remove_if`. began_s, ended_s: on a clock that all clients share; what was never answered has not ended.
    done, old, seq: as it was answered; a put that is ok is done, what a get read is `old`.
    member: the run of the member whose copy answered it, or shows what it acknowledged; empty when nobody knows.
    quiet: nothing was wrong any more, nothing else went on, nothing was on its way.
    """

    client: str
    site: int
    kind: Kind
    key: Key
    value: bytes = b""
    expected: bytes = b""
    began_s: float = 0.0
    ended_s: float = math.inf
    outcome: Outcome = "info"
    done: bool = False
    old: bytes = b""
    seq: int = 0
    member: str = ""
    quiet: bool = False
    error: str = ""

    @property
    def is_write(self) -> bool:
        """Say whether it would have changed something."""
        return self.kind != "get"

    @property
    def happened(self) -> bool:
        """Say whether it certainly changed something."""
        return self.is_write and self.outcome == "ok" and self.done

    @property
    def may_have_happened(self) -> bool:
        """Say whether it changed something, for all that its client knows."""
        return self.happened or (self.is_write and self.outcome == "info")

    def __str__(self) -> str:
        told = f"{self.outcome} done={self.done} old={self.old!r}" if self.outcome == "ok" else self.outcome
        asked = f" {self.value!r}" if self.value else ""
        asked += f" if {self.expected!r}" if self.expected else ""
        when = f"{self.began_s:.3f} to {self.ended_s:.3f}"
        return f"{self.kind} of {self.key!r}{asked} by {self.client} at site {self.site}, {when}: {told}"


def by_key(operations: Iterable[Operation]) -> dict[Key, list[Operation]]:
    """Return the operations of every key, in their order."""
    keys: dict[Key, list[Operation]] = {}
    for operation in operations:
        keys.setdefault(operation.key, []).append(operation)
    return keys
