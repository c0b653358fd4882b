"""Errors, named by who must act on them.

Every error that heliograph raises on purpose derives from `HeliographError`, save the one that shows a bug of its own;
`retriable` says whether the same call may succeed later without anything being changed by the caller.
"""

from __future__ import annotations

from typing import ClassVar


class HeliographError(Exception):
    """Base of all of heliograph's errors."""

    retriable: ClassVar[bool] = False


class UsageError(HeliographError):
    """The caller must change something: an option, a name, a value. The message names what."""


class TooLargeError(UsageError):
    """A message does not fit into a frame: ask for less at a time."""


class RegionNotFoundError(UsageError):
    """The named region does not exist at this site."""


class PeerError(HeliographError):
    """The other end of a link broke the protocol or refused it; the link is closed."""


class AuthenticationError(PeerError):
    """Who opens a link, or asks over HTTP, did not prove who it is, or may not be who it says; or no more."""


class AuthenticationExpiredError(AuthenticationError):
    """What was proved is too old: prove it anew. Raised by security managers, too."""


class NotAuthorizedError(HeliographError):
    """Who asks may not do that; nothing was done, and the link stays."""


class BadEventError(PeerError):
    """An event from another site can't be taken here, however often it is sent: its gateway sender parks it."""


class ParkingFullError(HeliographError):
    """A gateway sender has parked as many events as it may: more wait until some are redriven or dropped."""

    retriable = True


class UnavailableError(HeliographError):
    """Something needed cannot be reached now (engine, primary, locator); the outcome of a write may be unknown."""

    retriable = True


class UnreachableError(UnavailableError):
    """Whom to ask can't be reached: what was to be asked did certainly not happen."""


class OverloadedError(UnreachableError):
    """A member has as much under way as it may hold: the write was not done, wait and try again."""


class DiskStoreFullError(HeliographError):
    """A disk store has reached its limit: the write was not done. The operator raises the limit, or lets queues drain.

    Reads, removals and gateway senders go on, and writes are taken again by themselves once there is room.
    """

    retriable = True


class ForgottenError(UnavailableError):
    """A write was sent again, and whether it was done before, or what it was answered, can't be told any more."""


class FencedError(HeliographError):
    """Another member is primary: an append was refused by the log, the caller steps down."""


class SettledTooLateError(FencedError):
    """As FencedError, and whether the append had been done before can't be told any more: the log was cut."""


class LogCutError(HeliographError):
    """The log no longer holds what a copy lacks: it has to start from a snapshot."""

    retriable = True


class EventsLostError(HeliographError):
    """A listener was slower than the log lasts: events that it has not seen were cut. Listen anew, and read anew."""


class NotPrimaryError(HeliographError):
    """The member asked is not the bucket's primary; the request did certainly not happen, ask the primary."""

    retriable = True


class ConflictError(HeliographError):
    """A compare-and-set found another revision than the expected one."""

    retriable = True


class ClockSkewError(HeliographError):
    """A batch carries timestamps further ahead of this site's clock than `max-clock-skew`."""

    retriable = True


def in_part(error: HeliographError) -> HeliographError:
    """Return what a write of several parts is told of which `error` befell one, and another was done.

    An error that says "certainly not done" becomes one that does not; the others keep their class.
    """
    kind = UnavailableError if isinstance(error, UnreachableError | NotPrimaryError) else type(error)
    return kind(f"a part of the write was done, or may be, and another was not: {error}")


class InvariantViolation(Exception):  # noqa: N818  (a bug of ours, not a condition)
    """A state that must never exist: no HeliographError, so that nobody who goes on after those goes on with it."""


def invariant(condition: bool, message: str, *context: object) -> None:
    """Raise `InvariantViolation` unless `condition` holds; stays on under `python -O`."""
    if not condition:
        details = ", ".join(map(repr, context))
        raise InvariantViolation(f"{message} [{details}]" if details else message)
