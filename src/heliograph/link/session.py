"""One end of a link as a state machine without I/O: bytes in, events out; calls in, bytes out.

What is legal stands in `link.table`. A frame that the peer may not send raises PeerError and closes the session with
the reason; a call that our own code may not make raises InvariantViolation and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from heliograph.errors import HeliographError, PeerError, UnreachableError, UsageError, invariant
from heliograph.link import messages
from heliograph.link.failures import decode_failure, failure_of
from heliograph.link.frames import PREFACE, FrameParser, Kind, frame_header
from heliograph.link.hello import (
    PARKING,
    Hello,
    Side,
    check_compatible,
    common_features,
    decode_hello,
    encode_hello,
)
from heliograph.link.messages import Failure, Rejected, Reply, Request
from heliograph.link.table import MAY_SEND, MOVES, RECEIVED, SENT, State, Way, may_say
from heliograph.model.decoding import MALFORMED, decode

EXCHANGES_MAX = 16384
"""Requests in flight in one direction of a link."""
BATCHES_MAX = 4096
"""Unacknowledged batches of a link; a sender's own window is far smaller."""
SPLIT_BYTES = 64 * 1024
"""A body at least this large is put out apart from its header rather than copied behind it."""

# The kinds of the hot path as names of this module: Python 3.11 takes 0.1 us to look one up in its enum.
_REQUEST, _REPLY, _BATCH, _ACK = Kind.REQUEST, Kind.REPLY, Kind.BATCH, Kind.ACK


class Greeted(msgspec.Struct, frozen=True):
    """The peer said who it is and is compatible. An answering session now wants `greet()` or `close()`.

    peer: as it said it, credentials too.
    """

    peer: Hello


class Requested(msgspec.Struct, frozen=True, gc=False):
    """The peer asks; answer with `reply(exchange, ...)`."""

    exchange: int
    message: Request


class Replied(msgspec.Struct, frozen=True, gc=False):
    """The answer to our request; a `Failure` when it failed."""

    exchange: int
    message: Reply


class BatchReceived(msgspec.Struct, frozen=True, gc=False):
    """An encoded WanBatch; answer with `ack(batch_id)` or `refuse(batch_id, ...)`."""

    batch_id: int
    body: bytes


class Acked(msgspec.Struct, frozen=True, gc=False):
    """Our batch is in the remote log."""

    batch_id: int


class AckedInPart(msgspec.Struct, frozen=True, gc=False):
    """Our batch is in the remote log but for these events, which the remote site can never take; at least one."""

    batch_id: int
    rejected: tuple[Rejected, ...]


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Our batch was turned down, with the name of an error class and a reason."""

    batch_id: int
    failure: Failure


class PeerClosed(msgspec.Struct, frozen=True):
    """The peer closed the link, for this reason; nothing follows."""

    failure: Failure


Event: TypeAlias = Greeted | Requested | Replied | BatchReceived | Acked | AckedInPart | Refused | PeerClosed
_Receive: TypeAlias = Callable[[int, bytes], Event | None]


class Session:
    """One end of a link.

    `receive` takes bytes from the peer; what has to go to the peer in answer, and by our own calls, is collected by
    `take_output`.

    Invariants: exchanges and batches in flight are bounded in both directions; an id is in flight at most once; after
    CLOSED nothing is sent and what is received is ignored.
    """

    def __init__(self, side: Side, hello: Hello) -> None:
        invariant((side, hello.role) in MAY_SEND, "the role does not go with this side of a link", side, hello.role)
        self.side = side
        self.hello = hello
        self.peer: Hello | None = None
        self.features: tuple[str, ...] = ()
        self._parser = FrameParser()
        self._output: list[bytes] = []
        self.output_bytes = 0
        """Bytes of the bodies that `take_output` will return."""
        self._prefaced = False
        self._next_exchange = 1
        self._asked: set[int] = set()
        self._asking: set[int] = set()
        self._batches: set[int] = set()
        self._receivers: dict[Kind, _Receive] = {
            Kind.HELLO: self._on_hello,
            Kind.REQUEST: self._on_request,
            Kind.REPLY: self._on_reply,
            Kind.BATCH: self._on_batch,
            Kind.ACK: self._on_ack,
            Kind.REFUSAL: self._on_refusal,
            Kind.PING: self._on_ping,
            Kind.PONG: self._on_pong,
            Kind.CLOSE: self._on_close,
        }
        self._enter(State.NEW)

    @property
    def closed(self) -> bool:
        """Say whether the link has ended, by either end."""
        return self.state is State.CLOSED

    @property
    def asked(self) -> bool:
        """Say whether the peer waits for an answer of ours."""
        return bool(self._asking)

    # --- calls of our own end ---------------------------------------------------------------------------------------

    def greet(self) -> None:
        """Say hello: the opening end at the start, the answering end to accept the peer."""
        self._put(Kind.HELLO, 0, encode_hello(self.hello))
        self.hello = self.hello.bare
        self._enter(MOVES[self.side, self.state][SENT, Kind.HELLO])

    def withhold_credentials(self) -> None:
        """Greet without credentials: whom they are for did not prove who it is."""
        self.hello = self.hello.bare

    def request(self, message: Request) -> int:
        """Ask the peer; returns the number of the exchange.

        Raises UnreachableError when `EXCHANGES_MAX` are in flight, and UsageError when the message is too large.
        """
        if len(self._asked) >= EXCHANGES_MAX:
            raise UnreachableError(f"{EXCHANGES_MAX} requests are in flight to {self.peer}: try again later")
        exchange = self._next_exchange
        self._put(_REQUEST, exchange, messages.encode(message))
        self._next_exchange = exchange + 1
        self._asked.add(exchange)
        return exchange

    def reply(self, exchange: int, message: Reply) -> None:
        """Answer the peer's request. Raises UsageError when the message is too large; the exchange stays open then."""
        invariant(exchange in self._asking, "reply to an exchange that is not open", exchange)
        self._put(_REPLY, exchange, messages.encode(message))
        self._asking.discard(exchange)

    def batch(self, batch_id: int, body: bytes) -> None:
        """Send a batch under a number that is not in flight. Raises UsageError when it is too large."""
        invariant(batch_id not in self._batches, "a batch id is in flight already", batch_id)
        invariant(len(self._batches) < BATCHES_MAX, "too many batches in flight", len(self._batches))
        self._put(_BATCH, batch_id, body)
        self._batches.add(batch_id)

    def ack(self, batch_id: int, rejected: Sequence[Rejected] = ()) -> None:
        """Say that the peer's batch is in our log, but for what is rejected of it: only to a peer with that feature."""
        invariant(batch_id in self._batches, "ack of a batch that is not in flight", batch_id)
        invariant(not rejected or PARKING in self.features, "the peer does not know of acks in part", batch_id)
        self._put(_ACK, batch_id, messages.encode(rejected) if rejected else b"")
        self._batches.discard(batch_id)

    def refuse(self, batch_id: int, failure: Failure) -> None:
        """Turn the peer's batch down."""
        invariant(batch_id in self._batches, "refusal of a batch that is not in flight", batch_id)
        self._put(Kind.REFUSAL, batch_id, messages.encode(failure))
        self._batches.discard(batch_id)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._put(Kind.PING, 0, b"")

    def close(self, error: HeliographError) -> None:
        """End the link and say why; a second close does nothing.

        A peer that did not say that it speaks this protocol is told nothing, unless we spoke first.
        """
        if self.closed:
            return
        if self._prefaced or self._parser.prefaced or not isinstance(error, PeerError):
            self._put(Kind.CLOSE, 0, messages.encode(failure_of(error)))
        self._enter(State.CLOSED)

    def take_output(self) -> list[bytes]:
        """Return and forget the pieces of bytes that are to be sent, in order."""
        output = self._output
        self._output = []
        self.output_bytes = 0
        return output

    # --- what the peer sends ----------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> Iterator[Event]:
        """Take bytes from the peer and yield what they mean, in order.

        A frame is looked at when the event before it was dealt with, so that state and event always belong together;
        take them all, unless the session is closed in between. Raises PeerError where the peer broke the protocol: the
        session is closed then, and its reason in the output.
        """
        if self.closed:
            return
        try:
            for kind, frame_id, body in self._parser.receive(data):
                handle = self._receivable.get(kind)
                if handle is None:
                    if self.closed:
                        return  # merely late
                    raise self._violation(kind)
                event = handle(frame_id, body)
                if event is not None:
                    yield event
        except PeerError as exc:
            self.close(exc)
            raise

    def _on_hello(self, _frame_id: int, body: bytes) -> Event:
        peer = decode_hello(body)
        other = Side.ANSWERER if self.side is Side.OPENER else Side.OPENER
        if (other, peer.role) not in MAY_SEND:
            raise PeerError(f"{peer} can't be the {other.value} end of a link")
        check_compatible(self.hello, peer)
        self.peer = peer.bare
        self.features = common_features(self.hello, peer)
        self._enter(MOVES[self.side, self.state][RECEIVED, Kind.HELLO])
        return Greeted(peer)

    def _on_request(self, exchange: int, body: bytes) -> Event | None:
        if exchange in self._asking:
            raise PeerError(f"request {exchange} is open already")
        if len(self._asking) >= EXCHANGES_MAX:
            raise PeerError(f"more than {EXCHANGES_MAX} requests in flight")
        self._asking.add(exchange)
        try:
            return Requested(exchange, messages.decode_request(body))
        except MALFORMED as exc:
            # A newer peer may ask what this release does not know: that exchange fails, the link stays.
            self.reply(exchange, failure_of(UsageError(f"{self.hello} does not understand the request: {exc}")))
            return None

    def _on_reply(self, exchange: int, body: bytes) -> Event:
        if exchange not in self._asked:
            raise PeerError(f"reply to request {exchange}, which is not open")
        self._asked.discard(exchange)
        try:
            return Replied(exchange, messages.decode_reply(body))
        except MALFORMED as exc:
            return Replied(exchange, failure_of(PeerError(f"the reply of {self.peer} is not understood: {exc}")))

    def _on_batch(self, batch_id: int, body: bytes) -> Event:
        if batch_id in self._batches:
            raise PeerError(f"batch {batch_id} is in flight already")
        if len(self._batches) >= BATCHES_MAX:
            raise PeerError(f"more than {BATCHES_MAX} batches in flight")
        self._batches.add(batch_id)
        return BatchReceived(batch_id, body)

    def _on_ack(self, batch_id: int, body: bytes) -> Event:
        self._settle(batch_id)
        rejected = decode(messages.decode_rejected, body, "acknowledgement in part") if body else ()
        return AckedInPart(batch_id, rejected) if rejected else Acked(batch_id)

    def _on_refusal(self, batch_id: int, body: bytes) -> Event:
        self._settle(batch_id)
        return Refused(batch_id, decode_failure(body))

    def _settle(self, batch_id: int) -> None:
        if batch_id not in self._batches:
            raise PeerError(f"answer to batch {batch_id}, which is not in flight")
        self._batches.discard(batch_id)

    def _on_ping(self, frame_id: int, _body: bytes) -> None:
        self._put(Kind.PONG, frame_id, b"")

    def _on_pong(self, _frame_id: int, _body: bytes) -> None:
        """Being heard is all there is to it."""

    def _on_close(self, _frame_id: int, body: bytes) -> Event:
        failure = decode_failure(body)
        self._enter(State.CLOSED)
        return PeerClosed(failure)

    # --- the table at work ------------------------------------------------------------------------------------------

    def _enter(self, state: State) -> None:
        self.state = state
        if state is State.OPEN:
            self._parser.trust()
        moves = MOVES[self.side, state]
        self._sendable = frozenset(kind for way, kind in moves if way is SENT and self._role_allows(way, kind))
        self._receivable: dict[int, _Receive] = {
            kind: self._receivers[kind] for way, kind in moves if way is RECEIVED and self._role_allows(way, kind)
        }

    def _role_allows(self, way: Way, kind: Kind) -> bool:
        if self.peer is None:
            return True
        if way is SENT:
            return may_say(kind, side=self.side, role=self.hello.role, peer_role=self.peer.role)
        other = Side.ANSWERER if self.side is Side.OPENER else Side.OPENER
        return may_say(kind, side=other, role=self.peer.role, peer_role=self.hello.role)

    def _violation(self, kind: int) -> PeerError:
        name = Kind(kind).name.lower() if kind in set(Kind) else f"unknown ({kind})"
        who = self.peer or "the other end"
        return PeerError(f"{who} may not send a frame of kind {name} to {self.hello}, which is {self.state.value}")

    def _put(self, kind: Kind, frame_id: int, body: bytes) -> None:
        if kind not in self._sendable:
            invariant(False, "not allowed to send this now", kind, self.side, self.state, self.hello)
        header = frame_header(kind, frame_id, body)
        if not self._prefaced:
            self._prefaced = True
            self._output.append(PREFACE)
        self.output_bytes += len(body)
        if len(body) < SPLIT_BYTES:
            self._output.append(header + body)
        else:
            self._output += (header, body)


def farewell(error: HeliographError) -> bytes:
    """Return all that a peer is sent whose connection ends before it can say anything: why."""
    body = messages.encode(failure_of(error))
    return PREFACE + frame_header(Kind.CLOSE, 0, body) + body
