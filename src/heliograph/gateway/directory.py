"""Core: what a site's locator knows of every site's locators and gateway receivers (architecture §6, semantics.md §11).

Locators tell each other everything they know, again and again, so that knowledge travels over any number of hops and
whoever starts late, moves or returns is found. What is known is a set of *words*; each is stamped by the one it is
about, and only stamps of the same one are ever compared, so that no two sites' clocks need to agree:

* a `LocatorInfo` is a locator's word about itself: the newest one on a (dsid, name) wins;
* a `SiteReceivers` is a site's word about its own receivers: the newest one wins as a whole;
* a `SiteRound` is a site's word about how far it is with `gateway.rounds`: the greatest number wins.

Merging words is commutative, associative and idempotent, so the order and number of exchanges do not matter. A word is
never forgotten: a locator or site that is away keeps its place until it says something newer. Of two locators of a site
that give the same address only the one that spoke last is told of: the other had another name before.

Of the own site only the own word counts; its other locators are told what is known of other sites like anyone. When
another locator returns an own word that is newer than the present time (the clock was set back, or it ran ahead before
a restart), the own words go on from there, or nobody would listen.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.link.messages import Exchange, LocatorInfo, Receivers, SiteReceivers, SiteRound
from heliograph.model.ids import Address
from heliograph.model.members import ReceiverInfo

ROUNDS_MAX = 1 << 40
"""More than a site completes in thousands of years."""
TIMES_MAX = 1024
"""More than any number of sites asks for."""


class Directory:
    """Everything one locator knows.

    name, dsid, address: of this locator; the address is the one that it gives to others.
    remote_locators: configured addresses; they are contacted whether or not anybody ever answered there.
    """

    def __init__(self, name: str, dsid: int, address: Address, remote_locators: Iterable[Address] = ()) -> None:
        self._place = (dsid, name)
        self._address = address
        self._remote_locators = frozenset(remote_locators) - {address}
        self._neighbours: tuple[tuple[str, Address], ...] = ()
        self._said_ms = 0
        self._own_site = SiteReceivers(dsid, 0, ())
        self._site_heard_ms = 0
        self._locators: dict[tuple[int, str], LocatorInfo] = {}
        self._receivers: dict[int, SiteReceivers] = {}
        self._rounds: dict[int, SiteRound] = {}

    @property
    def dsid(self) -> int:
        """The own site."""
        return self._place[0]

    @property
    def own(self) -> LocatorInfo:
        """The own word about this locator."""
        dsid, name = self._place
        return LocatorInfo(name, dsid, self._address, self._said_ms)

    def say(
        self,
        receivers: Iterable[ReceiverInfo] | None,
        now_ms: int,
        neighbours: Iterable[tuple[str, Address]] = (),
    ) -> None:
        """Renew the own words: this locator lives, and these are its site's receivers and other locators now.

        receivers: None when they can't be told now; then the word about them is not renewed, so that the one of
        another locator of the site, who can, stands.
        """
        self._neighbours = tuple(sorted(neighbours))
        self._said_ms = max(now_ms, self._said_ms)
        if receivers is not None:
            ordered = tuple(sorted(receivers, key=_receiver_key))
            least_ms = max(self._own_site.said_ms + (ordered != self._own_site.receivers), self._site_heard_ms + 1)
            self._own_site = SiteReceivers(self.dsid, max(now_ms, least_ms), ordered)

    def merge(self, heard: Exchange) -> list[LocatorInfo]:
        """Take up what another locator knows; returns the locators whose address is news, in a fixed order."""
        known = {(word.dsid, word.name, word.address) for word in self._present()}
        for locator in (heard.sender, *heard.locators):
            self._hear_locator(locator)
        for receivers in heard.receivers:
            self._hear_receivers(receivers)
        for word in heard.rounds:
            self.say_round(word)
        return [word for word in self._present() if (word.dsid, word.name, word.address) not in known]

    def exchange(self) -> Exchange:
        """Return everything known, to be told to any locator."""
        receivers = {**self._receivers, self.dsid: self._own_site}
        neighbours = [LocatorInfo(name, self.dsid, address, self._said_ms) for name, address in self._neighbours]
        return Exchange(
            self.own,
            [*neighbours, *self._present()],
            [word for _, word in sorted(receivers.items())],
            [word for _, word in sorted(self._rounds.items())],
        )

    def say_round(self, word: SiteRound) -> None:
        """Note how far a site is, the own one too, whose other locators may have brought it further.

        What no site can have come to is passed over: everybody would have to follow, and tell it on.
        """
        if not 0 <= word.completed <= ROUNDS_MAX or len(word.times) > TIMES_MAX:
            return
        known = self._rounds.get(word.dsid)
        if known is None or word.completed > known.completed:
            self._rounds[word.dsid] = word

    def rounds(self) -> dict[int, SiteRound | None]:
        """Return how far every known site is, None where it has not said; the own one among them."""
        return {dsid: self._rounds.get(dsid) for dsid in {self.dsid, *(dsid for dsid, _ in self._locators)}}

    def receivers(self, dsid: int) -> Receivers:
        """Answer a gateway sender that asks for the receivers of a site."""
        word = self._own_site if dsid == self.dsid else self._receivers.get(dsid)
        if word is None:
            return Receivers(dsid, known=False, receivers=[])
        return Receivers(dsid, known=True, receivers=list(word.receivers))

    def contacts(self) -> list[Address]:
        """Return whom to contact: the configured remote locators and every locator of another site, sorted."""
        learned = {word.address for word in self._present()}
        return sorted((self._remote_locators | learned) - {self._address})

    def locators(self) -> list[LocatorInfo]:
        """Return the known locators of all sites with this one, sorted by dsid and name."""
        return sorted((self.own, *self._present()), key=lambda word: (word.dsid, word.name))

    def _present(self) -> list[LocatorInfo]:
        """Return the words about other sites' locators that count, by site and name: of one address the newest."""
        newest: dict[tuple[int, Address], LocatorInfo] = {}
        for _, word in sorted(self._locators.items()):
            known = newest.get((word.dsid, word.address))
            if known is None or word.said_ms >= known.said_ms:
                newest[word.dsid, word.address] = word
        return sorted(newest.values(), key=lambda word: (word.dsid, word.name))

    def _hear_locator(self, word: LocatorInfo) -> None:
        place = (word.dsid, word.name)
        if place == self._place:
            if word.said_ms > self._said_ms:
                self._said_ms = word.said_ms + 1
        elif word.dsid != self.dsid:
            known = self._locators.get(place)
            if known is None or (word.said_ms, word.address) > (known.said_ms, known.address):
                self._locators[place] = word

    def _hear_receivers(self, word: SiteReceivers) -> None:
        if word.dsid == self.dsid:
            if word != self._own_site:
                self._site_heard_ms = max(self._site_heard_ms, word.said_ms)
            return
        known = self._receivers.get(word.dsid)
        if known is None or _receivers_rank(word) > _receivers_rank(known):
            self._receivers[word.dsid] = word


def _receiver_key(receiver: ReceiverInfo) -> tuple[str, Address, int, str, int]:
    return (receiver.member, receiver.address, receiver.port, receiver.bind_address, receiver.links)


def _receivers_rank(word: SiteReceivers) -> tuple[int, list[tuple[str, Address, int, str, int]]]:
    """Order words of one site by time; equal times are told apart by content, so that every locator picks the same."""
    return (word.said_ms, [_receiver_key(receiver) for receiver in word.receivers])
