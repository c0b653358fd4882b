"""Linearizable: there is an order of a key's operations that explains every answer and contradicts no clock.

In it each operation takes effect at one moment between its begin and its end. One of unknown outcome may take effect
at any moment after its begin, or never; one that failed must not. Anomalies that leave no such order, among others:

    lost write      a write was acknowledged, and a later operation found what was there before it
    double write    one write took effect twice: something was found again that had been replaced
    false denial    a write was said not to have happened, and its value was found
    split decision  two conditional operations both found the same value and replaced it
    stale decision  a conditional operation was turned down, or told an old value, by what was no longer so

Keys are independent of one another, so each is checked by itself. The search is Lowe's just-in-time linearization: the
history is walked in the order of time with all states that the entry may be in, and an operation takes effect only
when one that ends needs it to. An operation of unknown outcome is tried only if somebody found what it leaves, and a
way that used fewer of them than another to the same state is the better one, so that many of them cost little.

Reads are held to this only when they are quiet: what a read of a copy promises otherwise is in `reads`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from heliograph.model.keys import Key
from tests.history.operations import Operation, by_key

STEPS_MAX = 200_000
"""More states than this for one key: the test has too much going on at a time."""

State = bytes
Way = tuple[State, int, int]
"""What the entry is, which operations that are still open took effect already, which of unknown outcome did (bits)."""


class TooManyStatesError(Exception):
    """Nobody knows whether a history is linearizable: fewer clients a key are needed."""


def check(operations: Iterable[Operation], *, steps_max: int = STEPS_MAX) -> list[str]:
    """Return what is wrong with the history of one site, one line a key. Raises TooManyStatesError."""
    return [wrong for key, some in by_key(operations).items() if (wrong := check_key(key, some, steps_max=steps_max))]


def check_key(key: Key, operations: Sequence[Operation], *, steps_max: int = STEPS_MAX) -> str:
    """Say what is wrong with the history of one key, "" when it is linearizable. Raises TooManyStatesError."""
    steps = [step for operation in operations if (step := _step_of(operation)) is not None]
    return _Search(key, steps, steps_max).run()


@dataclass(slots=True)
class _Step:
    """An operation as the search sees it: in which state it may take effect, and which one it leaves (None: as it is).

    needs: None when that is any but `fits` decides. optional: it may as well have no effect at all.
    """

    operation: Operation
    fits: Callable[[State], bool]
    needs: State | None
    leaves: State | None
    optional: bool
    bit: int = 0

    @property
    def alike(self) -> object:
        """Optional steps that are equal in this are interchangeable once all have begun."""
        return self.operation.kind, self.operation.expected, self.leaves


def _step_of(operation: Operation) -> _Step | None:
    """Return what an operation's answer claims; None when it claims nothing."""
    if operation.outcome == "fail" or (operation.kind == "get" and not (operation.outcome == "ok" and operation.quiet)):
        return None
    if operation.outcome == "info":
        return _Step(operation, _condition(operation), _exactly(operation), operation.value, True)
    if operation.kind == "put":
        return _Step(operation, lambda state: True, None, operation.value, False)
    old, condition = operation.old, _condition(operation)
    consistent = operation.kind == "get" or condition(old) == operation.done
    leaves = operation.value if operation.happened else None
    return _Step(operation, lambda state: consistent and state == old, old, leaves, False)


def _condition(operation: Operation) -> Callable[[State], bool]:
    """Return on which states the operation is done."""
    expected = operation.expected
    match operation.kind:
        case "put_if_absent":
            return lambda state: not state
        case "replace" | "remove":
            return bool
        case "replace_if" | "remove_if":
            return lambda state: bool(state) and state == expected
        case _:
            return lambda state: True


def _exactly(operation: Operation) -> State | None:
    """Return the one state on which an operation of unknown outcome is done, None when there are several."""
    if operation.kind == "put_if_absent":
        return b""
    return operation.expected if operation.kind in ("replace_if", "remove_if") else None


class _Search:
    """The ways in which one key's history may have gone."""

    def __init__(self, key: Key, steps: list[_Step], steps_max: int) -> None:
        self._key = key
        self._steps = _useful(steps)
        self._steps_left = steps_max
        self._open: list[_Step] = []
        self._optional: dict[object, list[_Step]] = {}
        self._ways: set[Way] = {(b"", 0, 0)}
        self._free_bits: list[int] = []
        self._bits = 0

    def run(self) -> str:
        for step, begins in self._moments():
            if begins:
                self._begin(step)
                continue
            before = self._ways
            self._ways = self._end(step)
            if not self._ways:
                return self._verdict(step, before)
        return ""

    def _moments(self) -> Iterator[tuple[_Step, bool]]:
        """Yield the begins and ends in the order of time; of what is at the same time, begins first."""
        moments = [(step.operation.began_s, 0, number) for number, step in enumerate(self._steps)]
        moments += [(s.operation.ended_s, 1, number) for number, s in enumerate(self._steps) if not s.optional]
        for _, ends, number in sorted(moments):
            yield self._steps[number], not ends

    def _begin(self, step: _Step) -> None:
        if step.optional:
            alike = self._optional.setdefault(step.alike, [])
            step.bit = 1 << sum(map(len, self._optional.values()))
            alike.append(step)
            return
        if not self._free_bits:
            self._free_bits.append(1 << self._bits)
            self._bits += 1
        step.bit = self._free_bits.pop()
        self._open.append(step)

    def _end(self, step: _Step) -> set[Way]:
        """Return the ways in which the step took effect by now, those that need fewer optional steps first."""
        found, known = _Best(), _Best()
        waiting = deque(sorted((way for way in self._ways if not way[1] & step.bit), key=_optional_count))
        for state, done, used in self._ways:
            if done & step.bit:
                found.add((state, done & ~step.bit, used))
        while waiting:
            before = waiting.popleft()
            for way in self._next(before):
                state, done, used = way
                if done & step.bit:
                    found.add((state, done & ~step.bit, used))
                elif known.add(way):
                    self._count()
                    if used == before[2]:
                        waiting.appendleft(way)
                    else:
                        waiting.append(way)
        self._open.remove(step)
        self._free_bits.append(step.bit)
        return found.ways()

    def _next(self, way: Way) -> Iterator[Way]:
        """Yield the ways that are one effect longer."""
        state, done, used = way
        for step in self._open:
            if not done & step.bit and step.fits(state):
                yield state if step.leaves is None else step.leaves, done | step.bit, used
        for alike in self._optional.values():
            step = alike[0]
            if step.leaves != state and step.fits(state):
                free = next((each for each in alike if not used & each.bit), None)
                if free is not None:
                    yield free.leaves or b"", done, used | free.bit

    def _count(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise TooManyStatesError(f"the history of {self._key!r} has too much going on at a time to be checked")

    def _verdict(self, step: _Step, before: set[Way]) -> str:
        states = ", ".join(sorted({repr(state) for state, _, _ in before}))
        return f"no order explains {step.operation}; before it the entry can have been {states}"


class _Best:
    """Ways, without those that used more optional steps than another one to the same end."""

    def __init__(self) -> None:
        self._used: dict[tuple[State, int], list[int]] = {}

    def add(self, way: Way) -> bool:
        """Take a way; False when there is one that is as good."""
        state, done, used = way
        known = self._used.setdefault((state, done), [])
        if any(less & used == less for less in known):
            return False
        known[:] = [more for more in known if more & used != used] + [used]
        return True

    def ways(self) -> set[Way]:
        return {(state, done, used) for (state, done), known in self._used.items() for used in known}


def _optional_count(way: Way) -> int:
    return way[2].bit_count()


def _useful(steps: list[_Step]) -> list[_Step]:
    """Leave out the optional steps without which every explanation is as good: nobody found what they leave.

    What `replace` needs is any entry, so one of unknown outcome that was found makes all useful.
    """
    found = {step.needs for step in steps if step.needs is not None}
    anything = any(s.optional and s.operation.kind == "replace" and s.leaves in found for s in steps)
    return [step for step in steps if not step.optional or anything or step.leaves in found]
