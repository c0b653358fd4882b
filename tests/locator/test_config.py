"""A locator's settings and their rules."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import UsageError
from heliograph.locator.config import LocatorConfig
from heliograph.model.ids import Address

THREE = (Address("h1", 10334), Address("h2", 10334), Address("h3", 10334))
REMOTE = (Address("far", 10334),)


def test_defaults() -> None:
    config = LocatorConfig(name="locator")
    assert (config.port, config.http_service_port, config.site, config.advertised_host) == (10334, 7070, 0, "127.0.0.1")
    assert config.engine_directory == Path("engine")


@pytest.mark.parametrize(
    ("settings", "advertised"),
    [
        ({"bind_address": "10.0.0.1"}, "10.0.0.1"),
        ({"bind_address": "10.0.0.1", "hostname_for_clients": "example.org"}, "example.org"),
        ({"bind_address": "0.0.0.0"}, "127.0.0.1"),
    ],
)
def test_advertised_host(settings: dict[str, Any], advertised: str) -> None:
    assert LocatorConfig(name="locator", **settings).advertised_host == advertised


@pytest.mark.parametrize(
    ("settings", "advertised"),
    [
        ({"bind_address": "10.0.0.1", "hostname_for_clients": "example.org"}, "127.0.0.1"),
        ({"bind_address": "10.0.0.1", "http_service_bind_address": "0.0.0.0"}, "10.0.0.1"),
        ({"hostname_for_clients": "example.org", "http_service_bind_address": "0.0.0.0"}, "example.org"),
        ({"hostname_for_clients": "example.org", "http_service_bind_address": "10.0.0.2"}, "10.0.0.2"),
    ],
)
def test_the_admin_api_is_on_loopback_unless_told_otherwise(settings: dict[str, Any], advertised: str) -> None:
    assert LocatorConfig(name="locator", **settings).advertised_http_host == advertised


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.0.0.1", "Example.org", socket.gethostname()])
def test_its_own_address_may_be_given(host: str) -> None:
    assert LocatorConfig(
        name="locator",
        bind_address="10.0.0.1",
        hostname_for_clients="example.org",
        locators=(Address(host, 10334),),
    ).locators


@pytest.mark.parametrize("settings", [{"bind_address": "h2"}, {"hostname_for_clients": "h2"}])
def test_three_locators_form_a_cluster_by_themselves(settings: dict[str, Any]) -> None:
    config = LocatorConfig(name="locator", locators=THREE, **settings)
    assert config.forms_cluster
    assert config.peers == (THREE[0], THREE[2])


def test_one_of_three_is_told_by_the_name_in_the_list() -> None:
    here = socket.gethostname()
    config = LocatorConfig(name="locator", locators=(Address(here, 10334), *THREE[1:]))
    assert (config.advertised_host, config.peers) == (here, THREE[1:])


def test_any_number_of_locators_may_share_an_operators_engine() -> None:
    config = LocatorConfig(name="l", locators=THREE[:2], bind_address="h1", engine="nats://e:4222")
    assert not config.forms_cluster


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"name": "a b"}, "can't name a locator"),
        ({"port": 65536}, "port 65536"),
        ({"http_service_port": -1}, "http-service-port -1"),
        ({"distributed_system_id": 256}, "0 to 255"),
        ({"remote_locators": REMOTE}, "needs a distributed-system-id"),
        ({"locators": (Address("localhost", 10335),)}, "none of them can be this locator"),
        ({"locators": (Address("otherhost.invalid", 10334),)}, "none of them can be this locator"),
        ({"locators": (Address("localhost", 10334), Address("b", 10334))}, "one locator or 3"),
        ({"locators": (Address("localhost", 10334), Address("127.0.0.1", 10334))}, "more than one of them"),
        ({"locators": (Address("localhost", 10334),) * 2}, "given twice"),
        ({"locators": THREE, "bind_address": "h4"}, "none of them can be this locator"),
        ({"member_timeout_ms": 999}, "1000 ms or more"),
        ({"disk_synchronous": True, "engine": "nats://127.0.0.1:4222"}, "private engine"),
    ],
)
def test_unfit_settings_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        LocatorConfig(**{"name": "locator", **settings})
