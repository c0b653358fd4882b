"""Core: which gateway receiver each lane of a gateway sender is linked to, at one member (semantics.md §11.2).

Receivers are told apart by where they are reached: several behind one proxy have the same address, and together the
room of so many, for it is the proxy that spreads links over them.

* The lanes of a parallel sender are spread evenly by each member for itself, so that all members together do: then
  receivers differ by no more lanes than there are members. The lanes that are left over when they can't be divided go
  where fewer links of anybody are: of two places, drawn at random, to the emptier one. The numbers of links come
  through the locators and are some seconds old; two random choices keep those who see the same old numbers from
  choosing the same.
* All lanes of a serial sender are at one receiver, which is chosen in that way as a whole.
* What could not be linked is passed over for a while, unless there is nothing else.

A lane stays where it is until its link is lost, or `moves` says that it should leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from heliograph.model.ids import Address
from heliograph.model.members import ReceiverInfo

PASSED_OVER_S = 10.0
"""How long a receiver that could not be linked is passed over."""


@dataclass(slots=True)
class _Place:
    """Where receivers are reached: how many, and how many links they have together."""

    address: Address
    receivers: int = 0
    links: int = 0

    @property
    def load(self) -> float:
        """Links of one receiver."""
        return self.links / self.receivers


def _places(receivers: Iterable[ReceiverInfo]) -> dict[Address, _Place]:
    places: dict[Address, _Place] = {}
    for receiver in sorted(receivers, key=lambda each: (each.address, each.member)):
        place = places.setdefault(receiver.address, _Place(receiver.address))
        place.receivers += 1
        place.links += receiver.links
    return places


class Balance:
    """The lanes of one sender at one member.

    together: all lanes are at one receiver. draw: returns a random number in [0, 1).
    """

    def __init__(self, *, together: bool, draw: Callable[[], float]) -> None:
        self._together = together
        self._draw = draw
        self._at: dict[int, Address] = {}
        self._all_at: Address | None = None
        self._passed_over: dict[Address, float] = {}
        """Until when."""

    def choose(self, lane: int, receivers: Iterable[ReceiverInfo], now_s: float) -> Address:
        """Return where a lane is to be linked; it counts as being there from now on. There must be a receiver."""
        places = _places(receivers)
        self._at.pop(lane, None)
        self._passed_over = {each: until_s for each, until_s in self._passed_over.items() if until_s > now_s}
        possible = [place for place in places.values() if place.address not in self._passed_over]
        address = self._pick(possible or list(places.values()))
        self._at[lane] = address
        return address

    def _pick(self, possible: list[_Place]) -> Address:
        if not self._together:
            return self._pick_emptier(possible)
        if self._all_at is None or self._all_at not in [place.address for place in possible]:
            self._all_at = self._pick_emptier(possible)
        return self._all_at

    def _pick_emptier(self, possible: list[_Place]) -> Address:
        """Of the places with the fewest lanes of our own, draw two and return the one with fewer links."""
        own = Counter(self._at.values())
        fewest = min((own[place.address] + 1) / place.receivers for place in possible)
        drawn = [place for place in possible if (own[place.address] + 1) / place.receivers == fewest]
        two = [drawn.pop(int(self._draw() * len(drawn))) for _ in range(min(2, len(drawn)))]
        return min(two, key=lambda place: place.load).address

    def failed(self, lane: int, now_s: float) -> None:
        """A lane could not be linked where it was to be."""
        address = self._at.pop(lane, None)
        if address is not None:
            self._passed_over[address] = now_s + PASSED_OVER_S

    def left(self, lane: int) -> None:
        """A lane's link is gone."""
        self._at.pop(lane, None)

    def moves(self, receivers: Iterable[ReceiverInfo]) -> list[int]:
        """Return the lanes that should leave for a better balance, and forget what was passed over.

        Everyone may be asked this at the same time, with the same numbers of links before them. So what only these
        numbers say is done with the probability by which all of them together do as much as is right.
        """
        places = _places(receivers)
        self._passed_over.clear()
        if not places:
            return []
        return self._moves_together(places) if self._together else self._moves_apart(places)

    def _moves_together(self, places: dict[Address, _Place]) -> list[int]:
        here = places.get(self._all_at) if self._all_at is not None else None
        best = min(places.values(), key=lambda place: place.load)
        if here is not None and not (len(self._at) < here.load - best.load and self._drawn(here, best)):
            return []
        self._all_at = best.address if here is not None else None
        return sorted(self._at)

    def _moves_apart(self, places: dict[Address, _Place]) -> list[int]:
        left = [lane for lane, address in sorted(self._at.items()) if address not in places]
        staying: dict[Address, list[int]] = {address: [] for address in places}
        for lane, address in sorted(self._at.items()):
            if address in places:
                staying[address].append(lane)
        count = {address: len(lanes) for address, lanes in staying.items()}
        for _ in range(len(left)):
            count[self._emptiest(count, places)] += 1
        while True:
            fullest = max(
                (address for address in count if staying[address]),
                key=lambda address: count[address] / places[address].receivers,
                default=None,
            )
            emptiest = self._emptiest(count, places)
            if fullest is None or not self._better(count, places, fullest, emptiest):
                break
            left.append(staying[fullest].pop())
            count[fullest] -= 1
            count[emptiest] += 1
        if not left:
            left = self._leftover(count, places, staying)
        return sorted(left)

    def _emptiest(self, count: dict[Address, int], places: dict[Address, _Place]) -> Address:
        return min(count, key=lambda address: ((count[address] + 1) / places[address].receivers, address))

    def _better(
        self, count: dict[Address, int], places: dict[Address, _Place], fullest: Address, emptiest: Address
    ) -> bool:
        """Say whether one lane less at the fullest place and one more at the emptiest one makes them more even."""
        return count[fullest] / places[fullest].receivers > (count[emptiest] + 1) / places[emptiest].receivers

    def _leftover(
        self, count: dict[Address, int], places: dict[Address, _Place], staying: dict[Address, list[int]]
    ) -> list[int]:
        """Return a lane that has one of its own more where it is than it would have where fewer links are, if any."""
        full = max((places[address] for address in count if staying[address]), key=lambda p: p.load, default=None)
        if full is None:
            return []
        own = count[full.address] / full.receivers
        free = [place for place in places.values() if (count[place.address] + 1) / place.receivers <= own]
        best = min(free, key=lambda place: place.load, default=None)
        if best is None or full.load - best.load <= 1 or not self._drawn(full, best):
            return []
        return [staying[full.address][-1]]

    def _drawn(self, here: _Place, there: _Place) -> bool:
        """Half of the difference should move, of all that is here."""
        return self._draw() < (here.load - there.load) / (2 * here.load)
