"""Where buckets should be so that every server has its share: what `rebalance` goes to.

In this order: redundancy that is missing, the count of copies that a server holds, their bytes, the count of primaries.
Counts differ by one at most where the redundancy zones allow it. Bytes are evened out by exchanging copies, and only as
long as servers differ by more than `worth_moving`: moving data costs more than a small difference does. Primaries then
are chosen among the copies, which moves no data. A balanced region is left as it is, and the same question gets the
same answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import permutations

from heliograph.link.messages import Moves
from heliograph.model.attributes import RegionAttributes
from heliograph.model.members import BucketPlacement, Buckets, RegionPlacement
from heliograph.placement.buckets import Copies, Server, place

TOLERANCE = 0.1
"""Of the mean bytes of a server: no copy is moved for a smaller difference,"""
WORTH_BYTES_MIN = 1024 * 1024
"""and none for a difference below this, whatever the mean."""


def worth_moving(total_bytes: int, servers: int) -> float:
    """Return the difference in bytes between two servers up to which nothing is moved."""
    return max(WORTH_BYTES_MIN, TOLERANCE * total_bytes / servers)


def rebalance(region: RegionAttributes, servers: Sequence[Server], before: Buckets, sizes: Sequence[int]) -> Buckets:
    """Return where buckets should be. servers: oldest first. sizes: bytes of one copy, bucket by bucket."""
    placed = place(region, servers, before)
    if not servers:
        return placed
    balance = _Balance(region, servers, placed, sizes)
    if not region.replicated:
        balance.even_counts()
        balance.even_bytes()
        # An exchange of copies may have opened a way that a zone was closed to. This ends, for a copy that is moved
        # makes the counts more alike, and an exchange leaves them as they are.
        while balance.even_counts():
            balance.even_bytes()
    balance.even_primaries()
    return balance.buckets


def moves(region: str, before: Buckets, goal: Buckets, sizes: Sequence[int]) -> Moves:
    """Count what has to be done to get from here to there."""
    created = created_bytes = moved = moved_bytes = primaries = 0
    for bucket, wanted, size in zip(before, goal, sizes, strict=True):
        here = {bucket.primary, *bucket.secondaries} - {""}
        there = {wanted.primary, *wanted.secondaries} - {""}
        new = len(there - here)
        instead = min(new, len(here - there))
        moved, moved_bytes = moved + instead, moved_bytes + instead * size
        created, created_bytes = created + new - instead, created_bytes + (new - instead) * size
        primaries += wanted.primary != bucket.primary
    return Moves(region, created, created_bytes, moved, moved_bytes, primaries)


def remaining(placement: RegionPlacement) -> int:
    """Count the steps that are left to a placement's goal: copies to load or give up, primaries to move."""
    return sum(
        len(set(bucket.holders) ^ set(wanted.holders)) + len(bucket.loading) + (bucket.primary != wanted.primary)
        for bucket, wanted in zip(placement.buckets, placement.goal, strict=False)
    )


class _Balance:
    """Buckets on their way to being balanced; `holders` of each, the primary first."""

    def __init__(
        self, region: RegionAttributes, servers: Sequence[Server], before: Buckets, sizes: Sequence[int]
    ) -> None:
        self._copies = Copies(region, servers)
        self._names = [server.name for server in servers]
        self._sizes = sizes
        self._holders = [[bucket.primary, *bucket.secondaries] for bucket in before]
        self._held: dict[str, set[int]] = {name: set() for name in self._names}
        for number, holders in enumerate(self._holders):
            for name in holders:
                self._held[name].add(number)
        self._bytes = {name: sum(sizes[number] for number in held) for name, held in self._held.items()}

    @property
    def buckets(self) -> Buckets:
        """The placement as it is by now."""
        return tuple(BucketPlacement(holders[0], tuple(holders[1:])) for holders in self._holders)

    # --- copies

    def even_counts(self) -> bool:
        """Move copies from who has most to who has least until nobody has two more than another, or no zone lets them.

        Returns whether any was moved.
        """
        moved = False
        while (found := self._copy_to_move()) is not None:
            self._move(*found)
            moved = True
        return moved

    def _copy_to_move(self) -> tuple[int, str, str] | None:
        pairs = [
            (len(self._held[other]) - len(self._held[one]), one, other)
            for one, other in permutations(self._names, 2)
            if len(self._held[one]) - len(self._held[other]) >= 2
        ]
        for _, one, other in sorted(pairs, key=lambda pair: pair[0]):
            half = (self._bytes[one] - self._bytes[other]) / 2
            movable = [number for number in self._held[one] if self._may_move(number, one, other)]
            if movable:
                return min(movable, key=lambda number: (abs(self._sizes[number] - half), number)), one, other
        return None

    def even_bytes(self) -> None:
        """Exchange copies between who has most bytes and who has least, as long as that is worth it."""
        worth = worth_moving(sum(self._bytes.values()), len(self._names))
        for _ in range(4 * len(self._holders)):
            found = next(filter(None, (self._exchange(*pair, worth) for pair in self._by_difference(worth))), None)
            if found is None:
                return
            given, taken, rich, poor = found
            self._move(given, rich, poor)
            if taken is not None:
                self._move(taken, poor, rich)

    def _by_difference(self, worth: float) -> Iterator[tuple[str, str]]:
        pairs = [
            (self._bytes[poor] - self._bytes[rich], rich, poor)
            for rich, poor in permutations(self._names, 2)
            if self._bytes[rich] - self._bytes[poor] > worth
        ]
        return ((rich, poor) for _, rich, poor in sorted(pairs, key=lambda pair: pair[0]))

    def _exchange(self, rich: str, poor: str, worth: float) -> tuple[int, int | None, str, str] | None:
        """Return the copies to exchange that make the two most alike, if that makes a difference that is worth it."""
        difference = self._bytes[rich] - self._bytes[poor]
        back = sorted((self._sizes[n], n) for n in self._held[poor] if self._may_move(n, poor, rich))
        alone = len(self._held[rich]) == len(self._held[poor]) + 1
        best: tuple[float, int, int | None] | None = None
        for given in sorted(self._held[rich]):
            if not self._may_move(given, rich, poor):
                continue
            size = self._sizes[given]
            position = bisect_left(back, (size - difference / 2, -1))
            options: list[tuple[int, int | None]] = [*back[max(0, position - 1) : position + 1]]
            options += [(0, None)] if alone else []
            for returned, taken in options:
                left = abs(difference - 2 * (size - returned))
                if best is None or left < best[0]:
                    best = (left, given, taken)
        if best is None or difference - best[0] <= worth / 2:
            return None
        return best[1], best[2], rich, poor

    def _may_move(self, number: int, one: str, other: str) -> bool:
        return self._copies.fits(other, [name for name in self._holders[number] if name != one])

    def _move(self, number: int, one: str, other: str) -> None:
        holders = self._holders[number]
        holders[holders.index(one)] = other
        for name, sign in ((one, -1), (other, 1)):
            self._bytes[name] += sign * self._sizes[number]
        self._held[one].discard(number)
        self._held[other].add(number)

    # --- primaries

    def even_primaries(self) -> None:
        """Let others among a bucket's holders be primary, until nobody can have fewer of the most."""
        while True:
            counts = Counter(dict.fromkeys(self._names, 0))
            counts.update(holders[0] for holders in self._holders)
            ways = (self._way_down(name, counts) for name in sorted(self._names, key=lambda name: -counts[name]))
            way = next(filter(None, ways), None)
            if way is None:
                return
            for number, name in way:
                holders = self._holders[number]
                holders.remove(name)
                holders.insert(0, name)

    def _way_down(self, start: str, counts: Counter[str]) -> list[tuple[int, str]] | None:
        """Return buckets and their new primaries, which take one from `start` and give one to who has two fewer."""
        by_primary: dict[str, list[int]] = {name: [] for name in self._names}
        for number, holders in enumerate(self._holders):
            by_primary[holders[0]].append(number)
        came: dict[str, tuple[int, str]] = {}
        waiting = deque([start])
        while waiting:
            name = waiting.popleft()
            if counts[name] <= counts[start] - 2:
                way = []
                while name != start:
                    number, before = came[name]
                    way.append((number, name))
                    name = before
                return way
            for number in by_primary[name]:
                for other in self._holders[number][1:]:
                    if other != start and other not in came:
                        came[other] = (number, name)
                        waiting.append(other)
        return None
