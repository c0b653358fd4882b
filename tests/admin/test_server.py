"""The HTTP server where it does not end well; that it serves is shown by the other tests here."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from heliograph.admin import server as server_module
from heliograph.admin.server import serve_http
from heliograph.errors import UnavailableError
from heliograph.model.ids import Address

FREE = Address("127.0.0.1", 0)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer nothing."""


def test_one_that_ends_by_itself_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        dying = asyncio.Event()

        async def main_loop(self: server_module._Server) -> None:
            await dying.wait()
            raise RuntimeError("broken")

        monkeypatch.setattr(server_module._Server, "main_loop", main_loop)
        server = await serve_http(app, FREE)
        dying.set()
        await asyncio.wait({server._task})
        await asyncio.sleep(0)
        await server.close()

    with caplog.at_level(logging.ERROR, server_module.__name__):
        asyncio.run(scenario())
    assert "ended by itself" in caplog.text
    assert "broken" in caplog.text


def test_one_that_does_not_start_in_time_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: server_module._Server, *args: object) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        with pytest.raises(UnavailableError, match="did not start within"):
            await serve_http(app, FREE)

    monkeypatch.setattr(server_module._Server, "serve", never)
    monkeypatch.setattr(server_module, "STARTED_S", 0.05)
    monkeypatch.setattr(server_module, "GRACE_S", 0.05)
    asyncio.run(scenario())
