"""Locator to locator: tell each other again and again what is known of every site (semantics.md §11.1).

So do the locators of one site: one that nobody of another site can reach, or that was given no remote-locators, knows
what the others know.

One task for each address to contact, so that an unreachable one delays nobody. It keeps a link and exchanges
directories every `EXCHANGE_S`, and at once when the own receivers changed. Nobody is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from heliograph.errors import HeliographError, PeerError, UsageError
from heliograph.gateway.directory import Directory
from heliograph.link.hello import Hello
from heliograph.link.messages import Exchange
from heliograph.locator.patience import Patience
from heliograph.model.ids import Address
from heliograph.model.members import ReceiverInfo
from heliograph.net.identity import UNKNOWN, Introduction
from heliograph.net.link import BaseHandler, connect_link
from heliograph.net.seam import Clock, Network

EXCHANGE_S = 1.0
CONNECT_S, ANSWER_S = 2.0, 5.0

_log = logging.getLogger(__name__)


class Discovery:
    """Keeps a directory current by talking to other sites' locators.

    hello: what this locator says to another one. receivers: the own site's running receivers, None when they can't be
    told now; neighbours: the names and addresses of its other locators. peers: the addresses that they have in this
    locator's own configuration, by which they are reached also where what others are told is of no use inside the site.
    to_peers, to_others: introduce this locator inside the site and to other sites.
    """

    def __init__(
        self,
        directory: Directory,
        network: Network,
        clock: Clock,
        hello: Callable[[], Hello],
        receivers: Callable[[], list[ReceiverInfo] | None],
        neighbours: Callable[[], list[tuple[str, Address]]],
        peers: Iterable[Address] = (),
        to_peers: Introduction = UNKNOWN,
        to_others: Introduction = UNKNOWN,
    ) -> None:
        self._directory = directory
        self._network = network.to("locator")
        self._clock = clock
        self._hello = hello
        self._receivers = receivers
        self._neighbours = neighbours
        self._peers = frozenset(peers)
        self._told: object = None
        self._to_peers = to_peers
        self._to_others = to_others
        self._learned = asyncio.Event()
        self._news = asyncio.Event()

    def answer(self, heard: Exchange) -> Exchange:
        """Take up what another locator tells, and tell it everything.

        Raises UsageError when it has this site's distributed-system-id and is none of its locators.
        """
        self._hear(heard)
        return self._tell()

    def stir(self) -> None:
        """Tell everyone at once if the own receivers, or the site's locators, have changed."""
        told = (self._receivers(), self._neighbours())
        if told == self._told:
            return
        self._told = told
        self._learned.set()
        self._news.set()
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Contact every locator there is to contact, until cancelled."""
        contacts: dict[Address, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._learned.clear()
                wanted = self._contacts()
                for address in sorted(contacts.keys() - set(wanted)):
                    contacts.pop(address).cancel()
                for address in wanted:
                    if address not in contacts:
                        contacts[address] = tasks.create_task(self._contact(address))
                await self._learned.wait()

    def _contacts(self) -> list[Address]:
        """Return whom to contact, in other sites and in this one, as soon as this one has more than one locator."""
        neighbours = self._neighbours()
        own = (self._peers or {address for _, address in neighbours}) if neighbours else ()
        return sorted({*self._directory.contacts(), *own} - {self._directory.own.address})

    def _is_own(self, address: Address) -> bool:
        """Say whether a locator of the own site is contacted there."""
        return address in self._peers or any(address == own for _, own in self._neighbours())

    def _tell(self) -> Exchange:
        self._directory.say(self._receivers(), self._clock.now_ms(), self._neighbours())
        return self._directory.exchange()

    def _hear(self, heard: Exchange) -> None:
        sender, own = heard.sender, self._directory.own
        if sender.dsid == own.dsid and sender.name == own.name:
            raise UsageError(f"locator {own.name} itself, or one with its name and site, answers at {sender.address}")
        if sender.dsid == own.dsid and all(sender.name != name for name, _ in self._neighbours()):
            raise UsageError(
                f"locator {sender.name} at {sender.address} has distributed-system-id {sender.dsid} as locator "
                f"{own.name}, and is none of its site: sites that know each other need different ones"
            )
        for locator in self._directory.merge(heard):
            _log.info("locator learned name=%s site=%d address=%s", locator.name, locator.dsid, locator.address)
            self._learned.set()

    async def _contact(self, address: Address) -> None:
        """Talk to one locator for ever."""
        patience = Patience()
        while True:
            try:
                await self._talk(address, patience)
            except HeliographError as exc:
                if patience.failed(asyncio.get_running_loop().time()):
                    _log.warning("locator not reached address=%s error=%s", address, exc)
            await asyncio.sleep(patience.retry_s)

    async def _talk(self, address: Address, patience: Patience) -> None:
        """Exchange directories until that fails. Raises UnavailableError, PeerError or UsageError."""
        link = await connect_link(
            self._network,
            address,
            self._hello(),
            BaseHandler(),
            timeout_s=CONNECT_S,
            introduction=self._to_peers if self._is_own(address) else self._to_others,
        )
        try:
            if link.peer.role != "locator":
                raise PeerError(f"{link.peer} answers there, and no locator: correct remote-locators")
            while True:
                news = self._news
                reply = await link.call(self._tell(), timeout_s=ANSWER_S)
                if not isinstance(reply, Exchange):
                    raise PeerError(f"{link.peer} answered {type(reply).__name__} to Exchange")
                self._hear(reply)
                if patience.failures:
                    _log.info("locator reached address=%s name=%s", address, link.peer.name)
                patience.succeeded()
                try:
                    async with asyncio.timeout(EXCHANGE_S):
                        await news.wait()
                except TimeoutError:
                    pass  # no news: exchange anyway
        finally:
            link.close("the locators part")
            await link.wait_closed()
