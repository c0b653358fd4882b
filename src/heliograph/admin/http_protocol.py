"""HTTP connections of the admin API, within bounds: who asks has to ask at once, and can't ask for more than is held.

uvicorn bounds the head of a request (64 KiB) and the time between two; this adds the rest. A connection whose request
is not there yet is a stranger as on any other port (`link.strangers`): the head has to come within `HEAD_S` and the
body within `REQUEST_S`, however they are cut, and where strangers are too many the longest silent one goes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from heliograph.link.strangers import RefusalLog, Strangers

HEAD_S = 1.0
"""How long a connection may take for the head of its first request, and for one of a later one that it has begun."""
REQUEST_S = 10.0
"""How long a request may take to come, with its body."""
BODY_BYTES_MAX = 8 * 1024 * 1024
REQUESTS_MAX = 256
"""Requests under way, or connections open; one more is answered 503."""
STRANGERS_MAX, STRANGERS_OF_ADDRESS_MAX = 128, 96
_METHODS = frozenset(b"CDGHOPT")
"""What methods begin with."""

_log = logging.getLogger(__name__)
_silent = logging.getLogger(f"{__name__}.uvicorn")
_silent.setLevel(logging.ERROR)


class Door:
    """Who stands before one HTTP port, and how many were refused."""

    def __init__(self) -> None:
        self.strangers = Strangers["HttpProtocol"](STRANGERS_MAX, STRANGERS_OF_ADDRESS_MAX)
        self.refused = 0
        self._refusals = RefusalLog()

    def refuse(self, address: str, reason: str) -> None:
        """Count a refusal, and log it unless many were."""
        self.refused += 1
        unlogged = self._refusals.note(address, int(asyncio.get_running_loop().time() * 1000))
        if unlogged is not None:
            more = f" unlogged={unlogged}" if unlogged else ""
            _log.warning("HTTP connection refused address=%s reason=%r%s", address or "unknown", reason, more)


class HttpProtocol(H11Protocol):
    """One connection. door: of its port."""

    def __init__(self, door: Door, **options: Any) -> None:
        super().__init__(**options)
        self.logger = _silent
        self._door = door
        self._address = ""
        self._deadline: asyncio.TimerHandle | None = None
        self._heard = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._await_request(HEAD_S)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self.transport.is_closing():
            return
        if not self._heard and data[0] not in _METHODS:
            self._refuse(f"no HTTP: the connection begins with {data[:8]!r}")
            self.transport.close()
            return
        self._heard = True
        if self._deadline is None:
            self._await_request(HEAD_S)
        super().data_received(data)

    def handle_events(self) -> None:
        """Take what has come of requests."""
        super().handle_events()
        if self.conn.their_state is h11.SEND_BODY:
            self._door.strangers.remove(self, self._address)
        elif self.conn.their_state is not h11.IDLE:
            self._end_wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(msg)
        super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if not self._heard and self._deadline is not None and not self.transport.is_closing():
            self._refuse("it hung up without a request")
        self._end_wait()
        super().connection_lost(exc)

    def _await_request(self, head_s: float) -> None:
        pushed_out = self._door.strangers.add(self, self._address)
        if pushed_out is not None:
            pushed_out._give_up("no request yet, and too many others came without one")
        self._deadline = self.loop.call_later(head_s, self._head_is_late)

    def _head_is_late(self) -> None:
        if self.conn.their_state is h11.SEND_BODY:
            self._deadline = self.loop.call_later(REQUEST_S - HEAD_S, self._body_is_late)
        else:
            self._give_up(f"no request within {HEAD_S:g} s")

    def _body_is_late(self) -> None:
        self._give_up(f"the request did not end within {REQUEST_S:g} s")

    def _give_up(self, reason: str) -> None:
        self._refuse(reason)
        self.transport.abort()

    def _refuse(self, reason: str) -> None:
        self._end_wait()
        self._door.refuse(self._address, reason)

    def _end_wait(self) -> None:
        self._door.strangers.remove(self, self._address)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
