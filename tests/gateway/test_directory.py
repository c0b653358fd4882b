"""What locators know of each other: newest words win, exchanges commute, hubs connect strangers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliograph.gateway.directory import Directory
from heliograph.link.messages import Exchange, LocatorInfo, SiteReceivers, SiteRound
from heliograph.model.ids import Address
from heliograph.model.members import ReceiverInfo

OWN = Address("home", 10334)
PLACES = st.builds(Address, st.sampled_from(["a", "b"]), st.integers(1, 3))
RECEIVERS = st.builds(ReceiverInfo, member=st.sampled_from(["m1", "m2"]), address=PLACES, port=st.just(1530))
LOCATOR_WORDS = st.builds(LocatorInfo, st.sampled_from(["l1", "l2"]), st.integers(1, 4), PLACES, st.integers(1, 5))
RECEIVER_WORDS = st.builds(
    SiteReceivers, st.integers(2, 4), st.integers(1, 5), st.lists(RECEIVERS, max_size=2).map(tuple)
)
EXCHANGES = st.builds(
    Exchange, LOCATOR_WORDS, st.lists(LOCATOR_WORDS, max_size=3), st.lists(RECEIVER_WORDS, max_size=3)
)


def receiver(member: str = "m1", port: int = 1530) -> ReceiverInfo:
    return ReceiverInfo(member=member, address=Address("far", port), port=port)


def home(*remote: Address) -> Directory:
    return Directory("home", 1, OWN, remote)


def site(dsid: int, *remote: Address) -> Directory:
    return Directory("locator", dsid, Address("host", dsid), remote)


def meet(asking: Directory, answering: Directory) -> None:
    answering.merge(asking.exchange())
    asking.merge(answering.exchange())


@given(st.lists(EXCHANGES, max_size=5), st.randoms())
def test_order_and_repetition_of_exchanges_do_not_matter(heard: list[Exchange], random: object) -> None:
    one, other = home(), home()
    for exchange in heard:
        one.merge(exchange)
    shuffled = heard + heard
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for exchange in shuffled:
        other.merge(exchange)
    assert one.exchange() == other.exchange()
    assert one.contacts() == other.contacts()


@given(EXCHANGES)
def test_a_second_hearing_is_no_news(heard: Exchange) -> None:
    directory = home()
    directory.merge(heard)
    assert directory.merge(heard) == []


@given(st.integers(3, 6), st.data())
def test_a_hub_connects_strangers(sites: int, data: st.DataObject) -> None:
    hub = site(1)
    spokes = [site(dsid, Address("host", 1)) for dsid in range(2, sites + 1)]
    for spoke in spokes:
        spoke.say([receiver(port=spoke.dsid)], now_ms=1)
    for spoke in data.draw(st.permutations(spokes)) * 2:
        meet(spoke, hub)
    for spoke in spokes:
        assert spoke.contacts() == sorted(Address("host", dsid) for dsid in range(1, sites + 1) if dsid != spoke.dsid)
        for other in spokes:
            assert spoke.receivers(other.dsid).receivers == [receiver(port=other.dsid)]


def test_nothing_is_known_of_a_site_that_never_spoke() -> None:
    answer = home().receivers(2)
    assert (answer.known, answer.receivers) == (False, [])


def test_a_known_site_may_have_no_receiver() -> None:
    directory = home()
    directory.merge(site(2).exchange())
    answer = directory.receivers(2)
    assert (answer.known, answer.receivers) == (True, [])


def test_own_receivers_are_answered() -> None:
    directory = home()
    directory.say([receiver("m2"), receiver("m1")], now_ms=5)
    assert directory.receivers(1).receivers == [receiver("m1"), receiver("m2")]


def test_newest_receivers_win_as_a_whole() -> None:
    directory, remote = home(), site(2)
    remote.say([receiver("m1"), receiver("m2")], now_ms=1)
    old = remote.exchange()
    remote.say([receiver("m3")], now_ms=2)
    directory.merge(remote.exchange())
    directory.merge(old)
    assert directory.receivers(2).receivers == [receiver("m3")]


def test_change_within_a_millisecond_is_newer() -> None:
    directory, remote = home(), site(2)
    remote.say([receiver("m1")], now_ms=1)
    directory.merge(remote.exchange())
    remote.say([], now_ms=1)
    directory.merge(remote.exchange())
    assert directory.receivers(2).receivers == []


def test_a_moved_locator_is_news_and_contacted_at_its_new_address() -> None:
    directory = home()
    before = LocatorInfo("locator", 2, Address("old", 1), 1)
    after = LocatorInfo("locator", 2, Address("new", 1), 2)
    assert directory.merge(Exchange(before, [], [])) == [before]
    assert directory.merge(Exchange(after, [], [])) == [after]
    assert directory.merge(Exchange(before, [], [])) == []
    assert directory.contacts() == [after.address]


def test_of_one_address_the_locator_counts_that_spoke_last() -> None:
    directory, place = home(), Address("far", 1)
    before, after = LocatorInfo("before", 2, place, 1), LocatorInfo("after", 2, place, 2)
    for heard in ([before, after], [after, before]):
        directory = home()
        news = [word for each in heard for word in directory.merge(Exchange(each, [], []))]
        assert after in news
        assert directory.locators() == [directory.own, after]
        assert directory.exchange().locators == [after]
        assert directory.contacts() == [place]
    elsewhere = LocatorInfo("after", 2, Address("farther", 1), 3)
    directory.merge(Exchange(elsewhere, [], []))
    assert directory.locators() == [directory.own, elsewhere, before]  # who knows: never forgotten
    assert len(directory.locators()) == 3


def test_another_site_may_have_had_an_address() -> None:
    directory, place = home(), Address("far", 1)
    for dsid in (2, 3):
        directory.merge(Exchange(LocatorInfo("l", dsid, place, dsid), [], []))
    assert [word.dsid for word in directory.locators()] == [1, 2, 3]
    assert directory.contacts() == [place]


def test_who_cannot_see_its_site_does_not_speak_for_it() -> None:
    blind, seeing, far = home(), Directory("home2", 1, Address("home2", 10334)), site(2)
    for own in (blind, seeing):
        own.say([receiver("old")], now_ms=10)
        meet(own, far)
    seeing.say([receiver("new")], now_ms=20)
    meet(seeing, far)
    blind.say(None, now_ms=30)
    meet(blind, far)
    assert far.receivers(1).receivers == [receiver("new")]
    assert blind.own.said_ms == 30
    blind.say([receiver("newest")], now_ms=15)  # its clock is behind
    meet(blind, far)
    assert far.receivers(1).receivers == [receiver("newest")]


def test_configured_locators_are_contacted_though_they_never_answered() -> None:
    configured = Address("later", 1)
    assert home(configured, OWN).contacts() == [configured]


def test_own_words_outbid_what_was_said_before_the_clock_was_set_back() -> None:
    remote, before = site(2), home()
    before.say([receiver("gone")], now_ms=1_000)
    meet(before, remote)
    restarted = home()
    restarted.say([receiver("new")], now_ms=10)
    meet(restarted, remote)
    assert restarted.receivers(1).receivers == [receiver("new")]
    restarted.say([receiver("new")], now_ms=11)
    meet(restarted, remote)
    assert remote.receivers(1).receivers == [receiver("new")]


def test_words_of_others_about_the_own_site_are_not_taken() -> None:
    directory = home()
    directory.merge(Exchange(LocatorInfo("twin", 1, Address("x", 1), 9), [], [SiteReceivers(1, 9, (receiver(),))]))
    assert directory.receivers(1).receivers == []
    assert directory.contacts() == []
    assert directory.locators() == [directory.own]


def test_a_locator_tells_of_the_others_of_its_site_as_long_as_they_live() -> None:
    far, own = site(2), home()
    second = Address("home2", 10334)
    own.say([], 10, [("home2", second)])
    meet(far, own)
    assert {OWN, second} <= set(far.contacts())
    assert own.contacts() == [Address("host", 2)]  # not its own neighbours
    own.say([], 20)
    assert own.exchange().locators == [far.own]


def test_rounds_that_no_site_can_have_come_to_are_passed_over() -> None:
    directory = Directory("l1", 1, Address("l1", 1))
    for word in (SiteRound(2, 1 << 60, (1,)), SiteRound(2, -1, ()), SiteRound(2, 3, tuple(range(5000)))):
        directory.say_round(word)
    assert directory.rounds() == {1: None}
    assert directory.exchange().rounds == []
    directory.say_round(SiteRound(2, 3, (1,)))
    directory.say_round(SiteRound(2, 2, (9,)))
    assert directory.exchange().rounds == [SiteRound(2, 3, (1,))]
