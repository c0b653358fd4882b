"""Hostile inputs: bytes of any kind, and valid ones that were damaged."""

from __future__ import annotations

from hypothesis import strategies as st

BOMBS = [
    b"",
    b"\xc1",
    b"\x91" * 100_000,
    b"\x81\xa0" * 50_000,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"<a>" * 20_000,
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x00",
    b"\xa1\xff",
    b"\x82\xa1a\x01\xa1a\x02",
    b"\x81\x91\x01\x02",
    b"9" * 5_000,
    b'{"port":' + b"9" * 5_000 + b"}",
    b'{"password": "\xff"}',
    b"\xff\xfe" * 100,
    b"\x00" * 1000,
    b"MSG a 1 -5\r\n",
    b"HMSG a 1 9 5\r\nhello\r\n",
    b"a:b" + b'{"x":' * 5_000,
    b'a:b{"x":' + b"[" * 100_000,
]
"""Inputs that are tried on every parser: deep, large in what they declare, and in what they hold."""
_PIECES = st.sampled_from(
    [b"\xdd\xff\xff\xff\xff", b"\xc0", b"\xff", b"\x91" * 2000, b"\x00", b"\xcb" + bytes(8), b"-1", b"{", b'"']
)


@st.composite
def damaged(draw: st.DrawFn, examples: tuple[bytes, ...]) -> bytes:
    """Return an example with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        until = draw(st.integers(at, min(len(data), at + 12)))
        match draw(st.sampled_from(["byte", "cut", "double", "put in", "end"])):
            case "byte" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at:until]
            case "double":
                data[at:at] = data[at:until]
            case "put in":
                data[at:at] = draw(st.one_of(_PIECES, st.binary(max_size=8)))
            case "end":
                del data[at:]
    return bytes(data)
