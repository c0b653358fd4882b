"""How an opening end says who it is: credentials that it may be asked for anew at each connection."""

from __future__ import annotations

import logging
from typing import Protocol

import msgspec

from heliograph.errors import UsageError
from heliograph.link.frames import HELLO_BYTES_MAX
from heliograph.link.hello import NO_SITE, Hello
from heliograph.model.ids import Address
from heliograph.net.connection import Link

CREDENTIALS_BYTES_MAX = HELLO_BYTES_MAX - 1024
"""Of the names and values together: the rest of a hello needs room, too."""

_log = logging.getLogger(__name__)


class ServerIdentity(msgspec.Struct, frozen=True):
    """Whom credentials are for, as far as it is known before it answers.

    address: that is connected to. name: of the member, "" when it is not known. dsid: of its site, `NO_SITE` likewise.
    peer: it is of our own site.
    """

    address: Address
    name: str = ""
    dsid: int = NO_SITE
    peer: bool = False


class CredentialSource(Protocol):
    """Where a process has its credentials from."""

    async def credentials_for(self, server: ServerIdentity) -> dict[str, str] | None:
        """Return what to say to a server; None for nothing. Raises AuthenticationError."""
        ...


class Introduction:
    """Who we are, for links to be opened. Says once that credentials travel unencrypted.

    peer: links are to our own site. A hello keeps its credentials only where the other end proved who it is, or where
    there is no encryption, by which it could.
    """

    def __init__(self, source: CredentialSource | None = None, *, peer: bool = False) -> None:
        self._source = source
        self._peer = peer
        self._warned = False

    async def introduce(self, hello: Hello, address: Address, name: str = "", dsid: int = NO_SITE) -> Hello:
        """Return the hello for a server, with credentials if there are any. Raises AuthenticationError, UsageError."""
        if self._source is None:
            return hello
        credentials = await self._source.credentials_for(ServerIdentity(address, name, dsid, self._peer))
        if not credentials:
            return hello
        size = sum(len(name.encode()) + len(value.encode()) for name, value in credentials.items())
        if size > CREDENTIALS_BYTES_MAX:
            raise UsageError(f"credentials of {size} bytes are too large: {CREDENTIALS_BYTES_MAX} bytes are allowed")
        return msgspec.structs.replace(hello, credentials=credentials)

    def check(self, link: Link) -> None:
        """Have a link that is about to greet keep its credentials to itself, where it must."""
        if link.credentials is None:
            return
        checked = link.certificate_checked
        if checked is False:
            _log.warning("credentials withheld address=%s reason=its certificate is not checked", link.peer_address)
            link.withhold_credentials()
        elif checked is None and not self._warned:
            self._warned = True
            _log.warning("credentials sent unencrypted address=%s advice=set ssl-enabled-components", link.peer_address)


UNKNOWN = Introduction()
"""Of who has no credentials."""
