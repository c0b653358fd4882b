"""Events that a gateway sender has parked: what its remote site can never take, kept until an operator decides.

An event is two entries of the site's registry, `parked.<sender>.<id>` and `parkedevents.<sender>.<id>.<copy>`: what
there is to know of it, and the event itself. The first one is written last, and removed first: it is what counts, and
says which copy is meant. The id names the event, however often it is sent and parked, so parking it again changes
nothing; every attempt writes a copy of its own, so that none removes what another one has just written.
"""

from __future__ import annotations

import msgspec

from heliograph.model.batch import Part

PARKED, PARKED_EVENTS = "parked", "parkedevents"
OPERATIONS = ("create", "update", "destroy")


class ParkedInfo(msgspec.Struct, frozen=True):
    """What is known of a parked event.

    key: as text. operation: one of `OPERATIONS`; of events that can't be read, both are empty. events: 1, or more that
    can't be told apart because they can't be read. size: bytes. parked_ms: when, since the Unix epoch. member: of the
    sender that parked it. copy: where the event itself is. redriven: how often in vain; error: the last one.
    """

    region: str
    key: str
    operation: str
    error: str
    parked_ms: int
    member: str
    size: int
    copy: str
    events: int = 1
    redriven: int = 0


class ParkedEvent(msgspec.Struct, frozen=True):
    """A parked event as it was sent. buckets, resolver: as of `WanBatch`."""

    region: str
    buckets: int
    resolver: str
    bucket: int
    part: Part


class ToPark(msgspec.Struct, frozen=True):
    """A parked event with its id and what is known of it."""

    id: str
    info: ParkedInfo
    event: ParkedEvent


def parked_key(sender: str, event: str) -> str:
    """Return the key of what is known of a parked event."""
    return f"{PARKED}.{sender}.{event}"


def parked_event_key(sender: str, event: str, copy: str) -> str:
    """Return the key of a parked event itself."""
    return f"{PARKED_EVENTS}.{sender}.{event}.{copy}"
