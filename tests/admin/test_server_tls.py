"""The admin API by TLS: who is served, who is told what to do, and what the shell's client checks beforehand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from heliograph.admin.client import AdminClient
from heliograph.admin.server import serve_http
from heliograph.errors import HeliographError, UnavailableError, UsageError
from heliograph.model.ids import Address
from heliograph.model.results import Result
from heliograph.model.tls import TlsProperties, TlsStores
from heliograph.net.tls import TlsContexts
from tests.certificates import Authority

HOST = "127.0.0.1"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer any request with a result, as large as no buffer."""
    assert scope["scheme"] == "https"
    body = b'{"status":"OK","info":["' + b"x" * 3_000_000 + b'"]}'
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def of_web(stores: TlsStores, **more: Any) -> TlsProperties:
    return TlsProperties(enabled_components=("web",), stores=stores, **more)


def test_operators_are_served_by_tls_and_others_are_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    stores = authority.stores("site")
    trusting = of_web(TlsStores(truststore=stores.truststore), endpoint_identification_enabled=True)
    contexts = TlsContexts(of_web(stores))
    asking = TlsContexts(of_web(stores, web_require_authentication=True))

    def call(url: str, tls: TlsProperties) -> Result:
        with AdminClient(url, tls) as client:
            return client.call("GET", "/version")

    async def scenario() -> None:
        server = await serve_http(app, Address(HOST, 0), lambda: contexts.listening("web"))
        strict = await serve_http(app, Address(HOST, 0), lambda: asking.listening("web"))
        try:
            url = f"https://{HOST}:{server.port}"
            answer = await asyncio.to_thread(call, url, trusting)
            assert len(answer.info[0]) == 3_000_000

            reader, writer = await asyncio.open_connection(HOST, server.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert b"This port speaks TLS: use https." in await reader.read()
            writer.close()

            (tmp_path / "other").mkdir()
            stranger = of_web(TlsStores(truststore=Authority(tmp_path / "other").stores("o").truststore))
            with pytest.raises(UnavailableError, match="certificate verify failed"):
                await asyncio.to_thread(call, url, stranger)

            url = f"https://{HOST}:{strict.port}"
            with pytest.raises(HeliographError):
                await asyncio.to_thread(call, url, trusting)
            assert (await asyncio.to_thread(call, url, of_web(stores))).status == "OK"
        finally:
            await server.close()
            await strict.close()

    asyncio.run(scenario())


def test_a_url_that_does_not_go_with_the_properties_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="speaks TLS: connect with --use-ssl and --trust-store"):
        AdminClient("https://h:1")
    with pytest.raises(UsageError, match="does not speak TLS, and this end does"):
        AdminClient("http://h:1", of_web(Authority(tmp_path).stores("site")))
