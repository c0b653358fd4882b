"""Judging events from other sites: which are applied, by the rule of versions or by a resolver (architecture §3).

The greater (timestamp, dsid) wins, an equal one is a repeat. A resolver, where there is one, is asked whenever the
entry was last written by another site than the event. Where it decides as the rule would, that is all. Where it decides
otherwise, this site writes what it decided, as an event of its own that is newer than both (a *resolution*), so that
every site comes to hold the same, whatever its resolver says. A resolution is judged by the rule alone, at every site:
else two resolvers that disagree would answer each other for ever.

Nor is the resolver asked again about an event that was judged before, or a repeat could bring back what was written
over since: the view remembers how far the events of each site and bucket of birth were judged, as a sequence and a
stamp; at or below both the rule decides. The sequence alone would not do: it begins anew where a site comes back with
nothing, or its region in another disk store. Nor would the stamp: a copy brings newer ones ahead of the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from heliograph.bucket.conflicts import REFUSE, Conflict, ConflictLog, Outcome, Resolve, outcome_of, site_of
from heliograph.bucket.view import BucketView
from heliograph.errors import BadEventError, ClockSkewError
from heliograph.model.batch import DESTROY, UPDATE, Columns, Part, check_part, decode_columns, encode_columns
from heliograph.model.clock import SITE_BITS, ms_of_stamp, next_stamp, version_of
from heliograph.model.keys import NO_VALUE, Key, shown_key

CLOCK_SKEW_MS = 60_000
"""`max-clock-skew` where nothing else is said."""

Merge: TypeAlias = tuple[Columns, dict[Key, int]]
"""Accepted events and the versions that they leave."""
Mark: TypeAlias = tuple[int, int, int, int]
"""Site and bucket of birth, and up to which sequence and stamp there a resolver has judged."""


class Judge:
    """What the primaries of a region judge by. resolve: asks the resolver; None without one.

    clock_skew_ms: how far ahead of this site's clock another site's stamps may be (`max-clock-skew`, architecture §3).
    """

    __slots__ = ("clock_skew_ms", "log", "region", "resolve")

    def __init__(self, region: str, log: ConflictLog, clock_skew_ms: int = CLOCK_SKEW_MS) -> None:
        self.clock_skew_ms = clock_skew_ms
        self.region = region
        self.log = log
        self.resolve: Resolve | None = None


class Judging:
    """The parts of one record, judged in order against the view and against one another.

    parts, merges: what was accepted, and what the view will take over. marks: of parts of which not all was.
    """

    __slots__ = ("_judge", "_now_ms", "_site", "_view", "marks", "merges", "parts", "stamp_max")

    def __init__(self, judge: Judge, view: BucketView, site: int, now_ms: int) -> None:
        self._judge = judge
        self._view = view
        self._site = site
        self._now_ms = now_ms
        self.parts: list[Part] = []
        self.merges: list[Merge] = []
        self.marks: list[Mark] = []
        self.stamp_max = view.stamp_max

    def decode(self, part: Part) -> Merge:
        """Decode and check a part. Raises PeerError when it is malformed, ClockSkewError when it is of the future."""
        columns = decode_columns(part.columns)
        check_part(part, columns)
        ahead_ms = ms_of_stamp(columns.stamp_max()) - self._now_ms
        allowed_ms = self._judge.clock_skew_ms
        if ahead_ms > allowed_ms:
            raise ClockSkewError(
                f"events born at site {part.origin} are {ahead_ms} ms ahead of the clock of site {self._site} "
                f"(max-clock-skew is {allowed_ms} ms): set the clock of site {part.origin} right"
            )
        newest = columns.newest(part.origin)
        if self._view.fence:
            self._check_fence(part, newest)
        return columns, newest

    def _check_fence(self, part: Part, newest: dict[Key, int]) -> None:
        """Raise BadEventError for an event of which it is not known any more whether its entry was removed since."""
        fence, known = self._view.fence, self._view.versions
        for key, version in newest.items():
            stamp = version >> SITE_BITS
            if stamp <= fence and key not in known:
                raise BadEventError(
                    f"an event of key {shown_key(key)!r} was born at site {part.origin} at {ms_of_stamp(stamp)} ms, "
                    f"and site {self._site} has dropped tombstones up to {ms_of_stamp(fence)} ms (tombstone-max-age): "
                    "the entry may have been removed since; put it anew if it is to stay, else drop the event"
                )

    def judge(self, part: Part, columns: Columns, newest: dict[Key, int]) -> None:
        """Accept of a part what wins, and write what a resolver decides otherwise."""
        resolve = self._judge.resolve
        resolutions: dict[Key, bytes] = {}
        if resolve is None or part.resolved:
            kept = (
                None if self._all_newer(columns) else self._newer_positions(columns.keys, columns.versions(part.origin))
            )
        else:
            kept = self._resolved(part, columns, resolve, resolutions)
        if kept is None or kept:
            if kept is not None and len(kept) < len(columns.keys):
                columns = columns.take(kept)
                newest = columns.newest(part.origin)
                part = msgspec.structs.replace(part, count=len(kept), columns=encode_columns(columns))
            self.stamp_max = max(self.stamp_max, columns.stamp_max())
            self._add(part, columns, newest)
        if resolutions:
            self._write(resolutions)

    def _add(self, part: Part, columns: Columns, newest: dict[Key, int]) -> None:
        self.parts.append(part)
        self.merges.append((columns, newest))

    def _all_newer(self, columns: Columns) -> bool:
        """Say at a glance that every event wins: its stamp is above all that the bucket has seen, from any site.

        So it is while one site writes, and no key need be looked up. Only keys that share a stamp are sure to differ.
        """
        return isinstance(columns.stamps, int) and columns.stamps > self.stamp_max

    def _newer_positions(self, keys: list[Key], versions: Sequence[int]) -> list[int]:
        """Judge by the rule; return the positions of what is applied."""
        kept = []
        known = self._view.versions
        newer = self._accepted_versions()
        log = self._judge.log
        for position, (key, version) in enumerate(zip(keys, versions, strict=True)):
            best = newer.get(key) or known.get(key, 0)
            if version > best:
                newer[key] = version
                kept.append(position)
            elif version == best:
                log.duplicates += 1
            else:
                log.note(self._judge.region, Outcome.LOST, key, best, version, self._now_ms)
        return kept

    def _accepted_versions(self) -> dict[Key, int]:
        """Return what this record has accepted so far."""
        newer: dict[Key, int] = {}
        for _, accepted in self.merges:
            newer.update(accepted)
        return newer

    def _resolved(self, part: Part, columns: Columns, resolve: Resolve, resolutions: dict[Key, bytes]) -> list[int]:
        """Judge with a resolver; return the positions of what is applied, and add what this site has to write."""
        judge, view = self._judge, self._view
        place = (part.origin, part.birth_bucket)
        stamp_max = columns.stamp_max()
        seq_judged, stamp_judged = view.marks.get(place, (0, 0))
        repeated = part.birth_seq <= seq_judged and stamp_max <= stamp_judged
        newer, values = self._accepted_versions(), self._accepted_values()
        kept: list[int] = []
        asked = False
        rows = zip(columns.ops, columns.keys, columns.values, columns.versions(part.origin), strict=True)
        for position, (op, key, value, version) in enumerate(rows):
            best = newer.get(key) or view.versions.get(key, 0)
            old = values[key] if key in values else view.values.get(key, b"")
            wins = version > best
            if version == best:
                judge.log.duplicates += 1
                continue
            if best and site_of(best) != part.origin and not repeated and old != NO_VALUE:
                asked = True
                conflict = Conflict(op, key, old, value, best, version, part.argument)
                resolution = resolve(conflict)
                judge.log.note(judge.region, outcome_of(resolution, conflict), key, best, version, self._now_ms)
                decided = old if resolution is REFUSE else resolution
                if decided is not None and decided != (value if wins else old):
                    newer[key] = version_of(self._next_stamp(columns), self._site)
                    values[key] = resolutions[key] = decided
                    continue
            elif not wins:
                judge.log.note(judge.region, Outcome.LOST, key, best, version, self._now_ms)
            if wins:
                kept.append(position)
                newer[key], values[key] = version, value
        if asked and len(kept) < len(columns.keys):  # else the part that is applied says as much
            self.marks.append((*place, part.birth_seq, stamp_max))
        if resolutions:
            self.stamp_max = max(self.stamp_max, stamp_max)
        return kept

    def _next_stamp(self, columns: Columns) -> int:
        return next_stamp(max(self.stamp_max, columns.stamp_max()), self._now_ms)

    def _write(self, resolutions: dict[Key, bytes]) -> None:
        """Add what a resolver decided as events that are born here."""
        stamp = next_stamp(self.stamp_max, self._now_ms)
        ops = bytes(UPDATE if value else DESTROY for value in resolutions.values())
        columns = Columns(ops, list(resolutions), list(resolutions.values()), stamp)
        self.stamp_max = stamp
        part = Part(self._site, (), 0, 0, len(resolutions), encode_columns(columns), resolved=True)
        self._add(part, columns, columns.newest(self._site))

    def _accepted_values(self) -> dict[Key, bytes]:
        values: dict[Key, bytes] = {}
        for columns, _ in self.merges:
            values.update(zip(columns.keys, columns.values, strict=True))
        return values
