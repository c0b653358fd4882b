"""A connection that speaks the link protocol: the thin asyncio shell around `link.session`.

    data_received -> Session.receive -> the handler's on_...
    request, send_... -> Session.take_output -> one write for all of a tick of the loop

A link ends in one of two ways, both through `_shut`: `close` says why, sends what is still to be sent and waits for it
for `CLOSE_TIMEOUT_S`; a silent or lost peer is cut off. Requests that wait for an answer then fail with
UnavailableError (the outcome of a write is unknown), unless the peer said that it had answered all that it took up
(UnreachableError), and `on_closed` is called once, when the transport is gone.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, cast

import msgspec

from heliograph.errors import (
    AuthenticationError,
    HeliographError,
    PeerError,
    UnavailableError,
    UnreachableError,
    UsageError,
)
from heliograph.link import messages, session
from heliograph.link.failures import error_of, failure_of
from heliograph.link.hello import Hello, Side
from heliograph.link.session import Session
from heliograph.net.handler import BaseHandler, LinkHandler
from heliograph.net.site_identity import check_site_identity

logger = logging.getLogger(__name__)

PING_INTERVAL_S = 5.0
SILENCE_MAX_S = 15.0
HELLO_TIMEOUT_S = 1.0
"""A connection that was accepted must have said its whole hello by then, however it comes; who opens one says it at
once.
"""
JUDGE_TIMEOUT_S = 2.0
"""How long it may take to find out who a peer is."""
CLOSE_TIMEOUT_S = 2.0
"""How long a closed link may take to get its last bytes out."""
LOOK_MIN_S = 0.001
"""No sooner does a link look again whether its peer is alive."""
WRITE_BYTES_HIGH = 1024 * 1024
WRITE_BYTES_LOW = WRITE_BYTES_HIGH // 4
"""`writable` turns False when more than HIGH bytes wait for the peer, and True again at LOW."""


class KeepAlive(msgspec.Struct, frozen=True):
    """How a link notices a dead peer: a ping every `interval_s`, and `silence_s` without any byte is too long."""

    interval_s: float = PING_INTERVAL_S
    silence_s: float = SILENCE_MAX_S


KEEP_ALIVE = KeepAlive()


def keep_alive_of(silence_ms: int) -> KeepAlive:
    """Return how a link is kept alive whose peer may be silent for so long."""
    silence_s = silence_ms / 1000
    return KeepAlive(min(PING_INTERVAL_S, silence_s / 3), silence_s)


class LinkOwner(Protocol):
    """Who made a link: the answering server, or the opening call."""

    def admit(self, link: Link) -> None:
        """A connection was made. Raises UnavailableError to turn it away."""
        ...

    def judge(self, link: Link, peer: Hello) -> LinkHandler | Awaitable[LinkHandler]:
        """Return the handler for a peer that said its hello, or an awaitable of it: until then the peer waits.

        Raises PeerError or UsageError to refuse it.
        """
        ...

    def welcome(self, link: Link) -> None:
        """The peer's hello was accepted. Raises UnavailableError to turn it away all the same."""
        ...

    def refuse(self, link: Link, error: HeliographError) -> None:
        """A connection that was answered ends before its peer was let in: to be logged, as it may be one of many."""
        ...

    def release(self, link: Link) -> None:
        """The link is gone and so are all of its tasks."""
        ...


class Link(asyncio.Protocol):
    """One end of a link. Made by `link.connect_link` and `link.serve_links`; usable once the hellos are said.

    peer: role, name, dsid, version and features of the other end. features: those that both ends offer.
    writable: False while more than `WRITE_BYTES_HIGH` bytes wait for the peer; sending is allowed but better held back.
    closed: True from the moment that the link can't be used any more.
    buffer_bytes: of the socket's send and receive buffers, as far as the system allows; 0 lets it tune them.
    """

    peer: Hello
    features: tuple[str, ...]

    def __init__(
        self, side: Side, hello: Hello, owner: LinkOwner, keep_alive: KeepAlive, buffer_bytes: int = 0
    ) -> None:
        self.peer_address = ""
        self.peer_host = ""
        self.writable = True
        self.closed = False
        self.timed_out = False
        """The peer was silent for too long, which ended the link."""
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._session = Session(side, hello)
        self._owner = owner
        self._keep_alive = keep_alive
        self._buffer_bytes = buffer_bytes
        self._transport: asyncio.Transport
        self._connected = False
        self._handler: LinkHandler = BaseHandler()
        self._requests: dict[int, asyncio.Future[messages.Reply]] = {}
        self._tasks: set[asyncio.Future[messages.Reply]] = set()
        self._judging: asyncio.Future[LinkHandler] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flush_due = False
        self._held: deque[tuple[int, messages.Reply]] = deque()
        """Replies to a peer that does not take what it was sent: not encoded, so that they hold next to nothing."""
        self._held_by_owner = False
        self._heard_at = 0.0
        self._unsent_bytes = 0
        self._reason = ""
        self._on_event: dict[type[session.Event], Callable[[Any], None]] = {
            session.Greeted: self._on_greeted,
            session.Requested: self._on_requested,
            session.Replied: self._on_replied,
            session.BatchReceived: lambda event: self._handler.on_batch(self, event.batch_id, event.body),
            session.Acked: lambda event: self._handler.on_ack(self, event.batch_id),
            session.AckedInPart: lambda event: self._handler.on_acked_in_part(self, event.batch_id, event.rejected),
            session.Refused: self._on_refused,
            session.PeerClosed: self._on_peer_closed,
        }

    def __repr__(self) -> str:
        peer = self._session.peer or "someone"
        return f"<link of {self._session.hello} with {peer} at {self.peer_address or 'no address'}>"

    # --- what owners and handlers call ------------------------------------------------------------------------------

    def request(self, message: messages.Request) -> asyncio.Future[messages.Reply]:
        """Ask the peer. The future gives its reply, or raises the error that the peer named.

        It raises UnavailableError when the link closes first, UnreachableError where that means that the peer did
        certainly nothing. Cancel it freely: a late reply is dropped.
        """
        future: asyncio.Future[messages.Reply] = self._loop.create_future()
        if self.closed:
            future.set_exception(UnreachableError(f"the link to {self.peer} is closed: {self._reason}"))
            return future
        try:
            self._requests[self._session.request(message)] = future
        except (UsageError, UnavailableError) as exc:
            future.set_exception(exc)
            return future
        self._flush_soon()
        return future

    async def call(self, message: messages.Request, *, timeout_s: float) -> messages.Reply:
        """Ask the peer and wait for its reply. Raises as `request`, and UnavailableError when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.request(message)
        except TimeoutError as exc:
            name = type(message).__name__
            raise UnavailableError(f"{self.peer} did not answer {name} within {timeout_s:g} s") from exc

    def send_batch(self, batch_id: int, body: bytes) -> None:
        """Ship an encoded WanBatch. On a closed link it is lost, as one on its way would be.

        Raises UsageError when the batch is too large for a frame.
        """
        if not self.closed:
            self._session.batch(batch_id, body)
            self._flush_soon()

    def send_ack(self, batch_id: int, rejected: Sequence[messages.Rejected] = ()) -> None:
        """Say that the peer's batch is in the log, but for what is rejected (only where the link has that feature).

        On a closed link nobody is told: the batch will come again.
        """
        if not self.closed:
            self._session.ack(batch_id, rejected)
            self._flush_soon()

    def send_refusal(self, batch_id: int, error: str, message: str) -> None:
        """Turn the peer's batch down; `error` names a class of `heliograph.errors`. As `send_ack` when closed."""
        if not self.closed:
            self._session.refuse(batch_id, messages.Failure(error, message))
            self._flush_soon()

    def pause_reading(self) -> None:
        """Take nothing more from the peer until `resume_reading`; meanwhile its silence is no sign of death."""
        if not self.closed and not self._held_by_owner:
            self._held_by_owner = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        if not self.closed and self._held_by_owner:
            self._held_by_owner = False
            self._heard_at = self._loop.time()
            self._resume_if_free()

    @property
    def tls(self) -> str:
        """The version of TLS and the cipher suite that were agreed on, "" on a plain link."""
        tls = self._transport.get_extra_info("ssl_object")
        return "" if tls is None else f"{tls.version()} {tls.cipher()[0]}"

    @property
    def certificate_checked(self) -> bool | None:
        """Say whether the peer proved by its certificate who it is; None when the connection is not encrypted."""
        tls = self._transport.get_extra_info("ssl_object")
        return None if tls is None else tls.context.verify_mode is ssl.CERT_REQUIRED

    def withhold_credentials(self) -> None:
        """Greet without credentials; only before the greeting."""
        self._session.withhold_credentials()

    @property
    def credentials(self) -> dict[str, str] | None:
        """What this end will greet with."""
        return self._session.hello.credentials

    @property
    def asked(self) -> bool:
        """Say whether the peer waits for an answer of ours."""
        return self._session.asked

    def close(self, reason: str = "") -> None:
        """Close the link and tell the peer why. A second close does nothing.

        Where all was answered that the peer has asked, what it asks meanwhile is certainly not done, and it is told so.
        """
        kind = UnavailableError if self.asked else UnreachableError
        self._shut(kind(reason or f"closed by {self._session.hello}"), orderly=True)

    @property
    def opened(self) -> bool:
        """Say whether the hellos were said and accepted, now or before the link closed."""
        return self._opened.done() and self._opened.exception() is None

    async def wait_opened(self) -> None:
        """Wait for the other end's hello. Raises what ended the link before it came."""
        await asyncio.shield(self._opened)

    @property
    def gone(self) -> bool:
        """Say whether the transport and every task of the link are gone."""
        return self._gone.done()

    async def wait_closed(self) -> None:
        """Wait until the transport (after a close at most `CLOSE_TIMEOUT_S`) and every task of the link are gone."""
        await asyncio.shield(self._gone)

    # --- what the event loop calls ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the opening end greets, the answering end waits for a hello."""
        self._transport = cast("asyncio.Transport", transport)
        if self.closed:
            self._transport.abort()  # given up while it was being made
            return
        self._connected = True
        self._transport.set_write_buffer_limits(WRITE_BYTES_HIGH, WRITE_BYTES_LOW)
        connected = transport.get_extra_info("socket")
        if self._buffer_bytes and connected is not None:  # a simulated one has none
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                connected.setsockopt(socket.SOL_SOCKET, option, self._buffer_bytes)
        self._heard_at = self._loop.time()
        peername = transport.get_extra_info("peername")
        self.peer_host = str(peername[0]) if peername else ""
        self.peer_address = f"{peername[0]}[{peername[1]}]" if peername else ""
        if self._session.side is Side.ANSWERER:
            self._timer = self._loop.call_later(HELLO_TIMEOUT_S, self._hello_is_late)
        try:
            self._owner.admit(self)
        except UnavailableError as exc:
            self._shut(exc)
            return
        if self._session.side is Side.OPENER:
            self._session.greet()
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Take bytes, tell the handler what they mean, and send what came of it in one write."""
        if self.closed:
            return
        self._heard_at = self._loop.time()
        self._flush_due = True  # what handlers send is flushed below
        on_event = self._on_event
        try:
            for event in self._session.receive(data):
                on_event[type(event)](event)
                if self.closed:
                    return
        except Exception as exc:
            self._report_bug(exc)  # it costs this link, whose state may be anything now, but no other
            self._shut(exc if isinstance(exc, HeliographError) else error_of(failure_of(exc)))
        else:
            self._flush()

    def pause_writing(self) -> None:
        """The peer takes less than it is sent. An answering end then takes no more requests from it, and keeps what it
        has to reply to those that it has as it is, until the peer goes on.

        The opening end always goes on reading, so that two ends never wait for each other.
        """
        self.writable = False
        if self._session.side is Side.ANSWERER and not self.closed:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer took most of what was waiting."""
        self.writable = True
        if self.closed:
            return
        self._heard_at = self._loop.time()
        while self._held and self.writable:
            self._reply_now(*self._held.popleft())
            self._flush()
        if self.writable:
            self._resume_if_free()
            self._handler.on_writable(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Finish: fail what waits, tell the handler."""
        self._connected = False
        if not self.closed:
            lost = UnavailableError(f"the connection was lost: {exc}" if exc else "the other end hung up")
            self._end(exc if isinstance(exc, PeerError) else lost)
        self._stop_timer()
        try:
            if self.opened:
                self._handler.on_closed(self, self._reason)
        finally:
            self._release_if_done()

    # --- what the peer said -----------------------------------------------------------------------------------------

    def _on_greeted(self, event: session.Greeted) -> None:
        check_site_identity(self._transport, self._session.hello, event.peer)
        judged = self._owner.judge(self, event.peer)
        self.peer = event.peer.bare
        if isinstance(judged, Awaitable):
            self._stop_timer()
            self._timer = self._loop.call_later(JUDGE_TIMEOUT_S, self._judged_late)
            self._judging = asyncio.ensure_future(judged)
            self._judging.add_done_callback(self._on_judged)
        else:
            self._open(judged)

    def _on_judged(self, judging: asyncio.Future[LinkHandler]) -> None:
        """Let the peer in, or tell it why not."""
        self._judging = None
        if self.closed:
            if not self._connected:
                self._release_if_done()
            return
        try:
            self._open(judging.result())
            self._flush()
        except asyncio.CancelledError:
            self._shut(UnavailableError("it was given up to find out who the peer is"))
        except Exception as exc:
            self._report_bug(exc)
            self._shut(exc if isinstance(exc, HeliographError) else error_of(failure_of(exc)))

    def _judged_late(self) -> None:
        self._shut(UnavailableError(f"it took longer than {JUDGE_TIMEOUT_S:g} s to find out who {self.peer} is"))

    def _open(self, handler: LinkHandler) -> None:
        self._owner.welcome(self)
        self._handler = handler
        if self._session.side is Side.ANSWERER:
            self._session.greet()
        self.features = self._session.features
        self._stop_timer()
        self._timer = self._loop.call_later(self._keep_alive.interval_s, self._on_interval)
        if self.peer.role in ("sender", "receiver") and self.tls:
            logger.info("link secured link=%r tls=%r", self, self.tls)
        self._opened.set_result(None)

    def _on_requested(self, event: session.Requested) -> None:
        try:
            answer = self._handler.on_request(self, event.message)
        except Exception as exc:
            self._reply(event.exchange, self._failure_of(exc))
            return
        if isinstance(answer, messages.Message):
            self._reply(event.exchange, answer)
            return
        future = asyncio.ensure_future(answer)
        if future is not answer:
            self._tasks.add(future)
        future.add_done_callback(partial(self._on_answered, event.exchange))

    def _on_answered(self, exchange: int, future: asyncio.Future[messages.Reply]) -> None:
        self._tasks.discard(future)
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if not self.closed:
            self._reply(exchange, future.result() if error is None else self._failure_of(error))
            self._flush_soon()
        elif not self._connected:
            self._release_if_done()

    def _reply(self, exchange: int, message: messages.Reply) -> None:
        if self._held or not self.writable:
            self._held.append((exchange, message))
            return
        self._reply_now(exchange, message)

    def _reply_now(self, exchange: int, message: messages.Reply) -> None:
        if self._session.output_bytes > WRITE_BYTES_HIGH:
            self._flush()  # which tells how much the peer has still to take
        try:
            self._session.reply(exchange, message)
        except UsageError as exc:
            self._session.reply(exchange, failure_of(exc))

    def _failure_of(self, exc: BaseException) -> messages.Failure:
        if isinstance(exc, asyncio.CancelledError):
            return failure_of(UnavailableError(f"{self._session.hello} gave the request up"))
        self._report_bug(exc)
        return failure_of(exc)

    def _report_bug(self, exc: BaseException) -> None:
        """Hand an exception that nobody meant to raise to the event loop's exception handler, which logs it."""
        if not isinstance(exc, HeliographError):
            self._loop.call_exception_handler({"message": f"a handler failed on {self!r}", "exception": exc})

    def _on_replied(self, event: session.Replied) -> None:
        future = self._requests.pop(event.exchange)
        if not future.done():
            if isinstance(event.message, messages.Failure):
                future.set_exception(error_of(event.message))
            else:
                future.set_result(event.message)

    def _on_refused(self, event: session.Refused) -> None:
        self._handler.on_refused(self, event.batch_id, event.failure.error, event.failure.message)

    def _on_peer_closed(self, event: session.PeerClosed) -> None:
        error = error_of(event.failure)
        kinds = (UnreachableError, UnavailableError, AuthenticationError)
        kind = next((kind for kind in kinds if isinstance(error, kind)), PeerError)
        opened = self._opened.done()
        told = kind(f"{self.peer_address} {'closed' if opened else 'refused'} the link: {error}")
        self._shut(told, orderly=opened and kind is not PeerError, by_peer=True)

    # --- sending, waiting, ending -----------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        output = self._session.take_output()
        if output and self._connected:
            self._transport.writelines(output)

    def _resume_if_free(self) -> None:
        if not self._held_by_owner and (self.writable or self._session.side is Side.OPENER):
            self._transport.resume_reading()

    def _hello_is_late(self) -> None:
        self._shut(PeerError(f"no hello within {HELLO_TIMEOUT_S:g} s"))

    def _on_interval(self) -> None:
        """Ping, and cut a peer off that was silent for too long.

        Where we are the ones who don't read, silence means nothing: then the peer lives as long as it takes what we
        have for it.
        """
        now = self._loop.time()
        unsent = self._transport.get_write_buffer_size()
        if self._held_by_owner or 0 < unsent < self._unsent_bytes:
            self._heard_at = now
        self._unsent_bytes = unsent
        silence_ends = self._heard_at + self._keep_alive.silence_s
        if now >= silence_ends:
            self.timed_out = True
            self._shut(UnavailableError(f"nothing was heard for {now - self._heard_at:.1f} s"), abort=True)
            return
        self._session.ping()
        self._flush_soon()
        # A timer may fire a clock tick early: one set to that same moment again would fire again and again.
        look_at = max(min(now + self._keep_alive.interval_s, silence_ends), now + LOOK_MIN_S)
        self._timer = self._loop.call_at(look_at, self._on_interval)

    def _shut(
        self, error: HeliographError, *, orderly: bool = False, abort: bool = False, by_peer: bool = False
    ) -> None:
        """End the link because of `error`; without `abort` what is still to be sent gets `CLOSE_TIMEOUT_S` for it.

        orderly: one of the two ends had no more use for it, which is no news.
        """
        if self.closed:
            return
        self._session.close(error)
        self._flush()
        self._end(error, orderly=orderly, by_peer=by_peer)
        if not self._connected:
            self._release_if_done()
        elif abort:
            self._transport.abort()
        else:
            self._transport.close()
            self._timer = self._loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    def _end(self, error: HeliographError, *, orderly: bool = False, by_peer: bool = False) -> None:
        """Become closed: nothing is sent any more, and whoever waits for the peer learns that it won't answer.

        Only the peer can say (UnreachableError) that what it did not answer was not done.
        """
        self.closed = True
        self._reason = str(error)
        self._stop_timer()
        if self._opened.done() or self._session.side is Side.OPENER:
            told = not self._opened.done()  # whoever opens it is, and decides
            bad = logging.WARNING if isinstance(error, PeerError) else logging.INFO
            level = logging.DEBUG if orderly or told else bad
            logger.log(level, "link closed side=%s link=%r reason=%r", self._session.side.value, self, self._reason)
        else:
            self._owner.refuse(self, error)
        if not self._opened.done():
            self._opened.set_exception(error)
            self._opened.exception()  # marks it as seen: an answering end has nobody who waits for it
        kind = UnreachableError if by_peer and isinstance(error, UnreachableError) else UnavailableError
        for future in self._requests.values():
            if not future.done():
                future.set_exception(kind(f"the link to {self.peer} closed: {error}"))
        self._requests.clear()
        self._held.clear()
        for task in self._tasks:
            task.cancel()
        if self._judging is not None:
            self._judging.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release_if_done(self) -> None:
        if not self._tasks and self._judging is None and not self._gone.done():
            self._gone.set_result(None)
            self._owner.release(self)
