"""TLS contexts from the `ssl-*` properties, made anew when the files change.

    contexts = TlsContexts(properties)      -> contexts.listening("locator"), contexts.connecting("locator")

Files are looked at whenever a connection begins. New ones that can't be used leave the old ones in force, with a
warning in the log; connections that there are already go on as they are.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

from heliograph.errors import UsageError
from heliograph.model.tls import COMPONENTS, Component, Port, TlsProperties, TlsStores

_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
TLS13_CIPHERS = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
"""The suites of TLS 1.3, in the order in which OpenSSL prefers them. Python can't choose among them."""

_Stamp = tuple[tuple[int, int, int], ...]

_log = logging.getLogger(__name__)


class TlsContext(ssl.SSLContext):
    """A context that knows what is asked of a peer beyond what OpenSSL checks.

    ciphers: the suites that may be negotiated, by OpenSSL's names; none for any. require_site_identity: a certificate
    between sites has to name the site.
    """

    ciphers: tuple[str, ...] = ()
    require_site_identity: bool = False
    component: str = ""


class TlsContexts:
    """Makes and keeps contexts. Raises UsageError, naming the property, when something can't be used at first."""

    def __init__(self, properties: TlsProperties) -> None:
        self.properties = properties
        self._kept: dict[tuple[Component, bool], tuple[_Stamp, TlsContext]] = {}
        self._failed: dict[tuple[Component, bool], _Stamp] = {}
        for component in filter(properties.enables, COMPONENTS):
            self._context(component, listening=False)
            if properties.stores_of(component).keystore:
                self._context(component, listening=True)

    def listening(self, port: Port) -> TlsContext | None:
        """Return what to accept connections with at ports of a kind, None where they are plain."""
        component = self.properties.component_of(port)
        return None if component is None else self._context(component, listening=True)

    def connecting(self, port: Port) -> TlsContext | None:
        """Return what to connect with to ports of a kind, None where they are plain."""
        component = self.properties.component_of(port)
        return None if component is None else self._context(component, listening=False)

    def _context(self, component: Component, *, listening: bool) -> TlsContext:
        key = component, listening
        stamp = _stamp(self.properties.stores_of(component))
        kept = self._kept.get(key)
        if kept is not None and (kept[0] == stamp or self._failed.get(key) == stamp):
            return kept[1]
        try:
            context = make_context(self.properties, component, listening=listening)
        except UsageError as exc:
            if kept is None:
                raise
            self._failed[key] = stamp
            _log.warning("new certificates not used component=%s reason=%s (the old ones stay)", component, exc)
            return kept[1]
        if kept is not None:
            _log.info("new certificates used component=%s listening=%s", component, listening)
        self._kept[key] = stamp, context
        return context


def make_context(properties: TlsProperties, component: Component, *, listening: bool) -> TlsContext:
    """Make a context. Raises UsageError for files that can't be read or used, and for cipher suites there are not."""
    stores = properties.stores_of(component)
    context = TlsContext(ssl.PROTOCOL_TLS_SERVER if listening else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = not listening and properties.endpoint_identification_enabled
    asked = properties.asks_certificates(component) or not listening
    context.verify_mode = ssl.CERT_REQUIRED if asked else ssl.CERT_NONE
    context.options |= ssl.OP_NO_RENEGOTIATION
    if listening:
        context.num_tickets = 0  # sessions are not resumed: every connection is checked anew
    context.require_site_identity = properties.require_site_identity and component in ("gateway", "locator", "cluster")
    context.component = component
    _set_versions(context, properties.versions(listening=listening), properties.ciphers)
    if stores.truststore:
        _trust(context, stores.truststore)
    if stores.keystore:
        _show(context, stores)
    return context


def _set_versions(context: TlsContext, versions: tuple[str, ...], ciphers: tuple[str, ...]) -> None:
    """Set versions and cipher suites; a version without one of the suites is not spoken, as in Java."""
    spoken = sorted(_VERSIONS[version] for version in versions or _VERSIONS)
    if ciphers:
        older = [_known_cipher(name) for name in ciphers if name not in TLS13_CIPHERS]
        newer = [name for name in ciphers if name in TLS13_CIPHERS]
        if newer and TLS13_CIPHERS[0] not in newer and ssl.TLSVersion.TLSv1_3 in spoken:
            raise UsageError(
                f"ssl-ciphers: of TLSv1.3 only lists with {TLS13_CIPHERS[0]} can be kept, which OpenSSL takes first: "
                "add it, or use ssl-protocols=TLSv1.2"
            )
        usable = {ssl.TLSVersion.TLSv1_2: older, ssl.TLSVersion.TLSv1_3: newer}
        spoken = [version for version in spoken if usable[version]]
        if not spoken:
            raise UsageError(
                "ssl-ciphers: none of them is one of ssl-protocols: name suites of the same version of TLS"
            )
        if older:
            context.set_ciphers(":".join(older))
        context.ciphers = (*older, *newer)
    context.minimum_version, context.maximum_version = spoken[0], spoken[-1]


def openssl_name(cipher: str) -> str:
    """Return OpenSSL's name of a suite of TLS 1.2, which may be written as in Java (TLS_..._WITH_...)."""
    if not cipher.startswith("TLS_") or "_WITH_" not in cipher:
        return cipher
    exchange, _, rest = cipher.removeprefix("TLS_").partition("_WITH_")
    rest = rest.replace("_CBC", "").replace("AES_", "AES").replace("CAMELLIA_", "CAMELLIA")
    rest = rest.removesuffix("_SHA256") if rest.startswith("CHACHA20_POLY1305") else rest
    return "-".join(([] if exchange == "RSA" else [exchange.replace("_", "-")]) + [rest.replace("_", "-")])


def _known_cipher(name: str) -> str:
    """Return OpenSSL's name of a suite. Raises UsageError when there is none of that name."""
    known = openssl_name(name)
    try:
        probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        probe.set_ciphers(known)
    except ssl.SSLError:
        found = False
    else:
        found = any(each["name"] == known for each in probe.get_ciphers())
    if not found:
        raise UsageError(
            f"ssl-ciphers: there is no cipher suite {name!r} here (`openssl ciphers` lists those there are)"
        )
    return known


def _trust(context: ssl.SSLContext, file: str) -> None:
    try:
        context.load_verify_locations(file)
    except FileNotFoundError as exc:
        raise UsageError(f"ssl-truststore: {file} does not exist") from exc
    except (ssl.SSLError, OSError) as exc:
        raise UsageError(f"ssl-truststore: {file} holds no certificates in PEM form ({_words(exc)})") from exc


def _show(context: ssl.SSLContext, stores: TlsStores) -> None:
    file = stores.keystore
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return stores.keystore_password

    try:
        context.load_cert_chain(file, password=password)
    except FileNotFoundError as exc:
        raise UsageError(f"ssl-keystore: {file} does not exist") from exc
    except (ssl.SSLError, OSError, ValueError) as exc:
        if asked:
            raise UsageError(f"ssl-keystore: ssl-keystore-password is not that of the key in {file}") from exc
        raise UsageError(
            f"ssl-keystore: {file} is not a certificate with its key in PEM form ({_words(exc)}): put both into it, "
            "the certificate first"
        ) from exc


def _words(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError) and exc.reason:
        return exc.reason.lower().replace("_", " ")
    return exc.strerror or type(exc).__name__ if isinstance(exc, OSError) else type(exc).__name__


def _stamp(stores: TlsStores) -> _Stamp:
    """Return what changes when a file is written or replaced."""
    return tuple(_stat(file) for file in (stores.keystore, stores.truststore) if file)


def _stat(file: str) -> tuple[int, int, int]:
    try:
        stat = Path(file).stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
