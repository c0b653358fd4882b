"""What a bucket's primary decides: which events are accepted, in which order, with which versions.

The primary is the only writer of its bucket's log. It keeps one append in flight; what is submitted meanwhile becomes
the next record (group commit, architecture §2). Everything is decided when a record is drafted, not when it is
submitted, because only then does the view hold all records before it:

    submit* ──> draft ──> [the shell appends] ──> appended ──> view advanced, outcomes known
                                              └─> refused, nothing happened: abandon or retry as a new draft

Within a record, parts from other sites come first, then what is put silently, then other local events. A local event's
stamp is newer than all that the bucket has seen, so that order always agrees with the versions. What is taken away
without an event gets records of its own, see `bucket.removing`; neither kind holds up the other for longer than one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, repeat
from operator import attrgetter
from typing import Any, TypeAlias, cast

from heliograph.bucket import removing
from heliograph.bucket.conflicts import ConflictLog
from heliograph.bucket.expiration import Expirations
from heliograph.bucket.judging import Judge, Judging, Mark, Merge
from heliograph.bucket.removing import RemovalRequest
from heliograph.bucket.repeats import BaseRequest, Outcome, Repeats
from heliograph.bucket.view import BucketView
from heliograph.errors import (
    BadEventError,
    ClockSkewError,
    ForgottenError,
    InvariantViolation,
    PeerError,
    invariant,
)
from heliograph.link.messages import Changed, Condition
from heliograph.model.batch import (
    CLEARED,
    CREATE,
    DESTROY,
    UPDATE,
    Columns,
    Part,
    Record,
    Removal,
    encode_columns,
)
from heliograph.model.clock import ms_of_stamp, next_stamp, version_of
from heliograph.model.ids import Epoch, Seq
from heliograph.model.keys import NO_VALUE, Key, key_bytes, longest_key_bytes
from heliograph.model.requests import Requests

RECORD_BYTES_MAX = 2 * 1024 * 1024
"""A record takes no further request beyond this, nor beyond half of what the engine takes in one append."""
RECORD_REQUESTS_MAX = 4096
KEY_OVERHEAD_BYTES = 32
"""What an event is reckoned to add to its key and value in a record."""
PART_OVERHEAD_BYTES, RECIPIENT_BYTES = 48, 3
"""What a part from another site, and each of its recipients, adds to its columns."""
ID_BYTES = 40
"""What the id of a request adds to a record."""

Waiter: TypeAlias = Any
"""Whatever the shell wants back with an outcome; the core does not look inside."""
_argument_of = attrgetter("argument")


class PutRequest(BaseRequest, frozen=True):
    """Put entries, whatever was there. size: bytes it adds to a record, see `request_size` and `argument_size`."""

    waiter: Waiter
    bucket: int
    keys: list[Key]
    values: list[bytes]
    size: int
    argument: bytes = b""


class SilentPutRequest(PutRequest, frozen=True):
    """As `PutRequest`, and nobody is told."""


class ChangeRequest(BaseRequest, frozen=True):
    """One operation whose result depends on the entry. old_bytes: what it adds to a record if it has an id."""

    waiter: Waiter
    op: Condition
    key: Key
    value: bytes
    expected: bytes
    argument: bytes = b""
    old_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes, as `request_size` and `argument_size`."""
        return request_size((self.key,), (self.value,)) + argument_size(self.argument) + self.old_bytes

    def needs_old(self, done: bool) -> bool:
        """Say whether the old value is needed to answer it again."""
        return not done or self.op in ("remove", "replace")

    def answer(self, seq: int, old: bytes | None) -> Changed:
        """As of every request. Of a `replace_if` or `remove_if` that was not done, nobody is told the old value."""
        done = seq > 0
        if done and self.op in ("remove_if", "replace_if"):
            old = self.expected
        if old is None and done and self.op in ("remove", "replace"):
            raise ForgottenError(f"the {self.op} was done, but the old value is no longer known")
        if old is None and not done and self.op == "put_if_absent":
            raise ForgottenError("put_if_absent found an entry, whose value is no longer known: read it")
        return Changed(done, old or b"", abs(seq))


class ApplyRequest(BaseRequest, frozen=True):
    """Parts that came from another site. size: see `parts_size`. Their versions make a repeat harmless: no id."""

    waiter: Waiter
    parts: Sequence[Part]
    size: int


EventRequest: TypeAlias = PutRequest | ChangeRequest | ApplyRequest
Request: TypeAlias = EventRequest | RemovalRequest


@dataclass(slots=True)
class Draft:
    """A record on its way to the log.

    record: None when nothing needs appending: no event was accepted, and nobody is told what an entry is. That is only
    told once a record, were it without events, followed the view in the log: otherwise another primary may have changed
    the entry since.
    merges: what the view takes over once the record is in the log.
    defect: what no drafting should raise; every request has failed with it.
    size: bytes of its requests, as these reckon them.
    """

    record: Record | None
    merges: list[Merge]
    outcomes: list[tuple[Request, Outcome]]
    defect: Exception | None = None
    size: int = 0


@dataclass(slots=True)
class BucketPrimary:
    """The primary of one bucket in one epoch.

    alone: so many of the pending requests get a record each. removals: requests to take away without an event.
    expirations: what expires when, None in a region without expiration.
    identified: some of the pending requests may carry an id. judge: of events from other sites.
    """

    view: BucketView
    site: int
    epoch: Epoch
    record_bytes_max: int = RECORD_BYTES_MAX
    judge: Judge = field(default_factory=lambda: Judge("", ConflictLog()))
    pending: deque[EventRequest] = field(default_factory=deque)
    pending_bytes: int = 0
    in_flight: Draft | None = None
    alone: int = 0
    removals: deque[RemovalRequest] = field(default_factory=deque)
    expirations: Expirations | None = None
    identified: bool = False
    _removed_last: bool = False

    def submit(self, request: Request) -> int:
        """Take a request for the next record of its kind; returns its bytes."""
        if request.id is not None:
            self.identified = True
        if isinstance(request, RemovalRequest):
            self.removals.append(request)
            return 0
        size = request.size
        self.pending.append(request)
        self.pending_bytes += size
        return size

    @property
    def held_bytes(self) -> int:
        """Bytes of the requests that are pending or in flight."""
        return self.pending_bytes if self.in_flight is None else self.pending_bytes + self.in_flight.size

    @property
    def waiting(self) -> bool:
        """Say whether anything is pending."""
        return bool(self.pending or self.removals)

    def draft(self, now_ms: int) -> Draft | None:
        """Decide everything that fits into the next record; None when nothing is pending.

        The shell appends `Draft.record` and then calls `appended` or `withdraw`; without a record it uses the
        outcomes at once. A defect fails the requests at hand, so that nobody waits for nothing, and no others.
        """
        invariant(self.in_flight is None, "a second append would be in flight", self.epoch)
        if self.removals and not (self._removed_last and self.pending):
            return self._draft_removals(now_ms)
        self._removed_last = False
        pending_bytes = self.pending_bytes
        requests = self._take()
        size = pending_bytes - self.pending_bytes
        if not requests:
            return None
        try:
            drafting = _Drafting(self.view, self.site, now_ms, self.judge)
            known = None
            if self.identified:
                self.identified = self.waiting
                parts, merges, outcomes, known = drafting.run_identified(requests)
            else:
                parts, merges, outcomes = drafting.run(requests)
        except Exception as exc:  # whatever it is, who waits has to hear of it
            return Draft(None, [], [(request, exc) for request in requests], exc, size)
        marks = tuple(drafting.marks)
        needed = parts or marks or known is not None or drafting.told
        record = Record(self.epoch, parts, requests=known, marks=marks) if needed else None
        result = Draft(record, merges, outcomes, size=size)
        if record is not None:
            self.in_flight = result
        return result

    def _draft_removals(self, now_ms: int) -> Draft:
        self._removed_last = True
        fresh = requests = removing.take(self.removals)
        known = None
        try:
            if self.identified:
                self.identified = self.waiting
                repeats = Repeats(self.view.requests, max(now_ms, ms_of_stamp(self.view.stamp_max)), now_ms)
                fresh = repeats.sift(requests)
                removals, outcomes = removing.decide(fresh, self.view, self.expirations, now_ms) if fresh else ((), [])
                known = repeats.conclude(outcomes)
            else:
                removals, outcomes = removing.decide(requests, self.view, self.expirations, now_ms)
        except Exception as exc:  # as in `draft`
            return Draft(None, [], [(request, exc) for request in requests], exc)
        needed = removals or known is not None or any(request.told for request in fresh)
        record = Record(self.epoch, (), "", removals, known) if needed else None
        result = Draft(record, [], list(outcomes))
        if record is not None:
            self.in_flight = result
        return result

    def appended(self, seq: Seq) -> Draft:
        """The draft in flight is in the log at `seq`: the view takes it over."""
        draft = self.withdraw()
        invariant(draft.record is not None, "a draft without a record was appended", seq)
        assert draft.record is not None  # noqa: S101  (for the type checker; the invariant above stays on)
        self.view.advance(seq, draft.record)
        for part, (columns, newest) in zip(draft.record.parts, draft.merges, strict=True):
            self.view.merge(part, columns, newest)
            if self.expirations is not None:
                self.expirations.on_written(columns)
        return draft

    def withdraw(self) -> Draft:
        """The draft in flight is certainly not in the log."""
        draft = self.in_flight
        if draft is None:
            invariant(False, "no append is in flight", self.epoch)
            raise AssertionError
        self.in_flight = None
        return draft

    def retry_alone(self) -> bool:
        """The draft in flight is too large: its requests go back, to be tried each in a record of its own.

        Returns False, and changes nothing, when it holds but one: that is the one to blame.
        """
        draft = self.in_flight
        if draft is None or len(draft.outcomes) < 2 or not draft.merges:
            return False
        requests = cast("list[EventRequest]", [request for request, _ in self.withdraw().outcomes])
        self.pending.extendleft(reversed(requests))
        self.pending_bytes += draft.size
        self.alone = len(requests)
        self.identified = True
        return True

    def abandon(self) -> list[Request]:
        """Give up and return everything that is pending; none of it happened."""
        requests: list[Request] = [*self.pending, *self.removals]
        self.pending.clear()
        self.removals.clear()
        self.pending_bytes = self.alone = 0
        return requests

    def _take(self) -> list[EventRequest]:
        pending = self.pending
        requests_max = RECORD_REQUESTS_MAX
        if self.alone:
            self.alone -= 1
            requests_max = 1
        elif self.pending_bytes <= self.record_bytes_max and len(pending) <= requests_max:
            self.pending, self.pending_bytes = deque(), 0
            return list(pending)
        taken: list[EventRequest] = []
        size = 0
        while pending and len(taken) < requests_max:
            request = pending[0]
            if taken and size + request.size > self.record_bytes_max:
                break
            size += request.size
            taken.append(pending.popleft())
        self.pending_bytes -= size
        return taken


class _Drafting:
    """One drafting: the requests of a record, judged in order against the view and against one another.

    told: somebody is told what an entry is now, which may be all that comes of it.
    """

    __slots__ = ("_judging", "_merges", "_now_ms", "_outcomes", "_parts", "_site", "_view", "told")

    def __init__(self, view: BucketView, site: int, now_ms: int, judge: Judge) -> None:
        self._view = view
        self._site = site
        self._now_ms = now_ms
        self._judging = Judging(judge, view, site, now_ms)
        self._parts = self._judging.parts
        self._merges = self._judging.merges
        self._outcomes: list[tuple[Request, Outcome]] = []
        self.told = False

    @property
    def marks(self) -> list[Mark]:
        """How far events were judged of which not all were accepted."""
        return self._judging.marks

    def run_identified(
        self, requests: list[EventRequest]
    ) -> tuple[tuple[Part, ...], list[Merge], list[tuple[Request, Outcome]], Requests | None]:
        """As `run`, where some requests carry an id; returns besides what is to be remembered of those."""
        at_ms = max(self._now_ms, ms_of_stamp(self._view.stamp_max))
        repeats = Repeats(self._view.requests, at_ms, self._now_ms)
        parts, merges, outcomes = self.run(repeats.sift(requests))
        return parts, merges, outcomes, repeats.conclude(outcomes)

    def run(self, requests: list[EventRequest]) -> tuple[tuple[Part, ...], list[Merge], list[tuple[Request, Outcome]]]:
        """Return the record's parts, what the view will take over, and what became of each request."""
        kinds = set(map(type, requests))
        local = requests
        if ApplyRequest in kinds:
            local = []
            for request in requests:
                if isinstance(request, ApplyRequest):
                    self._judge(request)
                else:
                    local.append(request)
        if SilentPutRequest in kinds:
            silent = [request for request in local if isinstance(request, SilentPutRequest)]
            local = [request for request in local if not isinstance(request, SilentPutRequest)]
            self._add_local(b"", *self._put(silent), silent=True)
        if ChangeRequest in kinds:
            self.told = True
            state = self._state_after_parts()
            for argument, some in _runs(local):
                self._add_local(argument, *self._decide(some, state))
        else:
            for argument, some in _runs(local):
                self._add_local(argument, *self._put(some))
        return tuple(self._parts), self._merges, self._outcomes

    # --- events from other sites

    def _judge(self, request: ApplyRequest) -> None:
        try:
            decoded = [self._judging.decode(part) for part in request.parts]
        except ClockSkewError as exc:
            self._outcomes.append((request, exc))
            return
        except BadEventError as exc:
            self._outcomes.append((request, exc))
            return
        except PeerError as exc:
            self._outcomes.append((request, BadEventError(str(exc))))
            return
        for part, merge in zip(request.parts, decoded, strict=True):
            self._judging.judge(part, *merge)
        self._outcomes.append((request, None))

    # --- events born here

    def _put(self, requests: Sequence[EventRequest]) -> tuple[bytes, list[Key], list[bytes]]:
        keys: list[Key] = []
        values: list[bytes] = []
        for request in cast("Sequence[PutRequest]", requests):
            keys += request.keys
            values += request.values
        self._outcomes += zip(requests, repeat(None))
        # True is UPDATE and False is CREATE, so one C-level pass gives the operations.
        return bytes(map(self._view.values.__contains__, keys)), keys, values

    def _decide(self, requests: list[EventRequest], state: dict[Key, bytes]) -> tuple[bytes, list[Key], list[bytes]]:
        """Judge requests one by one; `state` shows what the events before them leave, empty bytes = no entry."""
        ops = bytearray()
        keys: list[Key] = []
        values: list[bytes] = []
        present = self._view.values.get

        def add(key: Key, value: bytes, old: bytes) -> None:
            ops.append(DESTROY if not value else UPDATE if old else CREATE)
            keys.append(key)
            values.append(value)
            state[key] = value

        for request in requests:
            if isinstance(request, PutRequest):
                for key, value in zip(request.keys, request.values, strict=True):
                    add(key, value, state[key] if key in state else present(key, b""))
                self._outcomes.append((request, None))
                continue
            assert isinstance(request, ChangeRequest)  # noqa: S101  (for the type checker)
            old = state[request.key] if request.key in state else present(request.key, b"")
            done = _condition_holds(request, old)
            if done:
                add(request.key, request.value, old)
            self._outcomes.append((request, Changed(done, old, 0)))
        return bytes(ops), keys, values

    def _state_after_parts(self) -> dict[Key, bytes]:
        state: dict[Key, bytes] = {}
        for columns, _ in self._merges:
            state.update(zip(columns.keys, columns.values, strict=True))
        return state

    def _add_local(
        self, argument: bytes, ops: bytes, keys: list[Key], values: list[bytes], *, silent: bool = False
    ) -> None:
        """Add events born here; those of one record that are added later get newer stamps."""
        if not keys:
            return
        stamp = next_stamp(self._judging.stamp_max, self._now_ms)
        newest = dict.fromkeys(keys, int(version_of(stamp, self._site)))
        if len(newest) == len(keys):
            columns = Columns(ops, keys, values, stamp)
        else:  # a key stands twice: only stamps that rise tell which of its events is the newer one
            columns = Columns(ops, keys, values, list(range(stamp, stamp + len(keys))))
            newest = columns.newest(self._site)
        self._judging.stamp_max = columns.stamp_max()
        self._parts.append(Part(self._site, (), 0, 0, len(keys), encode_columns(columns), argument, silent=silent))
        self._merges.append((columns, newest))


def _runs(requests: list[EventRequest]) -> Iterator[tuple[bytes, list[EventRequest]]]:
    """Cut local requests, in their order, where the callback argument changes: the events of a part share one."""
    arguments = set(map(_argument_of, requests))
    if len(arguments) == 1:
        yield arguments.pop(), requests
    else:
        for argument, run in groupby(requests, _argument_of):
            yield argument, list(run)


def _condition_holds(request: ChangeRequest, old: bytes) -> bool:
    """Decide on the entry's value before it: empty = no entry, `NO_VALUE` = an entry without a value."""
    match request.op:
        case "put_if_absent":
            return not old or old == NO_VALUE
        case "replace":
            return bool(old) and old != NO_VALUE
        case "remove":
            return bool(old)
        case "remove_if" | "replace_if":
            return bool(old) and old == request.expected
        case "invalidate":
            raise InvariantViolation("an invalidation was submitted as an event")


def first_record(epoch: Epoch, primary: str, *, new_life: int = 0) -> Record:
    """The control record whose append makes `primary` the bucket's primary in `epoch`: the append is the election.

    new_life: the life that the region has begun since the view's, with nothing in it; 0 when there is none.
    """
    return Record(epoch, (), primary, (Removal(CLEARED, [], new_life),) if new_life else ())


def request_size(keys: Sequence[Key], values: Sequence[bytes]) -> int:
    """Bytes that a put adds to a record, at most."""
    return sum(map(len, values)) + key_bytes(keys) + KEY_OVERHEAD_BYTES * len(keys)


def argument_size(argument: bytes) -> int:
    """Bytes that a callback argument adds to a record, at most: its events may become a part of their own."""
    return len(argument) + PART_OVERHEAD_BYTES if argument else 0


def largest_entry(keys: Sequence[Key], values: Sequence[bytes]) -> int:
    """Return what each of some entries adds to a record at most: cheaper than the `request_size` of many shares."""
    return max(map(len, values)) + longest_key_bytes(keys) + KEY_OVERHEAD_BYTES


def parts_size(parts: Sequence[Part]) -> int:
    """Bytes that parts from another site add to a record, near enough: those of which something is dropped are
    encoded anew.
    """
    return sum([part.size + PART_OVERHEAD_BYTES + RECIPIENT_BYTES * len(part.recipients) for part in parts])
