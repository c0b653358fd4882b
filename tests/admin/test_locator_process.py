"""The locator's process in this process: HTTP beside the links, the client, and the end by a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from heliograph.admin.client import AdminClient
from heliograph.admin.locator_process import run_locator, running
from heliograph.errors import UnavailableError, UsageError
from heliograph.link.hello import Hello
from heliograph.link.messages import SiteQuery, SiteView
from heliograph.locator.config import LocatorConfig
from heliograph.locator.locator import Locator
from heliograph.net.link import BaseHandler, connect_link
from heliograph.net.real import RealNetwork


def config_of(directory: Path, **settings: Any) -> LocatorConfig:
    return LocatorConfig(
        name="locator", directory=str(directory), distributed_system_id=1,
        **{"port": 0, "http_service_port": 0, "bind_address": "127.0.0.1", **settings},
    )  # fmt: skip


def with_client(url: str, use: Callable[[AdminClient], None]) -> None:
    with AdminClient(url) as client:
        use(client)


def test_http_beside_the_links(tmp_path: Path) -> None:
    def use(client: AdminClient) -> None:
        assert client.call("GET", "/members").info == ["Member Count : 1"]
        assert client.call("GET", "/members/locator").data["HTTP Service"] == client.url
        refused = client.call("POST", "/regions", {"name": "customer"}, {"if_not_exists": True})
        assert (refused.status, refused.info[0][:16]) == ("ERROR", "no members found")

    async def scenario() -> None:
        async with running(Locator(config_of(tmp_path))) as locator:
            await asyncio.to_thread(with_client, locator.http_url, use)
            hello = Hello("client", "test")
            link = await connect_link(RealNetwork(), locator.address, hello, BaseHandler(), timeout_s=5)
            view = await link.call(SiteQuery(), timeout_s=5)
            assert isinstance(view, SiteView)
            assert view.http_url == locator.http_url
            link.close()
            await link.wait_closed()
        with AdminClient(locator.http_url) as client, pytest.raises(UnavailableError, match="can't be reached"):
            client.call("GET", "/ping")

    asyncio.run(scenario())


def test_http_listens_on_its_own_bind_address(tmp_path: Path) -> None:
    async def scenario() -> None:
        everywhere = {"bind_address": "", "http_service_bind_address": "127.0.0.1"}
        async with running(Locator(config_of(tmp_path, **everywhere))) as locator:
            port = int(locator.http_url.rpartition(":")[2])
            assert locator.http_url == f"http://127.0.0.1:{port}"
            with pytest.raises(OSError, match=r"refused|assign"):  # or a system with one loopback address
                socket.create_connection(("127.0.0.2", port), timeout=5)

    asyncio.run(scenario())


def test_a_signal_stops_everything_in_order(tmp_path: Path) -> None:
    seen: list[Locator] = []

    def on_ready(locator: Locator) -> None:
        seen.append(locator)
        os.kill(os.getpid(), signal.SIGTERM)

    async def scenario() -> None:
        async with asyncio.timeout(20):
            await run_locator(config_of(tmp_path), on_ready)

    asyncio.run(scenario())
    assert seen[0].http_url


def test_a_taken_http_port_stops_the_locator_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(Locator(config_of(tmp_path / "one"))) as locator:
            port = int(locator.http_url.rpartition(":")[2])
            second = config_of(tmp_path / "two", http_service_port=port)
            with pytest.raises(UnavailableError, match="can't serve HTTP"):
                await run_locator(second, lambda _locator: pytest.fail("it started"))

    asyncio.run(scenario())


class _Stranger(BaseHTTPRequestHandler):
    """Another HTTP server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Be quiet."""


def test_a_stranger_is_told_from_an_admin_api() -> None:
    with HTTPServer(("127.0.0.1", 0), _Stranger) as stranger:
        thread = Thread(target=stranger.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{stranger.server_port}"
        with AdminClient(url) as client, pytest.raises(UsageError, match="no heliograph admin API"):
            client.call("GET", "/ping")
        thread.join()


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://", "127.0.0.1:7070"])
def test_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="no url"):
        AdminClient(url)
