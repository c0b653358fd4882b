"""A member and its site's locators: any will do, dead ones hold up one question, one that knows more is asked, too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from heliograph.engine.sim.loop import run
from heliograph.errors import UnavailableError
from heliograph.link.hello import Hello
from heliograph.link.messages import JoinQuery, JoinView, Receivers, ReceiversQuery, Reply, Request
from heliograph.member.site_locators import SiteLocators
from heliograph.model.ids import Address
from heliograph.model.members import ReceiverInfo
from heliograph.net.link import BaseHandler, Link, serve_links
from heliograph.net.links import Links
from heliograph.net.sim import SimNetwork

HELLO = Hello("member", "m")
FOUND = ReceiverInfo(member="far", address=Address("far", 1), port=1)


class Answering(BaseHandler):
    """A locator that answers always the same."""

    def __init__(self, name: str, *receivers: ReceiverInfo, known: bool) -> None:
        self.name = name
        self.asked = 0
        self.reply = Receivers(2, known, list(receivers))

    def on_request(self, link: Link, message: Request) -> Reply:
        self.asked += 1
        if isinstance(message, JoinQuery):
            return JoinView(1, self.name, 1, 5_000)
        assert message == ReceiversQuery(2)
        return self.reply


def simulate(main: Callable[[SimNetwork], Coroutine[Any, Any, None]]) -> None:
    async def whole(_rng: random.Random) -> None:
        await main(SimNetwork())

    run(whole, seed=1, limit_s=600)


async def start(network: SimNetwork, handler: Answering) -> Address:
    await serve_links(network.host(handler.name), "", 1, Hello("locator", handler.name, 1), lambda _: handler)
    return Address(handler.name, 1)


def locators(network: SimNetwork, *names: str, told: tuple[Address, ...] = ()) -> SiteLocators:
    return SiteLocators(Links(network.host("m"), HELLO), [Address(name, 1) for name in names], lambda: told)


def test_a_locator_that_knows_receivers_is_found_behind_those_that_do_not() -> None:
    async def main(network: SimNetwork) -> None:
        for handler in (Answering("a", known=False), Answering("b", known=True), Answering("c", FOUND, known=True)):
            await start(network, handler)
        assert (await locators(network, "a", "b", "c").find_receivers(2)).receivers == [FOUND]
        assert (await locators(network, "a", "b").find_receivers(2)).known
        assert (await locators(network, "b", "a").find_receivers(2)).known
        assert not (await locators(network, "a").find_receivers(2)).known

    simulate(main)


def test_a_dead_locator_holds_up_one_question_only() -> None:
    async def main(network: SimNetwork) -> None:
        handler = Answering("b", FOUND, known=True)
        await start(network, handler)
        network.cut("m", "a")
        site = locators(network, "a", "b")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await site.find_receivers(2)
        assert loop.time() - began > 1
        began = loop.time()
        for _ in range(10):
            await site.find_receivers(2)
        assert loop.time() - began < 0.1
        assert handler.asked == 11

    simulate(main)


def test_locators_that_the_site_tells_of_are_asked_too() -> None:
    async def main(network: SimNetwork) -> None:
        await start(network, Answering("new", FOUND, known=True))
        site = locators(network, "gone", told=(Address("new", 1),))
        assert (await site.find_receivers(2)).receivers == [FOUND]
        assert site.addresses == [Address("new", 1), Address("gone", 1)]

    simulate(main)


def test_a_member_joins_by_the_first_locator_that_comes_up() -> None:
    async def main(network: SimNetwork) -> None:
        joining = asyncio.create_task(locators(network, "a", "b").join("m", 30))
        await asyncio.sleep(10)
        await start(network, Answering("b", known=False))
        assert (await joining).engine_url == "b"

    simulate(main)


def test_who_did_not_answer_is_told_with_the_reasons() -> None:
    async def main(network: SimNetwork) -> None:
        with pytest.raises(UnavailableError, match=r"no locator answers at a\[1\], b\[1\].*a\[1\]: .*; b\[1\]: "):
            await locators(network, "a", "b").find_receivers(2)
        with pytest.raises(UnavailableError, match=r"no locator answers at a\[1\]"):
            await locators(network, "a").join("m", 3)

    simulate(main)
