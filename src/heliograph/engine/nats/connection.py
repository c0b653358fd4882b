"""A connection to any of the engine's servers, made again whenever it is lost.

Users subscribe handlers, which hear of every message and of every loss; NATS itself promises at most one delivery, so
what was under way at a loss is the handler's to repeat.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Sequence

from heliograph.engine.nats import protocol
from heliograph.engine.nats.session import Handler, Server, Session, open_session
from heliograph.engine.nats.tls import Contexts
from heliograph.errors import HeliographError, UnavailableError

CONNECT_TIMEOUT_S = 5.0
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.02, 1.0
PING_INTERVAL_S = 5.0
"""A server that has not answered a PING when the next one is due is given up."""

_log = logging.getLogger(__name__)


async def open_connection(servers: Sequence[Server], tls: Contexts = ssl.create_default_context) -> Connection:
    """Connect to the first server that takes us. Raises UsageError or UnavailableError when none does."""
    connection = Connection(servers, tls)
    await connection.open()
    return connection


class Connection:
    """Subscriptions outlive a loss; what is sent while there is no connection is refused.

    The servers that a server told of are tried after those that it was given: a cluster may have grown.
    """

    def __init__(self, servers: Sequence[Server], tls: Contexts = ssl.create_default_context) -> None:
        self._servers = servers
        self._tls = tls
        self._told: tuple[Server, ...] = ()
        self._handlers: dict[int, Handler] = {}
        self._subjects: dict[int, str] = {}
        self._sids = 0
        self._session: Session | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._random = random.Random()

    @property
    def connected(self) -> bool:
        """Say whether something sent now leaves."""
        return self._session is not None

    @property
    def max_payload(self) -> int:
        """Most bytes (headers and payload) that the server takes in one message; 0 while there is no connection."""
        return 0 if self._session is None else self._session.info.max_payload

    @property
    def told(self) -> tuple[Server, ...]:
        """The servers of the cluster, as the one that is connected tells them now, or one told them last."""
        neighbours = () if self._session is None else self._session.neighbours()
        return neighbours or self._told

    def subscribe(self, subject: str, handler: Handler) -> int:
        """Have `handler` take the messages of a subject; returns the number to unsubscribe with."""
        self._sids += 1
        self._handlers[self._sids] = handler
        self._subjects[self._sids] = subject
        if self._session is not None:
            self._session.send(protocol.subscribe(subject, self._sids))
        return self._sids

    def unsubscribe(self, sid: int) -> None:
        """End a subscription."""
        del self._handlers[sid], self._subjects[sid]
        if self._session is not None:
            self._session.send(protocol.unsubscribe(sid))

    def send(self, data: bytes) -> None:
        """Send an encoded command. Raises UnavailableError while there is no connection."""
        if self._session is None:
            raise UnavailableError(f"no connection to the engine at {self._servers[0]}")
        self._session.send(data)

    async def open(self) -> None:
        """Connect for the first time. Raises UsageError or UnavailableError."""
        self._adopt(await self._open_any())
        self._keeping = asyncio.create_task(self._keep(), name="engine-connection")

    def drop(self) -> None:
        """Drop the transport as a broken network would; the connection is then made again."""
        if self._session is not None:
            self._session.abort("dropped")

    async def close(self) -> None:
        """Close for good; handlers hear of the loss."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
            self._keeping = None
        if self._session is not None:
            self._session.abort("closed")
            await asyncio.wait({self._session.lost}, timeout=CONNECT_TIMEOUT_S)
            self._forget_session()

    async def _open_any(self) -> Session:
        error: HeliographError = UnavailableError("no server")
        known = {(server.host, server.port): server for server in (*self.told, *self._servers)}
        told = [server for place, server in known.items() if server not in self._servers]
        for server in (*self._servers, *told):
            try:
                return await open_session(server, self._handlers, timeout_s=CONNECT_TIMEOUT_S, tls=self._tls)
            except HeliographError as exc:
                error = exc
        raise error

    def _adopt(self, session: Session) -> None:
        self._session = session
        for sid, subject in self._subjects.items():
            session.send(protocol.subscribe(subject, sid))
        session.lost.add_done_callback(lambda _: self._forget_session())

    def _forget_session(self) -> None:
        if self._session is None:
            return
        self._told = self.told
        self._session = None
        for handler in list(self._handlers.values()):
            handler.on_lost()

    async def _keep(self) -> None:
        while True:
            session = self._session
            if session is None:
                self._adopt(await self._reopen())
                continue
            await asyncio.wait({session.lost}, timeout=PING_INTERVAL_S)
            if session.lost.done():
                _log.warning("engine_connection_lost server=%s reason=%s", session.server, session.lost.result())
            elif session.answered_ping:
                session.ping()
            else:
                session.abort("no answer to a ping")

    async def _reopen(self) -> Session:
        delay_s = BACKOFF_MIN_S
        while True:
            await asyncio.sleep(delay_s * self._random.uniform(0.5, 1.0))
            try:
                session = await self._open_any()
            except HeliographError as exc:
                _log.debug("engine_connection_refused reason=%s", exc)
                delay_s = min(delay_s * 2, BACKOFF_MAX_S)
                continue
            _log.info("engine_connection_restored server=%s", session.server)
            return session
