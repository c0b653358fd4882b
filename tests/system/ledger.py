"""What a writer knows of its own keys, and how a region's entries can be wrong.

    lost         an acknowledged write is not there, and nothing that may have replaced it
    resurrected  an entry is there whose removal was acknowledged
    phantom      an entry that nobody has written

Every key has one writer, which stops using a key when it does not know what became of an operation. So a key holds what
was acknowledged last or, if there is one, what is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from heliograph.model.keys import Key

EXAMPLES = 5


class Ledger:
    """The operations on some keys. A value of None stands for a removal, or for a key never written."""

    def __init__(self) -> None:
        self.acknowledged: dict[Key, Any] = {}
        self.unknown: dict[Key, Any] = {}
        self.count = 0
        """Operations that were acknowledged."""

    def acknowledge(self, changes: Mapping[Key, Any]) -> None:
        """An operation returned."""
        self.acknowledged |= changes
        self.count += 1

    def lose_sight(self, changes: Mapping[Key, Any]) -> None:
        """An operation raised an error that does not say whether it was done."""
        self.unknown |= changes

    def usable(self, key: Key) -> bool:
        """Say whether it is known what the key holds."""
        return key not in self.unknown

    def problems(self, entries: Mapping[Key, Any]) -> list[str]:
        """Say what is wrong with the entries of these keys."""
        return [
            problem
            for key in sorted(self.acknowledged.keys() | self.unknown.keys(), key=str)
            if (problem := self._problem(key, entries.get(key)))
        ]

    def _problem(self, key: Key, found: Any) -> str:
        last = self.acknowledged.get(key)
        if found == last or (key in self.unknown and found == self.unknown[key]):
            return ""
        if last is None:
            return f"resurrected: {key!r} holds {found!r}"
        return f"lost: {key!r} holds {found!r} and not {last!r}"


def problems(ledgers: Iterable[Ledger], entries: Mapping[Key, Any]) -> list[str]:
    """Say what is wrong with a region that nobody else has written."""
    found: list[str] = []
    known: set[Key] = set()
    for ledger in ledgers:
        found += ledger.problems(entries)
        known |= ledger.acknowledged.keys() | ledger.unknown.keys()
    return found + [f"phantom: {key!r}" for key in entries.keys() - known]


def assert_right(ledgers: Iterable[Ledger], entries: Mapping[Key, Any], where: str) -> None:
    """Raise AssertionError that counts the problems and shows some."""
    found = problems(ledgers, entries)
    assert not found, f"{len(found)} of {len(entries)} entries at {where}: {'; '.join(found[:EXAMPLES])}"
