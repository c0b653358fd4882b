from __future__ import annotations

import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import PeerError, UsageError
from heliograph.link.frames import (
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    MAGIC,
    PREFACE,
    Frame,
    FrameParser,
    Kind,
    frame_header,
)
from heliograph.model.keys import VALUE_BYTES_MAX

HELLO: Frame = (Kind.HELLO, 0, b"hello")


def wire(*frames: Frame) -> bytes:
    return PREFACE + b"".join(frame_header(kind, number, body) + body for kind, number, body in frames)


def trusting() -> FrameParser:
    """Return a parser of what a peer that is known sends."""
    parser = FrameParser()
    parser.trust()
    return parser


def parse(chunks: list[bytes]) -> list[Frame]:
    parser = trusting()
    return [frame for chunk in chunks for frame in parser.receive(chunk)]


FRAMES = [HELLO, (Kind.REQUEST, 1, b"x" * 300), (Kind.ACK, 2**64 - 1, b""), (Kind.BATCH, 7, bytes(70_000))]


def test_layout() -> None:
    assert (
        wire((Kind.ACK, 0x0102, b"ab"))
        == b"\x89HELIO\n\x01" + b"\0\0\0\x02" + b"\x05" + b"\0\0\0\0\0\0\x01\x02" + b"ab"
    )


def test_whole() -> None:
    assert parse([wire(*FRAMES)]) == FRAMES


def test_byte_by_byte() -> None:
    data = wire(*FRAMES[:3])
    assert parse([data[i : i + 1] for i in range(len(data))]) == FRAMES[:3]


def test_trailing_bytes_wait_for_the_rest() -> None:
    data = wire(*FRAMES)
    parser = trusting()
    assert parser.receive(data + data[len(PREFACE) : len(PREFACE) + 5]) == FRAMES
    assert parser.receive(data[len(PREFACE) + 5 : len(PREFACE) + 18]) == [HELLO]


def test_truncated_gives_nothing() -> None:
    data = wire(HELLO)
    for end in range(len(data)):
        assert parse([data[:end]]) == []


@settings(deadline=None)
@given(
    bodies=st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 2**64 - 1), st.binary(max_size=200)), max_size=8),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_any_split_gives_the_same_frames(bodies: list[Frame], cuts: list[int]) -> None:
    data = wire(HELLO, *bodies)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert parse([data[a:b] for a, b in pairwise(edges)]) == [HELLO, *bodies]


@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=100), cut=st.integers(0, 100))
def test_garbage_gives_peer_error_or_waits(data: bytes, cut: int) -> None:
    parser = FrameParser()
    try:
        frames = parser.receive(data[:cut]) + parser.receive(data[cut:])
    except PeerError:
        return
    assert frames == []
    assert PREFACE.startswith(data[: len(PREFACE)])


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\0", MAGIC[:3] + b"X"])
def test_another_protocol_is_named_at_the_first_wrong_byte(data: bytes) -> None:
    with pytest.raises(PeerError, match="not heliograph"):
        FrameParser().receive(data)


def test_a_peer_that_speaks_tls_is_named() -> None:
    with pytest.raises(PeerError, match="the other end speaks TLS, and this one does not"):
        FrameParser().receive(b"\x16\x03\x01\x02\x00")


def test_wrong_byte_after_a_split_preface() -> None:
    parser = FrameParser()
    assert parser.receive(MAGIC[:4]) == []
    with pytest.raises(PeerError, match="not heliograph"):
        parser.receive(b"?")


def test_another_major_is_named() -> None:
    parser = FrameParser()
    with pytest.raises(PeerError, match="speaks link protocol 2, this end 1: upgrade this end"):
        parser.receive(MAGIC + b"\x02")
    assert parser.prefaced
    with pytest.raises(PeerError, match="speaks link protocol 0, this end 1: upgrade the other end"):
        FrameParser().receive(MAGIC + b"\x00")


def test_frames_must_be_small_until_the_peer_is_known() -> None:
    body = bytes(HELLO_BYTES_MAX + 1)
    large = frame_header(Kind.BATCH, 1, body)
    with pytest.raises(PeerError, match="4097 bytes is too large: at most 4096"):
        FrameParser().receive(PREFACE + frame_header(Kind.HELLO, 0, body))
    parser = FrameParser()
    assert len(parser.receive(wire((Kind.HELLO, 0, bytes(HELLO_BYTES_MAX))))) == 1
    with pytest.raises(PeerError, match="4097 bytes is too large: at most 4096"):
        parser.receive(large)
    parser = FrameParser()
    assert parser.receive(wire(HELLO)) == [HELLO]
    parser.trust()
    assert len(parser.receive(large + body)) == 1


def test_a_frame_in_crumbs_costs_little_more_than_its_bytes() -> None:
    """One object for every two bytes would cost twenty times as much."""
    size = 1024 * 1024
    parser = trusting()
    parser.receive(wire(HELLO) + frame_header(Kind.BATCH, 1, bytes(size)))
    crumb = b"ab"
    tracemalloc.start()
    for _ in range(size // 2 - 1):
        parser.receive(crumb)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * size
    assert parser.receive(crumb) == [(Kind.BATCH, 1, crumb * (size // 2))]


def test_oversize_is_refused_from_its_header_alone() -> None:
    header = (FRAME_BYTES_MAX + 1).to_bytes(4, "big") + bytes([Kind.BATCH]) + bytes(8)
    with pytest.raises(PeerError, match="too large"):
        parse([wire(HELLO), header])


def test_own_oversize_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="too large"):
        frame_header(Kind.BATCH, 1, bytes(FRAME_BYTES_MAX + 1))


def test_limits_leave_room() -> None:
    assert HELLO_BYTES_MAX < VALUE_BYTES_MAX < FRAME_BYTES_MAX


def test_large_frame_in_small_chunks_is_linear() -> None:
    """8 MiB in 1 KiB chunks, and 100,000 frames in one chunk: quadratic buffering would take minutes."""
    data = wire(HELLO, (Kind.BATCH, 1, bytes(8 * 1024 * 1024)))
    many = wire(HELLO, *[(Kind.ACK, i, b"") for i in range(100_000)])
    began = time.process_time()
    assert len(parse([data[i : i + 1024] for i in range(0, len(data), 1024)])) == 2
    assert len(parse([many])) == 100_001
    assert time.process_time() - began < 5
