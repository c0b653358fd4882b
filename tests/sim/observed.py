"""What was seen of a simulated run: the operations of its clients, the sites' logs, the members' copies at the end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from heliograph.model.batch import COLLECTED, Removal
from heliograph.model.keys import Key
from tests.history.operations import Operation


class Event(NamedTuple):
    """An event of a log; an empty value destroys the entry."""

    key: Key
    value: bytes
    version: int


class Entry(NamedTuple):
    """A record of a bucket's log. primary: who became primary with it, else empty. writer: whose append it was."""

    seq: int
    previous: int
    epoch: int
    primary: str
    writer: str
    events: tuple[Event, ...]
    removals: tuple[Removal, ...] = ()


class Birth(NamedTuple):
    """What names a part: the site, and of the log there the bucket and the sequence, where it was born."""

    origin: int
    bucket: int
    seq: int


class Arrival(NamedTuple):
    """A part that a gateway sender of one site sent to another site."""

    sender: int
    receiver: int
    birth: Birth


class Copy(NamedTuple):
    """A member's copy of a bucket."""

    member: str
    bucket: int
    values: dict[Key, bytes]
    versions: dict[Key, int]


class ToldEvent(NamedTuple):
    """An event as a listener was told it; old None: not known."""

    bucket: int
    seq: int
    operation: str
    key: Key | None
    new: bytes
    version: int
    old: bytes | None


@dataclass
class Told:
    """One subscription of a listener.

    began: bucket -> the cursor that it began with. ended: why, "listening" when it did not.
    lost_rightly: where it was told that events were cut from the log, whether any was.
    """

    site: int
    who: str
    began: dict[int, int] = field(default_factory=dict)
    events: list[ToldEvent] = field(default_factory=list)
    ended: str = ""
    lost_rightly: bool = False


@dataclass
class Site:
    """A site at the end: bucket -> log, and the copies of its members.

    known: birth -> of each part of it in the logs that came from elsewhere, the sites that it says it was sent to.
    """

    logs: dict[int, list[Entry]] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    known: dict[Birth, list[tuple[int, ...]]] = field(default_factory=dict)

    def events(self) -> list[Event]:
        """Return the events of all buckets."""
        return [event for _, log in sorted(self.logs.items()) for entry in log for event in entry.events]


@dataclass
class Observed:
    """A whole run.

    story: the plan, and what went wrong when. unfinished: what was still not done when the time after healing was over.
    errors: of any process. records_cut: from the logs of all sites, under whoever was reading them.
    """

    story: list[str] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    sites: dict[int, Site] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    records_cut: int = 0
    told: list[Told] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    """Whatever gateway receivers were sent."""
    ending: tuple[object, ...] = ()
    """The time and the state of the randomness at the end: they tell whether two runs did the same."""

    @property
    def digest(self) -> str:
        """Return what two runs of one seed have in common."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


class Held(NamedTuple):
    """The newest event of a key; an empty value is a tombstone."""

    version: int
    value: bytes


def replay(log: list[Entry]) -> dict[Key, Held]:
    """Return what a log's events leave, in the log's order."""
    return {event.key: Held(event.version, event.value) for entry in log for event in entry.events}


def held_by_copies(log: list[Entry]) -> dict[Key, Held]:
    """Return what a log leaves in a copy: tombstones that were collected are gone."""
    held: dict[Key, Held] = {}
    removed: dict[Key, int] = {}
    for entry in log:
        through = max((each.number for each in entry.removals if each.kind == COLLECTED), default=0)
        for key in [key for key, seq in removed.items() if seq <= through]:
            del held[key], removed[key]
        for event in entry.events:
            held[event.key] = Held(event.version, event.value)
            removed.pop(event.key, None)
            if not event.value:
                removed[event.key] = entry.seq
    return held


def held_at(site: Site) -> dict[Key, Held]:
    """Return what the logs of all buckets leave."""
    return {key: held for _, log in sorted(site.logs.items()) for key, held in replay(log).items()}
