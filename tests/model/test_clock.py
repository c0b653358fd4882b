"""Stamps and versions."""

from hypothesis import given
from hypothesis import strategies as st

from heliograph.model.clock import VERSION_STEP, ms_of_stamp, next_stamp, stamp_of_ms, version_of

milliseconds = st.integers(0, 2**46)
stamps = st.integers(0, 2**62)
sites = st.integers(0, 255)


@given(milliseconds, st.integers(0, 2**16 - 1))
def test_every_stamp_of_a_millisecond_says_which_one(now_ms, counter):
    assert ms_of_stamp(stamp_of_ms(now_ms) + counter) == now_ms


@given(stamps, milliseconds)
def test_the_next_stamp_is_above_the_latest_and_not_before_the_clock(latest, now_ms):
    following = next_stamp(latest, now_ms)
    assert following > latest
    assert ms_of_stamp(following) >= now_ms
    assert following in (latest + 1, stamp_of_ms(now_ms))


def test_a_full_counter_carries_into_the_milliseconds():
    last_of_seven = stamp_of_ms(8) - 1
    assert next_stamp(last_of_seven, 7) == stamp_of_ms(8)


@given(stamps, sites, stamps, sites)
def test_versions_order_by_stamp_and_then_by_site(stamp, site, other_stamp, other_site):
    version = version_of(stamp, site)
    assert (version // VERSION_STEP, version % VERSION_STEP) == (stamp, site)
    assert (version < version_of(other_stamp, other_site)) == ((stamp, site) < (other_stamp, other_site))
