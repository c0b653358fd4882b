"""Of one record: which requests were done before, or stand twice in it, and what is to be remembered of all of them.

    requests ──sift──> those to decide on ──[the drafting decides]──> conclude ──> the record's `Requests`
                └────> answered from memory, out of time, or twins of another one here: outcomes

Only requests that carry an id take this way. A conditional operation that was not done left no trace and may be judged
again, as long as there is no other copy of it: the answer of one that is sent again is final, so that no late copy of
it does what its caller was told was not done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from heliograph.bucket.requests import AHEAD_MS_MAX, OLD_BYTES_MAX, RequestMemory
from heliograph.errors import ClockSkewError, HeliographError, UnavailableError
from heliograph.link.messages import Changed, Done
from heliograph.model.requests import RequestId, Requests

Outcome: TypeAlias = Done | Changed | Exception | None
"""What became of a request: None = done with this record; the sequence of a Changed is this record's when it is 0."""


class BaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what a bucket's primary is asked for.

    id: of a write that may come more than once; None: it comes once. deadline_ms: when nobody waits any more; 0: never.
    """

    id: RequestId | None = None
    deadline_ms: int = 0

    def needs_old(self, done: bool) -> bool:  # noqa: ARG002
        """Say whether the old value is needed to answer it again."""
        return False

    def answer(self, seq: int, old: bytes | None) -> Done | Changed:  # noqa: ARG002
        """Return the answer that it had when it was decided at `seq`, negative: not done. `old`: what is kept of it.

        Raises ForgottenError when it can't be given again.
        """
        return Done(seq)


R = TypeVar("R", bound=BaseRequest)
_Name: TypeAlias = tuple[int, int]


class Repeats:
    """One record's requests that carry an id. outcomes: of those that need no deciding.

    at_ms: the bucket's time, which no stamp in it is ahead of. now_ms: the clock, by which deadlines go.
    """

    def __init__(self, memory: RequestMemory, at_ms: int, now_ms: int) -> None:
        self.outcomes: list[tuple[Any, Outcome]] = []
        self._memory = memory
        self._at_ms = at_ms
        self._now_ms = now_ms
        self._ids: dict[_Name, RequestId] = {}
        self._twins: list[tuple[Any, _Name]] = []
        self._final: set[_Name] = set()

    def sift(self, requests: Sequence[R]) -> list[R]:
        """Return the requests that are to be decided, in their order."""
        fresh: list[R] = []
        for request in requests:
            if request.id is None:
                fresh.append(request)
                continue
            name = (request.id.client, request.id.number)
            if request.id.repeated:
                self._final.add(name)
            if name in self._ids:
                self._twins.append((request, name))
                continue
            try:
                answer = self._answer(request, request.id)
            except HeliographError as exc:
                self.outcomes.append((request, exc))
                continue
            if answer is None:
                self._ids[name] = request.id
                fresh.append(request)
            else:
                self.outcomes.append((request, answer))
        return fresh

    def _answer(self, request: BaseRequest, name: RequestId) -> Done | Changed | None:
        if request.deadline_ms and self._now_ms > request.deadline_ms:
            raise UnavailableError("the engine was so slow that the caller's time was over: this attempt did nothing")
        seq = self._memory.recall(name)
        if seq is not None:
            return request.answer(seq, self._memory.old_of(name))
        ahead_ms = name.born_ms - self._at_ms
        if ahead_ms > AHEAD_MS_MAX:
            raise ClockSkewError(
                f"the write was sent {ahead_ms} ms ahead of the clock of its bucket's primary (limit {AHEAD_MS_MAX} "
                "ms): set the clocks of the site's locators and servers right"
            )
        return None

    def conclude(self, outcomes: list[tuple[Any, Outcome]]) -> Requests | None:
        """Add what became of the requests that were not decided, and return what is to be remembered."""
        columns = Requests(self._at_ms, [], [], [], [], [], {})
        became: dict[_Name, Outcome] = {}
        for request, outcome in outcomes:
            if request.id is not None:
                name = (request.id.client, request.id.number)
                became[name] = outcome
                if outcome is None or isinstance(outcome, Changed):
                    self._remember(columns, name, request, outcome)
        outcomes += self.outcomes
        outcomes += [(request, became[name]) for request, name in self._twins]
        return columns if columns.clients else None

    def _remember(self, columns: Requests, name: _Name, request: BaseRequest, outcome: Changed | None) -> None:
        if outcome is not None:
            if not outcome.done and name not in self._final:
                return
            position = len(columns.clients)
            if not outcome.done:
                columns.undone.append(position)
            if request.needs_old(outcome.done) and 0 < len(outcome.old) <= OLD_BYTES_MAX:
                columns.olds[position] = outcome.old
        told = self._ids[name]
        columns.clients.append(told.client)
        columns.numbers.append(told.number)
        columns.oldest.append(told.oldest)
        columns.born_ms.append(told.born_ms)
