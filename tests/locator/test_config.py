"""A locator's settings and their rules."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import UsageError
from heliograph.locator.config import LocatorConfig
from heliograph.model.ids import Address

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


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"name": "a b"}, "can't name a locator"),
        ({"port": 65536}, "port 65536"),
        ({"http_service_port": -1}, "http-service-port -1"),
        ({"distributed_system_id": 256}, "0 to 255"),
        ({"remote_locators": REMOTE}, "needs a distributed-system-id"),
        ({"locators": (Address("localhost", 10335),)}, "a site has one locator"),
        ({"locators": (Address("otherhost.invalid", 10334),)}, "a site has one locator"),
        ({"locators": (Address("a", 10334), Address("b", 10334))}, "a site has one locator"),
        ({"member_timeout_ms": 999}, "1000 ms or more"),
        ({"disk_synchronous": True, "engine": "nats://127.0.0.1:4222"}, "private engine"),
    ],
)
def test_unfit_settings_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        LocatorConfig(**{"name": "locator", **settings})
