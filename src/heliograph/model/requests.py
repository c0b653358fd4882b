"""The identity of a write that is sent over a link, so that it is done once however often it is sent.

A write may be on its way more than once: sent again after a link broke, or held up in a member that forwards it. Its id
names it: who writes (drawn at random), which region of that name and which bucket, and a number that counts up there.
What a bucket's primary remembers of ids is `bucket.requests`.

    identity = identities.draw(region, generation, bucket)   identity.wire() for every attempt   identity.end()
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class RequestId(msgspec.Struct, array_like=True, frozen=True):
    """Names one write to one bucket.

    client: 64 random bits. number: counts that client's writes to the bucket.
    oldest: the lowest number that the client still waits for; what is below interests nobody any more.
    born_ms: when it was first sent, by the site's clock as the client knows it.
    generation: of the region; another region of the same name knows nothing of it.
    repeated: another copy of it may be under way, so that even "not done" has to be remembered.
    """

    client: int
    number: int
    oldest: int
    born_ms: int
    generation: int
    repeated: bool = False


class Requests(msgspec.Struct, array_like=True, frozen=True):
    """The ids of a record's writes and what they were answered, column by column.

    at_ms: when the record was drafted; never less than in the record before, but for another member's clock.
    undone: positions of the conditional operations that were not done, and must not be later.
    olds: position -> the old value that the answer gave, where it is needed to give the answer again.
    """

    at_ms: int
    clients: list[int]
    numbers: list[int]
    oldest: list[int]
    born_ms: list[int]
    undone: list[int] = []
    olds: dict[int, bytes] = {}


class _Numbers:
    """The numbers of one client's writes to one bucket."""

    __slots__ = ("next", "waiting")

    def __init__(self) -> None:
        self.next = 1
        self.waiting: dict[int, None] = {}

    @property
    def oldest(self) -> int:
        return next(iter(self.waiting), self.next)


class Identity:
    """One write of this client, from its first attempt to its end."""

    __slots__ = ("_born_ms", "_client", "_generation", "_number", "_numbers", "repeated")

    def __init__(self, client: int, numbers: _Numbers, generation: int, born_ms: int) -> None:
        self._client = client
        self._numbers = numbers
        self._number = numbers.next
        self._generation = generation
        self._born_ms = born_ms
        self.repeated = False
        """The answer of an attempt was lost: it may have been done, or be done yet."""
        numbers.waiting[numbers.next] = None
        numbers.next += 1

    def wire(self) -> RequestId:
        """Return the id as the next attempt tells it."""
        return RequestId(
            self._client, self._number, self._numbers.oldest, self._born_ms, self._generation, self.repeated
        )

    def end(self) -> None:
        """Nobody waits for it any more. A second end does nothing."""
        self._numbers.waiting.pop(self._number, None)


class Identities:
    """Draws the identities of one client's writes."""

    def __init__(self, client: int, now_ms: Callable[[], int]) -> None:
        self._client = client
        self._now_ms = now_ms
        self._numbers: dict[tuple[str, int, int], _Numbers] = {}

    def draw(self, region: str, generation: int, bucket: int) -> Identity:
        """Return the identity of a new write."""
        numbers = self._numbers.get((region, generation, bucket))
        if numbers is None:
            for key in [key for key in self._numbers if key[0] == region and key[1] < generation]:
                if not self._numbers[key].waiting:
                    del self._numbers[key]  # that region is gone for ever
            numbers = self._numbers[region, generation, bucket] = _Numbers()
        return Identity(self._client, numbers, generation, self._now_ms())
