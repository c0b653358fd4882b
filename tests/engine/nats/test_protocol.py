"""The NATS protocol, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.engine.nats import protocol
from heliograph.engine.nats.protocol import CONTROL_BYTES_MAX, Control, Identity, Message, Parser, parse_info
from heliograph.errors import PeerError

HEADERS = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 12\r\nHeliograph-Batch: m1-7\r\n\r\n"

subjects = st.from_regex(rb"[A-Za-z0-9_$]{1,9}(\.[A-Za-z0-9_-]{1,9}){0,3}", fullmatch=True)
payloads = st.binary(max_size=60) | st.just(b"\r\nMSG a 1 5\r\nHMSG") | st.binary(min_size=400, max_size=500)
messages = st.builds(
    Message,
    subject=subjects,
    sid=st.integers(1, 99),
    reply=st.just(b"") | subjects,
    headers=st.sampled_from([b"", HEADERS, b"NATS/1.0 503\r\n\r\n"]),
    payload=payloads,
)
controls = st.sampled_from(
    [Control(b"PING", b""), Control(b"PONG", b""), Control(b"+OK", b""), Control(b"-ERR", b"'Slow Consumer'")]
)


def encode(frame: Message | Control) -> bytes:
    """Write a frame as a server does."""
    if isinstance(frame, Control):
        return b" ".join(filter(None, (frame.verb, frame.argument))) + b"\r\n"
    words = [frame.subject, b"%d" % frame.sid] + ([frame.reply] if frame.reply else [])
    if frame.headers:
        words += [b"%d" % len(frame.headers)]
    words += [b"%d" % (len(frame.headers) + len(frame.payload))]
    verb = b"HMSG" if frame.headers else b"MSG"
    return b"%b %b\r\n%b%b\r\n" % (verb, b" ".join(words), frame.headers, frame.payload)


@given(st.lists(messages | controls, max_size=8), st.data())
def test_frames_come_back_wherever_the_bytes_are_split(frames: list[Message | Control], data: st.DataObject) -> None:
    stream = b"".join(map(encode, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    parser, parsed = Parser(), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        parsed += parser.feed(stream[start:stop])
    assert parsed == frames


def test_every_single_split_of_one_stream() -> None:
    frames: list[Message | Control] = [
        Message(b"log.a", 1, b"$JS.ACK.s.c.1.2.3.4.5", HEADERS, b"payload\r\n"),
        Control(b"PING", b""),
        Message(b"_INBOX.x.1", 2, b"", b"", b""),
    ]
    stream = b"".join(map(encode, frames))
    for cut in range(len(stream) + 1):
        parser = Parser()
        assert parser.feed(stream[:cut]) + parser.feed(stream[cut:]) == frames
    parser = Parser()
    assert [frame for byte in stream for frame in parser.feed(bytes([byte]))] == frames


@pytest.mark.parametrize("stream", [b"MSG a\r\n", b"MSG a 1 x\r\n", b"HMSG a 1 b 3 \r\n", b"MSG a b c d 1\r\nx\r\n"])
def test_malformed_messages_are_refused(stream: bytes) -> None:
    with pytest.raises(PeerError, match="malformed"):
        Parser().feed(stream)


def test_an_endless_control_line_is_refused() -> None:
    parser = Parser()
    assert parser.feed(b"x" * CONTROL_BYTES_MAX) == []
    with pytest.raises(PeerError, match="exceeds"):
        parser.feed(b"x")


def test_headers_and_status() -> None:
    message = Message(b"a", 1, b"", HEADERS, b"")
    assert message.header(b"Heliograph-Batch") == b"m1-7"
    assert message.header(b"Nats-Expected-Last-Subject-Sequence") == b"12"
    assert message.header(b"Nothing") == b""
    assert (message.status, message.description) == (0, "")
    gone = Message(b"a", 1, b"", b"NATS/1.0 409 Consumer Deleted\r\n\r\n", b"")
    assert (gone.status, gone.description) == (409, "Consumer Deleted")
    assert Message(b"a", 1, b"", b"", b"").status == 0


def test_info() -> None:
    info = parse_info(b'{"version":"2.11.0","max_payload":1048576,"headers":true,"jetstream":true,"new":1}')
    assert (info.version, info.max_payload, info.headers, info.tls_required) == ("2.11.0", 1048576, True, False)
    with pytest.raises(PeerError, match="INFO"):
        parse_info(b"{nothing")


def test_commands() -> None:
    assert protocol.subscribe("a.*", 3) == b"SUB a.* 3\r\n"
    assert protocol.unsubscribe(3) == b"UNSUB 3\r\n"
    assert protocol.publish("a.b", "r", b"xyz") == b"PUB a.b r 3\r\nxyz\r\n"
    assert b'"auth_token":"t"' in protocol.connect(Identity("me", token="t"))
    command = protocol.connect(Identity("me", user="u", password="p"))
    assert b'"user":"u","pass":"p"' in command
    assert command.endswith(b"\r\nPING\r\n")
