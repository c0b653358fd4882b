"""Two sessions joined in memory, and every illegal move."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import InvariantViolation, PeerError, UnavailableError, UsageError
from heliograph.link import session as module
from heliograph.link.frames import FRAME_BYTES_MAX, MAGIC, PREFACE, FrameParser, Kind, frame_header
from heliograph.link.hello import Hello, Side, encode_hello
from heliograph.link.messages import Count, Failure, Rejected, Size, StatusQuery, encode
from heliograph.link.session import (
    Acked,
    AckedInPart,
    BatchReceived,
    Event,
    Greeted,
    PeerClosed,
    Refused,
    Replied,
    Requested,
    Session,
)
from heliograph.link.table import MAY_SEND, MOVES, RECEIVED, SENT, State, may_say

SENDER, RECEIVER = Hello("sender", "s2", 1), Hello("receiver", "server1", 2)
CLIENT, MEMBER = Hello("client", "app"), Hello("member", "server1", 2)
QUESTION, ANSWER = Size("customer", [1, 2]), Count(7)
OPENING = sorted(role for side, role in MAY_SEND if side is Side.OPENER)
ANSWERING = sorted(role for side, role in MAY_SEND if side is Side.ANSWERER)


def output(session: Session) -> bytes:
    return b"".join(session.take_output())


def hear(session: Session, data: bytes) -> list[Event]:
    return list(session.receive(data))


def frame(kind: int, number: int = 0, body: bytes = b"") -> bytes:
    return frame_header(kind, number, body) + body


def joined(opening: Hello = SENDER, answering: Hello = RECEIVER) -> tuple[Session, Session]:
    opener, answerer = Session(Side.OPENER, opening), Session(Side.ANSWERER, answering)
    opener.greet()
    assert hear(answerer, output(opener)) == [Greeted(opening)]
    answerer.greet()
    assert hear(opener, output(answerer)) == [Greeted(answering)]
    return opener, answerer


def in_state(side: Side, state: State) -> Session:
    """A session of a sender, or receiver, in a state."""
    session = Session(side, SENDER if side is Side.OPENER else RECEIVER)
    if state is State.CLOSED:
        session.close(UnavailableError("done"))
    elif state is not State.NEW:
        if side is Side.OPENER:
            session.greet()
        if state is not State.GREETED:
            hear(session, PREFACE + frame(Kind.HELLO, 0, encode_hello(RECEIVER if side is Side.OPENER else SENDER)))
        if state is State.OPEN and side is Side.ANSWERER:
            session.greet()
    session.take_output()
    assert session.state is state
    return session


# --- what goes right --------------------------------------------------------------------------------------------------


def test_hello() -> None:
    opener, answerer = joined()
    assert opener.state is answerer.state is State.OPEN
    assert opener.peer == RECEIVER
    assert answerer.peer == SENDER


def test_features_are_negotiated() -> None:
    offer = msgspec.structs.replace(SENDER, features=("a", "b"))
    answer = msgspec.structs.replace(RECEIVER, features=("b", "c"))
    opener, answerer = joined(offer, answer)
    assert opener.features == answerer.features == ("b",)


def test_exchanges_are_answered_in_any_order() -> None:
    opener, answerer = joined(CLIENT, MEMBER)
    numbers = [opener.request(QUESTION) for _ in range(3)]
    asked = hear(answerer, output(opener))
    assert asked == [Requested(number, QUESTION) for number in numbers]
    for number in reversed(numbers):
        answerer.reply(number, Count(number))
    assert hear(opener, output(answerer)) == [Replied(number, Count(number)) for number in reversed(numbers)]


def test_batches_are_acked_or_refused() -> None:
    opener, answerer = joined()
    large = bytes(module.SPLIT_BYTES)
    opener.batch(10, b"small")
    opener.batch(11, large)
    assert hear(answerer, output(opener)) == [BatchReceived(10, b"small"), BatchReceived(11, large)]
    answerer.refuse(11, Failure("ClockSkewError", "an hour ahead"))
    answerer.ack(10)
    assert hear(opener, output(answerer)) == [Refused(11, Failure("ClockSkewError", "an hour ahead")), Acked(10)]
    opener.batch(11, b"again")


def test_a_batch_is_acked_in_part_where_both_ends_know_of_that() -> None:
    opener, answerer = joined()
    rejected = (Rejected(0, (1, 2), "too large"), Rejected(3, (), "malformed"))
    for number in (1, 2):
        opener.batch(number, b"x")
    hear(answerer, output(opener))
    answerer.ack(1, rejected)
    answerer.ack(2, [])
    assert hear(opener, output(answerer)) == [AckedInPart(1, rejected), Acked(2)]
    opener.batch(1, b"again")
    hear(answerer, output(opener))
    assert hear(opener, frame(Kind.ACK, 1, encode([]))) == [Acked(1)]
    opener.batch(2, b"again")
    with pytest.raises(PeerError, match="malformed acknowledgement in part"):
        hear(opener, frame(Kind.ACK, 2, b"\xc1"))

    opener, answerer = joined(msgspec.structs.replace(SENDER, features=()))
    opener.batch(1, b"x")
    hear(answerer, output(opener))
    with pytest.raises(InvariantViolation, match="does not know of acks in part"):
        answerer.ack(1, rejected)
    answerer.ack(1)
    assert hear(opener, output(answerer)) == [Acked(1)]


def test_a_large_body_is_not_copied() -> None:
    opener, _ = joined()
    body = bytes(module.SPLIT_BYTES)
    opener.batch(1, body)
    assert any(piece is body for piece in opener.take_output())


def test_ping_is_answered_without_an_event() -> None:
    opener, answerer = joined()
    opener.ping()
    assert hear(answerer, output(opener)) == []
    assert hear(opener, output(answerer)) == []
    assert opener.state is State.OPEN


@pytest.mark.parametrize("from_opener", [True, False])
def test_close_says_why_and_is_final(from_opener: bool) -> None:
    ends = joined()
    one, other = ends if from_opener else ends[::-1]
    one.close(UnavailableError("stopping"))
    one.close(UnavailableError("again"))
    assert hear(other, output(one)) == [PeerClosed(Failure("UnavailableError", "stopping"))]
    assert one.state is other.state is State.CLOSED
    assert hear(other, b"whatever comes late") == []
    assert output(other) == b""


def test_refused_hello_says_why() -> None:
    opener, answerer = Session(Side.OPENER, CLIENT), Session(Side.ANSWERER, MEMBER)
    opener.greet()
    hear(answerer, output(opener))
    answerer.close(UsageError("come back with a name"))
    assert hear(opener, output(answerer)) == [PeerClosed(Failure("UsageError", "come back with a name"))]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["ask", "answer", "ship", "ack", "refuse", "ping", "chunk"]), max_size=40), st.randoms()
)
def test_any_conversation_arrives_as_it_was_said(steps: list[str], random: Random) -> None:
    """Whatever the order and the chunking, each side gets each thing once."""
    opener, answerer = joined()
    heard: dict[type[Event], list[int]] = {kind: [] for kind in (Requested, Replied, BatchReceived, Acked, Refused)}
    said: dict[type[Event], list[int]] = {kind: [] for kind in heard}
    pipes: dict[Session, bytes] = {answerer: b"", opener: b""}
    open_asks: list[int] = []
    open_batches: list[int] = []

    def deliver(size: int) -> None:
        for to, source in ((answerer, opener), (opener, answerer)):
            pipes[to] += output(source)
            now, pipes[to] = pipes[to][:size], pipes[to][size:]
            for event in hear(to, now):
                number: int = getattr(event, "exchange", 0) or getattr(event, "batch_id", 0)
                heard[type(event)].append(number)
                if isinstance(event, Requested):
                    open_asks.append(number)
                elif isinstance(event, BatchReceived):
                    open_batches.append(number)

    for count, step in enumerate(steps, 1):
        if step == "ask":
            said[Requested].append(opener.request(QUESTION))
        elif step == "ship":
            opener.batch(count, b"x" * random.randrange(100))
            said[BatchReceived].append(count)
        elif step == "answer" and open_asks:
            said[Replied].append(open_asks.pop(random.randrange(len(open_asks))))
            answerer.reply(said[Replied][-1], ANSWER)
        elif step == "ack" and open_batches:
            said[Acked].append(open_batches.pop(0))
            answerer.ack(said[Acked][-1])
        elif step == "refuse" and open_batches:
            said[Refused].append(open_batches.pop(0))
            answerer.refuse(said[Refused][-1], Failure("PeerError", "no"))
        elif step == "ping":
            random.choice([opener, answerer]).ping()
        deliver(random.randrange(60))
    for _ in range(3):
        deliver(1_000_000)
    assert heard == said


# --- what the peer does wrong -----------------------------------------------------------------------------------------

BODIES = {
    Kind.HELLO: encode_hello(RECEIVER),
    Kind.REQUEST: encode(QUESTION),
    Kind.REPLY: encode(ANSWER),
    Kind.REFUSAL: encode(Failure("PeerError", "no")),
    Kind.CLOSE: encode(Failure("PeerError", "no")),
}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("side", "state"), MOVES)
def test_every_frame_in_every_state(side: Side, state: State, kind: Kind) -> None:
    """What the table has is taken and leads where it says; everything else closes the session with a PeerError."""
    session = in_state(side, state)
    preface = PREFACE if state in (State.NEW, State.GREETED) else b""
    if state is State.OPEN and side is Side.OPENER:  # so that answers have something to answer
        session.request(QUESTION)
        session.batch(1, b"")
    body = encode_hello(SENDER) if kind is Kind.HELLO and side is Side.ANSWERER else BODIES.get(kind, b"")
    data = preface + frame(kind, 0 if kind is Kind.HELLO else 1, body)
    after = MOVES[side, state].get((RECEIVED, kind))
    if state is State.CLOSED:
        assert hear(session, data) == []
    elif after is not None:
        hear(session, data)
        assert session.state is after
    else:
        with pytest.raises(PeerError, match=f"may not send a frame of kind {kind.name.lower()}"):
            hear(session, data)
        assert session.state is State.CLOSED


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.REPLY, Kind.BATCH, Kind.ACK, Kind.REFUSAL])
@pytest.mark.parametrize("answering", ANSWERING)
@pytest.mark.parametrize("opening", OPENING)
def test_roles(opening: str, answering: str, kind: Kind) -> None:
    """Whoever opens asks; only a sender ships, and only to a receiver."""
    shipping = (opening, answering) == ("sender", "receiver")
    allowed_opener = {Kind.REQUEST} | ({Kind.BATCH} if shipping else set())
    allowed_answerer = {Kind.REPLY} | ({Kind.ACK, Kind.REFUSAL} if shipping else set())
    assert may_say(kind, side=Side.OPENER, role=opening, peer_role=answering) is (kind in allowed_opener)
    assert may_say(kind, side=Side.ANSWERER, role=answering, peer_role=opening) is (kind in allowed_answerer)

    _, answerer = joined(Hello(opening, "o", 1), Hello(answering, "a", 2))
    data = frame(kind, 5, BODIES.get(kind, b""))
    if kind in allowed_opener:
        assert len(hear(answerer, data)) == 1
    else:
        with pytest.raises(PeerError, match=kind.name.lower()):
            hear(answerer, data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (frame(Kind.REPLY, 99, encode(ANSWER)), "reply to request 99, which is not open"),
        (frame(Kind.ACK, 99), "answer to batch 99, which is not in flight"),
        (frame(Kind.REFUSAL, 99, BODIES[Kind.REFUSAL]), "answer to batch 99"),
        (frame(Kind.CLOSE, 0, b"\xc1"), "malformed reason"),
        (frame(77), r"unknown \(77\)"),
        (frame(0), r"unknown \(0\)"),
    ],
)
def test_the_answering_end_breaks_the_protocol(data: bytes, message: str) -> None:
    opener, answerer = joined()
    with pytest.raises(PeerError, match=message):
        hear(opener, data)
    assert opener.state is State.CLOSED
    (told,) = hear(answerer, output(opener))
    assert isinstance(told, PeerClosed)
    assert told.failure.error == "PeerError"


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.BATCH])
def test_a_number_is_in_flight_once(kind: Kind) -> None:
    _, answerer = joined()
    hear(answerer, frame(kind, 5, BODIES.get(kind, b"")))
    with pytest.raises(PeerError, match=r"5 is .* already"):
        hear(answerer, frame(kind, 5, BODIES.get(kind, b"")))


@pytest.mark.parametrize(("kind", "limit"), [(Kind.REQUEST, "EXCHANGES_MAX"), (Kind.BATCH, "BATCHES_MAX")])
def test_what_is_in_flight_is_bounded(kind: Kind, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, limit, 3)
    _, answerer = joined()
    body = BODIES.get(kind, b"")
    hear(answerer, b"".join(frame(kind, number, body) for number in (1, 2, 3)))
    with pytest.raises(PeerError, match="more than 3"):
        hear(answerer, frame(kind, 4, body))


def test_a_reply_twice_is_one_too_many() -> None:
    opener, _ = joined(CLIENT, MEMBER)
    reply = frame(Kind.REPLY, opener.request(QUESTION), encode(ANSWER))
    with pytest.raises(PeerError, match="not open"):
        hear(opener, reply + reply)


@pytest.mark.parametrize(
    "body",
    [
        msgspec.msgpack.encode(["Juggle", 3]),  # a newer peer asks what this release does not know
        b"\x93\xa6GetAll" + b"\xa1\xff" + b"\x90",  # no UTF-8
        b"\x93\xa6GetAll" + b"\xa1r" + b"\x91" * 100_000 + b"\x01",  # nested too deep
    ],
)
def test_a_request_that_is_not_understood_fails_alone(body: bytes) -> None:
    opener, answerer = joined(CLIENT, MEMBER)
    number = opener.request(QUESTION)
    output(opener)
    assert hear(answerer, frame(Kind.REQUEST, number, body)) == []
    (replied,) = hear(opener, output(answerer))
    assert isinstance(replied, Replied)
    assert isinstance(replied.message, Failure)
    assert replied.message.error == "UsageError"
    assert "member server1 of site 2 does not understand the request" in replied.message.message
    assert answerer.state is State.OPEN


def test_an_unknown_reply_fails_its_exchange_alone() -> None:
    opener, _ = joined(CLIENT, MEMBER)
    (replied,) = hear(opener, frame(Kind.REPLY, opener.request(QUESTION), b"\xc1"))
    assert isinstance(replied, Replied)
    assert isinstance(replied.message, Failure)
    assert replied.message.error == "PeerError"
    assert opener.state is State.OPEN


def test_the_opener_waits_for_the_answer_to_its_hello() -> None:
    opener, answerer = Session(Side.OPENER, CLIENT), Session(Side.ANSWERER, MEMBER)
    opener.greet()
    with pytest.raises(PeerError, match="request"):
        hear(answerer, output(opener) + frame(Kind.REQUEST, 1, encode(QUESTION)))


@pytest.mark.parametrize(
    ("hello", "message"),
    [
        (Hello("receiver", "r", 2), "receiver r of site 2 can't be the opening end"),
        (Hello("juggler", "j", 2), "juggler j of site 2 can't be"),
        (Hello("sender", "s", 1, version=7, oldest=7), "needs version 7 or newer"),
        (Hello("sender", "s", 1, version=0, oldest=0), "speaks version 0"),
        (Hello("sender", "s", 2), "same distributed-system-id"),
    ],
)
def test_unfit_hellos_are_refused_with_the_reason(hello: Hello, message: str) -> None:
    answerer = Session(Side.ANSWERER, RECEIVER)
    with pytest.raises(PeerError, match=message):
        hear(answerer, PREFACE + frame(Kind.HELLO, 0, encode_hello(hello)))
    opener = Session(Side.OPENER, SENDER)
    opener.greet()
    (told,) = hear(opener, output(answerer))
    assert isinstance(told, PeerClosed)
    assert message in told.failure.message


def test_the_opener_refuses_its_own_site_too() -> None:
    opener = Session(Side.OPENER, SENDER)
    opener.greet()
    with pytest.raises(PeerError, match="same distributed-system-id"):
        hear(opener, PREFACE + frame(Kind.HELLO, 0, encode_hello(msgspec.structs.replace(RECEIVER, dsid=1))))


def test_a_stranger_is_told_nothing_but_another_major_is() -> None:
    answerer = Session(Side.ANSWERER, RECEIVER)
    with pytest.raises(PeerError):
        hear(answerer, b"GET / HTTP/1.1\r\n\r\n")
    assert output(answerer) == b""
    answerer = Session(Side.ANSWERER, RECEIVER)
    with pytest.raises(PeerError):
        hear(answerer, MAGIC + b"\x09")
    assert FrameParser().receive(output(answerer))[0][0] == Kind.CLOSE


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_garbage_after_the_hello_never_escapes_as_another_error(data: bytes) -> None:
    _, answerer = joined()
    try:
        hear(answerer, data)
    except PeerError:
        assert answerer.state is State.CLOSED


# --- what we do wrong -------------------------------------------------------------------------------------------------

CALLS: dict[Kind, Callable[[Session], object]] = {
    Kind.HELLO: lambda session: session.greet(),
    Kind.REQUEST: lambda session: session.request(QUESTION),
    Kind.REPLY: lambda session: session.reply(1, ANSWER),
    Kind.BATCH: lambda session: session.batch(2, b""),
    Kind.ACK: lambda session: session.ack(1),
    Kind.REFUSAL: lambda session: session.refuse(1, Failure("PeerError", "no")),
    Kind.PING: lambda session: session.ping(),
}


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize(("side", "state"), MOVES)
def test_every_call_in_every_state(side: Side, state: State, kind: Kind) -> None:
    """What the table has is put out; everything else is our bug, and changes nothing."""
    session = in_state(side, state)
    if (side, state) == (Side.ANSWERER, State.OPEN):  # so that there is something to answer
        hear(session, frame(Kind.REQUEST, 1, encode(QUESTION)) + frame(Kind.BATCH, 1))
    if (SENT, kind) in MOVES[side, state]:
        CALLS[kind](session)
        assert session.take_output()
        assert session.state is MOVES[side, state][SENT, kind]
    else:
        with pytest.raises(InvariantViolation):
            CALLS[kind](session)
        assert session.take_output() == []
        assert session.state is state


def test_a_client_may_not_send_batches() -> None:
    opener, _ = joined(CLIENT, MEMBER)
    with pytest.raises(InvariantViolation, match="not allowed"):
        opener.batch(1, b"")


def test_a_role_goes_with_a_side() -> None:
    with pytest.raises(InvariantViolation, match="role"):
        Session(Side.OPENER, RECEIVER)


def test_answers_need_a_question() -> None:
    _, answerer = joined()
    for call in (Kind.REPLY, Kind.ACK, Kind.REFUSAL):
        with pytest.raises(InvariantViolation):
            CALLS[call](answerer)


def test_an_answer_is_given_once() -> None:
    _, answerer = joined()
    hear(answerer, frame(Kind.REQUEST, 1, encode(QUESTION)) + frame(Kind.BATCH, 1) + frame(Kind.BATCH, 2))
    answerer.reply(1, ANSWER)
    answerer.ack(1)
    answerer.refuse(2, Failure("PeerError", "no"))
    for again in (
        lambda: answerer.reply(1, ANSWER),
        lambda: answerer.ack(1),
        lambda: answerer.ack(2),
        lambda: answerer.refuse(2, Failure("PeerError", "no")),
    ):
        with pytest.raises(InvariantViolation):
            again()


def test_batch_ids_are_not_reused_in_flight() -> None:
    opener, _ = joined()
    opener.batch(1, b"")
    with pytest.raises(InvariantViolation, match="in flight already"):
        opener.batch(1, b"")


def test_own_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXCHANGES_MAX", 1)
    monkeypatch.setattr(module, "BATCHES_MAX", 1)
    opener, _ = joined()
    opener.request(QUESTION)
    with pytest.raises(UnavailableError, match="1 requests are in flight"):
        opener.request(StatusQuery())
    opener.batch(1, b"")
    with pytest.raises(InvariantViolation, match="too many batches"):
        opener.batch(2, b"")


def test_too_large_a_message_changes_nothing() -> None:
    opener, answerer = joined()
    with pytest.raises(UsageError, match="too large"):
        opener.batch(1, bytes(FRAME_BYTES_MAX + 1))
    opener.batch(1, b"")
    assert hear(answerer, output(opener)) == [BatchReceived(1, b"")]
