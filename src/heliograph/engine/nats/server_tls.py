"""The TLS of a private engine: what `nats-server` is told, and the files that it reads.

It is given copies in its own directory, mode 0600, that were seen to be right: whatever becomes of an operator's files
meanwhile, a restart finds what worked. nats-server reads no key with a password, so that of the copy has none.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from heliograph.engine.nats.lifetime import write_private
from heliograph.errors import UsageError

KEYSTORE, TRUSTSTORE = "tls.pem", "authorities.pem"


@dataclass(frozen=True, slots=True)
class EngineServerTls:
    """keystore: PEM file with the certificate and its key. truststore: with the authorities to trust.

    asks_certificates: clients have to show one; engines among themselves always do. newest_only: TLS 1.3 alone.
    """

    keystore: str
    keystore_password: str
    truststore: str
    asks_certificates: bool = True
    newest_only: bool = False

    def __repr__(self) -> str:
        return f"EngineServerTls({self.keystore})"

    def block(self, directory: Path, *, routes: bool = False) -> str:
        """Return the `tls` block of `nats.conf`."""
        keystore, truststore = (json.dumps(str(directory / name)) for name in (KEYSTORE, TRUSTSTORE))
        verify = str(self.asks_certificates or routes).lower()
        newest = ', min_version: "1.3"' if self.newest_only else ""
        trusted = f", ca_file: {truststore}" if self.truststore else ""
        return f"tls {{ cert_file: {keystore}, key_file: {keystore}{trusted}, verify: {verify}, timeout: 2{newest} }}"

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """Return what changes with the operator's files. Raises OSError."""
        stats = [Path(file).stat() for file in (self.keystore, self.truststore) if file]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in stats)

    def write_copies(self, directory: Path) -> None:
        """Write the engine's own files. Raises UsageError for files that can't be used, and keeps the old ones then."""
        try:
            keystore = _without_password(Path(self.keystore).read_bytes(), self.keystore_password)
            truststore = Path(self.truststore).read_bytes() if self.truststore else b""
            fresh = directory / f"{KEYSTORE}.new"
            write_private(fresh, keystore)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(fresh)
            if truststore:
                context.load_verify_locations(cadata=truststore.decode())
        except (OSError, ValueError, TypeError) as exc:  # an ssl.SSLError is an OSError
            raise UsageError(f"the engine can't use {self.keystore}, {self.truststore}: {type(exc).__name__}") from exc
        write_private(directory / TRUSTSTORE, truststore)
        fresh.replace(directory / KEYSTORE)


def _without_password(text: bytes, password: str) -> bytes:
    """Return certificates and key with the key's password taken off. Raises ValueError, TypeError."""
    if not password:
        return text
    key = serialization.load_pem_private_key(_key_of(text), password.encode())
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.replace(_key_of(text), plain)


def _key_of(text: bytes) -> bytes:
    """Return the block of a PEM text that holds the key. Raises ValueError."""
    for block in text.split(b"-----BEGIN ")[1:]:
        if b"PRIVATE KEY-----" in block.partition(b"\n")[0]:
            end = block.index(b"-----END ")
            return b"-----BEGIN " + block[: block.index(b"-----", end + 9) + 5]
    raise ValueError("no key")
