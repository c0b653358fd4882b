"""Locators find each other, within a site and between sites, and gateway senders find receivers by them."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from heliograph.errors import UnavailableError
from heliograph.gateway.directory import Directory
from heliograph.link.hello import Hello
from heliograph.link.messages import Exchange, LocatorInfo, ReceiversQuery, Reply, Request, SiteQuery, StatusQuery
from heliograph.locator.config import LOCATOR_PORT
from heliograph.locator.patience import RETRY_MAX_S
from heliograph.member.config import MemberConfig
from heliograph.member.member import Member
from heliograph.model.ids import Address
from heliograph.net.link import BaseHandler, Link, LinkHandler, LinkServer, serve_links
from tests.scenarios.locators import Locators, locators
from tests.scenarios.sites import LATE, Site, passes, scenario, until

FOUR = {1: ["ln"], 2: ["ny"], 3: ["tk"], 4: ["hk"]}


def at(name: str, port: int = LOCATOR_PORT) -> Address:
    return Address(name, port)


class Fake(BaseHandler):
    """What a locator talks to in place of another one. It answers nothing while `answer` is None."""

    def __init__(self, places: Locators, name: str, dsid: int) -> None:
        self.word = LocatorInfo(name, dsid, at(name), 1)
        self.answer: Reply | None = Exchange(self.word, [], [])
        self.heard: list[Exchange] = []
        self.links = 0
        self._places = places

    async def start(self) -> LinkServer:
        """Listen at the locator's address."""
        hello = Hello("locator", self.word.name, self.word.dsid)
        return await serve_links(self._places.network.host(self.word.name), "", LOCATOR_PORT, hello, self._accept)

    def _accept(self, peer: Hello) -> LinkHandler:
        assert peer.role == "locator"
        self.links += 1
        return self

    async def on_request(self, link: Link, message: Request) -> Reply:
        del link
        assert isinstance(message, Exchange)
        self.heard.append(message)
        while self.answer is None:  # noqa: ASYNC110  (until the one that asks gives up)
            await asyncio.sleep(0.1)
        return self.answer


# --- who knows whom


@locators
async def test_locator_hostname_for_clients_exchanged(places: Locators) -> None:
    places.network.alias("ny.example", "ny")
    await places.start("ln", 1)
    await places.start("ny", 2, "ln", known_as="ny.example")
    await places.until_all_know({1: ["ln"], 2: ["ny"]})
    assert places.known("ln")[2] == {"ny": at("ny.example")}
    await places.set_receivers(2, 1502)
    await until(lambda: _holds(places, "ln", 2, [1502]))


async def _holds(places: Locators, name: str, of: int, ports: list[int]) -> bool:
    return await places.receivers(name, of) == ports


@locators
async def test_locator_transitive_hub(places: Locators) -> None:
    await places.start("ln", 1)
    for dsid, name in ((2, "ny"), (3, "tk"), (4, "hk")):
        await places.start(name, dsid, "ln")
    await places.until_all_know(FOUR)


@locators
async def test_locator_simultaneous_start(places: Locators) -> None:
    await places.start("ln", 1)
    await places.start("ny", 2, "ln")
    await asyncio.gather(
        places.start("tk", 3, "ln"),
        places.start("hk", 4, "ny"),
        places.start("ln2", 1, "ny"),
        places.start("ny2", 2, "ln"),
    )
    await places.until_all_know({1: ["ln", "ln2"], 2: ["ny", "ny2"], 3: ["tk"], 4: ["hk"]})


@locators
async def test_locator_ring_topology(places: Locators) -> None:
    ring = ["ln", "ny", "tk", "hk"]
    await asyncio.gather(
        *(places.start(name, dsid, ring[dsid % 4]) for dsid, name in enumerate(ring, 1)),
    )
    await places.until_all_know(FOUR)


@locators
async def test_locator_peer_exchange(places: Locators) -> None:
    """Neither lists the other, nor any other site's; what one hears of another site the other knows too."""
    await places.start("ln", 1)
    await places.start("ln2", 1)
    await places.until_all_know({1: ["ln", "ln2"]})
    places.network.cut("ny", "ln2")
    await places.start("ny", 2, "ln")
    await places.until_all_know({1: ["ln", "ln2"], 2: ["ny"]}, ["ln", "ln2"])


@locators
async def test_locator_peer_and_server_mix(places: Locators) -> None:
    """There is one kind of locator."""
    await places.start("ln", 1)
    await places.start("ny", 2, "ln")
    await places.start("tk", 3, "ln")
    for dsid, name in ((1, "ln2"), (2, "ny2"), (3, "tk2")):
        await places.start(name, dsid)
    await places.until_all_know({1: ["ln", "ln2"], 2: ["ny", "ny2"], 3: ["tk", "tk2"]})


@locators
async def test_locator_shutdown_cleans_threads(places: Locators) -> None:
    before = asyncio.all_tasks()
    places.network.cut("ln", "away")
    mute = Fake(places, "mute", 4)
    mute.answer = None
    server = await mute.start()
    await places.start("ln", 1, "ny", "away", "nobody", "mute")
    await places.start("ny", 2, "ln")
    await until(lambda: bool(mute.heard))
    await places.stop()
    await server.close()
    await passes(1)
    assert asyncio.all_tasks() == before


# --- addresses that change


@locators
async def test_locator_restart_on_new_port(places: Locators) -> None:
    await places.start("ln", 1)
    await places.start("ny", 2, "ln")
    await places.start("ln2", 1)
    await places.start("ny2", 2)
    wanted = {1: ["ln", "ln2"], 2: ["ny", "ny2"]}
    await places.until_all_know(wanted)
    await places.stop("ln2")
    await passes(1)
    await places.start("ln2", 1, port=20_000)
    await until(lambda: all(places.known(name)[1].get("ln2") == at("ln2", 20_000) for name in places.running))
    await places.until_all_know(wanted)
    assert places.known("ny")[1] == places.known("ny2")[1] == {"ln": at("ln"), "ln2": at("ln2", 20_000)}
    contacted = places.running["ny"]._directory.contacts()
    assert at("ln2") not in contacted
    assert at("ln2", 20_000) in contacted


def test_locator_add_rules() -> None:
    directory = Directory("ln", 1, at("ln"))
    first = LocatorInfo("ny", 2, at("a"), 1)
    assert directory.merge(Exchange(first, [], [])) == [first]
    moved = LocatorInfo("ny", 2, at("b"), 2)
    assert directory.merge(Exchange(moved, [], [])) == [moved]
    assert directory.merge(Exchange(moved, [], [])) == []
    renamed = LocatorInfo("ny2", 2, at("b"), 3)
    assert directory.merge(Exchange(renamed, [], [])) == [renamed]
    assert directory.locators() == [directory.own, renamed]


def test_locator_exchange_merge() -> None:
    directory = Directory("ln", 1, at("ln"))
    ny, tk = LocatorInfo("ny", 2, at("ny"), 1), LocatorInfo("tk", 3, at("tk"), 1)
    assert directory.merge(Exchange(ny, [tk], [])) == [ny, tk]
    assert directory.merge(Exchange(ny, [tk], [])) == []
    assert directory.merge(Exchange(LocatorInfo("ny", 2, at("ny"), 5), [tk], [])) == []


def test_locator_server_address_unique() -> None:
    """One kind of locator: at one address of a site is one, and another site's may have it all the same."""
    directory = Directory("ln", 1, at("ln"))
    words = [
        LocatorInfo("ny", 2, at("x"), 1),
        LocatorInfo("ny", 2, at("x"), 1),
        LocatorInfo("ny2", 2, at("y"), 1),
        LocatorInfo("tk", 3, at("x"), 1),
    ]
    for word in words:
        directory.merge(Exchange(word, [], []))
    assert directory.locators() == [directory.own, *words[1:]]


# --- how they talk


@locators
async def test_locator_ping_and_list_requests_read_only(places: Locators) -> None:
    await places.start("ln", 1, "ny")
    await places.start("ny", 2)
    await places.until_all_know({1: ["ln"], 2: ["ny"]})
    directory = places.running["ln"]._directory
    await places.stop("ny")
    before = (directory.locators()[1:], directory.contacts(), directory.receivers(2))
    for question in (SiteQuery(), StatusQuery(), ReceiversQuery(2), ReceiversQuery(7)):
        await places.ask("ln", question)
    assert (directory.locators()[1:], directory.contacts(), directory.receivers(2)) == before


@locators
async def test_locator_join_request_exchanges_maps(places: Locators) -> None:
    await places.start("ln", 1)
    await places.start("ny", 2, "ln")
    await places.until_all_know({1: ["ln"], 2: ["ny"]})
    locator = places.running["ln"]
    new = LocatorInfo("tk", 3, at("tk"), 1)
    answer = locator._discovery.answer(Exchange(new, [], []))
    assert {(word.dsid, word.name) for word in (answer.sender, *answer.locators)} == {(1, "ln"), (2, "ny"), (3, "tk")}


@locators
async def test_locator_join_distribution(places: Locators) -> None:
    """Nobody is notified: all tell all they know every second, so a newcomer is known wherever there is a way."""
    await places.start("ln", 1)
    for dsid, name in ((2, "ny"), (3, "tk")):
        await places.start(name, dsid, "ln")
    await places.until_all_know({1: ["ln"], 2: ["ny"], 3: ["tk"]})
    places.network.cut("hk", "ny")  # it is told of, and not met
    await places.start("hk", 4, "tk")
    await places.until_all_know(FOUR)


@locators
async def test_locator_join_distribution_retry(places: Locators) -> None:
    """Who is not reached is told later, without an end to it; the others are told as ever."""
    await places.start("ln", 1, "ny", "tk")
    await places.start("tk", 3)
    places.network.cut("ln", "ny")
    await places.start("ny", 2)
    await asyncio.gather(*(places.start(f"x{dsid}", dsid, "ln") for dsid in range(10, 16)))  # many at once
    burst = {1: ["ln"], 3: ["tk"], **{dsid: [f"x{dsid}"] for dsid in range(10, 16)}}
    await places.until_all_know(burst, ["tk", "x10", "x15"])
    await passes(30)
    assert places.names("ny") == {2: ["ny"]}
    places.network.heal("ln", "ny")
    await places.until_all_know({1: ["ln"], 2: ["ny"], 3: ["tk"], **burst})


@locators
async def test_discovery_local_retry(places: Locators) -> None:
    """The locators of a site are seen in the registry; they exchange what they know of others for ever."""
    await places.start("ln", 1)
    places.network.cut("ln", "ln2")
    await places.start("ln2", 1)
    await places.start("ny", 2, "ln")
    await passes(30)
    places.network.cut("ny", "ln2")
    assert places.names("ln2")[1] == ["ln", "ln2"]
    places.network.heal("ln", "ln2")
    await places.until_all_know({1: ["ln", "ln2"], 2: ["ny"]}, ["ln2"])
    await places.stop("ln2")
    said_ms = {word.name: word.said_ms for word in places.running["ny"]._directory.locators()}
    await passes(30)
    later_ms = {word.name: word.said_ms for word in places.running["ny"]._directory.locators()}
    assert later_ms["ln2"] - said_ms["ln2"] <= 1_000
    assert later_ms["ln"] - said_ms["ln"] >= 29_000


@locators
async def test_discovery_no_retry_on_bad_response(places: Locators) -> None:
    """It is tried again, seldom: what answers badly now may be upgraded, or replaced, without a restart here."""
    fake = Fake(places, "ny", 2)
    answers = fake.answer
    await places.start("tk", 3)
    fake.answer = await places.ask("tk", StatusQuery())  # a wrong kind of message
    server = await fake.start()
    await places.start("ln", 1, "ny")
    await passes(100)
    assert 100 / RETRY_MAX_S - 2 <= fake.links <= 100 / RETRY_MAX_S + 5
    assert places.names("ln") == {1: ["ln"]}
    fake.answer = answers
    await places.until_all_know({1: ["ln"], 2: ["ny"]}, ["ln"])
    await places.stop("ln")
    await server.close()


@locators
async def test_discovery_remote_join_then_ping(places: Locators) -> None:
    """One exchange every second is join and ping; without an answer the link is opened anew."""
    fake = Fake(places, "ny", 2)
    answer, fake.answer = fake.answer, None
    server = await fake.start()
    await places.start("ln", 1, "ny")
    await passes(30)
    assert fake.links >= 3, "it is asked again on a new link"
    fake.answer = answer
    await places.until_all_know({1: ["ln"], 2: ["ny"]}, ["ln"])
    await passes(10)
    links, heard = fake.links, len(fake.heard)
    await passes(60)
    assert fake.links == links
    assert 55 <= len(fake.heard) - heard <= 65
    fake.answer = None
    await passes(30)
    assert fake.links > links
    await places.stop("ln")
    heard = len(fake.heard)
    await passes(30)
    assert len(fake.heard) == heard
    await server.close()


@locators
async def test_discovery_remote_io_error(places: Locators) -> None:
    await places.start("ln", 1, "ny")
    await passes(20)
    fake = Fake(places, "ny", 2)
    server = await fake.start()
    await places.until_all_know({1: ["ln"], 2: ["ny"]})
    for _ in range(3):
        await server.close()
        await passes(10)
        heard = len(fake.heard)
        server = await fake.start()
        await until(lambda heard=heard: len(fake.heard) > heard, within_s=RETRY_MAX_S + 1)  # type: ignore[misc]
    await places.stop("ln")
    await server.close()


def test_discovery_failure_log_throttling(caplog: pytest.LogCaptureFixture) -> None:
    loop_times: list[float] = []

    @locators
    async def play(places: Locators) -> None:
        began = asyncio.get_running_loop().time()

        class Noting(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if record.getMessage().startswith("locator not reached"):
                    loop_times.append(asyncio.get_running_loop().time() - began)

        handler = Noting()
        logging.getLogger("heliograph.locator.discovery").addHandler(handler)
        await places.start("ln", 1, "ny")
        await passes(1_300)
        logging.getLogger("heliograph.locator.discovery").removeHandler(handler)

    with caplog.at_level(logging.WARNING):
        play()
    gaps = [later - earlier for earlier, later in itertools.pairwise(loop_times)]
    assert 0 <= loop_times[0] < 1
    for gap, least in zip(gaps, (10, 20, 40, 80, 160, 300, 300, 300), strict=True):
        assert least <= gap <= least + RETRY_MAX_S + 1


# --- what gateway senders make of it


@scenario(ln=2, ny=1)
async def test_locator_added_to_running_sender(ln: Site, ny: Site) -> None:
    """The sender goes on by a locator that came while it ran, when the one is gone that was there before."""
    await ny.receives("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(10))
    await ny.until_size("r", 10)
    for _ in range(2):
        await ny.start_another_locator()
    known = {"2-locator", "2-locator2", "2-locator3"}

    def names() -> set[str]:
        return {word.name for word in ln.locator.locator._directory.locators() if word.dsid == ny.dsid}

    await until(lambda: names() == known)
    ny.locator.kill()
    await ny.leave("a")
    await ny.join("b")
    await ln.put("r", range(20))
    await ln.until_drained("ny")
    await ny.until_size("r", 20)


@scenario(ln=1, ny=1)
async def test_sender_valid_remote_locator(ln: Site, ny: Site) -> None:
    await ln.create_sender("ny", to=ny)
    directory = ln.locator.locator._directory
    await until(lambda: len(directory.locators()) > 1)
    assert [word.address for word in directory.locators() if word.dsid == ny.dsid] == [at("2-locator")]


@scenario(ln=1, ny=LATE)
async def test_sender_before_locator(ln: Site, ny: Site) -> None:
    """A server looks for its locator for `locator-wait-time`, then says which one does not answer."""
    for wait_s in (0, 20):
        config = MemberConfig(name="lonely", locators=(at("2-locator"),), locator_wait_time=wait_s)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(UnavailableError, match=r"no locator answers at 2-locator\[10334\]: check the address"):
            await Member(config, network=ln.network.host("lonely"), clock=ln.locator.clock, rng=ny.rng).start()
        assert wait_s <= loop.time() - began <= wait_s + 5


@scenario(ln=2, ny=2)
async def test_locator_all_bounced_receiver_reachable(ln: Site, ny: Site) -> None:
    """The sender's own site has two locators, which are bounced too."""
    for site, more in ((ny, 2), (ln, 1)):
        for _ in range(more):
            await site.start_another_locator()
    await ny.receives("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    keys = 0
    for slot in [ny.locator, *ny.more_locators, ln.locator, *ln.more_locators]:
        slot.kill()
        for _ in range(2):
            await until(lambda: bool(ln.primary("ny")))
            for dispatcher in ln[ln.primary("ny")].member.gateways._senders["ny"]._dispatchers:
                dispatcher.disconnect("a test")  # so that it looks for a receiver anew
            await ln.put("r", range(keys, keys + 10))
            keys += 10
            await ln.until_drained("ny")
            await ny.until_size("r", keys)
            slot.start()
            await until(lambda slot=slot: slot.ready)  # type: ignore[misc]
