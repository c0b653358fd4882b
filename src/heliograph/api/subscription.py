"""A listener's place in the logs of a region's buckets: what to ask of whom next, what an answer means. No I/O.

    asks(holders) -> {member: Listen} --> [the shell sends them] --> on_heard | on_failed ... without end

Every bucket has a cursor and is in at most one question at a time, so that nothing is told twice or out of order, and
nothing is missed: whoever is asked next is asked from where the last answer led. What was told is taken before more is
asked for, which is all the flow control there is.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.errors import NotPrimaryError, PeerError, RegionNotFoundError
from heliograph.link.messages import FROM_NOW, Heard, Listen, Told

WAIT_MS = 10_000
"""How long a member waits for an event before it answers that there is none; then the site is looked at anew."""


class Subscription:
    """See the module."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.dsid = 0
        self.failed: dict[str, int] = {}
        """Member -> when it failed last, in a growing count."""
        self._generation = FROM_NOW
        self._cursors: list[int] = []
        self._asked: set[int] = set()
        self._failures = 0

    @property
    def begun(self) -> bool:
        """Say whether every bucket's cursor is known: what is written from now on is told."""
        return bool(self._cursors) and FROM_NOW not in self._cursors

    def asks(self, holders: Sequence[str]) -> dict[str, Listen]:
        """Return what to ask of whom about the buckets that nobody is being asked about. holders: of each bucket.

        Raises RegionNotFoundError when the region has another number of buckets than before.
        """
        if not self._cursors:
            self._cursors = [FROM_NOW] * len(holders)
        if len(holders) != len(self._cursors):
            raise self._gone()
        groups: dict[str, list[int]] = {}
        for bucket, member in enumerate(holders):
            if bucket not in self._asked:
                groups.setdefault(member, []).append(bucket)
        self._asked.update(bucket for buckets in groups.values() for bucket in buckets)
        return {
            member: Listen(
                self.region, self._generation, buckets, [self._cursors[bucket] for bucket in buckets], WAIT_MS
            )
            for member, buckets in groups.items()
        }

    def on_heard(self, member: str, ask: Listen, heard: Heard) -> list[Told]:
        """Take an answer and return the records to tell.

        Raises RegionNotFoundError when the region was created anew, NotPrimaryError when the member does not know that
        yet, PeerError when the answer does not fit the question.
        """
        self._asked.difference_update(ask.buckets)
        if self._generation == FROM_NOW:
            self._generation, self.dsid = heard.generation, heard.dsid
        if heard.generation > self._generation:
            raise self._gone()
        if heard.generation < self._generation:
            raise NotPrimaryError(f"{member} still has an older region {self.region}")
        reached = dict(zip(ask.buckets, ask.after, strict=True))
        for told in heard.records:
            if not reached.get(told.bucket, told.seq) < told.seq:
                raise PeerError(f"{member} told {told.seq} of bucket {told.bucket}, which was not asked for")
            reached[told.bucket] = told.seq
        if len(heard.reached) != len(ask.buckets) or any(map(int.__lt__, heard.reached, reached.values())):
            raise PeerError(f"{member} led back behind what it told of region {self.region}")
        for bucket, cursor in zip(ask.buckets, heard.reached, strict=True):
            self._cursors[bucket] = cursor
        self.failed.pop(member, None)
        return heard.records

    def on_failed(self, member: str, ask: Listen) -> None:
        """Nothing was told: the same is asked again."""
        self._asked.difference_update(ask.buckets)
        self._failures += 1
        self.failed[member] = self._failures

    def _gone(self) -> RegionNotFoundError:
        return RegionNotFoundError(f"region {self.region} was destroyed and created anew: listen to the new one")
