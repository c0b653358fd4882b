"""One bucket's copy at this member: following its log, or writing it as the primary.

    secondary ──become_primary──> taking over ──(our record won)──> primary ──step_down──> secondary

The append of a `primary` record is the election (architecture §2). Whatever this member believes, the log refuses the
appends of a deposed primary; the copy then fails what was pending with NotPrimaryError, which tells the caller that
nothing happened, and follows again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypedDict

from heliograph.bucket.judging import Judge
from heliograph.bucket.primary import (
    ID_BYTES,
    ApplyRequest,
    BucketPrimary,
    ChangeRequest,
    PutRequest,
    Request,
    SilentPutRequest,
    first_record,
    parts_size,
)
from heliograph.bucket.removing import ClearRequest, InvalidateRequest, RemovalRequest
from heliograph.bucket.repeats import Outcome
from heliograph.bucket.requests import OLD_BYTES_MAX
from heliograph.bucket.view import BucketView
from heliograph.engine.append import append_settled
from heliograph.engine.seam import LogEntry
from heliograph.errors import (
    BadEventError,
    FencedError,
    HeliographError,
    LogCutError,
    NotPrimaryError,
    OverloadedError,
    SettledTooLateError,
    UnavailableError,
    UsageError,
    invariant,
)
from heliograph.link import messages
from heliograph.link.messages import Changed, Condition, Done
from heliograph.member.backlog import Backlog
from heliograph.member.stores import Store
from heliograph.member.traffic import Traffic
from heliograph.member.upkeep import Upkeep
from heliograph.member.waiters import Waiter
from heliograph.model.batch import Part, Record, decode_record, encode_record
from heliograph.model.ids import NO_SEQ, Epoch, Seq
from heliograph.model.keys import Key
from heliograph.model.requests import RequestId
from heliograph.net.seam import Clock

PENDING_REMOVALS_MAX = 65_536
"""Of requests that take away without an event a bucket holds no more while the engine is slow."""
SETTLE_S = 5.0
"""How long one attempt to settle an append of unknown outcome may take before it is begun again."""

_log = logging.getLogger(__name__)

REMOVALS = frozenset({"remove", "remove_if"})
"""Operations that a full disk store does too: they make room."""

RecordSink = Callable[[int, Seq, Seq, Record], None]
"""Called with (bucket, seq, previous, record) for every record this copy appends or applies."""


class CopyHost(Protocol):
    """What a copy needs of its member."""

    name: str
    site: int
    clock: Clock
    backlog: Backlog
    record_bytes_max: int
    """Beyond it a record takes no further request."""

    def judge(self, region: str) -> Judge:
        """Return what a region's primaries judge events from other sites by."""
        ...

    def batch_id(self) -> str:
        """Return a name for an append that no other append ever has."""
        ...

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task that the member cancels when it stops."""
        ...

    def on_restored(self, region: str, bucket: int, seq: Seq) -> None:
        """A copy took the log up to `seq` from a snapshot: no sink is called for those records."""
        ...


class _Once(TypedDict):
    id: RequestId | None
    deadline_ms: int


class BucketCopy:
    """A bucket's view at this member, and its primary while this member is that."""

    def __init__(
        self,
        region: str,
        bucket: int,
        subject: str,
        *,
        store: Store,
        host: CopyHost,
        sink: RecordSink,
        traffic: Traffic,
    ) -> None:
        self.region = region
        self.bucket = bucket
        self.subject = subject
        self.store = store
        self.view = BucketView()
        self.following = True
        """Records of the log are applied as they come; never while this member may be writing."""
        self.loaded = False
        """The view has held all that was in the log when this member gained the copy."""
        self.life = 0
        """Of the region: entries of an earlier one are gone, and the next primary says so in the log."""
        self.tail_bytes = 0
        """Bytes of the log after the newest snapshot, as far as this copy has seen them."""
        self.snapshot_seq, self.snapshot_bytes = NO_SEQ, 0
        """The newest snapshot that this copy knows of: it holds the log up to and including that sequence."""
        self.cut_below = NO_SEQ
        """What the log was cut below by this copy."""
        self._host = host
        self._sink = sink
        self._traffic = traffic
        self._primary: BucketPrimary | None = None
        self._accepting = False
        self._held_bytes = 0
        self._pump_due = False
        self._drafted_at = 0.0
        self.upkeep = Upkeep(self, lambda: self._primary, self._remove, host.clock.now_ms)
        self._applied_waiters: list[tuple[Seq, asyncio.Future[None]]] = []
        self._loop = asyncio.get_running_loop()

    @property
    def accepting(self) -> bool:
        """Say whether this member is the bucket's primary and takes writes."""
        return self._accepting

    @property
    def readable(self) -> bool:
        """Say whether entries may be read here: it is loaded, and shows nothing of an earlier life of the region."""
        return self.loaded and self.view.life >= self.life

    @property
    def epoch(self) -> Epoch:
        """The newest primary's epoch, as far as this copy has read."""
        return self.view.epoch

    # --- writing

    def put(self, keys: list[Key], values: list[bytes], argument: bytes, size: int, waiter: Waiter) -> None:
        """Put entries that add `size` bytes to a record; the waiter hears when they are in the log and in the view.

        Raises NotPrimaryError, OverloadedError, DiskStoreFullError.
        """
        self._check_room()
        self._submit(PutRequest(waiter, self.bucket, keys, values, size, argument))

    def put_once(self, request: messages.PutAll, size: int, waiter: Waiter) -> None:
        """As `put`, for a request that came over a link: done once however often it comes under its id."""
        keys, values, argument = request.keys, request.values, request.argument
        if not self._knows(request):
            self._check_room()
        kind = SilentPutRequest if isinstance(request, messages.PutSilently) else PutRequest
        self._submit(kind(waiter, self.bucket, keys, values, size + ID_BYTES, argument, **self._once(request)))

    def change(self, op: Condition, key: Key, value: bytes, expected: bytes, argument: bytes, waiter: Waiter) -> None:
        """Do a conditional operation. Raises NotPrimaryError, OverloadedError, and DiskStoreFullError if it writes."""
        if op == "invalidate":
            self._remove(InvalidateRequest(waiter, key))
            return
        self._host.backlog.check() if op in REMOVALS else self._check_room()
        self._submit(ChangeRequest(waiter, op, key, value, expected, argument))

    def change_once(self, request: messages.Change, waiter: Waiter) -> None:
        """As `change`, for a request that came over a link; see `put_once`."""
        op, key = request.op, request.key
        if op == "invalidate":
            self._remove(InvalidateRequest(waiter, key, **self._once(request)))
            return
        if not self._knows(request):
            self._host.backlog.check() if op in REMOVALS else self._check_room()
        old_bytes = ID_BYTES + min(len(self.view.values.get(key, b"")), OLD_BYTES_MAX)
        self._submit(
            ChangeRequest(
                waiter, op, key, request.value, request.expected, request.argument, old_bytes, **self._once(request)
            )
        )

    def clear_once(self, request: messages.Clear, waiter: Waiter) -> None:
        """As `clear`, for a request that came over a link; see `put_once`."""
        self._remove(ClearRequest(waiter, **self._once(request)))

    def _knows(self, request: messages.PutAll | messages.Change) -> bool:
        """Say whether a repeat is answered from memory, so that it needs no room."""
        return request.id is not None and request.id.repeated and self.view.requests.knows(request.id)

    def _once(self, request: messages.PutAll | messages.Change | messages.Clear) -> _Once:
        timeout_ms = request.timeout_ms
        return {"id": request.id, "deadline_ms": self._host.clock.now_ms() + timeout_ms if timeout_ms else 0}

    def apply_parts(self, parts: Sequence[Part], waiter: Waiter) -> None:
        """Judge and append parts from another site. Raises NotPrimaryError, DiskStoreFullError.

        However much waits for the engine, they are taken, in the order of the calls: the gateway receiver bounds them.
        """
        if self.store.space.full:
            raise self.store.refuse()
        self._submit(ApplyRequest(waiter, parts, parts_size(parts)))

    def clear(self, waiter: Waiter) -> None:
        """Take away every entry of the bucket. Raises NotPrimaryError, OverloadedError."""
        self._remove(ClearRequest(waiter))

    def _remove(self, request: RemovalRequest) -> None:
        if self._primary is not None and len(self._primary.removals) >= PENDING_REMOVALS_MAX:
            raise OverloadedError(
                f"bucket {self.bucket} of {self.region} has {PENDING_REMOVALS_MAX} removals waiting for the engine: "
                "this one was refused, try again later"
            )
        self._submit(request)

    def _submit(self, request: Request) -> None:
        primary = self._primary
        if primary is None or not self._accepting:
            raise NotPrimaryError(f"{self._host.name} is not the primary of bucket {self.bucket} of {self.region}")
        size = primary.submit(request)
        self._held_bytes += size
        self._host.backlog.used_bytes += size
        if not self._pump_due and primary.in_flight is None:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _check_room(self) -> None:
        self._host.backlog.check()
        if self.store.space.full:
            raise self.store.refuse()

    def _give_back(self) -> None:
        """Tell the backlog what waits no more."""
        held = 0 if self._primary is None else self._primary.held_bytes
        freed, self._held_bytes = self._held_bytes - held, held
        if freed:
            self._host.backlog.give_back(freed)

    def _pump(self) -> None:
        """Draft and append the next record; whoever submits in the same turn of the loop is in it."""
        self._pump_due = False
        primary = self._primary
        if primary is None or primary.in_flight is not None:
            return
        while (draft := primary.draft(self._host.clock.now_ms())) is not None:
            if draft.record is not None:
                payload = encode_record(draft.record)
                if len(payload) > self.store.log.append_bytes_max and primary.retry_alone():
                    continue  # only the request that is too large by itself is refused
                self._append(payload)
                return
            if draft.defect is not None:
                where = (self.region, self.bucket, len(draft.outcomes))
                _log.error("drafting failed region=%s bucket=%d requests=%d", *where, exc_info=draft.defect)
            _resolve(draft.outcomes, self.view.seq)
            self._give_back()

    def _append(self, payload: bytes) -> None:
        batch_id = self._host.batch_id()
        self.tail_bytes += len(payload)
        self.store.space.append(len(payload))
        self._drafted_at = self._loop.time()
        future = self.store.log.append(self.subject, payload, expected=self.view.seq, batch_id=batch_id)

        def answered(answer: asyncio.Future[Seq]) -> None:
            if answer.cancelled():
                return
            error = answer.exception()
            if self._primary is None:
                return  # given up
            if error is None:
                self._appended(answer.result())
            elif isinstance(error, UnavailableError):
                self._host.spawn(self._settle(payload, batch_id))
            elif isinstance(error, HeliographError):
                self._refused(error)
            else:
                raise error

        future.add_done_callback(answered)

    async def _settle(self, payload: bytes, batch_id: str) -> None:
        """Find out what became of an append whose answer was lost; nothing else is appended meanwhile."""
        while self._primary is not None:
            try:
                seq = await append_settled(
                    self.store.log,
                    self.subject,
                    payload,
                    expected=self.view.seq,
                    batch_id=batch_id,
                    deadline_s=SETTLE_S,
                )
            except UnavailableError as exc:
                _log.warning("append unsettled region=%s bucket=%d error=%s", self.region, self.bucket, exc)
            except HeliographError as exc:
                self._refused(exc)
                return
            else:
                self._appended(seq)
                return

    def _appended(self, seq: Seq) -> None:
        primary = self._primary
        if primary is None:
            return
        previous = self.view.seq
        draft = primary.appended(seq)
        _resolve(draft.outcomes, seq)
        if self._applied_waiters:
            self._wake_applied()
        self._give_back()
        if draft.record is not None:
            self._traffic.wrote(draft.merges)
            self._sink(self.bucket, seq, previous, draft.record)
        if not self._accepting:
            self._retire()
        elif primary.waiting and not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _refused(self, error: HeliographError) -> None:
        """The record in flight is certainly not in the log."""
        primary = self._primary
        if primary is None:
            return
        draft = primary.withdraw()
        if isinstance(error, FencedError):
            fenced: HeliographError = self._not_primary()
            if isinstance(error, SettledTooLateError):
                fenced = UnavailableError(f"it is unknown whether the write was done: {error}")
            _reject([request for request, _ in draft.outcomes], fenced)
            self._depose()
            return
        requests = [request for request, _ in draft.outcomes]
        if isinstance(error, UsageError):  # the record is too large, and holds one request
            _reject([each for each in requests if isinstance(each, ApplyRequest)], BadEventError(str(error)))
            requests = [each for each in requests if not isinstance(each, ApplyRequest)]
        _reject(requests, error)
        self._give_back()
        if not self._accepting:
            self._retire()
        elif primary.waiting:
            self._loop.call_soon(self._pump)

    def expire(self, timeout_s: float) -> bool:
        """Fail what has waited longer than `timeout_s` for the engine, instead of one timer a write.

        Returns whether an append has waited so long.
        """
        primary = self._primary
        if primary is None or primary.in_flight is None or self._loop.time() - self._drafted_at < timeout_s:
            return False
        where = f"bucket {self.bucket} of {self.region}"
        unknown = UnavailableError(f"the engine did not answer for {timeout_s:.0f} s: the write to {where} may be done")
        _reject([request for request, _ in primary.in_flight.outcomes], unknown)
        primary.in_flight.outcomes.clear()  # nobody waits for what is found out later
        _reject(primary.abandon(), UnavailableError(f"the engine does not answer: this write to {where} did nothing"))
        self._give_back()
        return True

    def give_up(self, error: Exception) -> None:
        """Fail all that waits for the engine with `error`, whatever comes of it: the member stops.

        The copy takes no more writes. What is in flight may be done all the same; nobody is told.
        """
        self._accepting = False
        primary = self._primary
        if primary is None:
            return
        if primary.in_flight is not None:
            _reject([request for request, _ in primary.in_flight.outcomes], error)
        _reject(primary.abandon(), error)
        self._retire()

    # --- changing roles

    async def become_primary(self) -> None:
        """Catch up and win the bucket's log. Raises UnavailableError; cancel it when another should be primary."""
        self.following = False
        while True:
            await self._catch_up()
            new_life = self.life if self.life > self.view.life else 0
            record = first_record(Epoch(self.view.epoch + 1), self._host.name, new_life=new_life)
            previous = self.view.seq
            try:
                seq = await append_settled(
                    self.store.log,
                    self.subject,
                    encode_record(record),
                    expected=previous,
                    batch_id=self._host.batch_id(),
                    deadline_s=SETTLE_S,
                )
            except FencedError:
                continue  # somebody appended meanwhile: read it and try again
            self.view.apply(seq, record)
            self._primary = BucketPrimary(
                self.view, self._host.site, Epoch(record.epoch), self._host.record_bytes_max,
                self._host.judge(self.region),
            )  # fmt: skip
            self.upkeep.begin(self._primary)
            self._accepting = self.loaded = True
            self._sink(self.bucket, seq, previous, record)
            return

    def step_down(self) -> None:
        """Take no more writes; what is in flight is finished, what is pending was not done."""
        self._accepting = False
        primary = self._primary
        if primary is None:
            self.following = True
            return
        _reject(primary.abandon(), self._not_primary())
        self._give_back()
        if primary.in_flight is None:
            self._retire()

    async def verify(self) -> None:
        """Notice that another member became primary while nothing was written here, which no append would tell.

        It may have acted on an old placement, which is not its any more; without this the copy would be read, and its
        gateway senders be fenced off, until the next write. Raises UnavailableError.
        """
        primary, seq = self._primary, self.view.seq
        last = await self.store.log.last(self.subject)
        idle = primary is not None and primary is self._primary and primary.in_flight is None and self.view.seq == seq
        if idle and last is not None and last.seq > seq:
            self._depose()

    def _depose(self) -> None:
        _log.info("deposed region=%s bucket=%d epoch=%d", self.region, self.bucket, self.view.epoch)
        self._accepting = False
        self._retire()

    def _retire(self) -> None:
        primary, self._primary = self._primary, None
        if primary is not None:
            _reject(primary.abandon(), self._not_primary())
            self._give_back()
        self.following = True

    def _not_primary(self) -> NotPrimaryError:
        return NotPrimaryError(f"{self._host.name} is no longer the primary of bucket {self.bucket} of {self.region}")

    @property
    def retired(self) -> bool:
        """Say whether nothing of a past primaryship is left."""
        return self._primary is None

    # --- following

    def on_entry(self, entry: LogEntry) -> None:
        """Apply a record that was read from the log, unless the view holds it already.

        Raises LogCutError when the view lacks records that were before it.
        """
        if entry.seq <= self.view.seq:
            return
        if entry.previous > self.view.seq:
            self.loaded = False
            where = f"bucket {self.bucket} of {self.region}"
            raise LogCutError(f"the log of {where} begins at {entry.seq}, and the copy here ends at {self.view.seq}")
        self.tail_bytes += len(entry.payload)
        record = decode_record(entry.payload)
        self.view.apply(entry.seq, record)
        self._sink(self.bucket, entry.seq, entry.previous, record)
        if self._applied_waiters:
            self._wake_applied()

    def restore(self, view: BucketView, snapshot_bytes: int) -> None:
        """Start from a snapshot, unless the copy is further already. Never while this member may be writing."""
        invariant(self._primary is None, "a primary is restored from a snapshot", self.subject)
        if view.seq > self.view.seq:
            self.view = view
            self.tail_bytes = 0
            self.snapshot_seq, self.snapshot_bytes = view.seq, snapshot_bytes
            self._host.on_restored(self.region, self.bucket, view.seq)
            self._wake_applied()

    async def applied(self, seq: Seq) -> None:
        """Wait until the view holds `seq`."""
        if self.view.seq >= seq:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._applied_waiters.append((seq, waiter))
        await waiter

    def let_go(self) -> None:
        """Have nobody wait for what it will show: this member holds the bucket no more, and reads it elsewhere."""
        waiting, self._applied_waiters = self._applied_waiters, []
        for _, waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _wake_applied(self) -> None:
        waiting = self._applied_waiters
        self._applied_waiters = []
        for seq, waiter in waiting:
            if seq > self.view.seq:
                self._applied_waiters.append((seq, waiter))
            elif not waiter.done():
                waiter.set_result(None)

    async def _catch_up(self) -> None:
        last = await self.store.log.last(self.subject)
        if last is None or last.seq <= self.view.seq:
            return
        async for entries in self.store.log.read([self.subject], after=self.view.seq):
            for entry in entries:
                self.on_entry(entry)


def _resolve(outcomes: Sequence[tuple[Request, Outcome]], seq: Seq) -> None:
    done = Done(seq)
    for request, outcome in outcomes:
        if outcome is None:
            request.waiter.resolve(done)
        elif isinstance(outcome, Changed):
            request.waiter.resolve(outcome if outcome.seq else Changed(outcome.done, outcome.old, seq))
        elif isinstance(outcome, Done):
            request.waiter.resolve(outcome)
        else:
            request.waiter.reject(request, outcome)


def _reject(requests: Sequence[Request], error: Exception) -> None:
    for request in requests:
        request.waiter.reject(request, error)
