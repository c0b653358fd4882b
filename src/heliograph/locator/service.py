"""What a locator answers on its link port, and to whom (architecture §6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from heliograph.errors import UnavailableError, UsageError
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.net.link import BaseHandler, Link
from heliograph.process.own import FROM_LOCATORS

ONLY_FOR: dict[type, frozenset[str]] = {
    messages.JoinQuery: frozenset({"member", "server"}),
    messages.EngineQuery: frozenset({"locator"}),
    messages.Exchange: frozenset({"locator"}),
    **dict.fromkeys(FROM_LOCATORS, frozenset({"locator"})),
}
"""Requests that not every role may make: the engine belongs to the site's members."""
ALWAYS = (messages.StatusQuery, messages.EngineQuery)
"""Requests that are answered also while the locator is of no other use."""


Answer = messages.Reply | Awaitable[messages.Reply]


class LocatorService(BaseHandler):
    """Answers requests with the functions given, one for each kind; most of them only while it is `ready`.

    condition: says why it is not ready.
    """

    def __init__(self, answers: dict[type, Callable[[Any], Answer]], condition: Callable[[], str]) -> None:
        self._answers = answers
        self._condition = condition
        self.ready = False

    def accept(self, peer: Hello) -> LocatorService:  # noqa: ARG002
        """Let anyone ask who may open a link."""
        return self

    def on_request(self, link: Link, message: messages.Request) -> Answer:
        """Answer, or raise what is wrong with the request; UnavailableError while the locator starts or stops."""
        answer = self._answers.get(type(message))
        if answer is None:
            raise UsageError(f"a locator does not answer {type(message).__name__}: ask a member")
        roles = ONLY_FOR.get(type(message))
        if roles is not None and link.peer.role not in roles:
            raise UsageError(f"{type(message).__name__} is not answered to a {link.peer.role}")
        if not self.ready and not isinstance(message, ALWAYS):
            raise UnavailableError(self._condition())
        return answer(message)
