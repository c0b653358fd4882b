"""The engine's url as others are told it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import psutil
import pytest

from heliograph.engine.nats.conf import ClusterOptions, EngineOptions
from heliograph.engine.nats.engine import NatsEngine
from heliograph.engine.nats.lifetime import free_port
from heliograph.engine.nats.server import PrivateEngine
from heliograph.engine.patience import patiently
from heliograph.engine.seam import Engine
from heliograph.errors import UnavailableError
from heliograph.link.messages import ClusterPlan, EngineNode, EngineQuery, EngineView
from heliograph.locator.assembly import Assembly, engine_host
from heliograph.locator.config import LocatorConfig
from heliograph.locator.engine import SiteEngine, cluster_options, engine_url, open_site_engine
from heliograph.model.attributes import DEFAULT_STORE
from heliograph.model.ids import Address

PATIENCE_S = 60.0


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
            assert opened.private is not None
            listening = psutil.Process(opened.private.pid).net_connections("tcp")
            assert {each.laddr.ip for each in listening if each.status == psutil.CONN_LISTEN} == {host}
        finally:
            await opened.close()

    asyncio.run(scenario())


def test_an_engine_with_a_server_down_gets_its_copies_when_that_is_back(tmp_path: Path) -> None:
    ports = [free_port("127.0.0.1", 0) for _ in range(3)]
    routes = tuple(f"127.0.0.1:{port}" for port in ports)
    nodes = [
        PrivateEngine(tmp_path / f"l{number}", EngineOptions(cluster=ClusterOptions("site", f"l{number}", *place)))
        for number, place in enumerate((port, routes, "shared") for port in ports)
    ]

    async def scenario() -> None:
        try:
            await asyncio.gather(*(node.start() for node in nodes))
            config = LocatorConfig(name="locator", engine=nodes[0].url, directory=str(tmp_path))
            await (await patiently(lambda: open_site_engine(config, Assembly(config, nobody)))).close()
            await nodes[2].stop()
            opened = await patiently(lambda: open_site_engine(config, Assembly(config, nobody)))
            assert opened.tend is not None
            assert isinstance(opened.engine, NatsEngine)
            try:
                await patiently(lambda: opened.engine.open_log(DEFAULT_STORE, replicas=opened.replicas()))
                assert opened.replicas() == 1
                await nodes[2].start()
                async with asyncio.timeout(PATIENCE_S):
                    while {info.config.num_replicas for info in await patiently(opened.engine.streams)} != {3}:
                        await patiently(opened.tend)
                assert opened.replicas() == 3
                await nodes[2].stop()
                await patiently(opened.tend)
                assert opened.replicas() == 3
            finally:
                await opened.close()
        finally:
            await asyncio.gather(*(node.stop() for node in nodes))

    asyncio.run(scenario())
