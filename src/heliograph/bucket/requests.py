"""What a bucket remembers of the writes that carry an id, so that a repeat is answered and not done again.

    recall(id) ── done, or finally not done ──> the answer it had
               ── certainly not done ─────────> None: do it
               ── can't be told any more ─────> ForgottenError

The memory is part of the bucket's view: it is learnt from the log, by the primary and its followers alike, and stands
in snapshots, so that the next primary knows it. It is bounded, and what it forgets it refuses from then on:

* of a client that waits for `oldest`, no answer below that is kept: such a number is a late copy of an answered write;
* a client that wrote nothing for `MEMORY_MS` is forgotten, and so are those silent longest when there are more than
  `CLIENTS_MAX`. No request is taken that was born no later than any of a forgotten client: `floor_ms`.

So no clock is trusted: a request that was done is remembered, or is below `oldest`, or was born at or before the floor.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from heliograph.errors import ForgottenError
from heliograph.model.requests import RequestId, Requests

MEMORY_MS = 10 * 60 * 1000
"""How long a client is remembered after its last write; its calls repeat nothing for so long."""
AHEAD_MS_MAX = MEMORY_MS // 2
"""How far ahead of the primary's time a request may be born: a floor in the future would refuse everybody."""
CLIENTS_MAX = 10_000
"""Clients that a bucket remembers."""
ANSWERS_MAX = 8_192
"""Answers that are remembered for one client: writes of it to one bucket that it waits for at the same time."""
OLD_BYTES_MAX = 64 * 1024
"""A larger old value is not kept with the answer of a `remove` or `replace`, which then can't be given again."""
OLDS_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of old values that a bucket keeps; the oldest ones go first."""


class Session:
    """One client. answers: number -> sequence of its record, negative when it was finally not done."""

    __slots__ = ("answers", "at_ms", "born_ms", "oldest")

    def __init__(self) -> None:
        self.at_ms = 0
        self.born_ms = 0
        self.oldest = 0
        self.answers: dict[int, int] = {}


class Image(msgspec.Struct, array_like=True, frozen=True):
    """A memory as it stands in a snapshot: clients column by column, their answers and the old values in one row each.

    counts: answers of each client; numbers, seqs: those of all clients, in the clients' order.
    """

    floor_ms: int
    clients: list[int]
    at_ms: list[int]
    born_ms: list[int]
    oldest: list[int]
    counts: list[int]
    numbers: list[int]
    seqs: list[int]
    olds: list[tuple[int, int, bytes]]


class RequestMemory:
    """The ids of one bucket. Equal logs make equal memories."""

    __slots__ = ("_olds", "_olds_bytes", "_sessions", "floor_ms")

    def __init__(self) -> None:
        self.floor_ms = 0
        self._sessions: OrderedDict[int, Session] = OrderedDict()  # who wrote last stands last
        self._olds: dict[tuple[int, int], bytes] = {}  # (client, number) -> old value
        self._olds_bytes = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RequestMemory) and self.image() == other.image()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __len__(self) -> int:
        """Count the clients that are remembered."""
        return len(self._sessions)

    @property
    def answer_count(self) -> int:
        """Count the answers that are remembered."""
        return sum(len(session.answers) for session in self._sessions.values())

    def recall(self, request: RequestId) -> int | None:
        """Return the sequence of the record that did it, negative when it was finally not done; None: do it.

        Raises ForgottenError when that can't be told.
        """
        session = self._sessions.get(request.client)
        if session is not None:
            seq = session.answers.get(request.number)
            if seq is not None:
                return seq
            if request.number < session.oldest:
                raise ForgottenError("it is unknown whether the write was done: its answer was taken for known")
        if request.born_ms <= self.floor_ms:
            raise ForgottenError(
                "it is unknown whether the write was done: it came too late, or the clocks of the site's locators and "
                f"servers differ by minutes (it was first sent {self.floor_ms - request.born_ms} ms before the last "
                "write that was forgotten)"
            )
        return None

    def knows(self, request: RequestId) -> bool:
        """Say whether the request was decided, and its answer is remembered."""
        session = self._sessions.get(request.client)
        return session is not None and request.number in session.answers

    def old_of(self, request: RequestId) -> bytes | None:
        """Return the old value that was answered, None when it is not kept."""
        return self._olds.get((request.client, request.number))

    def apply(self, seq: int, requests: Requests) -> None:
        """Take over what the next record of the log says."""
        for position, client in enumerate(requests.clients):
            session = self._sessions.get(client)
            if session is None:
                session = self._sessions[client] = Session()
            else:
                self._sessions.move_to_end(client)
            session.at_ms = requests.at_ms
            session.born_ms = max(session.born_ms, requests.born_ms[position])
            self._forget_answers(client, session, requests.oldest[position])
            session.answers[requests.numbers[position]] = seq
            if len(session.answers) > ANSWERS_MAX:
                self._forget_answers(client, session, next(iter(session.answers)) + 1)
        for position in requests.undone:
            self._sessions[requests.clients[position]].answers[requests.numbers[position]] = -seq
        for position, old in requests.olds.items():
            self._keep_old(requests.clients[position], requests.numbers[position], old)
        self._forget_clients(requests.at_ms)

    def _forget_answers(self, client: int, session: Session, oldest: int) -> None:
        """Forget what is below `oldest`, as far as it stands in front of all that is not."""
        session.oldest = max(session.oldest, oldest)
        answers = session.answers
        while answers and (number := next(iter(answers))) < oldest:
            del answers[number]
            self._drop_old(client, number)

    def _forget_clients(self, now_ms: int) -> None:
        sessions = self._sessions
        while sessions:
            client, session = next(iter(sessions.items()))
            if len(sessions) <= CLIENTS_MAX and session.at_ms >= now_ms - MEMORY_MS:
                return
            del sessions[client]
            self.floor_ms = max(self.floor_ms, session.born_ms)
            for number in session.answers:
                self._drop_old(client, number)

    def _keep_old(self, client: int, number: int, old: bytes) -> None:
        self._drop_old(client, number)
        self._olds[client, number] = old
        self._olds_bytes += len(old)
        while self._olds_bytes > OLDS_BYTES_MAX:
            self._drop_old(*next(iter(self._olds)))

    def _drop_old(self, client: int, number: int) -> None:
        if self._olds:
            self._olds_bytes -= len(self._olds.pop((client, number), b""))

    # --- snapshots

    def image(self) -> Image:
        """Return all of it, as it is now."""
        sessions = self._sessions.values()
        return Image(
            self.floor_ms,
            list(self._sessions),
            [session.at_ms for session in sessions],
            [session.born_ms for session in sessions],
            [session.oldest for session in sessions],
            [len(session.answers) for session in sessions],
            [number for session in sessions for number in session.answers],
            [seq for session in sessions for seq in session.answers.values()],
            [(client, number, old) for (client, number), old in self._olds.items()],
        )

    @classmethod
    def restored(cls, image: Image) -> RequestMemory:
        """Return the memory of an image. Raises ValueError when its columns don't fit together."""
        memory = cls()
        memory.floor_ms = image.floor_ms
        answers = zip(image.numbers, image.seqs, strict=True)
        for client, at_ms, born_ms, oldest, count in zip(
            image.clients, image.at_ms, image.born_ms, image.oldest, image.counts, strict=True
        ):
            session = memory._sessions[client] = Session()
            session.at_ms, session.born_ms, session.oldest = at_ms, born_ms, oldest
            session.answers = {number: seq for _, (number, seq) in zip(range(count), answers, strict=False)}
            if len(session.answers) != count:
                raise ValueError(f"client {client} has {len(session.answers)} answers of {count}")
        if next(answers, None) is not None:
            raise ValueError("there are answers of nobody")
        for client, number, old in image.olds:
            memory._keep_old(client, number, old)
        return memory
