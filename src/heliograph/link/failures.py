"""Errors on the wire: an exception as a `Failure`, and a `Failure` as the same named exception at the other end."""

from __future__ import annotations

import msgspec

from heliograph import errors
from heliograph.errors import HeliographError
from heliograph.link.messages import Failure
from heliograph.model.decoding import decode

_BY_NAME = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, HeliographError)
}
REASON_MAX = 4096
"""Characters of a reason that are kept: it is shown, and written to logs."""
_decode = msgspec.msgpack.Decoder(Failure).decode


def failure_of(exc: BaseException) -> Failure:
    """Return what the other end is told of an exception; one that isn't heliograph's goes as `HeliographError`."""
    if isinstance(exc, HeliographError):
        return Failure(type(exc).__name__, str(exc))
    return Failure(HeliographError.__name__, f"internal error: {type(exc).__name__}: {exc}")


def error_of(failure: Failure) -> HeliographError:
    """Return the exception that a failure names; a name not known here becomes `HeliographError`.

    So does an InvariantViolation: it condemns the process where it was found, not this one.
    """
    return _BY_NAME.get(failure.error, HeliographError)(failure.message)


def decode_failure(data: bytes) -> Failure:
    """Decode the body of a refusal or close frame. Raises PeerError when it is malformed."""
    failure = decode(_decode, data, "reason")
    if len(failure.message) > REASON_MAX:
        return Failure(failure.error, f"{failure.message[:REASON_MAX]}...")
    return failure
