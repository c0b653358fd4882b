"""Which site a certificate says that its holder belongs to: a URI among its names, `urn:heliograph:site:<dsid>`.

Between sites (gateway sender and receiver, locator and locator) it has to agree with the hello; what bears no such name
is taken on trust in its authority, unless `ssl-require-site-identity` is set.
"""

from __future__ import annotations

import asyncio

from heliograph.errors import PeerError
from heliograph.link.hello import Hello
from heliograph.net.tls import TlsContext

PREFIX = "urn:heliograph:site:"
_BETWEEN_SITES = ({"sender", "receiver"}, {"locator"})


def check_site_identity(transport: asyncio.BaseTransport, ours: Hello, theirs: Hello) -> None:
    """Raise PeerError when the peer's certificate is another site's than its hello says, or no site's and must be."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None or {ours.role, theirs.role} not in _BETWEEN_SITES:
        return
    certificate = tls.getpeercert() or {}
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    sites = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    if sites and str(theirs.dsid) not in sites:
        raise PeerError(f"the certificate of {theirs} is of site {', '.join(sites)}: a site's certificate names itself")
    context = tls.context
    if not sites and isinstance(context, TlsContext) and context.require_site_identity:
        raise PeerError(
            f"the certificate of {theirs} names no site, and ssl-require-site-identity is set: give it the URI "
            f"{PREFIX}{theirs.dsid}"
        )
