"""Serves an ASGI application inside the running event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import uvicorn

from heliograph.admin.http_protocol import REQUESTS_MAX, Door, HttpProtocol
from heliograph.errors import UnavailableError
from heliograph.model.ids import Address
from heliograph.net.listening import listening_socket
from heliograph.net.tls import TlsContext
from heliograph.net.tls_layer import Handshakes, TlsLayer

BACKLOG = 128
STARTED_S = 10.0
POLL_S = 0.01
GRACE_S = 2
"""How long requests under way may take to finish when the server stops."""

_REFUSAL_OF_PLAIN = b"""\
HTTP/1.1 400 Bad Request\r
Content-Type: text/plain\r
Connection: close\r
\r
This port speaks TLS: use https.
"""

_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it lives in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """An HTTP port. Made by `serve_http`."""

    def __init__(self, server: _Server, listening: socket.socket) -> None:
        self._server = server
        self._socket = listening
        self.port: int = listening.getsockname()[1]
        self._task = asyncio.create_task(server.serve([listening]), name=f"http-{self.port}")
        self._task.add_done_callback(self._on_ended)

    async def wait_started(self) -> None:
        """Wait until requests are answered. Raises UnavailableError."""
        try:
            async with asyncio.timeout(STARTED_S):
                while not self._server.started:
                    if self._task.done():
                        raise UnavailableError("the HTTP server stopped while it was starting")
                    await asyncio.sleep(POLL_S)  # uvicorn has no event for it
        except TimeoutError:
            raise UnavailableError(f"the HTTP server did not start within {STARTED_S:g} s") from None

    def _on_ended(self, task: asyncio.Task[None]) -> None:
        """Say so when nobody asked for it: the process goes on, and its operators have to know."""
        if not self._server.should_exit and not task.cancelled():
            _log.error("HTTP server ended by itself port=%d", self.port, exc_info=task.exception())

    async def close(self) -> None:
        """Stop listening, let requests under way finish within `GRACE_S`, and close."""
        self._server.should_exit = True
        await asyncio.wait({self._task}, timeout=2 * GRACE_S)
        self._task.cancel()
        await asyncio.wait({self._task})
        self._socket.close()


async def serve_http(app: Any, address: Address, tls: Callable[[], TlsContext | None] = lambda: None) -> HttpServer:
    """Serve `app` at an address: host as `net.listening` says, port 0 for any free one.

    tls: asked for every connection; it returns None always, or never.
    Raises UnavailableError when that can't be listened on.
    """
    try:
        listening = listening_socket(address.host, address.port, BACKLOG)
    except OSError as exc:
        raise UnavailableError(f"can't serve HTTP at {address.host or 'any'}[{address.port}]: {exc.strerror}") from exc
    config = uvicorn.Config(
        app,
        http=cast("Any", partial(HttpProtocol, Door())),
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        limit_concurrency=REQUESTS_MAX,
        timeout_graceful_shutdown=GRACE_S,
    )
    if tls() is not None:
        config.load()
        config.http_protocol_class = cast("Any", _secured(config.http_protocol_class, tls))
    server = HttpServer(_Server(config), listening)
    try:
        await server.wait_started()
    except BaseException:
        await server.close()
        raise
    return server


def _secured(
    protocol: Callable[..., asyncio.Protocol], tls: Callable[[], TlsContext | None]
) -> Callable[..., asyncio.Protocol]:
    """Return what makes the protocol of a connection with TLS below it."""
    handshakes = Handshakes()

    def make(**options: Any) -> asyncio.Protocol:
        context = cast("TlsContext", tls())
        above = lambda: protocol(**options)  # noqa: E731
        return TlsLayer(context, above, refuse_plain=lambda: _REFUSAL_OF_PLAIN, handshakes=handshakes)

    return make
