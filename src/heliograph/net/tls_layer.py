"""TLS between a transport and a protocol, on `ssl.SSLObject`.

    transport <── bytes ──> TlsLayer <── plain text ──> protocol (which sees the layer's `TlsTransport`)

asyncio's own TLS would do the same but for what an operator needs to know: a peer that speaks plainly is told so in its
own protocol, one whose certificate is refused gets the alert that says why, and both ends know a reason for their logs.

A handshake that fails ends the connection: the opening end raises PeerError from `ready`, the answering end logs why.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from heliograph.errors import HeliographError, PeerError
from heliograph.link.strangers import RefusalLog, Strangers
from heliograph.net.tls import TlsContext

HANDSHAKE_S = 2.0
"""How long a peer may take for its handshake."""
LINGER_S = 0.5
"""How long a refused peer has to read why."""
READ_BYTES = 16 * 1024
"""A record holds no more, and a larger buffer costs more than it is worth."""
_TLS_RECORDS = frozenset({0x15, 0x16})
"""What a peer that speaks TLS begins with: a handshake, or an alert."""

_log = logging.getLogger(__name__)


class TlsTransport(asyncio.Transport):
    """The transport as the protocol above TLS sees it."""

    def __init__(self, layer: TlsLayer, below: asyncio.Transport, tls: ssl.SSLObject) -> None:
        super().__init__()
        self._layer = layer
        self._below = below
        self._tls = tls
        self._closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport below knows, and what TLS knows."""
        match name:
            case "ssl_object":
                return self._tls
            case "sslcontext":
                return self._tls.context
        return self._below.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes."""
        if data and not self._closing:
            self._tls.write(data)
            self._layer.flush()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Send pieces of bytes as one: small ones share a record."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Close; what was written before is still sent, and that nothing follows."""
        if self._closing:
            return
        self._closing = True
        self._layer.say_end()
        self._below.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._below.abort()

    def is_closing(self) -> bool:
        """Say whether nothing is sent any more."""
        return self._closing or self._below.is_closing()

    def pause_reading(self) -> None:
        """Read nothing more."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._below.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the system has not taken yet."""
        return self._below.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is paused and resumed."""
        self._below.set_write_buffer_limits(high, low)


class Handshakes:
    """The handshakes under way at one port, bounded as strangers are, and what is logged of those that fail."""

    def __init__(self) -> None:
        self.under_way = Strangers[TlsLayer]()
        self.refusals = RefusalLog()


class TlsLayer(asyncio.Protocol):
    """One end of a TLS connection.

    factory: makes the protocol above, when the handshake is done. host: of the other end, None at the answering one.
    refuse_plain: at the answering end, what a peer is sent that does not speak TLS. ready: the protocol above.
    """

    def __init__(
        self,
        context: TlsContext,
        factory: Callable[[], asyncio.Protocol],
        *,
        host: str | None = None,
        refuse_plain: Callable[[], bytes] = bytes,
        handshakes: Handshakes | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[tuple[TlsTransport, asyncio.Protocol]] = self._loop.create_future()
        self._context = context
        self._factory = factory
        self._answers = host is None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=host is None, server_hostname=host)
        self._refuse_plain = refuse_plain
        self._handshakes = handshakes or Handshakes()
        self._below: asyncio.Transport
        self._above: asyncio.Protocol | None = None
        self._seen = False
        self._failed = False
        self._timer: asyncio.TimerHandle | None = None
        self._error: HeliographError | None = None
        self._peer = self._peer_host = ""

    # --- from below -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._below = cast("asyncio.Transport", transport)
        if self._failed:
            self._below.abort()  # given up while it was being made
            return
        peername = transport.get_extra_info("peername")
        if peername:
            self._peer_host = str(peername[0])
            self._peer = f"{peername[0]}[{peername[1]}]"
        pushed_out = self._handshakes.under_way.add(self, self._peer_host)
        if pushed_out is not None:
            pushed_out.make_room()
        self._timer = self._loop.call_later(HANDSHAKE_S, self._is_late)
        if not self._answers:
            self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Take what the peer sent."""
        if self._failed:
            return  # it is being told why; see `_fail`
        if not self._seen:
            self._seen = True
            if data[0] not in _TLS_RECORDS:
                self._meet_plain_peer()
                return
        self._incoming.write(data)
        if self._above is None:
            self._shake_hands()
        if self._above is not None:
            self._pass_on()

    def eof_received(self) -> bool:
        """Let the transport close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits or is above."""
        self._stop_timer()
        if self._above is not None:
            self._above.connection_lost(self._error or exc)
        elif not self.ready.done() and not self._failed:
            self._failed = True
            cause = f" ({exc})" if exc else ""
            self._note(PeerError(f"it hung up in the TLS handshake, as who does not speak TLS here does{cause}"))

    def pause_writing(self) -> None:
        """The peer takes less than it is sent."""
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """The peer took most of what was waiting."""
        if self._above is not None:
            self._above.resume_writing()

    # --- from above -------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what TLS has to send."""
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())

    def say_end(self) -> None:
        """Tell the peer that nothing follows."""
        with suppress(ssl.SSLError, ValueError):  # the peer's own farewell is not waited for
            self._tls.unwrap()
        if not self._below.is_closing():
            self.flush()

    def make_room(self) -> None:
        """End a handshake that others have to do without: too many are under way."""
        self._fail(PeerError("too many handshakes are under way"))
        self._below.abort()

    def give_up(self) -> None:
        """Drop the connection: nobody waits for it any more."""
        self._failed = True
        self._stop_timer()
        self._below.abort()

    # --- the handshake ----------------------------------------------------------------------------------------------

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
            return
        except ssl.SSLError as exc:
            self.flush()  # the alert
            self._fail(PeerError(why(exc)))
            return
        self.flush()
        self._stop_timer()
        cipher = self._tls.cipher()
        if self._context.ciphers and cipher is not None and cipher[0] not in self._context.ciphers:
            self._fail(PeerError(f"the TLS handshake settled on {cipher[0]}, which is not one of ssl-ciphers"))
            return
        self._above = self._factory()
        transport = TlsTransport(self, self._below, self._tls)
        self.ready.set_result((transport, self._above))
        _log.debug("tls peer=%s protocol=%s cipher=%s", self._peer, self._tls.version(), cipher and cipher[0])
        self._above.connection_made(transport)

    def _meet_plain_peer(self) -> None:
        if not self._answers:
            self._fail(PeerError("it does not speak TLS: enable ssl for this component there too, or disable it here"))
            return
        self._below.write(self._refuse_plain())
        self._fail(PeerError("the other end does not speak TLS, and this port does"))

    def _is_late(self) -> None:
        self._fail(PeerError(f"no TLS handshake within {HANDSHAKE_S:g} s"))

    def _fail(self, error: PeerError) -> None:
        """End the connection, and leave the peer the time to read why: unread bytes of its own would cut that off."""
        self._failed = True
        self._stop_timer()
        self._note(error)
        if not self._answers:
            self._below.abort()
            return
        if self._below.can_write_eof() and not self._below.is_closing():
            self._below.write_eof()
        self._timer = self._loop.call_later(LINGER_S, self._below.abort)

    def _note(self, error: HeliographError) -> None:
        if self._answers:
            self._log_refusal(error)
            self.ready.cancel()
        elif not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()  # marks it as seen: who waited may have given up

    def _log_refusal(self, error: HeliographError) -> None:
        unlogged = self._handshakes.refusals.note(self._peer_host, int(self._loop.time() * 1000))
        if unlogged is None:
            return
        more = f" (and {unlogged} before that are not logged)" if unlogged else ""
        component = self._context.component
        _log.warning("tls refused component=%s peer=%s reason=%r%s", component, self._peer, str(error), more)

    def _stop_timer(self) -> None:
        self._handshakes.under_way.remove(self, self._peer_host)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what the peer says -----------------------------------------------------------------------------------------

    def _pass_on(self) -> None:
        """Give the protocol above what arrived, in one piece."""
        pieces: list[bytes] = []
        ended = False
        try:
            while piece := self._tls.read(READ_BYTES):
                pieces.append(piece)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as exc:
            self._error = PeerError(why(exc))
        above = cast("asyncio.Protocol", self._above)
        if pieces:
            above.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self.flush()
        if ended or self._error is not None:
            self._below.close()


_ALERTS = {
    "CERTIFICATE_REQUIRED": "it asks for a certificate: name one with ssl-keystore",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the other end shows no certificate: it needs ssl-keystore",
    "UNKNOWN_CA": "it does not trust who signed this end's certificate: its ssl-truststore lacks that authority",
    "CERTIFICATE_EXPIRED": "it refuses this end's certificate as expired: renew it",
    "BAD_CERTIFICATE": "it refuses this end's certificate",
    "HANDSHAKE_FAILURE": "there is no cipher suite or protocol that both ends allow (ssl-ciphers, ssl-protocols)",
    "NO_SHARED_CIPHER": "there is no cipher suite that both ends allow (ssl-ciphers)",
    "NO_PROTOCOLS_AVAILABLE": "no version of TLS is allowed (ssl-protocols)",
    "UNSUPPORTED_PROTOCOL": "there is no version of TLS that both ends allow (ssl-protocols)",
    "PROTOCOL_VERSION": "there is no version of TLS that both ends allow (ssl-protocols)",
    "WRONG_VERSION_NUMBER": "the other end does not speak TLS",
}


def why(error: ssl.SSLError) -> str:
    """Say why TLS failed, and what to change where that is known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the other end is refused: {error.verify_message.rstrip('.')}"
    reason = error.reason or str(error)
    known = next((text for name, text in _ALERTS.items() if reason.endswith(name)), None)
    return f"TLS failed: {known} ({reason})" if known else f"TLS failed: {reason.lower().replace('_', ' ')}"
