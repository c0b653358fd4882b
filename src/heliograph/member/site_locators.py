"""A member's way to the locators of its own site: any of them will do, and one that is dead holds up one question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from heliograph.errors import AuthenticationError, HeliographError, UnavailableError
from heliograph.link.messages import JoinQuery, JoinView, Receivers, ReceiversQuery, Reply, Request
from heliograph.model.ids import Address
from heliograph.net.links import Links

JOIN_S = 10.0
"""How long one locator may take to answer a starting member."""
RECEIVERS_S = 1.0
RETRY_S = 0.2

R = TypeVar("R", bound=Reply)


class SiteLocators:
    """The locators that a member was given, and those that its site has besides (`told`).

    The one that answered last is asked first, those that did not answer last come last.
    """

    def __init__(self, links: Links, given: Sequence[Address], told: Callable[[], Iterable[Address]]) -> None:
        self._links = links
        self._given = tuple(given)
        self._told = told
        self._answered: Address | None = None
        self._silent: dict[Address, None] = {}

    @property
    def addresses(self) -> list[Address]:
        """All of them, in the order in which they are asked."""
        known = dict.fromkeys((*self._given, *self._told()))
        return sorted(known, key=lambda each: (each in self._silent, each != self._answered))

    async def join(self, member: str, within_s: float) -> JoinView:
        """Ask how to join the site, until a locator answers.

        Raises UnavailableError when none does `within_s`, and at once when none of them ever will; AuthenticationError
        when one does not let this member in.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        answer_s = min(max(within_s, 1.0), JOIN_S)
        while True:
            errors: dict[Address, HeliographError] = {}
            for address in self.addresses:
                answer = await self._ask(address, JoinQuery(member), JoinView, answer_s, errors)
                if answer is not None:
                    return answer
            if loop.time() > deadline or not any(error.retriable for error in errors.values()):
                raise _nobody(errors)
            await asyncio.sleep(RETRY_S)

    async def find_receivers(self, dsid: int) -> Receivers:
        """Ask for the receivers of a site: of one locator after the other, until one knows some.

        Raises UnavailableError when no locator answers.
        """
        errors: dict[Address, HeliographError] = {}
        best: Receivers | None = None
        for address in self.addresses:
            answer = await self._ask(address, ReceiversQuery(dsid), Receivers, RECEIVERS_S, errors)
            if answer is not None and answer.receivers:
                return answer
            if answer is not None and (best is None or answer.known):
                best = answer
        if best is None:
            raise _nobody(errors)
        return best

    async def _ask(
        self, address: Address, message: Request, kind: type[R], answer_s: float, errors: dict[Address, HeliographError]
    ) -> R | None:
        """Return what a locator answers; None when it does not, which is noted in `errors`."""
        try:
            answer = await self._links.call(address, message, kind, timeout_s=answer_s)
        except HeliographError as exc:
            errors[address] = exc
            self._silent[address] = None
            return None
        self._answered = address
        self._silent.pop(address, None)
        return answer


def _nobody(errors: dict[Address, HeliographError]) -> HeliographError:
    refused = next(((at, error) for at, error in errors.items() if isinstance(error, AuthenticationError)), None)
    if refused is not None:
        return AuthenticationError(f"{refused[0]}: {refused[1]}")
    asked = ", ".join(map(str, errors))
    why = str(next(iter(errors.values()))) if len(errors) == 1 else "; ".join(f"{at}: {e}" for at, e in errors.items())
    return UnavailableError(f"no locator answers at {asked}: check the address and that it is started ({why})")
