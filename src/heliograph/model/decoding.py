"""Bytes from outside: whatever stands in them, decoding gives a value or a PeerError."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from heliograph.errors import PeerError, UsageError

T = TypeVar("T")

MALFORMED: tuple[type[Exception], ...] = (msgspec.MsgspecError, RecursionError, ValueError, UsageError)
"""What a msgspec decoder raises on malformed data: text that is no UTF-8 is a ValueError (`UnicodeDecodeError`), and
nesting that is too deep a RecursionError; neither is a `msgspec.DecodeError`. A definition that breaks a rule, say one
of a newer release, is a UsageError of its struct."""


def decode(decoder: Callable[[bytes], T], data: bytes, what: str) -> T:
    """Decode `data`, which is `what` ("hello"). Raises PeerError when it is malformed."""
    try:
        return decoder(data)
    except MALFORMED as exc:
        raise PeerError(f"malformed {what}: {exc}") from exc
