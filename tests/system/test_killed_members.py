"""Members and whole sites are killed, frozen or away while clients write: no site loses what was acknowledged."""

from __future__ import annotations

from tests.system import scenarios
from tests.system.sites import Sites


def test_a_killed_server_loses_no_write_and_joins_again(sites: Sites) -> None:
    scenarios.primaries_are_killed(sites)


def test_a_serial_sender_is_taken_over_where_it_was(sites: Sites) -> None:
    scenarios.serial_sender_is_killed(sites)


def test_a_killed_site_comes_back_with_everything(sites: Sites) -> None:
    scenarios.site_is_killed(sites)


def test_a_remote_site_that_was_away_gets_everything(sites: Sites) -> None:
    scenarios.remote_site_is_away(sites)


def test_a_server_that_was_frozen_harms_nothing_when_it_goes_on(sites: Sites) -> None:
    scenarios.primary_is_frozen(sites)
