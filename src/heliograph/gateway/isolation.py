"""Core: which events of a batch the receiving site can never take, found by halving.

What a bucket's primary turns down because of an event is tried again in halves, in order, down to single events, so
that all the others get in. Tried twice is harmless: the versions tell.

    whole ──bad──> first half, second half ──bad──> ... ──bad──> one event: rejected

Most errors name their cause (`BadEventError`); any other that is not one of the site's condition may be an accident, or
have its cause in a neighbour's event, so an event is rejected for it only after it failed alone several times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from heliograph.errors import BadEventError, HeliographError, PeerError, UsageError
from heliograph.link.failures import failure_of
from heliograph.link.messages import Rejected, WanBatch
from heliograph.model.batch import Columns, Part, check_head, decode_columns, encode_columns
from heliograph.model.routing import Routing

ALONE_TRIES = 3
"""So often an event fails alone for an unexpected reason before it is rejected."""
ERROR_TEXT_MAX = 200
ERROR_TEXTS_MAX = 1000
"""Of one batch; of further events only the number is told, so that an acknowledgement fits a frame."""
MORE = "as the others of its batch"


class Piece(NamedTuple):
    """Events of one item of a batch, for one bucket. positions: where they stand in the item's columns, ascending."""

    item: int
    positions: tuple[int, ...]
    part: Part


def is_to_blame(error: BaseException) -> bool:
    """Say whether an event may be the cause of an error, and not what the site or its engine is in."""
    if isinstance(error, HeliographError):
        return isinstance(error, BadEventError) or type(error) is HeliographError  # which stands for an internal one
    return isinstance(error, Exception) and not isinstance(error, MemoryError)


class Runs:
    """The pieces of a batch by place: that of the bucket, or in the order in which they are to be applied.

    As `verdict.parts_by_bucket` and `verdict.parts_in_order` have them, where those find nothing wrong.
    """

    def __init__(self, *, ordered: bool) -> None:
        self.by_place: dict[int, tuple[int, list[Piece]]] = {}
        """Place -> bucket, and pieces for it."""
        self._ordered = ordered

    def of(self, bucket: int) -> list[Piece]:
        """Return the pieces that the next one for a bucket belongs to."""
        place = bucket
        if self._ordered:
            place = len(self.by_place) - 1
            if place < 0 or self.by_place[place][0] != bucket:
                place += 1
        return self.by_place.setdefault(place, (bucket, []))[1]


def pieces_of(batch: WanBatch, routing: Routing) -> tuple[Runs, list[Rejected]]:
    """Return a batch's events by this site's buckets, in order, and those of which none can be found.

    Raises UsageError when the region's partition resolver is missing at this member.
    """
    if routing.problem:
        raise UsageError(routing.problem)
    as_there = (batch.buckets, batch.resolver) == (routing.total, routing.resolver)
    runs = Runs(ordered=bool(batch.ordered))
    rejected: list[Rejected] = []
    for item, (bucket, part) in enumerate(batch.items):
        run = runs.of(bucket) if as_there else []  # also of what can't be read: it has its place
        try:
            columns = _open(part)
            if not 0 <= bucket < batch.buckets:
                raise PeerError(f"bucket {bucket} of {batch.buckets}")
        except PeerError as exc:
            rejected.append(Rejected(item, (), told(str(exc))))
            continue
        whole = Piece(item, tuple(range(part.count)), part)
        if as_there:
            run.append(whole)
            continue
        groups: dict[int, list[int]] = {}
        for position, key in enumerate(columns.keys):
            try:
                groups.setdefault(routing.bucket_of(key), []).append(position)
            except (UsageError, UnicodeEncodeError) as exc:
                rejected.append(Rejected(item, (position,), told(str(exc))))
        for found, positions in groups.items():
            runs.of(found).append(_cut(whole, columns, positions))
    return runs, rejected


def _open(part: Part) -> Columns:
    check_head(part)
    columns = decode_columns(part.columns)
    if len(columns.keys) != part.count:
        raise PeerError(f"malformed part of site {part.origin}: it counts {part.count} and has {len(columns.keys)}")
    return columns


def _cut(piece: Piece, columns: Columns, places: Sequence[int]) -> Piece:
    """Return the events of a piece that stand at `places` of its own columns."""
    if len(places) == len(piece.positions):
        return piece
    part = msgspec.structs.replace(piece.part, count=len(places), columns=encode_columns(columns.take(places)))
    return Piece(piece.item, tuple([piece.positions[place] for place in places]), part)


class Isolation:
    """What is still to be tried of one bucket's events: ask for `run`, then say what became of it.

    size_max: bytes of columns in a run of more than one event.
    """

    def __init__(self, pieces: Sequence[Piece], size_max: int) -> None:
        self.rejected: list[Rejected] = []
        self._size_max = size_max
        self._todo = deque([list(pieces)] if pieces else [])
        self._failed_alone = 0

    def run(self) -> tuple[Part, ...] | None:
        """Return the parts to be tried next; None when nothing is left."""
        while self._todo:
            run = self._todo[0]
            if _events(run) == 1 or sum(len(piece.part.columns) for piece in run) <= self._size_max:
                return tuple([piece.part for piece in run])
            self._halve()
        return None

    def on_taken(self) -> None:
        """The run is in the log, or judged."""
        self._todo.popleft()
        self._failed_alone = 0

    def on_bad(self, error: BaseException) -> None:
        """The run was turned down because of an event of it; see `is_to_blame`."""
        run = self._todo[0]
        if _events(run) > 1:
            self._halve()
            return
        self._failed_alone += 1
        if isinstance(error, BadEventError) or self._failed_alone >= ALONE_TRIES:
            self.rejected.append(Rejected(run[0].item, run[0].positions, told(failure_of(error).message)))
            self.on_taken()

    def _halve(self) -> None:
        run = self._todo.popleft()
        if len(run) > 1:
            middle = len(run) // 2
            halves = [run[:middle], run[middle:]]
        else:
            [piece] = run
            columns, middle = decode_columns(piece.part.columns), len(piece.positions) // 2
            places = range(len(piece.positions))
            halves = [[_cut(piece, columns, places[:middle])], [_cut(piece, columns, places[middle:])]]
        self._todo.extendleft(reversed(halves))


def _events(run: Sequence[Piece]) -> int:
    return sum(len(piece.positions) for piece in run)


def told(text: str) -> str:
    """Return an error as the sender is told of it."""
    return text if len(text) <= ERROR_TEXT_MAX else f"{text[: ERROR_TEXT_MAX - 1]}…"


def in_order(rejected: Sequence[Rejected]) -> list[Rejected]:
    """Return what is rejected of a batch in its order, each event once, the texts bounded in number."""
    ordered = sorted({(each.item, each.positions): each.error for each in rejected}.items())
    return [
        Rejected(*where, error if number < ERROR_TEXTS_MAX else MORE) for number, (where, error) in enumerate(ordered)
    ]
