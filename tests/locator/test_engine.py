"""The engine's url as others are told it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from heliograph.locator.config import LocatorConfig
from heliograph.locator.engine import engine_host, open_site_engine, url_at


@pytest.mark.parametrize(
    ("host", "url"),
    [("example.org", "nats://user:secret@example.org:4222"), ("::1", "nats://user:secret@[::1]:4222")],
)
def test_the_engine_is_told_by_the_advertised_host(host: str, url: str) -> None:
    assert url_at("nats://user:secret@0.0.0.0:4222", host) == url


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({}, "127.0.0.1"),
        ({"bind_address": "10.0.0.1"}, "10.0.0.1"),
        ({"bind_address": "10.0.0.1", "hostname_for_clients": "example.org"}, "10.0.0.1"),
        ({"hostname_for_clients": "example.org"}, "0.0.0.0"),
    ],
)
def test_where_a_private_engine_listens(settings: dict[str, Any], host: str) -> None:
    assert engine_host(LocatorConfig(name="locator", **settings)) == host


def test_a_private_engine_listens_on_the_bind_address_only(tmp_path: Path) -> None:
    host = "127.0.0.2"
    try:
        socket.create_server((host, 0)).close()
    except OSError:
        pytest.skip("this system has one loopback address")

    async def scenario() -> None:
        opened = await open_site_engine(LocatorConfig(name="locator", bind_address=host, directory=str(tmp_path)))
        try:
            told = urlsplit(opened.url)
            assert told.hostname == host
            socket.create_connection((host, told.port or 0), timeout=5).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", told.port or 0), timeout=5)
        finally:
            await opened.close()

    asyncio.run(scenario())
