"""The engine's url as others are told it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from heliograph.engine.seam import Engine
from heliograph.errors import UnavailableError
from heliograph.link.messages import ClusterPlan, EngineNode, EngineQuery, EngineView
from heliograph.locator.assembly import Assembly, engine_host
from heliograph.locator.config import LocatorConfig
from heliograph.locator.engine import SiteEngine, cluster_options, engine_url, open_site_engine
from heliograph.model.ids import Address


@pytest.mark.parametrize(
    ("host", "url"),
    [("example.org", "nats://user:a%2Fb@example.org:4222"), ("::1", "nats://user:a%2Fb@[::1]:4222")],
)
def test_an_engine_is_told_by_its_host(host: str, url: str) -> None:
    assert engine_url("user", "a/b", host, 4222) == url


def test_members_are_spread_over_the_engines() -> None:
    engine = SiteEngine(cast("Engine", None), lambda: ("a", "b", "c"))
    told = {engine.url_for(f"server{number}") for number in range(20)}
    assert told == {"a,b,c", "b,c,a", "c,a,b"}
    assert engine.url_for("server1") == engine.url_for("server1")


async def nobody(address: Address, query: EngineQuery) -> EngineView:
    raise UnavailableError("nobody is there")


def test_an_engine_of_a_cluster_knows_all_of_them_and_its_own_place() -> None:
    nodes = tuple(EngineNode(name, f"h{name}", 4222, 6222) for name in ("a", "b", "c"))
    config = LocatorConfig(name="b", bind_address="hb")
    cluster = cluster_options(config, nodes[1], ClusterPlan("heliograph-1", "secret", nodes)).cluster
    assert cluster is not None
    assert cluster.routes == ("ha:6222", "hb:6222", "hc:6222")
    assert (cluster.server_name, cluster.host, cluster.advertised, cluster.closed) == ("b", "hb", "hb:4222", False)
    assert "secret" not in repr(ClusterPlan("heliograph-1", "secret", nodes))


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({}, "127.0.0.1"),
        ({"bind_address": "10.0.0.1"}, "10.0.0.1"),
        ({"bind_address": "10.0.0.1", "hostname_for_clients": "example.org"}, "10.0.0.1"),
        ({"hostname_for_clients": "example.org"}, "0.0.0.0"),
        ({"locators": (Address("localhost", 10334),)}, "127.0.0.1"),
        ({"locators": (Address(socket.gethostname(), 10334),)}, "0.0.0.0"),
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
        config = LocatorConfig(name="locator", bind_address=host, directory=str(tmp_path))
        opened = await open_site_engine(config, Assembly(config, nobody))
        try:
            told = urlsplit(opened.url_for("server"))
            assert told.hostname == host
            socket.create_connection((host, told.port or 0), timeout=5).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", told.port or 0), timeout=5)
        finally:
            await opened.close()

    asyncio.run(scenario())
